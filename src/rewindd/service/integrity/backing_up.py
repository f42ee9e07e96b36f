"""The database's own backup, which the store comes back from. Whole copies where somebody wants them: `duplicating`.

It is made while everything else goes on, 256 KiB at a time, and takes the place of the one before only after SQLite found
its structure sound: a damaged database never replaces a good backup. Content files are not in it; they stand for themselves.
"""

import logging
from pathlib import Path
from time import monotonic, time

import anyio

from rewindd.errors import RewinddError, ShuttingDown, StoreError, StoreFull, StoreIO
from rewindd.service.integrity.care import Holding
from rewindd.service.integrity.idle import idle
from rewindd.service.space.room import free
from rewindd.service.state import State
from rewindd.store import copying
from rewindd.store.database import FILE_NAME, Connection
from rewindd.store.opening import BACKUP_NAME
from rewindd.store.totals import totals

log = logging.getLogger(__name__)

#: A store without a backup gets its first one so long after the daemon's start, in seconds, if it has anything to lose.
FIRST_S = 600.0
#: How often it is looked whether one is due, in seconds.
LOOK_S = 60.0
#: The pause after each step of an automatic copy, in seconds: some 25 MB/s, and the disk is others' for the rest.
PAUSE_S = 0.01
#: At a clean stop a backup is made where so much came since the last one, and the database has at most so many bytes: half a second.
STOP_ROWS = 1000
STOP_CHECKPOINTS = 20
STOP_BYTES = 64 << 20


async def keep(state: State) -> None:
    """Makes a backup whenever one is due and nobody asks for anything, until it is cancelled."""
    began_s = monotonic()
    while True:
        every_s = state.capture.integrity.backup_interval_s
        await anyio.sleep(min(LOOK_S, max(every_s / 4, 0.1)) if every_s else LOOK_S)
        if not every_s:
            continue
        due_s = (await _made_s(state) or began_s + min(FIRST_S, every_s) - every_s) + every_s
        try:
            if monotonic() >= due_s and await _is_worth(state):
                await idle(state)
                await renew(state, pause_s=PAUSE_S)
        except (StoreError, ShuttingDown, OSError) as exc:
            log.warning("the database was not backed up: %s", exc)


async def at_stop(state: State) -> None:
    """Makes a backup before a clean end, where that is quick and much has changed since the last one."""
    if not state.capture.integrity.backup_interval_s:
        return
    try:
        now, last = await holding(state), state.care.backed_up or Holding(0, 0, 0, 0)
        is_much = now.rows - last.rows >= STOP_ROWS or now.checkpoints - last.checkpoints >= STOP_CHECKPOINTS
        if is_much and now.database_bytes <= STOP_BYTES:
            await renew(state, pause_s=0)
    except (RewinddError, OSError) as exc:
        log.warning("the database was not backed up: %s", exc)


async def renew(state: State, *, pause_s: float) -> None:
    """Makes a new backup of the database in the place of the one before; durable on return.

    Raises:
        StoreFull: there is no room for it.
        StoreError: it cannot be made. The one before stays.
        ShuttingDown: the store was closed meanwhile; likewise.
    """
    held = await holding(state)
    room_bytes = await state.bridge.work(free, state)
    if held.database_bytes > room_bytes:
        raise StoreFull(f"no room for a backup of {held.database_bytes} bytes; {room_bytes} may still be used")
    new, backup = Path(state.data_dir, f"{BACKUP_NAME}.new"), Path(state.data_dir, BACKUP_NAME)
    await state.bridge.work(copying.remove, new)
    await state.bridge.copy(new, lambda done, total: pause_s)
    damage = await state.bridge.work(copying.put_in_order, new)
    if damage:
        await state.bridge.work(copying.remove, new)
        state.bridge.suspect(f"{FILE_NAME}: {damage[0]}")
        raise StoreIO(f"the database is damaged ({damage[0]}); the backup before is kept, and `rewindctl daemon restart` comes back to it")
    await state.bridge.work(copying.publish, new, backup)
    state.care.backed_up = held


async def load(state: State) -> None:
    """Looks at start what the last backup holds, so that it is known what is new since."""
    held = await state.bridge.work(copying.held_by, Path(state.data_dir, BACKUP_NAME))
    state.care.backed_up = Holding(*held, 0) if held is not None else None


async def made_at_ns(state: State) -> int | None:
    """Returns when the last backup of the database was made, wall clock; None where there is none."""

    def look() -> int | None:
        try:
            return Path(state.data_dir, BACKUP_NAME).stat().st_mtime_ns
        except OSError:
            return None

    return await state.bridge.work(look)


async def holding(state: State) -> Holding:
    """Returns how much the store holds now."""

    def read(db: Connection) -> Holding:
        _, blobs, rows, checkpoints = totals(db)
        (pages,), (page_bytes,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA page_size").fetchone()
        return Holding(rows, checkpoints, blobs, pages * page_bytes)

    return await state.bridge.transact(read)


async def _is_worth(state: State) -> bool:
    """True where anything came since the last backup."""
    now, last = await holding(state), state.care.backed_up or Holding(0, 0, 0, 0)
    return (now.rows, now.checkpoints, now.blobs) != (last.rows, last.checkpoints, last.blobs)


async def _made_s(state: State) -> float | None:
    """When the last backup was made, on the monotonic clock; None where there is none. One from the future was made just now."""
    made_ns = await made_at_ns(state)
    return None if made_ns is None else monotonic() - max(time() - made_ns / 1e9, 0.0)

"""Copies of the store: the database's own backup, which the store comes back from, and whole ones where somebody wants them.

A copy is made while everything else goes on, 256 KiB at a time. The backup takes the place of the one before only after SQLite found
its structure sound: a damaged database never replaces a good backup. Content files are not in it; they stand for themselves.
"""

import contextlib
import logging
import os
import shutil
from pathlib import Path
from time import monotonic, time

import anyio

from rewindd.errors import AlreadyExists, BadRequest, RewinddError, ShuttingDown, StoreError, StoreFull, StoreIO
from rewindd.paths import FsText
from rewindd.protocol.integrity import BackedUp, MakeBackup
from rewindd.service.integrity.care import Holding
from rewindd.service.integrity.idle import idle
from rewindd.service.space.room import free
from rewindd.service.state import State
from rewindd.service.turn import Turn
from rewindd.store import copying
from rewindd.store.database import FILE_NAME, Connection, sync_directory
from rewindd.store.opening import BACKUP_NAME
from rewindd.store.seam import translated
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
    await state.bridge.work(new.unlink, missing_ok=True)
    await state.bridge.copy(new, lambda done, total: pause_s)
    damage = await state.bridge.work(copying.put_in_order, new)
    if damage:
        await state.bridge.work(new.unlink)
        state.bridge.suspect(f"{FILE_NAME}: {damage[0]}")
        raise StoreIO(f"the database is damaged ({damage[0]}); the backup before is kept, and `rewindctl daemon restart` comes back to it")
    await state.bridge.work(_publish, new, backup)
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


async def make_backup(state: State, request: MakeBackup, turn: Turn) -> bytes:
    """Copies the whole store to a directory, which is a data directory of its own then; durable on return.

    Raises:
        BadRequest: it is no directory that can be had, or it is the store's own.
        AlreadyExists: something is in it.
        StoreFull, StoreIO: it cannot be written; what was is removed.
    """
    target = await state.bridge.work(_target, state, request.directory)
    is_made = await state.bridge.work(_prepare, target)
    try:
        made = await _copy_all(state, target)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await state.bridge.work(_clear, target, is_made)
        raise
    return await state.bridge.transact(lambda db: turn.keep(db, made))


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


async def _copy_all(state: State, target: Path) -> BackedUp:
    # Files first, then the database, then the files that came meanwhile: no row is in the copy whose file is not.
    linked, copied = await state.bridge.work(_take_files, state, target)
    new = target / f"{FILE_NAME}.new"
    await state.bridge.copy(new, lambda done, total: 0.0)
    more = await state.bridge.work(_take_files, state, target)
    damage = await state.bridge.work(copying.put_in_order, new)
    await state.bridge.work(_publish, new, target / FILE_NAME)
    held = await holding(state)
    return BackedUp(
        directory=FsText(target),
        bytes=await state.bridge.work(_bytes_below, target),
        rows=held.rows,
        checkpoints=held.checkpoints,
        blobs=held.blobs,
        linked=linked + more[0],
        copied=copied + more[1],
        damage=damage,
    )


def _target(state: State, directory: FsText) -> Path:
    """Returns where the backup goes. In a worker thread."""
    if not os.path.isabs(directory) or "\0" in directory:
        raise BadRequest(f"{directory!r} is no absolute path", field="directory")
    target = Path(os.path.normpath(directory))
    real = os.path.realpath(target)
    if f"{real}/".startswith(f"{state.data_dir}/") or f"{state.data_dir}/".startswith(f"{real}/"):
        raise BadRequest(f"{directory!r} is the store's own directory, or holds it; a backup lies elsewhere", field="directory")
    return target


def _prepare(target: Path) -> bool:
    """Makes the directory; returns whether it was not there. In a worker thread."""
    try:
        target.mkdir(mode=0o700)
    except FileExistsError:
        if not target.is_dir() or any(target.iterdir()):
            message = f"{str(target)!r} is there, and not an empty directory; a backup gets one of its own"
            raise AlreadyExists(message, path=str(target)) from None
        is_made = False
    except OSError as exc:
        raise BadRequest(f"{str(target)!r} cannot be made: {(exc.strerror or str(exc)).lower()}", field="directory") from exc
    else:
        is_made = True
    try:
        target.chmod(0o700)
        (target / "blobs").mkdir(mode=0o700)
        sync_directory(target.parent)
    except OSError as exc:
        raise BadRequest(f"{str(target)!r} cannot be written: {(exc.strerror or str(exc)).lower()}", field="directory") from exc
    return is_made


def _clear(target: Path, is_made: bool) -> None:
    if is_made:
        shutil.rmtree(target, ignore_errors=True)
        return
    for left in target.iterdir():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _take_files(state: State, target: Path) -> tuple[int, int]:
    """Gives every content file that the target has not a second name there, or copies it; durable on return. In a worker thread."""
    linked = copied = 0
    try:
        for directory in sorted(Path(state.data_dir, "blobs").iterdir()):
            if not directory.is_dir():
                continue
            below = target / "blobs" / directory.name
            below.mkdir(mode=0o700, exist_ok=True)
            there = set(os.listdir(below))
            for name in os.listdir(directory):
                if name not in there:
                    with contextlib.suppress(FileNotFoundError):  # nobody needs it any more
                        is_link = _take_file(directory / name, below / name)
                        linked, copied = linked + is_link, copied + (not is_link)
            sync_directory(below)
        sync_directory(target / "blobs")
    except OSError as exc:
        raise _failed(exc, target) from exc
    return linked, copied


def _take_file(source: Path, target: Path) -> bool:
    """Returns whether it is a link; a file system of its own, or one that has no links, needs a copy."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:
        copying.copy_file(source, target)
        return False
    return True


def _publish(new: Path, name: Path) -> None:
    try:
        new.replace(name)
        sync_directory(name.parent)
    except OSError as exc:
        raise _failed(exc, name) from exc


def _failed(exc: OSError, target: Path) -> StoreError:
    return translated(exc, f"writing a backup to {target}")


def _bytes_below(target: Path) -> int:
    return sum(os.lstat(os.path.join(directory, name)).st_size for directory, _, names in os.walk(target) for name in names)


async def _made_s(state: State) -> float | None:
    """When the last backup was made, on the monotonic clock; None where there is none. One from the future was made just now."""
    made_ns = await made_at_ns(state)
    return None if made_ns is None else monotonic() - max(time() - made_ns / 1e9, 0.0)

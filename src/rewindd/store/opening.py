"""The store at the daemon's start: opened where it is sound, brought back from its last backup where it is not.

What is damaged is kept beside, under another name, and never removed: it may hold what the backup has not. What was lost by that is
found out as far as the damaged database can still be read, and noted in the one that takes its place.
"""

import contextlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import time_ns

import msgspec

from rewindd.errors import StoreCorrupt, StoreIO
from rewindd.faults import effect
from rewindd.store import copying, soundness, upkeep
from rewindd.store.database import FILE_NAME, PAGE_BYTES, open_database, sync_directory
from rewindd.store.schema import Connection
from rewindd.store.seam import translated

__all__ = ["BACKUP_NAME", "Loss", "loss_of", "open_store", "suspect", "told"]

#: The last copy of the database, made by the daemon.
BACKUP_NAME = f"{FILE_NAME}.backup"
#: Stands in a whole copy of a store until it is one (`service/integrity/duplicating.py`).
UNFINISHED_NAME = "unfinished"
#: Says that something of the structure was found damaged: the next start looks at all of it. Its text is for people.
SUSPECT_NAME = f"{FILE_NAME}.suspect"
DAMAGED_NAME = f"{FILE_NAME}.damaged-"
#: Checkpoints that are named of those that were lost.
NAMED = 20
#: What every directory that is only for now begins with; left ones are removed at start.
SCRATCH = ".scratch-"
_RESTORED_NAME = f"{FILE_NAME}.restored"
_LOSS = "loss"

_log = logging.getLogger(__name__)


class LostCheckpoint(msgspec.Struct, frozen=True, array_like=True):
    """A checkpoint that the backup has not."""

    session: str
    id: str
    label: str | None


class Loss(msgspec.Struct, frozen=True, array_like=True):
    """What coming back from a backup cost. `rows` and `checkpoints`: how many were lost, None where nobody can tell.

    `kept_as`: where the damaged database is now, "" where there was none left. `first`: the newest of the checkpoints that were lost.
    `is_told`: a `status` named it.
    """

    at_ns: int
    reason: str
    kept_as: str
    backup_at_ns: int
    rows: int | None
    checkpoints: int | None
    first: tuple[LostCheckpoint, ...]
    is_told: bool = False


_encoder = msgspec.msgpack.Encoder()
_losses = msgspec.msgpack.Decoder(Loss)


def open_store(directory: str) -> Connection:
    """Returns the only connection to the store in `directory`, as `open_database` does; a damaged one is brought back first.

    Looks at the structure for a tenth of a second; at all of it, which takes seconds, only where an earlier life suspected it.

    Raises:
        StoreCorrupt: it is damaged, and there is no backup that is not.
        StoreIO, StoreFull: as `open_database`; or there is no room to bring it back.
    """
    place = Path(directory)
    if (place / UNFINISHED_NAME).exists():
        raise StoreCorrupt(f"{place} is a backup that was not finished; make it again (rewindctl backup), or use another --data-dir")
    reason = _gone(place)
    if reason is None:
        try:
            db = open_database(directory)
        except StoreCorrupt as exc:
            reason = exc.message
        else:
            found = copying.structure(db) if (place / SUSPECT_NAME).exists() else soundness.at_start(db)
            if not found:
                _sweep(place)
                return db
            db.close()
            reason = f"{place / FILE_NAME} is damaged: {found[0]}"
    _bring_back(place, reason)
    return open_database(directory)


def _sweep(place: Path) -> None:
    """Removes what nobody needs once the database is known to be sound: the word of doubt, and copies that were cut off."""
    suspected = place / SUSPECT_NAME
    try:
        if suspected.exists():
            effect("store.open.unlink")
            suspected.unlink()
        for name in (f"{BACKUP_NAME}.new", _RESTORED_NAME, f"{_RESTORED_NAME}.new"):
            copying.remove(place / name)
    except (OSError, StoreIO) as exc:
        _log.warning("%s: what an earlier life left was not removed: %s", place, exc)


def suspect(directory: str, reason: str) -> None:
    """Has the next start look at the whole structure of the database. Does nothing where that cannot be noted."""
    with contextlib.suppress(OSError):
        Path(directory, SUSPECT_NAME).write_text(f"{reason}\n")


def loss_of(db: Connection) -> Loss | None:
    """Returns what was lost when the store last came back from a backup; None where it never did."""
    found = upkeep.find(db, _LOSS)
    return _losses.decode(found) if found is not None else None


def told(db: Connection, loss: Loss) -> None:
    """Notes that a `status` named the loss: the next start need not."""
    upkeep.put(db, _LOSS, _encoder.encode(msgspec.structs.replace(loss, is_told=True)))


def _gone(place: Path) -> str | None:
    """Says that the database is not there though its backup is; None where it is, or where there never was one."""
    if not (place / BACKUP_NAME).exists():
        return None
    try:
        size = (place / FILE_NAME).stat().st_size
    except FileNotFoundError:
        return f"{place / FILE_NAME} is missing"
    return f"{place / FILE_NAME} is empty" if size == 0 else None


def _bring_back(place: Path, reason: str) -> None:
    """Puts the backup in the database's place; durable on return. What is cut off in between is done again by the next start."""
    backup, fresh = place / BACKUP_NAME, place / _RESTORED_NAME
    if not backup.exists():
        raise StoreCorrupt(
            f"{reason}. There is no {BACKUP_NAME} to come back from: keep a copy of {place}, "
            f"then put a backup in its place (rewindctl backup), or move {FILE_NAME} away to begin anew"
        )
    try:
        kept_as = _put_aside(place)
        if kept_as is None:
            copying.copy_file(backup, fresh)
            kept_as = _free_name(place)
            _note_loss(place, fresh, reason, kept_as)
        # The log first goes with what it belongs to: it must never be applied to another database.
        for suffix in ("", "-wal"):
            effect("store.open.aside")
            with contextlib.suppress(FileNotFoundError):
                os.rename(place / f"{FILE_NAME}{suffix}", f"{kept_as}{suffix}")
        sync_directory(place)
        effect("store.open.rename")
        fresh.replace(place / FILE_NAME)
        effect("store.open.unlink")
        (place / SUSPECT_NAME).unlink(missing_ok=True)
        sync_directory(place)
    except (OSError, sqlite3.Error) as exc:
        raise translated(exc, f"bringing {place / FILE_NAME} back from {BACKUP_NAME}") from exc
    _log.error("%s; came back from the backup, the damaged database is kept as %s", reason, kept_as)


def _put_aside(place: Path) -> Path | None:
    """Where an earlier life put the damaged database that was cut off before the copy had its name: the copy is whole, and has the loss."""
    if (place / FILE_NAME).exists():
        return None
    found = copying.noted_in(place / _RESTORED_NAME, _LOSS)
    if found is None or found == copying.noted_in(place / BACKUP_NAME, _LOSS):
        return None
    kept_as = _losses.decode(found).kept_as
    return Path(kept_as) if kept_as and Path(kept_as).exists() else None


def _free_name(place: Path) -> Path:
    """A name for the damaged database that nothing has: a clock may have been set back, and two returns be of one second."""
    name = f"{DAMAGED_NAME}{datetime.now(UTC):%Y%m%dT%H%M%S}"
    names = (place / (name if number == 0 else f"{name}-{number}") for number in count())
    return next(path for path in names if not path.exists() and not path.with_name(f"{path.name}-wal").exists())


def _note_loss(place: Path, fresh: Path, reason: str, kept_as: Path) -> None:
    effect("store.copy.order")
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE").fetchone()
        found = copying.structure(db)
        if found:
            raise StoreCorrupt(f"{reason}, and so is {BACKUP_NAME}: {found[0]}; keep a copy of {place}, and put a backup in its place")
        rows, checkpoints, first = _lost(place, db)
        backup_at_ns = (place / BACKUP_NAME).stat().st_mtime_ns
        kept = str(kept_as) if (place / FILE_NAME).exists() else ""
        loss = Loss(time_ns(), reason, kept, backup_at_ns, rows, checkpoints, first)
        effect("store.copy.order")
        upkeep.put(db, _LOSS, _encoder.encode(loss))
    copying.sync_file(fresh)


def _lost(place: Path, backup: Connection) -> tuple[int | None, int | None, tuple[LostCheckpoint, ...]]:
    """What the damaged database has and the backup has not, as far as it can be read: from a copy, so that it stays as it is."""
    try:
        with _scratch(place) as scratch:
            copy = scratch / FILE_NAME
            for suffix in ("", "-wal"):
                if (place / f"{FILE_NAME}{suffix}").exists():
                    copying.copy_file(place / f"{FILE_NAME}{suffix}", Path(f"{copy}{suffix}"))
            for is_mended in (False, True):
                effect("store.copy.order")
                if is_mended:
                    _mend_first_page(copy, place / BACKUP_NAME)
                with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
                    db.execute("PRAGMA locking_mode = EXCLUSIVE")
                    return _compared(db, backup)
    except OSError as exc:
        _log.warning("what was lost cannot be told: %s", exc)
    return None, None, ()


@contextlib.contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    """A directory for the block; what is left of it where the process dies in between is swept with the next start's others."""
    effect("store.copy.mkdir")
    scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=place))
    try:
        yield scratch
    finally:
        for left in sorted(scratch.iterdir()):
            effect("store.copy.unlink")
            left.unlink()
        effect("store.copy.rmdir")
        scratch.rmdir()


def _mend_first_page(copy: Path, backup: Path) -> None:
    """Without its first page nothing of a database can be read, and it hardly ever changes."""
    with backup.open("rb") as good, copy.open("r+b") as bad:
        bad.write(good.read(PAGE_BYTES))
        # How many pages there are is told by the file's size where two counters differ (fileformat2.html, section 1.3.7).
        bad.seek(24)
        bad.write(b"\xff\xff\xff\xff")


def _compared(db: Connection, backup: Connection) -> tuple[int | None, int | None, tuple[LostCheckpoint, ...]]:
    rows = _total(db, "rows") - _total(backup, "rows")
    known = {uid for (uid,) in backup.execute("SELECT uid FROM checkpoints")}
    names = dict(db.execute("SELECT number, id FROM sessions").fetchall())
    found = [
        LostCheckpoint(str(names.get(session, "")), str(id_), label if isinstance(label, str) else None)
        for uid, session, id_, label in db.execute("SELECT uid, session, id, label FROM checkpoints NOT INDEXED ORDER BY number DESC")
        if uid not in known
    ]
    return max(rows, 0), len(found), tuple(found[:NAMED])


def _total(db: Connection, name: str) -> int:
    (found,) = db.execute("SELECT value FROM totals WHERE name = ?", (name,)).fetchone()
    return int(found)

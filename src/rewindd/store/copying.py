"""Copies of the database: made a few pages at a time while everything else goes on, and put in order before anybody opens one.

SQLite's backup (https://www.sqlite.org/backup.html): what is written to the database by the connection that copies it is written
to the copy too, so a copy is of the moment at which it is finished.
"""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from rewindd.errors import StoreCorrupt
from rewindd.faults import effect
from rewindd.model.log import OperationStatus
from rewindd.store import answers, operations, upkeep
from rewindd.store.database import sync_directory
from rewindd.store.schema import Connection
from rewindd.store.seam import translated
from rewindd.store.totals import totals

#: Pages of one step: 256 KiB, some tenths of a millisecond where they are in memory.
STEP_PAGES = 32
#: What SQLite finds wrong with a copy, at most.
MOST = 5


def copy_pages(db: Connection, path: Path, between: Callable[[int, int], None]) -> None:
    """Writes a copy of the whole database to `path`, which is not there. For the store's thread; not durable on return.

    `between(done, total)` is called after each step, with pages; it may use `db`, and breaks the copy off by raising.

    Raises:
        StoreFull, StoreIO: it cannot be written, or the database not be read.
        StoreCorrupt: SQLite found damage.
        whatever `between` raises.
    """

    def step(_: int, left: int, total: int) -> None:
        effect("store.copy.write")
        between(total - left, total)

    try:
        effect("store.copy.create")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
            # Nobody needs half a copy: no journal, and it is synced as a whole, elsewhere.
            for setting in ("locking_mode = EXCLUSIVE", "journal_mode = OFF", "synchronous = OFF"):
                copy.execute(f"PRAGMA {setting}")
            db.backup(copy, pages=STEP_PAGES, progress=step, sleep=0)
    except (OSError, sqlite3.Error) as exc:
        error = translated(exc, f"copying the database to {path}")
        error.__cause__ = exc
        raise error from exc


def put_in_order(path: Path, note: tuple[str, bytes] | None = None) -> list[str]:
    """Makes a copy one that can be opened at any later time; durable on return. Returns what SQLite finds wrong with its structure.

    Operations that were open when it was made are closed in it, and no file is touched for them: by the time that the copy is
    opened the original has finished them or taken them back. For a worker thread; takes as long as reading all of it.

    `note`: what is put into it under a name, for `noted_in`.

    Raises:
        StoreFull, StoreIO: it cannot be written.
    """
    found: list[str] = []
    try:
        effect("store.copy.order")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            try:
                # One file that stands for itself; the journal comes back when it is opened as a store.
                db.execute("PRAGMA journal_mode = DELETE").fetchone()
                found = structure(db)
                if not found:
                    _close_operations(db)
                    if note is not None:
                        upkeep.put(db, *note)
            except sqlite3.DatabaseError as exc:
                found = [str(exc)]
            except StoreCorrupt as exc:
                found = [exc.message]
        sync_file(path)
    except OSError as exc:
        raise translated(exc, f"copying the database to {path}") from exc
    return found


def publish(new: Path, name: Path) -> None:
    """Gives a copy that was put in order its name, in the place of the one before; durable on return. Raises StoreFull, StoreIO."""
    try:
        effect("store.copy.rename")
        new.replace(name)
        sync_directory(name.parent)
    except OSError as exc:
        raise translated(exc, f"copying the database to {name}") from exc


def remove(path: Path) -> None:
    """Removes a copy that was not finished, and what SQLite had beside it; none there is no error. Raises StoreIO."""
    try:
        for left in (path.with_name(f"{path.name}{suffix}") for suffix in ("", "-journal", "-wal")):
            if left.exists():
                effect("store.copy.unlink")
                left.unlink(missing_ok=True)
    except OSError as exc:
        raise translated(exc, f"removing {path}") from exc


def structure(db: Connection) -> list[str]:
    """Returns what SQLite's quick check of the whole database finds; takes seconds for a large one."""
    try:
        return [str(text) for (text,) in db.execute(f"PRAGMA quick_check({MOST})") if text != "ok"]
    except sqlite3.DatabaseError as exc:
        return [str(exc)]


def held_by(path: Path) -> tuple[int, int, int] | None:
    """Returns how many rows of the log, checkpoints and contents a copy that was put in order holds; None where there is none."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            _, blobs, rows, checkpoints = totals(db)
            return rows, checkpoints, blobs
    except (sqlite3.Error, KeyError):
        return None


def noted_in(path: Path, name: str) -> bytes | None:
    """Returns what `put_in_order` put into a copy under a name; None where there is no such thing."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return upkeep.find(db, name)
    except sqlite3.Error:
        return None


def sync_file(path: Path) -> None:
    """Makes a file and its name durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        effect("store.copy.sync")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copies a file, 0600, durably; one that has the target's name is replaced once the copy is whole. Raises OSError."""
    new = target.with_name(f"{target.name}.new")
    effect("store.copy.unlink")
    new.unlink(missing_ok=True)
    try:
        effect("store.copy.create")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with source.open("rb") as read, open(descriptor, "wb") as written:  # noqa: PTH123 - a descriptor has no path
            effect("store.copy.write")
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            effect("store.copy.sync")
            os.fsync(written.fileno())
        effect("store.copy.rename")
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def _close_operations(db: Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    for one in operations.unfinished(db):
        is_done = one.status is OperationStatus.APPLIED
        operations.finish(db, one.id, OperationStatus.DONE if is_done else OperationStatus.ROLLED_BACK)
        operations.drop_steps(db, one.id)
        if one.key is not None and not is_done:
            answers.drop(db, one.session, one.key)
    db.execute("COMMIT")

"""Opening the store's database: its place, its settings, its version. Nothing here knows what the tables hold."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from rewindd.errors import StoreCorrupt, StoreNewer
from rewindd.faults import effect
from rewindd.store.schema import MIGRATIONS, Connection, Migration
from rewindd.store.seam import translated
from rewindd.store.wanted import Noting

__all__ = ["APPLICATION_ID", "Connection", "open_database"]

#: "rwnd": says in the file's header whose it is (https://www.sqlite.org/pragma.html#pragma_application_id).
APPLICATION_ID = 0x72776E64
FILE_NAME = "store.db"
#: Bytes: 3,000 source files were written a tenth faster than with 4 KiB, and with 16 KiB no faster still.
PAGE_BYTES = 8192
#: KiB, negative as the pragma wants it: 8 MiB hold the inner pages (some 2 MiB) of a store of a million rows, and the daemon stays small.
CACHE_KIB = -8192
#: Bytes that the write-ahead log keeps on disk after it grew beyond them.
LOG_BYTES = 32 << 20

#: For an empty file: both do nothing after the first table.
_CREATION = (f"PRAGMA page_size = {PAGE_BYTES}", "PRAGMA auto_vacuum = INCREMENTAL")
_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    # What is answered as saved survives the loss of power: the log is synced at each commit.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # What is deleted from a page that is written anyway is zeroed there (pragma.html#pragma_secure_delete): `forget` counts on it.
    "PRAGMA secure_delete = FAST",
    "PRAGMA temp_store = MEMORY",
    f"PRAGMA cache_size = {CACHE_KIB}",
    f"PRAGMA journal_size_limit = {LOG_BYTES}",
)


def open_database(directory: str) -> Connection:
    """Returns the only connection to the store in `directory`, which is made when it is not there. Blocks; use it in one thread.

    A database of an older version is copied to `store.db.v<N>` first, then brought to this one in a single transaction.

    Raises:
        StoreIO: it cannot be opened, or another process has it open.
        StoreNewer: a newer rewindd wrote it.
        StoreCorrupt: the file is no database, or not ours.
        StoreFull: there is no room for a new database, or for the copy.
    """
    path = Path(directory) / FILE_NAME
    try:
        _make(path)
        db = sqlite3.connect(path, isolation_level=None, cached_statements=256, factory=Noting)
    except (OSError, sqlite3.Error) as exc:
        raise translated(exc, f"opening {path}") from exc
    try:
        _set_up(db, path, MIGRATIONS)
    except (OSError, sqlite3.Error) as exc:
        db.close()
        raise translated(exc, f"opening {path}") from exc
    except BaseException:
        db.close()
        raise
    return db


def _make(path: Path) -> None:
    directory = path.parent
    if not directory.exists():
        effect("store.open.mkdir")
        directory.mkdir(mode=0o700, parents=True)
        sync_directory(directory.parent)
    if directory.stat().st_mode & 0o077:
        effect("store.open.chmod")
        directory.chmod(0o700)
    # SQLite gives its log the mode of the database.
    effect("store.open.create")
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if path.stat().st_mode & 0o077:
        effect("store.open.chmod")
        path.chmod(0o600)
    sync_directory(directory)


def _set_up(db: Connection, path: Path, migrations: Sequence[Migration]) -> None:
    effect("store.open")
    # One connection: the log's index stays in our memory, and no other process can reset the log below us.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    version = _check(db, path, len(migrations))
    for statement in _SETTINGS if version else (*_CREATION, *_SETTINGS):
        db.execute(statement)
    if version < len(migrations):
        _migrate(db, path, version, migrations)


def _check(db: Connection, path: Path, ours: int) -> int:
    """Returns the version of the database, before anything was written to it."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application, version, tables) != (0, 0, 0):
        raise StoreCorrupt(f"{path} is not a database of rewindd (application id {application:#x}); move it away or use another --data-dir")
    if version > ours:
        raise StoreNewer(
            f"{path} has version {version}, written by a newer rewindd; this one knows version {ours}: "
            f"start the newer one, or use another --data-dir (an old copy may be beside it as {FILE_NAME}.v{ours})"
        )
    return int(version)


def _migrate(db: Connection, path: Path, version: int, migrations: Sequence[Migration]) -> None:
    if version:
        _keep_copy(db, path, version)
    db.execute("BEGIN IMMEDIATE")
    for migration in migrations[version:]:
        migration(db)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {len(migrations)}")
    effect("store.commit")
    db.execute("COMMIT")


def _keep_copy(db: Connection, path: Path, version: int) -> None:
    """Leaves a copy that the old version opens; it is whole once it has its name."""
    copy = path.with_name(f"{path.name}.v{version}")
    unfinished = path.with_name(f"{copy.name}.new")
    effect("store.copy.unlink")
    unfinished.unlink(missing_ok=True)
    effect("store.copy.create")
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as target:
        effect("store.copy.write")
        db.backup(target)
    effect("store.copy.rename")
    unfinished.replace(copy)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes the names in `directory` durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        effect("store.directory.sync")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

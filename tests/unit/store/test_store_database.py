"""The database's file: its settings, its version, and what is left beside it when it moves to a newer one."""

import sqlite3
from functools import partial
from pathlib import Path

import pytest

from rewindd.errors import StoreCorrupt, StoreFull, StoreIO, StoreNewer
from rewindd.model.session import Session, Workspace
from rewindd.store import database as database_module
from rewindd.store import schema, sessions, workspaces
from rewindd.store.database import APPLICATION_ID, Connection, open_database


def _pragma(db: Connection, name: str) -> object:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def _third_table(db: Connection) -> None:
    db.execute("CREATE TABLE third (a INTEGER)")


def _failing(db: Connection) -> None:
    db.execute("CREATE TABLE half (a INTEGER)")
    db.execute("SELECT no_such_function()")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", 8192),
        ("auto_vacuum", 2),
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("locking_mode", "exclusive"),
        ("temp_store", 2),
        ("application_id", APPLICATION_ID),
        ("user_version", len(schema.MIGRATIONS)),
        ("integrity_check", "ok"),
    ],
)
def test_settings(db: Connection, name: str, value: object) -> None:
    """What durability and space rest on is really set, in the file too."""
    assert _pragma(db, name) == value


def test_private_files(db: Connection, session: Session, directory: str) -> None:
    """Nobody else reads the store: directory 0700, every file 0600."""
    assert Path(directory).stat().st_mode & 0o777 == 0o700
    names = {path.name: path.stat().st_mode & 0o777 for path in Path(directory).iterdir()}
    assert names == {"store.db": 0o600, "store.db-wal": 0o600}


def test_loose_modes_are_tightened(directory: str) -> None:
    """A store whose modes were loosened is private again once it was opened."""
    open_database(directory).close()
    Path(directory).chmod(0o755)
    Path(directory, "store.db").chmod(0o644)
    open_database(directory).close()
    assert Path(directory).stat().st_mode & 0o777 == 0o700
    assert Path(directory, "store.db").stat().st_mode & 0o777 == 0o600


def test_reopened(db: Connection, session: Session, workspace: Workspace, directory: str) -> None:
    """What was stored is there in the next life."""
    db.close()
    again = open_database(directory)
    assert workspaces.all_of(again) == [workspace]
    assert sessions.find(again, session.id) == session
    again.close()


def test_migration_keeps_a_copy(db: Connection, session: Session, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of the old version stays beside the migrated one, private, whole, and the old version opens it."""
    db.close()
    monkeypatch.setattr(database_module, "MIGRATIONS", (*schema.MIGRATIONS, _third_table))
    migrated = open_database(directory)
    assert _pragma(migrated, "user_version") == 2
    assert sessions.find(migrated, session.id) == session
    migrated.execute("SELECT * FROM third")
    migrated.close()

    copy = Path(directory, "store.db.v1")
    assert copy.stat().st_mode & 0o777 == 0o600
    monkeypatch.undo()
    old = Path(directory, "old")
    old.mkdir()
    copy.rename(old / "store.db")
    opened = open_database(str(old))
    assert _pragma(opened, "user_version") == 1
    assert sessions.find(opened, session.id) == session
    opened.close()
    assert not list(Path(directory).glob("*.new"))


def test_failed_migration_changes_nothing(db: Connection, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails half-way leaves the old version, which the old rewindd opens."""
    db.close()
    monkeypatch.setattr(database_module, "MIGRATIONS", (*schema.MIGRATIONS, _failing))
    with pytest.raises(StoreIO, match="no_such_function"):
        open_database(directory)
    monkeypatch.undo()
    again = open_database(directory)
    assert _pragma(again, "user_version") == 1
    assert again.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)
    again.close()


def test_newer_version_is_refused(db: Connection, directory: str) -> None:
    """A store of a newer rewindd is not touched, and the message says what to do."""
    db.execute("PRAGMA user_version = 7")
    db.close()
    before = Path(directory, "store.db").read_bytes()
    with pytest.raises(StoreNewer, match=r"version 7.*start the newer one"):
        open_database(directory)
    assert Path(directory, "store.db").read_bytes() == before


def test_another_programs_database_is_refused(directory: str) -> None:
    """A database that is not ours is not touched."""
    Path(directory).mkdir()
    other = sqlite3.connect(Path(directory, "store.db"))
    other.execute("CREATE TABLE theirs (a INTEGER)")
    other.close()
    before = Path(directory, "store.db").read_bytes()
    with pytest.raises(StoreCorrupt, match="not a database of rewindd"):
        open_database(directory)
    assert Path(directory, "store.db").read_bytes() == before


def test_no_database_at_all(directory: str) -> None:
    """A file that is no database is damage, named as such."""
    Path(directory).mkdir()
    Path(directory, "store.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreCorrupt, match=r"store\.db"):
        open_database(directory)


def test_store_in_use(db: Connection, session: Session, directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second opener is refused: the connection is the only one."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0))
    with pytest.raises(StoreIO, match="locked"):
        open_database(directory)


def test_directory_that_cannot_be(tmp_path: Path) -> None:
    """A data directory that is a file is said, not crashed on."""
    Path(tmp_path, "file").write_text("")
    with pytest.raises(StoreIO):
        open_database(str(tmp_path / "file"))


def test_no_room_for_the_first_table(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at the very first start is `store-full`, and the next start succeeds."""

    def full(db: Connection) -> None:
        db.execute("PRAGMA max_page_count = 2")
        schema.MIGRATIONS[0](db)

    monkeypatch.setattr(database_module, "MIGRATIONS", (full,))
    with pytest.raises(StoreFull):
        open_database(directory)
    monkeypatch.undo()
    open_database(directory).close()

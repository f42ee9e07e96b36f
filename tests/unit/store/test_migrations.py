"""Upgrades: every store that was kept opens and says what it said, a migration that dies begins again, a newer store is left alone."""

import errno
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.errors import StoreFull, StoreIO, StoreNewer
from rewindd.store import database as database_module
from rewindd.store import schema, soundness
from rewindd.store.database import Connection, open_database
from support import stores
from support.dying import life

VERSIONS = stores.versions()
NEXT = len(schema.MIGRATIONS) + 1
#: Far above the effects of an opening.
MOST_EFFECTS = 60


def _next_version(db: Connection) -> None:
    """A migration as they will be: a table, a column, and every row written anew."""
    faults.effect("test.migration.begins")
    db.execute("CREATE TABLE fresh (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
    db.execute("ALTER TABLE sessions ADD COLUMN mood TEXT")
    faults.effect("test.migration.is.half.done")
    db.execute("UPDATE sessions SET mood = agent")
    db.execute("INSERT INTO fresh SELECT id, root FROM workspaces")
    faults.effect("test.migration.ends")


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rewindd of the next version."""
    monkeypatch.setattr(database_module, "MIGRATIONS", (*schema.MIGRATIONS, _next_version))


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def rows_of(db: Connection) -> dict[str, int]:
    """How many rows each of the tables has that all versions have."""
    names = ("workspaces", "sessions", "edits", "toggles", "known", "events", "checkpoints", "operations", "blobs")
    return {name: int(db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in names}


def test_the_present_version_is_kept() -> None:
    """There is a store of each version that a rewindd ever wrote."""
    assert list(range(1, NEXT)) == VERSIONS


@pytest.mark.anyio
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_kept_store_opens(tmp_path: Path, version: int) -> None:
    """Brought to this version it says of every checkpoint what it said, is sound, and has a copy beside it where it was older."""
    stores.unpack(version, tmp_path / "data")
    (tmp_path / "tree").mkdir()
    async with life(str(tmp_path)) as desk:
        assert await stores.found(desk) == stores.expected(version)
    with closing(open_database(str(tmp_path / "data"))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert [found for table in soundness.tables(db) for found in soundness.check(db, table) or []] == []
    kept = list((tmp_path / "data").glob("store.db.v*"))
    assert [version_of(path) for path in kept] == ([version] if version < len(schema.MIGRATIONS) else [])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_chain(tmp_path: Path, upgraded: None, version: int) -> None:
    """From every kept version to the next one that is to come: nothing is lost on the way."""
    database = stores.unpack(version, tmp_path / "data")
    with closing(sqlite3.connect(database)) as db:
        before = rows_of(db)
    with closing(open_database(str(tmp_path / "data"))) as db:
        assert rows_of(db) == before
        assert db.execute("SELECT count(*) FROM sessions WHERE mood IS NOT agent").fetchone() == (0,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with closing(sqlite3.connect(tmp_path / "data" / f"store.db.v{version}")) as db:
        assert rows_of(db) == before


def dies_at(directory: Path, number: int) -> bool:
    """Opens the store in a child that dies at its nth effect; returns whether it came to it."""
    child = os.fork()
    if child == 0:
        try:
            faults.arm(faults.from_spec(f"die:{number}"))
            open_database(str(directory)).close()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def test_a_migration_that_dies(tmp_path: Path, upgraded: None) -> None:
    """Whichever effect it dies at: the store is of the one version or the other, the copy is whole, and the next opening migrates it."""
    numbers = range(1, MOST_EFFECTS)
    for number in numbers:
        directory = tmp_path / str(number)
        database = stores.unpack(VERSIONS[-1], directory)
        with closing(sqlite3.connect(database)) as db:
            before = rows_of(db)
        if not dies_at(directory, number):
            break
        copy = directory / f"store.db.v{VERSIONS[-1]}"
        if copy.exists():
            assert version_of(copy) == VERSIONS[-1]
        with closing(open_database(str(directory))) as db:
            assert rows_of(db) == before
            assert db.execute("PRAGMA user_version").fetchone() == (NEXT,)
            assert db.execute("SELECT count(*) FROM fresh").fetchone() == (before["workspaces"],)
        with closing(sqlite3.connect(copy)) as db:
            assert rows_of(db) == before
        assert not list(directory.glob("*.new"))
    assert 8 < number < numbers[-1], "it dies at each of some ten effects, and then no more"


@pytest.mark.parametrize(("error", "expected"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreIO)])
def test_a_migration_that_cannot_be(tmp_path: Path, upgraded: None, error: int, expected: type[Exception]) -> None:
    """Without room for the copy, say, the store stays as it is, and is migrated when there is some."""
    stores.unpack(VERSIONS[-1], tmp_path / "data")
    for name in ("store.copy.create", "store.copy.write", "test.migration.is.half.done", "store.commit"):

        def hook(effect: str, name: str = name) -> None:
            if effect == name:
                raise OSError(error, os.strerror(error))

        faults.arm(hook)
        try:
            with pytest.raises(expected):
                open_database(str(tmp_path / "data"))
        finally:
            faults.arm(None)
        assert version_of(tmp_path / "data" / "store.db") == VERSIONS[-1]
    with closing(open_database(str(tmp_path / "data"))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (NEXT,)


def test_a_newer_store(tmp_path: Path, upgraded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older rewindd says so with a code of its own and what to do, and touches nothing; the copy that was kept opens."""
    stores.unpack(VERSIONS[-1], tmp_path / "data")
    open_database(str(tmp_path / "data")).close()
    monkeypatch.undo()
    before = (tmp_path / "data" / "store.db").read_bytes()
    with pytest.raises(StoreNewer, match=rf"version {NEXT}.*start the newer one.*store\.db\.v{VERSIONS[-1]}") as refused:
        open_database(str(tmp_path / "data"))
    assert refused.value.code == "store-newer"
    assert (tmp_path / "data" / "store.db").read_bytes() == before
    older = tmp_path / "older"
    older.mkdir()
    (tmp_path / "data" / f"store.db.v{VERSIONS[-1]}").rename(older / "store.db")
    open_database(str(older)).close()

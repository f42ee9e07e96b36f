"""The quick look at the database: what is wrong is found, and what is too large is left."""

from pathlib import Path

import pytest

from rewindd.store import soundness
from rewindd.store.database import open_database


def test_a_sound_store(tmp_path: Path) -> None:
    """Every table of a new store is checked, and nothing is wrong."""
    db = open_database(str(tmp_path))
    names = soundness.tables(db)
    assert {"edits", "blobs", "answers"} <= set(names)
    assert [soundness.check(db, name) for name in names] == [[]] * len(names)
    db.close()


def test_large_tables_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many rows, or of many bytes, is not looked into; the connection serves others as before."""
    db = open_database(str(tmp_path))
    db.executemany("INSERT INTO packs VALUES (?, 1, zeroblob(1000))", [(number,) for number in range(20)])
    for name, value in (("MOST_ROWS", 19), ("MOST_BYTES", 19_999)):
        with monkeypatch.context() as patch:
            patch.setattr(soundness, name, value)
            assert soundness.check(db, "packs") is None
            assert soundness.check(db, "blobs") == []
    assert soundness.check(db, "packs") == []
    db.close()


def test_what_takes_too_long_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time is over nothing is told, and the transaction around it goes on."""
    monkeypatch.setattr(soundness, "CHECK_S", -1.0)
    monkeypatch.setattr(soundness, "_STEPS", 1)
    db = open_database(str(tmp_path))
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO packs VALUES (1, 1, x'00')")
    assert soundness.check(db, "packs") is None
    assert db.execute("SELECT count(*) FROM packs").fetchone() == (1,)
    db.execute("COMMIT")
    db.close()

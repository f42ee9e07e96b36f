"""A damaged database comes back from its backup; copies are whole whatever goes on meanwhile, and nothing in them is open."""

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.errors import ShuttingDown, StoreCorrupt
from rewindd.model.ids import OperationId
from rewindd.model.log import OperationStatus, Row
from rewindd.model.operation import Operation, Step
from rewindd.model.session import Session, Workspace
from rewindd.model.versions import ABSENT
from rewindd.paths import RelPath
from rewindd.store import answers, copying, edits, opening, operations, soundness
from rewindd.store.database import Connection, open_database
from rewindd.store.opening import BACKUP_NAME, loss_of, open_store
from rewindd.store.thread import StoreThread
from support import damage


def filled(directory: str, count: int = 200) -> None:
    """Makes a store of some pages."""
    with closing(open_database(directory)) as db:
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO blobs (digest, size, encoding, data) VALUES (?, 9000, 0, ?)",
            ((os.urandom(32), os.urandom(9000)) for _ in range(count)),
        )
        db.execute("UPDATE totals SET value = value + ? WHERE name = 'rows'", (count,))
        db.execute("COMMIT")


def back_up(directory: str) -> None:
    """Makes the backup that a daemon makes."""
    store = StoreThread(directory)
    new = Path(directory, "new")
    store.copy(new, lambda done, total: 0.0).result()
    store.close()
    assert copying.put_in_order(new) == []
    new.rename(Path(directory, BACKUP_NAME))


def test_a_copy_is_of_the_moment_it_is_finished(directory: str) -> None:
    """Functions run between the steps of a copy; what they commit is in it."""
    filled(directory)
    store, steps = StoreThread(directory), []
    copy = Path(directory, "copy")

    def pace(done: int, total: int) -> float:
        steps.append((done, total))
        if len(steps) == 2:
            store.submit(lambda db: db.execute("INSERT INTO packs (number, size, data) VALUES (77, 1, x'00')").close())
        return 0.0

    store.copy(copy, pace).result()
    assert len(steps) > 5
    assert steps[-1][0] == steps[-1][1]
    assert copying.put_in_order(copy) == []
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT number FROM packs").fetchall() == [(77,)]
        assert db.execute("SELECT count(*) FROM blobs").fetchone() == (200,)
    assert (copy.stat().st_mode & 0o777, Path(f"{copy}-wal").exists()) == (0o600, False)
    store.close()


def test_nobody_waits_for_a_copy(directory: str) -> None:
    """A function that is submitted while a copy pauses runs at once."""
    filled(directory)
    store, began = StoreThread(directory), threading.Event()

    def pace(done: int, total: int) -> float:
        began.set()
        return 3600.0

    copied = store.copy(Path(directory, "copy"), pace)
    assert began.wait(10)
    assert store.submit(lambda db: db.execute("SELECT 5").fetchone()).result(10) == (5,)
    store.close()
    with pytest.raises(ShuttingDown):
        copied.result(10)
    assert not Path(directory, "copy").exists()


def test_operations_are_closed_in_a_copy(
    db: Connection, directory: str, session: Session, workspace: Workspace, make_operation: Callable[..., Operation]
) -> None:
    """What was under way is rolled back in the copy, and its key free; what was applied is done; no steps are left to be carried out."""
    for number, status in enumerate((OperationStatus.APPLYING, OperationStatus.ROLLING_BACK, OperationStatus.APPLIED)):
        one = make_operation(id=OperationId(f"o{number}"), status=status, key=f"k{number}")
        operations.begin(db, one, [Step(path=RelPath("a"), expect=ABSENT, target=ABSENT)])
        answers.put(db, session.id, f"k{number}", b"digest", b"", 5)
    db.close()
    back_up(directory)
    with closing(sqlite3.connect(Path(directory, BACKUP_NAME))) as copy:
        found = [operations.find(copy, OperationId(f"o{number}")) for number in range(3)]
        assert [one.status for one in found if one is not None] == [
            OperationStatus.ROLLED_BACK,
            OperationStatus.ROLLED_BACK,
            OperationStatus.DONE,
        ]
        assert operations.unfinished(copy) == []
        assert copy.execute("SELECT count(*) FROM steps").fetchone() == (0,)
        assert [answers.find(copy, session.id, f"k{number}") is None for number in range(3)] == [True, True, False]


@pytest.mark.parametrize("page", ["first", "blobs"])
def test_it_comes_back(directory: str, page: str) -> None:
    """A page that is none any more is found, the backup takes the place, the loss is told once, and the damaged file is kept."""
    filled(directory)
    back_up(directory)
    filled(directory, 10)
    damage.spoil(Path(directory, "store.db"), 1 if page == "first" else damage.root_page(Path(directory), page))
    kept = Path(directory, "store.db").read_bytes()
    with closing(open_store(directory)) as db:
        loss = loss_of(db)
        assert loss is not None
        assert (loss.rows, loss.checkpoints, loss.is_told) == (10, 0, False)
        assert Path(loss.kept_as).read_bytes() == kept
        assert db.execute("SELECT count(*) FROM blobs").fetchone() == (200,)
        opening.told(db, loss)
    with closing(open_store(directory)) as db:
        again = loss_of(db)
        assert again is not None
        assert again.is_told


def test_what_is_cut_off_is_done_again(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that dies after the damaged database went, and before the backup came, comes back at the next start."""
    filled(directory)
    back_up(directory)
    damage.spoil(Path(directory, "store.db"), 1)

    def die(place: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(opening, "sync_directory", die)
        with pytest.raises(KeyboardInterrupt):
            open_store(directory)
    assert not Path(directory, "store.db").exists()
    with closing(open_store(directory)) as db:
        assert db.execute("SELECT count(*) FROM blobs").fetchone() == (200,)
    assert len(list(Path(directory).glob("store.db.damaged-*"))) == 1


def test_damage_that_is_met_has_all_looked_at(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage that the quick look does not find and a function meets is noted; the next start finds it, and comes back."""
    filled(directory)
    back_up(directory)
    damage.spoil(Path(directory, "store.db"), damage.root_page(Path(directory), "blobs"))
    monkeypatch.setattr(soundness, "at_start", lambda db: [])
    store = StoreThread(directory)
    with pytest.raises(StoreCorrupt):
        store.submit(lambda db: db.execute("SELECT data FROM blobs").fetchall()).result()
    damaged = store.damage
    store.close()
    assert damaged is not None
    with closing(open_store(directory)) as db:
        assert loss_of(db) is not None
    assert not Path(directory, "store.db.suspect").exists()


def test_a_checksum_is_no_structure(db: Connection, directory: str, make_row: Callable[..., Row], workspace: Workspace) -> None:
    """A flipped bit in a row costs that row, and not all that came since the backup."""
    edits.append(db, workspace.id, [make_row()])
    db.execute("UPDATE edits SET at_ns = 0")
    db.close()
    store = StoreThread(directory)
    with pytest.raises(StoreCorrupt):
        store.submit(lambda db: edits.since(db, workspace.id, 0)).result()
    assert store.damage is None
    store.close()


def test_without_a_backup_nothing_is_changed(directory: str) -> None:
    """A damaged store without a backup is refused, and left as it is."""
    filled(directory)
    damage.spoil(Path(directory, "store.db"), 1)
    before = Path(directory, "store.db").read_bytes()
    with pytest.raises(StoreCorrupt, match=r"no store\.db\.backup"):
        open_store(directory)
    assert Path(directory, "store.db").read_bytes() == before


class _CutOffError(Exception):
    """Stands for the daemon's death."""


@pytest.mark.parametrize("nth", range(1, 4))
def test_a_return_that_was_cut_off_still_says_what_is_lost(directory: str, nth: int) -> None:
    """Cut off once the damaged database was put aside, by then or before its log was: the next start knows of it all the same."""
    filled(directory)
    back_up(directory)
    filled(directory, 7)
    damage.spoil(Path(directory, "store.db"), 1)
    before = Path(directory, "store.db").read_bytes()
    log, left = Path(directory, "store.db-wal"), nth

    def dies(effect: str) -> None:
        nonlocal left
        left -= effect in ("store.open.aside", "store.open.rename")
        if left == 0:
            if nth == 2:
                log.write_bytes(b"a log")
            raise _CutOffError

    faults.arm(dies)
    try:
        with pytest.raises(_CutOffError):
            open_store(directory)
    finally:
        faults.arm(None)
    with closing(open_store(directory)) as db:
        loss = loss_of(db)
    assert loss is not None
    assert "damaged" in loss.reason
    assert (loss.rows, Path(loss.kept_as).read_bytes() == before) == (7, True)
    assert Path(f"{loss.kept_as}-wal").exists() == (nth == 2)


def test_what_was_cut_off_is_removed(directory: str) -> None:
    """Copies that an earlier life did not finish, and what SQLite had beside them, are gone after the next start; the backup stays."""
    filled(directory)
    back_up(directory)
    left = [f"{BACKUP_NAME}.new", f"{BACKUP_NAME}.new-wal", "store.db.restored", "store.db.restored.new", "store.db.restored-journal"]
    for name in left:
        Path(directory, name).write_bytes(b"half")
    open_store(directory).close()
    assert [name for name in left if Path(directory, name).exists()] == []
    assert Path(directory, BACKUP_NAME).exists()

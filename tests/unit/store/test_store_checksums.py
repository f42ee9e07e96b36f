"""A flipped bit in any column of any checksummed row is found when the row is read, and named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rewindd.errors import StoreCorrupt
from rewindd.model.conversation import Event, EventKind
from rewindd.model.ids import BarrierId, CheckpointId, EventId, OperationId
from rewindd.model.log import IndexEntry, Row, Signature, Toggle
from rewindd.model.operation import Move, Operation, Step
from rewindd.model.session import Barrier, Checkpoint, Claim, Missing, Session, Workspace
from rewindd.model.versions import ABSENT, File
from rewindd.paths import RelPath
from rewindd.store import answers, barriers, checkpoints, claims, edits, events, index, operations, sessions, workspaces
from rewindd.store.database import Connection
from rewindd.store.thread import StoreThread

Read = Callable[[Connection], object]

_PATH = RelPath("src/app.py")
_SIGNATURE = Signature(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5, mode=6, links=7, racy=False)

#: The columns are read from the table itself, so that none is forgotten. What names a row in the table's own key or leads to it
#: from the question asked is left out: with it changed, the row is another one's or nobody's, as far as anybody can ask.
_ASKED_BY = {
    "workspaces": {"number", "id"},
    "sessions": {"number"},
    "edits": {"workspace", "seq"},
    "toggles": {"workspace", "at"},
    "known": {"workspace"},
    "claims": {"workspace"},
    "events": {"id", "parent"},
    "checkpoints": {"number", "session"},
    "barriers": {"number", "workspace"},
    "operations": {"number", "session", "workspace"},
    "operation_heads": {"operation"},
    "steps": {"operation"},
    "answers": {"name", "number"},
}
#: Tables of which a damaged row is left out, and the others are used.
_LEFT_OUT = {"claims"}


@pytest.fixture
def filled(
    db: Connection,
    workspace: Workspace,
    session: Session,
    make_row: Callable[..., Row],
    make_checkpoint: Callable[..., Checkpoint],
    make_operation: Callable[..., Operation],
) -> dict[str, Read]:
    """One row in each table, and how it is read."""
    db.execute("PRAGMA foreign_keys = OFF")
    operation = make_operation(paths=(_PATH,), undoes=OperationId("o0"))
    missing, members = (Missing(path=_PATH, reason="gone"),), {session.id: make_checkpoint().id}
    barrier = Barrier(id=BarrierId("b1"), workspace=workspace.id, label="x", seq=7, created_at_ns=8, incomplete=missing, members=members)
    edits.append(db, workspace.id, [make_row(seq=5, operation=OperationId("o1"))])
    edits.add_toggles(db, workspace.id, operation.id, [Toggle(5, 6, True)])
    index.put(db, workspace.id, [IndexEntry(path=_PATH, version=File(b"1" * 32, 1, 2), signature=_SIGNATURE, since=3, covered=4)])
    claims.put(db, workspace.id, [Claim(path=_PATH, session=session.id, bracket="b", at_ns=1)])
    last = events.append(db, session.id, None, [Event(kind=EventKind.USER_PROMPT, text="hello")], 3)
    checkpoint = make_checkpoint(label="x", parent=CheckpointId("p"), event=EventId(1), incomplete=missing, barrier=barrier.id)
    checkpoints.add(db, workspace.id, checkpoint)
    barriers.add(db, barrier)
    move = Move(session=session.id, from_head=session.head, from_stats=session.stats, to_head=session.head, to_stats=session.stats)
    operations.begin(db, operation, [Step(path=_PATH, expect=ABSENT, target=ABSENT, signature=_SIGNATURE)], [move])
    answers.put(db, session.id, "k", b"digest", b"answer", 5)
    sessions.close(db, session.id, 9)
    return {
        "workspaces": lambda db: workspaces.find(db, workspace.id),
        "sessions": lambda db: sessions.find(db, session.id) or sessions.page(db, workspace.id, 0, 10),
        "edits": lambda db: edits.since(db, workspace.id, 4),
        "toggles": lambda db: (
            edits.toggles_of_operation(db, workspace.id, operation.id) or edits.toggles_page(db, workspace.id, (5, 0), 100)
        ),
        "known": lambda db: index.load(db, workspace.id),
        "claims": lambda db: claims.load(db, workspace.id),
        "events": lambda db: events.chain(db, last),
        "checkpoints": lambda db: checkpoints.from_number(db, 1),
        "barriers": lambda db: barriers.of_workspace(db, workspace.id),
        "operation_heads": lambda db: operations.moves(db, operation.id),
        "operations": lambda db: [*operations.unfinished(db), *operations.of_session(db, session.id)],
        "steps": lambda db: operations.steps(db, operation.id),
        "answers": lambda db: answers.find(db, session.id, "k"),
    }


def _flips(value: object) -> list[object]:
    """The value with a bit flipped, and as NULL; what was NULL as something else."""
    if value is None:
        return [0, "x", b""]
    if isinstance(value, int):
        return [value ^ 1, value ^ 1 << 40, None]
    if isinstance(value, str):
        return [chr(ord(value[0]) ^ 1) + value[1:], value[:-1] + chr(ord(value[-1]) ^ 2), value.encode(), None]
    assert isinstance(value, bytes)
    return [bytes([value[0] ^ 0x80]) + value[1:], value[:-1] + bytes([value[-1] ^ 1]), value[:-1], None]


@pytest.mark.parametrize("table", _ASKED_BY)
def test_flips(db: Connection, filled: dict[str, Read], table: str) -> None:
    """Every column of every table is under its row's checksum."""
    read = filled[table]
    assert read(db)
    flipped = 0
    for column, optional in [(row[1], not row[3]) for row in db.execute(f"PRAGMA table_info({table})").fetchall()]:
        if column in _ASKED_BY[table]:
            continue
        (good,) = db.execute(f"SELECT {column} FROM {table}").fetchone()
        for bad in _flips(good):
            if bad is None and (not optional or column == "number"):
                continue
            db.execute(f"UPDATE {table} SET {column} = ?", (bad,))
            if table in _LEFT_OUT:
                assert read(db) == []
            else:
                with pytest.raises(StoreCorrupt, match=table):
                    read(db)
            flipped += 1
        db.execute(f"UPDATE {table} SET {column} = ?", (good,))
    assert read(db)
    assert flipped >= 6


def test_row_is_named(db: Connection, filled: dict[str, Read]) -> None:
    """The message names table and key, and so do the error's fields."""
    db.execute("UPDATE known SET since = since + 1")
    with pytest.raises(StoreCorrupt, match=r"known, row workspace 1, path 'src/app.py'") as caught:
        filled["known"](db)
    assert caught.value.fields["table"] == "known"


def test_text_that_is_none_any_more(db: Connection, filled: dict[str, Read]) -> None:
    """A flip that makes text undecodable is damage, not a crash."""
    db.execute("UPDATE operations SET plan = CAST(x'ff' AS TEXT)")
    with pytest.raises(StoreCorrupt, match="operations"):
        filled["operations"](db)


@pytest.mark.parametrize("pattern", [b"src/app.py", b"20261122-100000", b"claude"])
def test_flips_in_the_file(db: Connection, filled: dict[str, Read], directory: str, pattern: bytes) -> None:
    """A bit that the disk flips passes SQLite's own check, and is found by ours, through the thread."""
    db.close()
    file = Path(directory, "store.db")
    content = file.read_bytes()
    table = {b"src/app.py": "edits", b"20261122-100000": "checkpoints", b"claude": "sessions"}[pattern]
    at = [at for at in range(len(content)) if content.startswith(pattern, at)]
    file.write_bytes(bytes(byte ^ 4 if any(start <= n < start + 1 for start in at) else byte for n, byte in enumerate(content)))
    store = StoreThread(directory)
    assert store.submit(lambda db: db.execute("PRAGMA integrity_check").fetchone()[0]).result() == "ok"
    with pytest.raises(StoreCorrupt, match=table):
        store.submit(filled[table]).result()
    store.close()

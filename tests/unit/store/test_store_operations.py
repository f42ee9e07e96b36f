"""Operations: recorded with their steps before anything is done."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rewindd.errors import StoreCorrupt
from rewindd.model.ids import CheckpointId, EventId, OperationId, SessionId
from rewindd.model.log import OperationKind, OperationStatus, Scope, Signature
from rewindd.model.operation import Move, Operation, Step
from rewindd.model.session import Head, Session
from rewindd.model.versions import ABSENT, Directory, File, Symlink
from rewindd.paths import LinkTarget, RelPath
from rewindd.store import operations, sessions
from rewindd.store.database import Connection

_STEPS = [
    Step(path=RelPath("b"), expect=ABSENT, target=Directory(0o755)),
    Step(
        path=RelPath("a\udcff"),
        expect=File(b"1" * 32, 1, 0o600),
        target=Symlink(LinkTarget("x")),
        signature=Signature(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5, mode=6, links=7, racy=False),
    ),
]


def test_operation_lives(db: Connection, make_operation: Callable[..., Operation]) -> None:
    """An operation and its steps come back as they were, in order, until it is done."""
    operation = make_operation(
        kind=OperationKind.REDO, scope=Scope.WORKSPACE, paths=(RelPath("a\udcff"), RelPath("b")), undoes=OperationId("o0"), key=None
    )
    operations.begin(db, operation, _STEPS)
    assert operations.find(db, operation.id) == operation
    assert operations.steps(db, operation.id) == _STEPS
    assert operations.unfinished(db) == [operation]
    applied = replace(
        operation,
        at=12,
        status=OperationStatus.APPLIED,
        to_head=Head(checkpoint=CheckpointId("c"), event=EventId(3)),
        to_stats=replace(operation.to_stats, total_messages=4),
    )
    operations.settle(db, applied)
    assert operations.find(db, operation.id) == applied
    assert operations.unfinished(db) == [applied]
    operations.finish(db, operation.id, OperationStatus.DONE)
    operations.drop_steps(db, operation.id)
    assert operations.find(db, operation.id) == replace(applied, status=OperationStatus.DONE)
    assert operations.unfinished(db) == []
    assert operations.steps(db, operation.id) == []


def test_operations_of_a_session(db: Connection, session: Session, make_operation: Callable[..., Operation]) -> None:
    """A session's operations in the order of their positions, and nobody else's."""
    sessions.add(db, replace(session, id=SessionId("other")))
    for name, at in (("late", 9), ("early", 3)):
        operations.begin(db, make_operation(id=OperationId(name), at=at, status=OperationStatus.ROLLED_BACK), [])
    operations.begin(db, make_operation(id=OperationId("theirs"), session=SessionId("other")), _STEPS)
    assert [operation.id for operation in operations.of_session(db, session.id)] == ["early", "late"]
    assert [operation.id for operation in operations.unfinished(db)] == ["theirs"]


def test_operations_about_several_sessions(db: Connection, session: Session, make_operation: Callable[..., Operation]) -> None:
    """An operation that moves other sessions is in their lists too, and says where each goes."""
    other = replace(session, id=SessionId("other"))
    sessions.add(db, other)
    head = Head(checkpoint=CheckpointId("c"), event=EventId(3))
    moved = replace(session.stats, total_messages=4)
    move = Move(session=other.id, from_head=other.head, from_stats=other.stats, to_head=head, to_stats=moved)
    operation = make_operation(at=9)
    operations.begin(db, operation, [], [move])
    operations.begin(db, make_operation(id=OperationId("own"), at=3), [])
    assert operations.moves(db, operation.id) == [move]
    assert operations.moves(db, OperationId("own")) == []
    assert [one.id for one in operations.of_session(db, other.id)] == [operation.id]
    assert [one.id for one in operations.of_session(db, session.id)] == ["own", operation.id]


def test_paths_named_or_all(db: Connection, make_operation: Callable[..., Operation]) -> None:
    """An operation about no path is not one about all paths."""
    for name, paths in (("all", None), ("none", ())):
        operations.begin(db, make_operation(id=OperationId(name), paths=paths), [])
    everything, nothing = operations.find(db, OperationId("all")), operations.find(db, OperationId("none"))
    assert everything is not None
    assert everything.paths is None
    assert nothing is not None
    assert nothing.paths == ()


def test_finishing_what_never_began(db: Connection) -> None:
    """A status for an operation that is not there is damage: it was recorded first."""
    with pytest.raises(StoreCorrupt, match="operations"):
        operations.finish(db, OperationId("none"), OperationStatus.DONE)

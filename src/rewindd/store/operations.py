"""Operations and their steps: what a rewind decided, durable before its first effect."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rewindd.errors import StoreCorrupt
from rewindd.model.ids import CheckpointId, OperationId, PlanId, SessionId, WorkspaceId
from rewindd.model.log import OperationKind, OperationStatus, Scope
from rewindd.model.operation import Move, Operation, Step
from rewindd.store.codec import (
    head_of,
    head_to_bytes,
    path_of,
    path_to_bytes,
    paths_of,
    paths_to_bytes,
    rows_of,
    rows_to_bytes,
    signature_of,
    signature_to_bytes,
    stats_of,
    stats_to_bytes,
    version_of,
    version_to_bytes,
)
from rewindd.store.records import Field, Records, in_parts
from rewindd.store.schema import Connection

_TABLE = Records(
    "operations",
    ("id",),
    (
        *("workspace", "session", "kind", "scope", "status", "at", "paths", "checkpoint", "undoes"),
        *("from_head", "from_stats", "to_head", "to_stats", "plan", "key", "created_at_ns", "whole"),
    ),
)
_STEPS = Records("steps", ("operation", "number"), ("path", "expect", "target", "signature", "switched"))
_MOVES = Records("operation_heads", ("operation", "session"), ("from_head", "from_stats", "to_head", "to_stats"))


def begin(db: Connection, operation: Operation, steps: Sequence[Step], moves: Sequence[Move] = ()) -> None:
    """Records an operation, its steps in the order in which they are to be done, and where it takes other sessions."""
    _TABLE.insert(db, [_fields(operation)])
    _MOVES.insert(db, (_move_fields(operation.id, move) for move in moves))
    _STEPS.insert(db, (_step_fields(operation.id, number, step) for number, step in enumerate(steps)))


def steps(db: Connection, id: OperationId) -> list[Step]:  # noqa: A002 - the word of the domain
    """Returns the operation's steps, in their order; none once they were dropped."""
    return _STEPS.select(db, _step, "WHERE operation = ? ORDER BY number", (id,))


def moves(db: Connection, id: OperationId) -> list[Move]:  # noqa: A002
    """Returns where the operation takes sessions other than its own, by session."""
    return _MOVES.select(db, _move, "WHERE operation = ? ORDER BY session", (id,))


def find(db: Connection, id: OperationId) -> Operation | None:  # noqa: A002
    """Returns the operation with that id."""
    return _TABLE.find(db, _operation, "WHERE id = ?", (id,))


def positions(db: Connection, ids: Iterable[OperationId]) -> dict[OperationId, int]:
    """Returns where in the log these operations are; one that is not recorded is not in it."""
    found: dict[OperationId, int] = {}
    for part, marks in in_parts(ids):
        found.update(_TABLE.select(db, _position, f"WHERE id IN ({marks})", part))
    return found


def finish(db: Connection, id: OperationId, status: OperationStatus) -> None:  # noqa: A002
    """Gives the operation its next status.

    Raises:
        StoreCorrupt: there is no such operation; it was recorded before anything was done.
    """
    operation = find(db, id)
    if operation is None:
        raise StoreCorrupt(f"operations, row id {id}: missing; keep a copy of store.db", table="operations", row=id)
    settle(db, replace(operation, status=status))


def settle(db: Connection, operation: Operation) -> None:
    """Rewrites the operation, with what was decided when it was applied; its steps stay."""
    _TABLE.put(db, [_fields(operation)])


def unfinished(db: Connection) -> list[Operation]:
    """Returns the operations that are applying, rolling back or applied, in the order in which they began.

    One that is not as it was written is left out: nobody can say what it was about, and everything else must go on.
    """
    return _TABLE.sound(db, _operation, "WHERE status IN ('applying', 'rolling-back', 'applied') ORDER BY number")


def of_session(db: Connection, session: SessionId) -> list[Operation]:
    """Returns the session's operations, and those of others that are about it too, by their position in the log."""
    clause = "WHERE session = :session OR id IN (SELECT operation FROM operation_heads WHERE session = :session) ORDER BY at, number"
    return _TABLE.select(db, _operation, clause, {"session": session})


def newest(db: Connection, session: SessionId, limit: int) -> list[Operation]:
    """Returns the session's newest `limit` operations, oldest of them first."""
    found = _TABLE.select(db, _operation, "WHERE session = ? ORDER BY at DESC, number DESC LIMIT ?", (session, limit))
    return found[::-1]


def over(db: Connection, session: SessionId, limit: int) -> list[Operation]:
    """Returns the session's oldest `limit` operations that are over, whatever came of them, oldest first."""
    clause = "WHERE session = ? AND status IN ('done', 'rolled-back') ORDER BY at, number LIMIT ?"
    return _TABLE.select(db, _operation, clause, (session, limit))


def is_named(db: Connection, workspace: WorkspaceId, operation: Operation) -> bool:
    """Returns whether a row or a toggle is still an operation's: its effect rows come right after its position."""
    if db.execute("SELECT EXISTS (SELECT 1 FROM toggles WHERE operation = ?)", (operation.id,)).fetchone() != (0,):
        return True
    number = "SELECT number FROM workspaces WHERE id = ?"
    clause = f"SELECT operation FROM edits WHERE workspace = ({number}) AND seq > ? ORDER BY seq LIMIT 1"
    return bool(db.execute(clause, (workspace, operation.at)).fetchone() == (operation.id,))


def drop(db: Connection, ids: Iterable[OperationId]) -> int:
    """Forgets operations that are over; returns how many there were."""
    gone = 0
    for part, marks in in_parts(ids):
        db.execute(f"DELETE FROM operation_heads WHERE operation IN ({marks})", part)
        db.execute(f"DELETE FROM steps WHERE operation IN ({marks})", part)
        gone += db.execute(f"DELETE FROM operations WHERE id IN ({marks})", part).rowcount
    return gone


def drop_steps(db: Connection, id: OperationId) -> None:  # noqa: A002
    """Forgets the operation's steps, which nobody needs once it is done or rolled back."""
    db.execute("DELETE FROM steps WHERE operation = ?", (id,))


def _fields(operation: Operation) -> tuple[Field, ...]:
    o = operation
    named: tuple[Field, ...] = (o.id, o.workspace, o.session, o.kind.value, o.scope.value, o.status.value, o.at)
    about: tuple[Field, ...] = (paths_to_bytes(o.paths), o.checkpoint, o.undoes)
    stood: tuple[Field, ...] = (
        head_to_bytes(o.from_head),
        stats_to_bytes(o.from_stats),
        head_to_bytes(o.to_head),
        stats_to_bytes(o.to_stats),
    )
    return (*named, *about, *stood, o.plan, o.key, o.created_at_ns, int(o.whole))


def _move_fields(operation: OperationId, move: Move) -> tuple[Field, ...]:
    stood = head_to_bytes(move.from_head), stats_to_bytes(move.from_stats)
    return (operation, move.session, *stood, head_to_bytes(move.to_head), stats_to_bytes(move.to_stats))


def _move(operation: str, session: str, from_head: bytes, from_stats: bytes, to_head: bytes, to_stats: bytes) -> Move:
    return Move(
        session=SessionId(session),
        from_head=head_of(from_head),
        from_stats=stats_of(from_stats),
        to_head=head_of(to_head),
        to_stats=stats_of(to_stats),
    )


def _step_fields(operation: OperationId, number: int, step: Step) -> tuple[Field, ...]:
    expect, target = version_to_bytes(step.expect), version_to_bytes(step.target)
    return (
        operation,
        number,
        path_to_bytes(step.path),
        expect,
        target,
        signature_to_bytes(step.signature),
        rows_to_bytes(step.off, step.on),
    )


def _step(operation: str, number: int, path: bytes, expect: bytes, target: bytes, signature: bytes | None, switched: bytes) -> Step:
    off, on = rows_of(switched)
    versions = version_of(expect), version_of(target)
    return Step(path=path_of(path), expect=versions[0], target=versions[1], signature=signature_of(signature), off=off, on=on)


def _position(id_: str, workspace: str, session: str, kind: str, scope: str, status: str, at: int, *_: Field) -> tuple[OperationId, int]:
    return OperationId(id_), at


def _operation(
    id_: str,
    workspace: str,
    session: str,
    kind: str,
    scope: str,
    status: str,
    at: int,
    paths: bytes | None,
    checkpoint: str | None,
    undoes: str | None,
    from_head: bytes,
    from_stats: bytes,
    to_head: bytes,
    to_stats: bytes,
    plan: str,
    key: str | None,
    created_at_ns: int,
    whole: int,
) -> Operation:
    return Operation(
        id=OperationId(id_),
        workspace=WorkspaceId(workspace),
        session=SessionId(session),
        kind=OperationKind(kind),
        scope=Scope(scope),
        status=OperationStatus(status),
        at=at,
        paths=paths_of(paths),
        checkpoint=CheckpointId(checkpoint) if checkpoint is not None else None,
        undoes=OperationId(undoes) if undoes is not None else None,
        from_head=head_of(from_head),
        from_stats=stats_of(from_stats),
        to_head=head_of(to_head),
        to_stats=stats_of(to_stats),
        plan=PlanId(plan),
        key=key,
        created_at_ns=created_at_ns,
        whole=bool(whole),
    )

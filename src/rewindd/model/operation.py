"""Operations: what a rewind, restore, undo or redo decided, recorded before its first effect."""

from dataclasses import dataclass

from rewindd.model.conversation import Stats
from rewindd.model.ids import CheckpointId, OperationId, PlanId, SessionId, WorkspaceId
from rewindd.model.log import OperationKind, OperationStatus, Scope, Signature
from rewindd.model.session import Head
from rewindd.model.versions import Version
from rewindd.paths import RelPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One path brought from `expect` to `target`. `signature` is what the plan saw there; None where it saw nothing.

    `off` and `on`: the content rows that are switched when it is done. Where both versions are equal only they change.
    """

    path: RelPath
    expect: Version
    target: Version
    signature: Signature | None = None
    off: tuple[int, ...] = ()
    on: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where an operation takes one of the other sessions that it is about: from where it stood to where it stands when it is applied.

    Both are the same for a session that it is about and does not move.
    """

    session: SessionId
    from_head: Head
    from_stats: Stats
    to_head: Head
    to_stats: Stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A rewind, restore, undo or redo. Immutable but for its `status`, and what is decided when it is applied.

    `at`: its position in the log, 0 until it is applied. `paths`: what it was asked to be about; None for all, empty for no
    file. `from_head` and `from_stats`: where
    the session stood before; `to_head` and `to_stats`: where it stands when it is applied. `undoes`: for an undo the
    operation that it takes back; for a redo the undo. `whole`: all of its steps are done, or none is.
    """

    id: OperationId
    workspace: WorkspaceId
    session: SessionId
    kind: OperationKind
    scope: Scope
    status: OperationStatus
    at: int
    paths: tuple[RelPath, ...] | None
    checkpoint: CheckpointId | None
    undoes: OperationId | None
    from_head: Head
    from_stats: Stats
    to_head: Head
    to_stats: Stats
    plan: PlanId
    key: str | None
    created_at_ns: int
    whole: bool = False

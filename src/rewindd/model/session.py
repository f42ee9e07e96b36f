"""Workspaces, sessions and checkpoints, as values."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from rewindd.model.conversation import Stats
from rewindd.model.ids import BarrierId, CheckpointId, EventId, GrantId, SessionId, WorkspaceId
from rewindd.paths import RelPath


class Capture(enum.Enum):
    """What a session's workspace keeps: what was snapshotted, or all that the rules leave."""

    SNAPSHOTS = "snapshots"
    WORKSPACE = "workspace"


class Attribution(enum.Enum):
    """`SOLE`: while it is the only active session, it owns changes that nobody declared."""

    DECLARED = "declared"
    SOLE = "sole"


class Baseline(enum.IntEnum):
    """How far the first capture of a whole workspace is: not asked for, under way (perhaps interrupted), done."""

    NONE = 0
    RUNNING = 1
    COMPLETE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A directory tree that the daemon keeps; found again by device and inode when its root was moved.

    `born_ns`: when the root was made; file systems give the inode of a deleted directory to the next one. 0: not known.
    `replaced`: another workspace has its path now, and it is found by its directory or its id alone.
    """

    id: WorkspaceId
    root: str
    device: int
    inode: int
    born_ns: int = 0
    baseline: Baseline = Baseline.NONE
    replaced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a session stands: the parent of its next save. None: at its start. Files have no head."""

    checkpoint: CheckpointId | None
    event: EventId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One agent's conversation in one workspace. `start_seq` is the log's position when it was opened.

    `parent`: the session that it is a sub-agent of, or with `origin` a fork of: `origin` is the checkpoint it goes on from, of
    the parent or of one whose history that shares. `grant`: the one that it was opened through, which knows no other sessions.
    """

    id: SessionId
    workspace: WorkspaceId
    agent: str
    parent: SessionId | None
    capture: Capture
    attribution: Attribution
    imported: bool
    start_seq: int
    opened_at_ns: int
    last_seen_at_ns: int
    closed_at_ns: int | None
    head: Head
    stats: Stats
    origin: CheckpointId | None = None
    grant: GrantId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A path that could not be captured, and why."""

    path: RelPath
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An immutable, named position of a session: in the edit log, in its conversation, in its statistics.

    `uid` is unique across machines; `id` is what people type, unique in the session. `base_seq` is the parent's `seq`, or
    the session's start. `automatic`: made by an operation, to name the tail it abandons; it never becomes the head. `barrier`: it was made
    for that barrier, not by the session, and says where the session stood.
    """

    uid: str
    id: CheckpointId
    session: SessionId
    label: str | None
    parent: CheckpointId | None
    base_seq: int
    seq: int
    event: EventId | None
    stats: Stats
    created_at_ns: int
    automatic: bool
    files: int
    insertions: int
    deletions: int
    incomplete: tuple[Missing, ...]
    barrier: BarrierId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """A named point over a whole workspace: one position in its log, and in each session that was open then a checkpoint at that position.

    Immutable. `members` are these checkpoints by session; what is rewound to it takes all of them along.
    """

    id: BarrierId
    workspace: WorkspaceId
    label: str | None
    seq: int
    created_at_ns: int
    incomplete: tuple[Missing, ...]
    members: Mapping[SessionId, CheckpointId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A session's hold on a path: the next change of it is the session's. `bracket` names an open `editing`, None for a snapshot.

    `deep`: it holds all below the path too, also where no directory was when it was named. The absent directories above a named
    path are claimed without. `pid`: the process that took it, None where that is not known any more; the store does not know it.
    """

    path: RelPath
    session: SessionId
    bracket: str | None
    at_ns: int
    deep: bool = False
    pid: int | None = field(default=None, compare=False)

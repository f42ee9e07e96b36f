"""The wire's replies: one struct each, of the parts that are in `parts`, which have their names here too."""

from datetime import datetime

import msgspec

from rewindd.paths import FsText, RelPath
from rewindd.protocol.integrity import BackedUp as BackedUp
from rewindd.protocol.integrity import CheckpointRef as CheckpointRef
from rewindd.protocol.integrity import Damage as Damage
from rewindd.protocol.integrity import LossInfo as LossInfo
from rewindd.protocol.integrity import ScrubInfo as ScrubInfo
from rewindd.protocol.integrity import Verified as Verified
from rewindd.protocol.notices import Notice as Notice
from rewindd.protocol.notices import Notices as Notices
from rewindd.protocol.notices import Overlap as Overlap
from rewindd.protocol.parts import Barrier as Barrier
from rewindd.protocol.parts import Baseline as Baseline
from rewindd.protocol.parts import Checkpoint as Checkpoint
from rewindd.protocol.parts import ChildrenLeft as ChildrenLeft
from rewindd.protocol.parts import ConfigInfo as ConfigInfo
from rewindd.protocol.parts import Dependent as Dependent
from rewindd.protocol.parts import EditInfo as EditInfo
from rewindd.protocol.parts import FileDiff as FileDiff
from rewindd.protocol.parts import FileVersion as FileVersion
from rewindd.protocol.parts import GapInfo as GapInfo
from rewindd.protocol.parts import GitHeads as GitHeads
from rewindd.protocol.parts import Grant as Grant
from rewindd.protocol.parts import Incomplete as Incomplete
from rewindd.protocol.parts import Kept as Kept
from rewindd.protocol.parts import Left as Left
from rewindd.protocol.parts import LineSpan as LineSpan
from rewindd.protocol.parts import Member as Member
from rewindd.protocol.parts import Moved as Moved
from rewindd.protocol.parts import PathReason as PathReason
from rewindd.protocol.parts import PathSize as PathSize
from rewindd.protocol.parts import Recovered as Recovered
from rewindd.protocol.parts import SessionInfo as SessionInfo
from rewindd.protocol.parts import Stats as Stats
from rewindd.protocol.parts import StepInfo as StepInfo
from rewindd.protocol.parts import StoreInfo as StoreInfo
from rewindd.protocol.parts import Summary as Summary
from rewindd.protocol.parts import WindowInfo as WindowInfo
from rewindd.protocol.parts import WorkspaceInfo as WorkspaceInfo
from rewindd.protocol.portable import PortableCheckpoint
from rewindd.protocol.retention import Biggest as Biggest
from rewindd.protocol.retention import Collected as Collected
from rewindd.protocol.retention import Dropped as Dropped
from rewindd.protocol.retention import Forgotten as Forgotten
from rewindd.protocol.retention import GoneWorkspace as GoneWorkspace
from rewindd.protocol.retention import KeptFor as KeptFor
from rewindd.protocol.retention import OverQuota as OverQuota
from rewindd.protocol.retention import Pruned as Pruned
from rewindd.protocol.retention import PrunedWorkspace as PrunedWorkspace


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The loop and the store thread answered."""

    pid: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon. `features` names what this version has beyond v1.

    `backup_at`: when the database was last backed up. `loss`: what that backup had not, when the store last came back from it.
    `over_quota`: what is more than the settings want. `gone`: workspaces that were past their age, the newest last.
    """

    version: str
    protocol: int
    features: list[str]
    pid: int
    uptime_s: float
    socket: FsText
    data_dir: FsText
    store: StoreInfo
    recovered: list[Recovered]
    workspaces: list[WorkspaceInfo]
    sessions: int
    config: ConfigInfo | None = None
    scrub: ScrubInfo | None = None
    backup_at: datetime | None = None
    loss: LossInfo | None = None
    over_quota: list[OverQuota] = []
    gone: list[GoneWorkspace] = []


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's numbers in Prometheus' text format."""

    text: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What only the daemon knows of how it is.

    `descriptors` of `max_descriptors` are in use. `watches`: directories that inotify watches for it; None where it has no inotify.
    `damage`: what SQLite's quick check of the store found wrong, `unchecked` the tables that are too large for it. `git`: where git is.
    """

    pid: int
    descriptors: int
    max_descriptors: int
    watches: int | None
    overflows: int
    damage: list[str]
    unchecked: list[str]
    git: str | None
    gaps: list[GapInfo]


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon with this process id is draining."""

    pid: int


class SessionReply(msgspec.Struct, frozen=True, kw_only=True):
    """One session; `created` when this request made it."""

    session: SessionInfo
    created: bool = False


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, oldest first. `root`: of the workspace that was asked for, None where there is none. `damaged`: ids of what is left out."""

    sessions: list[SessionInfo]
    root: FsText | None = None
    damaged: list[str] = []


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """How many events were recorded, and where the session stands now."""

    recorded: int
    stats: Stats
    head: str | None
    event: int | None


class Snapshots(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept, and what could not be. `edit` names the bracket that `edit.begin` opened.

    `overlaps`: what other active sessions changed there and did not save yet; `more_overlaps`: how many there are beside those.
    """

    snapshots: list[Kept]
    skipped: list[PathReason]
    edit: str | None = None
    overlaps: list[Overlap] = []
    more_overlaps: int = 0


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Changes by path; `unowned` counts paths that nobody's changes touched in the same stretch.

    `contested`: paths changed while several sessions, this one among them, had announced it; whose it is cannot be told.
    """

    changes: list[FileDiff]
    unowned: int = 0
    contested: int = 0


class WindowChanges(Changes, frozen=True, kw_only=True):
    """What a session changed in a window. `ended`: it was not open any more, so what was changed in it is not known here."""

    ended: bool = False


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A window that was opened. `incomplete`: what was not captured yet when it began."""

    window: str
    incomplete: int = 0


class PathVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A path as it was; `version` None is absent.

    `show.path` answers with `content` (a file's up to 1 MiB) and `entries` (the names in a directory, those of directories with a `/`).
    """

    path: RelPath
    version: FileVersion | None
    content: bytes | None = None
    entries: list[FsText] | None = None


class TreePage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a tree in order of its paths; `more`: there is more after the last of them. Absent paths are not in it.

    `position`: the same place in the log, to ask for what follows by: `@` may be another one then.
    """

    position: str
    entries: list[PathVersion]
    more: bool


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of the first of the blobs that were asked for; None for one too large, which `read` gives in pieces."""

    contents: list[bytes | None]


class CaptureInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is or would be captured of the workspace at `root`: files and links, their `bytes`, the `largest` of them first.

    `missing`: how many paths are not captured yet. `left_out`: what rules and limits leave out, and what cannot be captured, by path;
    `left_out_count` is larger where not all of it is told. `rules_reason`: why rules do not count, or not everywhere.
    """

    root: FsText
    files: int
    bytes: int
    missing: int
    largest: list[PathSize]
    left_out: list[PathReason]
    left_out_count: int
    rules_reason: str | None = None


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """How many claims were dropped."""

    released: int


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint, and where the session stands now.

    `over_quota`: more is stored than the settings want; it is told before anything is dropped for it.
    """

    checkpoint: Summary
    event: int | None
    over_quota: OverQuota | None = None


class BarrierMade(msgspec.Struct, frozen=True, kw_only=True):
    """The barrier that was made."""

    barrier: Barrier


class Barriers(msgspec.Struct, frozen=True, kw_only=True):
    """Barriers in order of creation, newest last."""

    barriers: list[Barrier]


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Checkpoints in order of creation, newest last."""

    checkpoints: list[Summary]


class CheckpointReply(msgspec.Struct, frozen=True, kw_only=True):
    """One checkpoint whole."""

    checkpoint: Checkpoint


class RewindResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a rewind, restore, undo or redo did, or would do. Each path is in one of restored, removed, merged, kept, conflicts.

    `not_quiet`: files changed in the last two seconds, and `.` while a window is open. `git_heads`: set where git's HEAD is another
    than at the position. `not_restored`: what was ignored in a directory that comes back, and does not come back with it.
    `moved`: the other sessions that go along, to or back from the barrier `barrier_id`. `not_members`: the open sessions that do not, as
    they were opened after it: their files are taken back, their conversation stays. `children`: what sub-agents changed and is left.
    `dependents`: later checkpoints of other sessions on what is taken back. `lost`: what is overwritten and is not in the store.
    """

    operation_id: str | None
    plan_id: str
    checkpoint_id: str | None
    dry_run: bool
    head: str | None
    event: int | None
    stats: Stats
    restored: list[RelPath]
    removed: list[RelPath]
    merged: list[RelPath]
    kept: list[PathReason]
    conflicts: list[PathReason]
    steps: list[StepInfo]
    left: Left | None
    not_quiet: list[RelPath]
    git_heads: GitHeads | None = None
    not_restored: list[PathReason] = []
    barrier_id: str | None = None
    moved: list[Moved] = []
    not_members: list[str] = []
    children: ChildrenLeft | None = None
    dependents: list[Dependent] = []
    lost: list[RelPath] = []


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the edit log, oldest first."""

    edits: list[EditInfo]


class Blamed(msgspec.Struct, frozen=True, kw_only=True):
    """Which row each line of a file came from: `spans` in order, which are all of `content`'s lines. `position`: of the log."""

    path: RelPath
    position: str
    content: bytes
    spans: list[LineSpan]


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a blob from the asked offset; `size` is the whole blob's."""

    data: bytes
    size: int


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint in portable form; `skipped` are the paths it could not say."""

    checkpoint: PortableCheckpoint
    skipped: list[PathReason]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The session that holds imported checkpoints; `skipped` are paths outside the workspace."""

    session_id: str
    skipped: list[PathReason]


class GrantReply(msgspec.Struct, frozen=True, kw_only=True):
    """The grant that was made, or that has ended."""

    grant: Grant


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """Grants that let something in, oldest first."""

    grants: list[Grant]


Reply = (
    Pong
    | Status
    | Metrics
    | Health
    | Verified
    | BackedUp
    | Pruned
    | Collected
    | Forgotten
    | Stopping
    | SessionReply
    | Sessions
    | Recorded
    | Snapshots
    | Changes
    | WindowChanges
    | Window
    | PathVersion
    | TreePage
    | Contents
    | CaptureInfo
    | Released
    | Saved
    | BarrierMade
    | Barriers
    | Checkpoints
    | CheckpointReply
    | RewindResult
    | Edits
    | Blamed
    | Chunk
    | Exported
    | Imported
    | GrantReply
    | Grants
    | Notices
)

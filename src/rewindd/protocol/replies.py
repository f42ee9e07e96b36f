"""The wire's replies: one struct each, of the parts that are in `parts`, which have their names here too."""

import msgspec

from rewindd.paths import FsText, RelPath
from rewindd.protocol.parts import Baseline as Baseline
from rewindd.protocol.parts import Checkpoint as Checkpoint
from rewindd.protocol.parts import EditInfo as EditInfo
from rewindd.protocol.parts import FileDiff as FileDiff
from rewindd.protocol.parts import FileVersion as FileVersion
from rewindd.protocol.parts import GitHeads as GitHeads
from rewindd.protocol.parts import Incomplete as Incomplete
from rewindd.protocol.parts import Kept as Kept
from rewindd.protocol.parts import Left as Left
from rewindd.protocol.parts import PathReason as PathReason
from rewindd.protocol.parts import PathSize as PathSize
from rewindd.protocol.parts import Recovered as Recovered
from rewindd.protocol.parts import SessionInfo as SessionInfo
from rewindd.protocol.parts import Stats as Stats
from rewindd.protocol.parts import StepInfo as StepInfo
from rewindd.protocol.parts import StoreInfo as StoreInfo
from rewindd.protocol.parts import Summary as Summary
from rewindd.protocol.parts import WorkspaceInfo as WorkspaceInfo
from rewindd.protocol.portable import PortableCheckpoint


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The loop and the store thread answered."""

    pid: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon. `features` names what this version has beyond v1."""

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


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon with this process id is draining."""

    pid: int


class SessionReply(msgspec.Struct, frozen=True, kw_only=True):
    """One session; `created` when this request made it."""

    session: SessionInfo
    created: bool = False


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, oldest first. `root`: of the workspace that was asked for, None where there is none."""

    sessions: list[SessionInfo]
    root: FsText | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """How many events were recorded, and where the session stands now."""

    recorded: int
    stats: Stats
    head: str | None
    event: int | None


class Snapshots(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept, and what could not be. `edit` names the bracket that `edit.begin` opened."""

    snapshots: list[Kept]
    skipped: list[PathReason]
    edit: str | None = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Changes by path; `unowned` counts paths that nobody's changes touched in the same stretch.

    `contested`: paths changed while several sessions, this one among them, had announced it; whose it is cannot be told.
    """

    changes: list[FileDiff]
    unowned: int = 0
    contested: int = 0


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
    `left_out_count` is larger where not all of it is told.
    """

    root: FsText
    files: int
    bytes: int
    missing: int
    largest: list[PathSize]
    left_out: list[PathReason]
    left_out_count: int


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """How many claims were dropped."""

    released: int


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint, and where the session stands now."""

    checkpoint: Summary
    event: int | None


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


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the edit log, oldest first."""

    edits: list[EditInfo]


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


Reply = (
    Pong
    | Status
    | Stopping
    | SessionReply
    | Sessions
    | Recorded
    | Snapshots
    | Changes
    | Window
    | PathVersion
    | TreePage
    | Contents
    | CaptureInfo
    | Released
    | Saved
    | Checkpoints
    | CheckpointReply
    | RewindResult
    | Edits
    | Chunk
    | Exported
    | Imported
)

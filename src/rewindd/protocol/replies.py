"""The wire's replies, and what they are made of.

Fields are those of the JSON that `rewindctl --json` prints; paths are bytes (msgpack bin) on the wire and `os.fsdecode`d
`str` here; times are msgpack timestamps. Python callers get these structs as they are.
"""

from datetime import datetime

import msgspec

from rewindd.model.conversation import ToolCallRecord
from rewindd.paths import FsText, LinkTarget, RelPath
from rewindd.protocol.portable import PortableCheckpoint


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """A session's statistics."""

    start_time: datetime
    total_messages: int
    total_tool_calls: int
    total_duration_s: float
    estimated_tokens: int


class PathReason(msgspec.Struct, frozen=True, kw_only=True):
    """A path and why it was not done."""

    path: RelPath
    reason: str


class Incomplete(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint lacks: how many paths, and the first of them."""

    count: int
    first: list[PathReason]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint in brief."""

    id: str
    session_id: str
    parent_id: str | None
    label: str | None
    created_at: datetime
    is_head: bool
    automatic: bool
    files: int
    insertions: int
    deletions: int
    stats: Stats
    incomplete: Incomplete


class FileVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a path; absent is None in its place. `blob` is the content's BLAKE3 in hex. With content: `text` or `base64`."""

    kind: str
    mode: int | None = None
    size: int | None = None
    blob: str | None = None
    target: LinkTarget | None = None
    text: str | None = None
    base64: str | None = None


class FileDiff(msgspec.Struct, frozen=True):
    """One path's change. `change`: added, modified, deleted, type or mode. `mixed`: others changed it in between.

    `before` and `after`: None is absent. `timestamp`: of the last row. `patch`: a unified diff, where it was asked for.
    """

    path: RelPath
    before: FileVersion | None
    after: FileVersion | None
    timestamp: datetime
    change: str
    mixed: bool = False
    insertions: int = 0
    deletions: int = 0
    binary: bool = False
    patch: str | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint whole: the conversation from the session's start, the files since its parent."""

    id: str
    created_at: datetime
    stats: Stats
    user_prompts: list[str]
    assistant_responses: list[str]
    tool_calls: list[ToolCallRecord]
    file_diffs: list[FileDiff]
    session_id: str
    parent_id: str | None
    label: str | None
    is_head: bool
    automatic: bool
    files: int
    insertions: int
    deletions: int
    incomplete: list[PathReason]

    @property
    def timestamp(self) -> datetime:
        """When it was saved."""
        return self.created_at


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A session as outsiders see it. `head` is a checkpoint's id; `event` the number of its last event."""

    id: str
    workspace: str
    root: FsText
    agent: str
    parent_id: str | None
    capture: str
    attribution: str
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    head: str | None
    event: int | None
    stats: Stats


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshotted path: what it is now. `blob` and `size` for files."""

    path: RelPath
    kind: str
    size: int | None = None
    blob: str | None = None


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody's changes after the target that a rewind leaves, and the command that takes them too."""

    rows: int
    paths: list[RelPath]
    command: str


class GitHeads(msgspec.Struct, frozen=True, kw_only=True):
    """Git's HEAD at the position and now, as commit ids; None where there was none."""

    then: str | None
    now: str | None


class StepInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a rewind does to one path, and why. `action`: restore, remove or merge."""

    path: RelPath
    action: str
    why: str
    insertions: int
    deletions: int


class EditInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the edit log. `contested`: the sessions it may be of, where that is several."""

    seq: int
    path: RelPath
    change: str
    session_id: str | None
    agent: str | None
    source: str
    operation_id: str | None
    at: datetime
    contested: list[str] = []


class StoreInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How much the store holds; `bytes` on disk, of database and blob files."""

    bytes: int
    blobs: int
    rows: int
    checkpoints: int


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that a crash interrupted: `outcome` is done or rolled-back."""

    operation_id: str
    outcome: str


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """How far the first capture of a workspace is; in `snapshots` there is none, and it is complete."""

    state: str
    done: int
    total: int


class WorkspaceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace in `status`.

    `watch`: how changes are noticed: `on` (inotify), `partly` or `off` (by looking at all of it), `idle` (nobody works there).
    `watch_reason`: why it is not `on`. `scanned_at`: when all of it was last looked at.
    """

    id: str
    root: FsText
    capture: str
    baseline: Baseline
    watch: str
    watch_reason: str | None = None
    scanned_at: datetime | None = None
    windows: int = 0


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


class PathSize(msgspec.Struct, frozen=True, kw_only=True):
    """A file and its size in bytes."""

    path: RelPath
    size: int


class CaptureInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is or would be captured, its biggest files first, and what the rules and limits leave out."""

    root: FsText
    files: int
    bytes: int
    largest: list[PathSize]
    left_out: list[PathReason]


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

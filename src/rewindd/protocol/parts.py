"""What the wire's replies are made of.

Fields are those of the JSON that `rewindctl --json` prints; paths are bytes (msgpack bin) on the wire and `os.fsdecode`d
`str` here; times are msgpack timestamps. Python callers get these structs as they are, and find them in `replies`.
"""

from datetime import datetime

import msgspec

from rewindd.model.conversation import ToolCallRecord
from rewindd.paths import FsText, LinkTarget, RelPath


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
    barrier_id: str | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A session that was open when a barrier was made, and its checkpoint there."""

    session_id: str
    agent: str
    checkpoint_id: str


class Barrier(msgspec.Struct, frozen=True, kw_only=True):
    """A named point over a whole workspace: a position of its log, and the checkpoints of the sessions that were open then."""

    id: str
    workspace: str
    root: FsText
    label: str | None
    seq: int
    created_at: datetime
    members: list[Member]
    incomplete: Incomplete


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """Another session that an operation is about too: where it stood, and where it stands then. `head`s are checkpoints' ids."""

    session_id: str
    agent: str
    head_before: str | None
    head: str | None
    event: int | None


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
    """A session as outsiders see it. `head` is a checkpoint's id; `event` the number of its last event.

    `parent_id`: the session that it is a sub-agent of, or with `from_id` a fork of: the checkpoint it goes on from.
    """

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
    from_id: str | None = None


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


class ChildrenLeft(msgspec.Struct, frozen=True, kw_only=True):
    """Later changes of the session's sub-agents that a rewind leaves, whose these are, and the command that takes them too."""

    rows: int
    paths: list[RelPath]
    sessions: list[str]
    command: str


class Dependent(msgspec.Struct, frozen=True, kw_only=True):
    """A later checkpoint of another session that edited or claimed `count` paths that are taken back; `paths` are the first 20."""

    session_id: str
    agent: str
    checkpoint_id: str
    label: str | None
    paths: list[RelPath]
    count: int


class GitHeads(msgspec.Struct, frozen=True, kw_only=True):
    """Git's HEAD at the position and now, as commit ids; None where there was none."""

    then: str | None
    now: str | None


class StepInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a rewind does to one path, and why. `action`: restore, remove or merge.

    `sessions`: the other ones whose later work on the path stays, or goes too; `why` tells which.
    """

    path: RelPath
    action: str
    why: str
    insertions: int
    deletions: int
    sessions: list[str] = []


class EditInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the edit log. `contested`: the sessions it may be of, where that is several.

    `operation`: what kind of operation wrote it. `turn` and `prompt`: the turn of the session that it was made in, by its number in the
    conversation and by what was asked, cut; None where that is not known.
    """

    seq: int
    path: RelPath
    change: str
    session_id: str | None
    agent: str | None
    source: str
    operation_id: str | None
    at: datetime
    contested: list[str] = []
    operation: str | None = None
    turn: int | None = None
    prompt: str | None = None


class LineSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a file that follow each other and came from one row, `seq`; the fields that a row of the log has too are as in EditInfo.

    `first_line` counts from 1. `seq` None: with `source` `first-seen` they were there when rewindd first looked; with `older` they are from
    before position `older_than`, and nobody looked further back.
    """

    first_line: int
    count: int
    seq: int | None
    session_id: str | None
    agent: str | None
    source: str
    at: datetime | None
    contested: list[str] = []
    operation_id: str | None = None
    turn: int | None = None
    prompt: str | None = None
    older_than: int | None = None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent in a sandbox may ask through a socket of its own: of one workspace, some operations, until a time.

    `inside`: what the workspace's root is called in the sandbox. `socket` lies alone in its directory, which is what to mount.
    `sessions`: those that were opened through it. `used_bytes` of `quota_bytes`: what they added to the store.
    """

    id: str
    workspace: str
    root: FsText
    inside: FsText
    ops: list[str]
    socket: FsText
    created_at: datetime
    ends_at: datetime
    quota_bytes: int
    used_bytes: int
    sessions: list[str]


class StoreInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How much the store holds; `bytes` on disk, of database and blob files.

    `on_reserve`: its file system is full; nothing new is taken in, and rewinds go on from what is left of the reserve.
    """

    bytes: int
    blobs: int
    rows: int
    checkpoints: int
    on_reserve: bool = False
    reserve_bytes: int = 0


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
    `watch_reason`: why it is not `on`. `rules_reason`: why rules do not count, or not everywhere. `scanned_at`: when all of it was last
    looked at.
    """

    id: str
    root: FsText
    capture: str
    baseline: Baseline
    watch: str
    watch_reason: str | None = None
    rules_reason: str | None = None
    scanned_at: datetime | None = None
    windows: int = 0


class ConfigInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon's settings come from: `config.toml` at `path`, there or not, and the `files` that were read, at `read_at`.

    `trouble`: why the files, when they were last read, changed nothing. `waiting`: settings that changed there and need a restart.
    """

    path: FsText
    files: list[FsText]
    read_at: datetime
    trouble: str | None = None
    waiting: list[str] = []


class WindowInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An open window: whose, `command` or `turn`, for how long, and whether its end is noticed by the end of a process."""

    session_id: str
    kind: str
    open_s: float
    pid: int | None


class GapInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What capture does not have of a workspace: how many paths, and the first of them with their reasons.

    `missing`: not captured yet, of a first capture that stands still because of `trouble` or is under way. `limited`: left out by
    limits. `unseen`: could not be looked at the last time. `interrupted`: an operation that could not be closed.
    """

    root: FsText
    missing: int
    trouble: str | None
    limited: int
    unseen: int
    first: list[PathReason]
    windows: list[WindowInfo]
    interrupted: bool


class PathSize(msgspec.Struct, frozen=True, kw_only=True):
    """A file and its size in bytes."""

    path: RelPath
    size: int

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


class PathSize(msgspec.Struct, frozen=True, kw_only=True):
    """A file and its size in bytes."""

    path: RelPath
    size: int

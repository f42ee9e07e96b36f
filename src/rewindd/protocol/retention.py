"""The wire's requests about what is kept and what goes; and what the replies to them are made of."""

from datetime import datetime

import msgspec

from rewindd.paths import FsText
from rewindd.protocol.asking import Request


class Prune(Request, frozen=True, kw_only=True):
    """Drops what `[retention]` does not keep, of the workspace that holds `directory` or of all, and what nothing names then.

    `dry_run`: only tells what would go, and what that frees.
    """

    op = "prune"
    directory: FsText | None = None
    dry_run: bool = False


class Collect(Request, frozen=True, kw_only=True):
    """Removes contents that nothing names, and gives the space back to the file system."""

    op = "gc"


class Forget(Request, frozen=True, kw_only=True):
    """Erases a session or workspace whose id is `what`, else the workspace whose root is `path` (absolute), else that path and all below.

    `dry_run`: only tells what that is.
    """

    op = "forget"
    what: FsText
    path: FsText | None = None
    dry_run: bool = False


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased, or would be. `kind`: session, workspace or path; `name`: its id, or the path, absolute.

    `paths`, `rows`, `checkpoints`, `events`: how many of each went; of a path, `checkpoints` are those that say so now. `also_at`: paths,
    absolute, that have some of these contents too, which stay for it. `still_there`: paths that are in the workspace still, and are
    captured again.
    """

    kind: str
    name: FsText
    dry_run: bool
    paths: int
    rows: int
    checkpoints: int
    events: int
    contents: int
    also_at: list[FsText]
    still_there: list[FsText]
    took_s: float


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that goes, and why."""

    session_id: str
    id: str
    created_at: datetime
    reason: str


class KeptFor(msgspec.Struct, frozen=True, kw_only=True):
    """So many checkpoints stay for this reason."""

    reason: str
    checkpoints: int


class PrunedWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """What goes of a workspace: `dropped` of its checkpoints, the oldest of them `first`; and how many rows of its log with them.

    `kept`: how many checkpoints stay, and why. `gone`: all of it goes, and why; nil: it stays.
    """

    id: str
    root: FsText
    kept: list[KeptFor]
    dropped: int
    first: list[Dropped]
    rows: int
    operations: int
    gone: str | None = None


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What nothing named: so many contents, and what they took. `store_bytes`: what the store takes on disk now.

    `longest_ms`: the longest that one step of it kept others waiting.
    """

    contents: int
    freed_bytes: int
    store_bytes: int
    longest_ms: float
    took_s: float


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What went, or would go; `freed_bytes` of contents and database."""

    dry_run: bool
    workspaces: list[PrunedWorkspace]
    dropped: int
    rows: int
    contents: int
    freed_bytes: int
    took_s: float


class GoneWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace of which nothing is kept any more, since `at`, and why."""

    id: str
    root: FsText
    at: datetime
    reason: str


class OverQuota(msgspec.Struct, frozen=True, kw_only=True):
    """More is stored than `[retention]` wants: `used_bytes` of `max_bytes`. `scope`: store or workspace.

    `biggest`: the paths that take most.
    """

    scope: str
    used_bytes: int
    max_bytes: int
    biggest: list["Biggest"]


class Biggest(msgspec.Struct, frozen=True, kw_only=True):
    """A path, absolute, and what its versions take, not compressed."""

    path: FsText
    bytes: int

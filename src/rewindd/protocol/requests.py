"""The wire's requests: one struct each, by `op`, of the parts that are in `asking`, which have their names here too."""

from rewindd.paths import FsText
from rewindd.protocol.asking import MAX_ELEMENTS as MAX_ELEMENTS
from rewindd.protocol.asking import Base as Base
from rewindd.protocol.asking import EventBody as EventBody
from rewindd.protocol.asking import Events as Events
from rewindd.protocol.asking import Paths as Paths
from rewindd.protocol.asking import Request as Request
from rewindd.protocol.asking import StatsDelta as StatsDelta
from rewindd.protocol.asking import Words as Words
from rewindd.protocol.granting import ListGrants as ListGrants
from rewindd.protocol.granting import MakeGrant as MakeGrant
from rewindd.protocol.granting import RevokeGrant as RevokeGrant
from rewindd.protocol.integrity import MakeBackup as MakeBackup
from rewindd.protocol.integrity import Verify as Verify
from rewindd.protocol.portable import PortableCheckpoint
from rewindd.protocol.reading import Blame as Blame
from rewindd.protocol.reading import ListTree as ListTree
from rewindd.protocol.reading import ReadBlob as ReadBlob
from rewindd.protocol.reading import ReadBlobs as ReadBlobs
from rewindd.protocol.reading import ReadEvents as ReadEvents
from rewindd.protocol.reading import ShowPath as ShowPath
from rewindd.protocol.retention import Collect as Collect
from rewindd.protocol.retention import Forget as Forget
from rewindd.protocol.retention import Prune as Prune


class Ping(Request, frozen=True, kw_only=True):
    """Asks whether the event loop and the store thread answer."""

    op = "ping"


class GetStatus(Request, frozen=True, kw_only=True):
    """Asks for the daemon, its store, its workspaces."""

    op = "status"


class GetMetrics(Request, frozen=True, kw_only=True):
    """Asks for the daemon's numbers, as Prometheus reads them."""

    op = "metrics"


class GetHealth(Request, frozen=True, kw_only=True):
    """Asks how the daemon is: what only it knows of what `rewindctl doctor` tells. Reads parts of the store for it."""

    op = "health"


class Stop(Request, frozen=True, kw_only=True):
    """Asks the daemon to drain and end, as SIGTERM does."""

    op = "stop"


class OpenSession(Request, frozen=True, kw_only=True, rename={"id": "session_id"}):
    """Opens a session on `directory` (absolute), or returns it when `id` exists. `device` and `inode`: what the caller sees there.

    On the wire the chosen id is `session_id`: `id` is the request's. `replaced`: what to do where another directory has taken the
    place of a workspace's: `adopt` (it is the same workspace) or `new`; None asks, with `already-exists`. With `from_position`, a
    checkpoint of `parent`, it is a fork: it goes on from there. Without, a session with a parent is a sub-agent of it.
    """

    op = "session.open"
    mutates = True
    directory: FsText
    device: int | None = None
    inode: int | None = None
    agent: str | None = None
    id: str | None = None
    parent: str | None = None
    capture: str | None = None
    attribution: str | None = None
    exact: bool = False
    replaced: str | None = None
    from_position: str | None = None


class ListSessions(Request, frozen=True, kw_only=True):
    """Asks for the open sessions (`all`: closed ones too), of the workspace that holds `directory` or of all."""

    op = "session.list"
    directory: FsText | None = None
    all: bool = False


class ShowSession(Request, frozen=True, kw_only=True):
    """Asks for one session."""

    op = "session.show"


class CloseSession(Request, frozen=True, kw_only=True):
    """Ends a session: its claims are dropped, after a last look at what they cover."""

    op = "session.close"
    mutates = True


class Record(Request, frozen=True, kw_only=True):
    """Appends events and counts statistics."""

    op = "record"
    mutates = True
    events: Events = []
    stats: StatsDelta | None = None
    base: Base | None = None


class TakeSnapshot(Request, frozen=True, kw_only=True):
    """Keeps the present state of each path, and claims it for the session."""

    op = "snapshot"
    mutates = True
    paths: Paths
    no_ignore: bool = False


class BeginEdit(Request, frozen=True, kw_only=True):
    """Snapshots the paths and opens a bracket: changes until `edit.end` are the session's."""

    op = "edit.begin"
    mutates = True
    paths: Paths


class EndEdit(Request, frozen=True, kw_only=True):
    """Looks at the bracket's paths and closes it."""

    op = "edit.end"
    mutates = True
    edit: str


class OpenWindow(Request, frozen=True, kw_only=True):
    """Opens a window, after a look at the tree: what changes until its end, and nobody else announced, is the session's.

    `kind`: `command` or `turn`. `pid`: the process whose end closes it; None: none.
    """

    op = "window.open"
    mutates = True
    kind: str
    pid: int | None = None


class CloseWindow(Request, frozen=True, kw_only=True):
    """Looks at the tree and closes a window. Answers with what the session changed in it; closing it twice does nothing."""

    op = "window.close"
    mutates = True
    window: str


class ListPending(Request, frozen=True, kw_only=True):
    """Asks for the session's own changes since its head; `patch` asks for unified diffs with them."""

    op = "pending"
    paths: Paths = []
    patch: bool = False


class Release(Request, frozen=True, kw_only=True):
    """Drops the session's claims on the paths, or all."""

    op = "release"
    mutates = True
    paths: Paths = []


class Save(Request, frozen=True, kw_only=True, rename={"id": "checkpoint_id"}):
    """Makes a checkpoint of what the session did, with the events and statistics since the last request.

    On the wire the chosen id is `checkpoint_id`: `id` is the request's. `missed`: paths that the caller could not have snapshotted
    since its last save, for want of a daemon; `incomplete` says so. `wait`: for the workspace's first capture to be complete.
    """

    op = "save"
    mutates = True
    label: str | None = None
    id: str | None = None
    events: Events = []
    stats: StatsDelta | None = None
    base: Base | None = None
    missed: int = 0
    wait: bool = True


class MakeBarrier(Request, frozen=True, kw_only=True):
    """Makes one named point over all open sessions of a workspace: that of `session`, of that id, or the one that holds `directory`.

    `wait`: for the workspace's first capture to be complete.
    """

    op = "barrier"
    mutates = True
    workspace: str | None = None
    directory: FsText | None = None
    label: str | None = None
    wait: bool = True


class ListBarriers(Request, frozen=True, kw_only=True):
    """Asks for the newest `limit` barriers of a workspace, oldest first; the workspace as in `barrier`."""

    op = "barriers"
    workspace: str | None = None
    directory: FsText | None = None
    limit: int | None = None


class ListCheckpoints(Request, frozen=True, kw_only=True):
    """Asks for the newest `limit` checkpoints, oldest first: of the session, or of all sessions of its (or the named) workspace."""

    op = "list"
    all: bool = False
    workspace: str | None = None
    limit: int | None = None


class ShowCheckpoint(Request, frozen=True, kw_only=True):
    """Asks for one checkpoint whole; `content` asks for the files' contents too."""

    op = "show"
    position: str
    content: bool = False


class Diff(Request, frozen=True, kw_only=True):
    """Asks how the workspace differs between positions `a` and `b` (None: now)."""

    op = "diff"
    a: str
    b: str | None = None
    paths: Paths = []


class Rewind(Request, frozen=True, kw_only=True):
    """Takes work back to a position. See the interface for each field; `restore` empty means its default.

    `with_shared`: contested work in which the session takes part counts as its own. `with_children`: so does its sub-agents' work.
    `lose_unsaved`: also over what is on disk and the store had no room for.
    """

    op = "rewind"
    mutates = True
    position: str
    before: bool = False
    scope: str = "session"
    restore: Words = []
    also: Words = []
    on_conflict: str = "merge"
    paths: Paths = []
    plan: str | None = None
    dry_run: bool = False
    base: Base | None = None
    across_head: bool = False
    with_shared: bool = False
    with_children: bool = False
    lose_unsaved: bool = False


class Restore(Request, frozen=True, kw_only=True):
    """Brings files, or directories with all below, back as they were at a position; moves no head, and removes nothing.

    Without a position: as they were before they were last deleted. `overwrite` False: what is there and differs is a conflict;
    true: also what another session is in the middle of editing is overwritten, which is `busy` otherwise.
    """

    op = "restore"
    mutates = True
    paths: Paths
    position: str | None = None
    overwrite: bool | None = None
    plan: str | None = None
    dry_run: bool = False
    base: Base | None = None
    lose_unsaved: bool = False


class Undo(Request, frozen=True, kw_only=True):
    """Takes the session's newest rewind back, or the named operation."""

    op = "undo"
    mutates = True
    operation: str | None = None
    on_conflict: str = "merge"
    dry_run: bool = False
    base: Base | None = None
    lose_unsaved: bool = False


class Redo(Request, frozen=True, kw_only=True):
    """Takes the newest undo back."""

    op = "redo"
    mutates = True
    on_conflict: str = "merge"
    dry_run: bool = False
    base: Base | None = None
    lose_unsaved: bool = False


class ReadLog(Request, frozen=True, kw_only=True):
    """Asks for the newest `limit` rows of the edit log, oldest first, of `path` (and all below it) or of all."""

    op = "log"
    path: FsText | None = None
    limit: int | None = None


class ListCapture(Request, frozen=True, kw_only=True):
    """Asks what is captured of the workspace that holds `directory`, and what is left out; `dry_run`: what would be, of any directory."""

    op = "capture"
    directory: FsText
    device: int | None = None
    inode: int | None = None
    dry_run: bool = False


class Export(Request, frozen=True, kw_only=True):
    """Asks for a checkpoint in portable form. A version it cannot say is `bad-request`, or left out with `skip_binary`."""

    op = "export"
    position: str
    skip_binary: bool = False


class Import(Request, frozen=True, kw_only=True):
    """Adds one portable checkpoint to an imported session of the workspace at `directory`; with no `session`, makes that session.

    Checkpoints are sent oldest first.
    """

    op = "import"
    mutates = True
    directory: FsText | None = None
    device: int | None = None
    inode: int | None = None
    checkpoint: PortableCheckpoint


#: Every request the daemon takes, by its `op`.
REQUESTS: dict[str, type[Request]] = {
    request.op: request
    for request in (
        Ping,
        GetStatus,
        GetMetrics,
        GetHealth,
        Verify,
        MakeBackup,
        Prune,
        Collect,
        Forget,
        Stop,
        OpenSession,
        ListSessions,
        ShowSession,
        CloseSession,
        Record,
        TakeSnapshot,
        BeginEdit,
        EndEdit,
        OpenWindow,
        CloseWindow,
        ListPending,
        Release,
        Save,
        MakeBarrier,
        ListBarriers,
        ListCheckpoints,
        ShowCheckpoint,
        Diff,
        Rewind,
        Restore,
        Undo,
        Redo,
        ReadLog,
        Blame,
        ShowPath,
        ListTree,
        ListCapture,
        ReadBlob,
        ReadBlobs,
        ReadEvents,
        Export,
        Import,
        MakeGrant,
        ListGrants,
        RevokeGrant,
    )
}

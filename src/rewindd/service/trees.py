"""One workspace as the daemon holds it in memory, and how that is read from the store."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio
from msgspec import structs

from rewindd.errors import UnknownWorkspace
from rewindd.model.capture import CaptureSettings
from rewindd.model.githead import GitHead
from rewindd.model.ids import GrantId, OperationId, SessionId, WorkspaceId
from rewindd.model.index import Index, LeftOut
from rewindd.model.log import IndexEntry, Row
from rewindd.model.session import Baseline, Claim, Workspace
from rewindd.model.stakes import Stakes
from rewindd.model.window import Window
from rewindd.paths import ROOT, RelPath
from rewindd.service.asking.latest import Latest
from rewindd.service.notices.inbox import Inbox, inboxes
from rewindd.store import claims, heads, index, sessions, workspaces
from rewindd.store import stakes as stake_rows
from rewindd.store.database import Connection
from rewindd.tree.root import Root
from rewindd.tree.rules.book import RuleBook
from rewindd.tree.watch.dirty import Dirt
from rewindd.tree.watch.watch import Watch


@dataclass(slots=True)
class FirstCapture:
    """How far the first capture of a workspace is. `total` 0: what there is, is not known yet.

    `missing`: what is known to be there and was not captured yet. `finished` is set when it is complete or was given up,
    because of `trouble`. `taken`: what others took off the feed's list meanwhile, to be looked at once more.
    """

    done: int = 0
    total: int = 0
    missing: dict[RelPath, None] = field(default_factory=dict)
    taken: list[Dirt] = field(default_factory=list)
    finished: anyio.Event = field(default_factory=anyio.Event)
    trouble: str | None = None


class Applying:
    """An operation that is changing the tree at these paths; `finished` is set when it is over."""

    def __init__(self, paths: Iterable[RelPath]) -> None:
        self.paths = frozenset(paths)
        self.finished = anyio.Event()
        self._above = {above for path in self.paths for above in path.ancestors}

    def touches(self, paths: Iterable[RelPath]) -> bool:
        """True where it changes one of these paths, something below one, or what one is below of."""
        return any(path in self._above or not self.paths.isdisjoint((path, *path.ancestors)) for path in paths)


@dataclass(slots=True)
class Tree:
    """One workspace in memory. `lock` is held by whatever observes it or writes its log.

    `interrupted`: an operation could not be closed (the store failed after files were changed); recovery comes first.
    `given_up`: such operations whose caller was told that they failed: they are taken back.
    `watch`: what the change feed tells; None where nothing is watched. `unseen`: what could not be looked at the last time.
    `scanned_at_ns`: when all of it was last looked at (wall clock); 0: not in this life of the daemon.
    `judge`: directories in which an operation of ours changed rules; what they leave out is judged with the next look.
    `fullest`: the most files, and bytes of them, that there were since what a limit leaves out was last looked at.
    `applying`: the operation that is changing the tree now, while the lock is free for others.
    `git_head`: git's HEAD as it was last looked at; None: it never was. `head_since`: the position since which it is that; None: who
    wants to know asks the store.
    `stakes`: who is to be told of changes of which paths; `inboxes`: what each of them was not told yet.
    `has_former`: whether there may be stakes of sessions that were closed, which only the store has.
    `settled`: the position at which the cursors of those who are up to date were last written down.
    `latest`: the newest rows of its log.
    `inside`: the roots of workspaces inside this one that were left out at the last look.
    `granted`: the sessions that were opened through grants, and through which.
    """

    workspace: Workspace
    index: Index
    left_out: LeftOut
    rulebook: RuleBook
    claims: dict[RelPath, list[Claim]]
    position: int
    lock: anyio.Lock = field(default_factory=partial(anyio.Lock, fast_acquire=True))
    interrupted: bool = False
    applying: Applying | None = None
    given_up: set[OperationId] = field(default_factory=set)
    windows: dict[str, Window] = field(default_factory=dict)
    watch: Watch | None = None
    unseen: dict[RelPath, str] = field(default_factory=dict)
    scanned_at_ns: int = 0
    judge: set[RelPath] = field(default_factory=set)
    fullest: tuple[int, int] = (0, 0)
    first: FirstCapture | None = None
    git_head: GitHead | None = None
    head_since: int | None = None
    stakes: Stakes = field(default_factory=Stakes)
    inboxes: dict[SessionId, Inbox] = field(default_factory=dict)
    has_former: bool = False
    settled: int = 0
    inside: frozenset[RelPath] = frozenset()
    granted: dict[SessionId, GrantId] = field(default_factory=dict)
    latest: Latest = field(default_factory=Latest)

    def advance(self, position: int, rows: Sequence[Row] = ()) -> None:
        """Takes over where the log is, as it was just committed, and the rows that brought it there; nothing was switched."""
        self.latest.add(self.position, rows, position)
        self.position = position

    def is_counted(self, path: RelPath) -> bool:
        """True for a path that is known to be there and was never looked at: it is first seen, not new."""
        return self.first is not None and path in self.first.missing

    def root(self) -> Root:
        """Opens the root. Raises UnknownWorkspace when it is gone or another directory."""
        return Root.open(self.workspace.root, self.workspace.device, self.workspace.inode, self.workspace.born_ns)


def load(db: Connection, workspace: WorkspaceId, settings: CaptureSettings) -> Tree:
    """Returns all but the index."""
    found = workspaces.find(db, workspace)
    if found is None:
        raise UnknownWorkspace(f"no workspace {workspace!r}; `rewindctl status` names those there are", workspace=workspace)
    held: dict[RelPath, list[Claim]] = {}
    for claim in claims.load(db, workspace):
        held.setdefault(claim.path, []).append(claim)
    head_since, git_head = heads.last(db, workspace) or (None, None)
    position, stakes = workspaces.position(db, workspace), Stakes(stake_rows.load(db, workspace))
    return Tree(
        workspace=found,
        index=Index(),
        left_out=LeftOut(index.left_out(db, workspace)),
        rulebook=RuleBook(found.root, settings),
        claims=held,
        position=position,
        git_head=git_head,
        head_since=head_since,
        # While no daemon ran, rules may have changed that no file in the tree tells of: `[capture]`, git's own outside it.
        judge={ROOT} if found.baseline is Baseline.COMPLETE else set(),
        stakes=stakes,
        has_former=stake_rows.has_former(db, workspace),
        inboxes=inboxes(stakes, stake_rows.cursors(db, workspace), position),
        granted=sessions.granted(db, workspace),
    )


def as_known(workspace: Workspace, entries: Iterable[IndexEntry]) -> Iterator[IndexEntry]:
    """While a first capture is not complete, no directory counts as covered: it may hold what was not captured."""
    is_running = workspace.baseline is Baseline.RUNNING
    return (structs.replace(entry, covered=None) if is_running and entry.covered is not None else entry for entry in entries)

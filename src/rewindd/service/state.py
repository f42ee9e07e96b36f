"""What the daemon holds in memory: workspaces with their index and claims, sessions, and the way to the store.

The store is the truth; everything here was read from it, and is changed only after the commit that changed it there. Changed
from the event loop only, and for a workspace only under its lock.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from time import monotonic_ns, time_ns
from weakref import WeakValueDictionary

import anyio
from msgspec import structs

from rewindd.errors import BadRequest, UnknownSession
from rewindd.model.capture import CaptureSettings
from rewindd.model.conversation import Stats
from rewindd.model.ids import SessionId, WorkspaceId
from rewindd.model.index import Index, LeftOut
from rewindd.model.session import Checkpoint, Head, Session, Workspace
from rewindd.model.window import Window
from rewindd.paths import RelPath
from rewindd.protocol.replies import ConfigInfo
from rewindd.service.asking.counts import Counts
from rewindd.service.asking.recent import Recent
from rewindd.service.bridge import Bridge
from rewindd.service.clock import LastAsked
from rewindd.service.integrity.care import Care
from rewindd.service.keys import Keys
from rewindd.service.memory import settle
from rewindd.service.remembered import Remembered
from rewindd.service.rewinding.recoveries import Recoveries
from rewindd.service.space.measured import MeasuredRoom
from rewindd.service.space.quotas import Quota
from rewindd.service.space.storing import Storing
from rewindd.service.trees import Tree, as_known, load
from rewindd.store import answers, index, sessions, workspaces
from rewindd.store.blobs import Blobs, in_files
from rewindd.tree.rules.book import RuleBook
from rewindd.tree.watch.feed import Feed
from rewindd.tree.watch.mounts import Mounts

#: A session is active this long after its last request: long enough for a slow model's turn, short enough that a crashed
#: agent does not hold its claims all day.
ACTIVE_NS = 15 * 60 * 1_000_000_000
#: Entries of an index that are read in one function of the store: some five milliseconds.
PAGE_ENTRIES = 250
#: The last part of the runtime directory where nobody chose another one (`places.runtime_dir`).
RUNTIME_NAME = "rewindd"
#: The directory beside the socket in which each grant's socket has a directory of its own.
GRANTS_NAME = "grants"


class State:
    """All of it. One for the daemon.

    `later` starts work that outlives its request, in the service's own task group; it is finished before the daemon ends.
    `meanwhile` starts work that is broken off when the daemon ends. `guards`: of each open window, what cancels the task that ends it.
    """

    def __init__(
        self, bridge: Bridge, blobs: Blobs, *, data_dir: str, socket: str, runtime_dir: str, home: str, capture: CaptureSettings
    ) -> None:
        self.bridge, self.blobs, self.capture = bridge, blobs, capture
        self.data_dir, self.socket, self.runtime_dir, self.home = data_dir, socket, runtime_dir, home
        self.started_ns = monotonic_ns()
        self.care = Care()
        self.recovered = Recoveries()
        #: What the settings come from; None until the daemon said.
        self.config: ConfigInfo | None = None
        self.recent = Recent()
        self.counts = Counts()
        #: True when the daemon ends: nobody is kept waiting any more.
        self.is_ending = False
        self.keys = Keys(())
        self.feed: Feed | None = None
        self.mounts: Mounts | None = None
        #: Bytes of content that went through memory since it was last given back.
        self.handled_bytes = 0
        #: How many entries the indexes had when the collector was last told that they stay.
        self.settled_entries = 0
        self.measured_room: MeasuredRoom | None = None
        self.opening = anyio.Lock()
        #: The checkpoint that a session's own save made last, in this life of the daemon.
        self.saved: dict[SessionId, Checkpoint] = {}
        #: Held while a directory that is none of the workspaces is counted: one at a time.
        self.counting = anyio.Lock()
        #: Held while checkpoints, rows or contents are taken out of the store: one at a time.
        self.tidying = anyio.Lock()
        self.storing = Storing()
        self.quota = Quota()
        self.later: Callable[[Callable[[], Awaitable[None]]], None] = _refuse_later
        self.meanwhile: Callable[[Callable[[], Awaitable[None]]], None] = _refuse_later
        self.guards: dict[str, anyio.CancelScope] = {}
        #: Called when the feed told of changes: somebody may have to look at them soon.
        self.noticed: Callable[[], None] = _ignore
        self._places: dict[WorkspaceId, Workspace] = {}
        self._trees: dict[WorkspaceId, Tree] = {}
        self._loading: dict[WorkspaceId, anyio.Lock] = {}
        self._sessions = Remembered()
        self._asked = LastAsked()
        self._turns: WeakValueDictionary[SessionId, anyio.Lock] = WeakValueDictionary()

    @property
    def own_directories(self) -> tuple[str, ...]:
        """The directories that are the daemon's alone. A socket may also be put in a directory that holds other things."""
        return (self.data_dir, self.runtime_dir) if os.path.basename(self.runtime_dir) == RUNTIME_NAME else (self.data_dir,)

    @property
    def own_files(self) -> tuple[str, ...]:
        """The files beside the socket, which daemon and clients make, and the directory of the grants' sockets."""
        socket = os.path.join(self.runtime_dir, os.path.basename(self.socket))
        beside = (os.path.join(self.runtime_dir, name) for name in ("rewindd.log", GRANTS_NAME))
        return (socket, f"{socket}.lock", f"{socket}.start", *beside)

    # ---- sessions

    async def session(self, given: str | None) -> Session:
        """Returns a session. Raises UnknownSession; BadRequest for an empty id, which is no way to leave it out."""
        if given is None:
            raise UnknownSession("this operation is about a session, and none was named")
        if not given:
            raise BadRequest("an empty session id; `rewindctl session list` shows those there are", field="session")
        session_id = SessionId(given)
        known = self._sessions.get(session_id)
        if known is None:
            known = await self.bridge.transact(lambda db: sessions.find(db, session_id))
            if known is None:
                raise UnknownSession(f"no session {given!r}; `rewindctl session list --all` names those there are", session=given)
            known = self._sessions.get(session_id) or self.remember(known)
        return known

    def turn(self, session: SessionId) -> anyio.Lock:
        """The lock that a session's changes are made under, one after the other."""
        return self._turns.setdefault(session, anyio.Lock(fast_acquire=True))

    @asynccontextmanager
    async def turns(self, sessions: Iterable[SessionId]) -> AsyncIterator[None]:
        """Holds the turns of several sessions, taken in the order of their ids: so no two requests wait for each other."""
        async with AsyncExitStack() as held:
            for session in sorted(set(sessions)):
                await held.enter_async_context(self.turn(session))
            yield

    def remember(self, session: Session) -> Session:
        """Takes over a session as it was just committed, and returns it."""
        self._asked.note(self._sessions.get(session.id), session)
        gone = self._sessions.put(session)
        if gone is not None:
            self.saved.pop(gone, None)
            self._asked.forget(gone)
        return session

    def stood(self, session: Session, head: Head, stats: Stats) -> Session:
        """Takes over where a session stands, as it was just committed, and returns it so."""
        return self.remember(replace(self._sessions.get(session.id) or session, head=head, stats=stats))

    def touch(self, session: Session) -> Session:
        """Notes that the session made a request now; written down with its next change."""
        return self.remember(replace(session, last_seen_at_ns=time_ns()))

    def is_active(self, session: SessionId) -> bool:
        """True while the session is open and made a request not long ago, or has a window open."""
        known = self._sessions.get(session)
        if known is None or known.closed_at_ns is not None:
            return False
        return self._asked.is_within(session, ACTIVE_NS) or any(one.session == session for one in self.windows(known.workspace))

    def active(self, workspace: WorkspaceId | None = None) -> list[Session]:
        """The active sessions, of one workspace or of all."""
        return [s for s in self._sessions if (workspace is None or s.workspace == workspace) and self.is_active(s.id)]

    def windows(self, workspace: WorkspaceId) -> list[Window]:
        """The windows that are open in a workspace."""
        tree = self._trees.get(workspace)
        return list(tree.windows.values()) if tree is not None else []

    def named_in_files(self, digests: Iterable[bytes]) -> set[bytes]:
        """Returns those of the contents that rows say are in a file; for a worker thread."""
        return self.bridge.transact_here(lambda db: in_files(db, digests))

    async def load_sessions(self) -> None:
        """Reads the open sessions, the workspaces and the keys that were answered, at start: who is active decides whose a change is."""
        self.keys = Keys(await self.bridge.transact(answers.names))
        for session in await self.bridge.transact(sessions.opened):
            self.remember(session)
        for workspace in await self.bridge.transact(workspaces.all_of):
            self.moved(workspace)

    # ---- workspaces

    async def tree(self, workspace: WorkspaceId) -> Tree:
        """Returns a workspace, with its index read."""
        if workspace not in self._trees:
            async with self._loading.setdefault(workspace, anyio.Lock()):
                if workspace not in self._trees:
                    self._trees[workspace] = await self._load(workspace)
                    self.settle()
        return self._trees[workspace]

    async def _load(self, workspace: WorkspaceId) -> Tree:
        """Reads a workspace, its index in parts: nobody waits for all of it. Nothing writes to it meanwhile, for want of its tree."""
        tree = await self.bridge.transact(lambda db: load(db, workspace, self.capture))
        after: RelPath | None = None
        is_damaged = False
        while True:
            read = partial(index.sound, workspace=workspace, after=after, limit=PAGE_ENTRIES)
            page = await self.bridge.transact(read, bulk=True)
            tree.index.put(as_known(tree.workspace, page.entries))
            is_damaged, after = is_damaged or page.is_damaged, page.last
            if after is None:
                break
        if is_damaged:
            # What is not in the index may have been there all the same: it is first seen, and no rewind removes it.
            tree.index.put([structs.replace(entry, covered=None) for entry in tree.index.values() if entry.covered is not None])
        return tree

    def unborn(self, workspace: Workspace) -> Tree:
        """Returns a workspace that the store does not have yet, of which nothing is known; once it has, `tree` returns it."""
        return Tree(
            workspace=workspace,
            index=Index(),
            left_out=LeftOut(),
            rulebook=RuleBook(workspace.root, self.capture),
            claims={},
            position=0,
        )

    def moved(self, workspace: Workspace) -> None:
        """Takes over where a workspace is that is new, was found elsewhere, or lost its path to another, as it was just committed."""
        self._places.pop(workspace.id, None)
        if not workspace.replaced:
            self._places[workspace.id] = workspace
        tree = self._trees.get(workspace.id)
        if tree is None:
            return
        known = tree.workspace
        is_same = (known.device, known.inode, known.born_ns) == (workspace.device, workspace.inode, workspace.born_ns)
        if known.root != workspace.root or not is_same:
            tree.rulebook = RuleBook(workspace.root, self.capture)
        if not is_same and tree.watch is not None:
            tree.watch.close()
            tree.watch = None
        tree.workspace = replace(workspace, baseline=known.baseline)

    def forget(self, workspace: WorkspaceId) -> None:
        """Lets go of a workspace that is not in the store any more, and of its sessions; under its lock."""
        tree = self._trees.pop(workspace, None)
        if tree is not None and tree.watch is not None:
            tree.watch.close()
            tree.watch = None
        self._places.pop(workspace, None)
        self._loading.pop(workspace, None)
        self.quota.over.pop(workspace, None)
        for session in [known.id for known in self._sessions if known.workspace == workspace]:
            self._sessions.drop(session)
            self.saved.pop(session, None)
            self._asked.forget(session)

    def known(self, session: SessionId) -> Session | None:
        """Returns a session where it is in memory: an open one, or one that was asked about."""
        return self._sessions.get(session)

    def loaded(self, workspace: WorkspaceId) -> Tree | None:
        """Returns a workspace where it is in memory."""
        return self._trees.get(workspace)

    def settle(self) -> None:
        """Called where indexes grow: what is in them is not gone through by the collector from then on. Returns at once."""
        self.settled_entries = settle((tree.index for tree in self._trees.values()), self.settled_entries)

    def trees(self) -> list[Tree]:
        """Returns the workspaces that are in memory."""
        return list(self._trees.values())

    def inside(self, root: str) -> list[Workspace]:
        """Returns the workspaces whose roots are below a directory, whether or not they are there now."""
        above = f"{root.rstrip('/')}/"
        return [one for one in self._places.values() if one.root.startswith(above)]


def _ignore() -> None:
    """Before anybody listens."""


def _refuse_later(work: Callable[[], Awaitable[None]]) -> None:
    raise RuntimeError("no task group for later work; the service is not running")

"""Background observation: what changed goes into the log soon, whether anybody asks or not.

What happens between two observations is one change; so a path that has been quiet for a moment is looked at, and a file that
was made and deleted between two saves can still be had. Where nothing can be watched, the whole tree is looked at in turn.
"""

import logging
from time import monotonic

import anyio

from rewindd.errors import RewinddError, StoreError, UnknownWorkspace
from rewindd.model.session import Baseline, Capture
from rewindd.service.capture import baseline, noticing
from rewindd.service.capture.observing import observe_dirt
from rewindd.service.locking import locked
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.tree.observation import EVERYTHING, Wanted

#: A path is looked at when it was quiet so long, or so long after its first change, in seconds (docs/design.md, "The change feed").
QUIET_S = 0.5
AT_LATEST_S = 5.0
#: How often the whole tree is looked at where nothing can be watched, while a session is active there.
SCAN_S = 5.0
#: How often it is where it is watched: for what no event tells of, as writes through a mapping that stays open.
IDLE_SCAN_S = 600.0
#: Known paths that such a scan looks at in one go; the workspace's lock is free in between.
SCAN_PATHS = 2000
#: Events are gathered for so long before the next are read: a compiler writes thousands in a second.
GATHER_S = 0.05

log = logging.getLogger(__name__)


async def watch(state: State) -> None:
    """Looks at what changes in the workspaces that are captured, until it is cancelled."""
    rounds = _Rounds(state)
    await _load(state)
    while True:
        next_s = rounds.start_due(monotonic())
        with anyio.move_on_after(None if next_s is None else max(next_s - monotonic(), 0)) as scope:
            state.noticed = scope.cancel
            await _event(state)
        await noticing.drain(state)
        await anyio.sleep(GATHER_S)


async def _load(state: State) -> None:
    """Takes up the workspaces in which somebody is at work: what changed before the daemon's start is looked at first."""
    for workspace in {session.workspace for session in state.active() if session.capture is Capture.WORKSPACE}:
        try:
            await state.tree(workspace)
        except (StoreError, UnknownWorkspace) as exc:  # a damaged row must not keep the others from being looked at
            log.error("workspace %s cannot be used: %s", workspace, exc)


async def _event(state: State) -> None:
    if state.feed is None:
        await anyio.sleep_forever()
    else:
        await anyio.wait_readable(state.feed.fileno())


class _Rounds:
    """Which workspace is due for a look, and which is being looked at."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._busy: set[str] = set()
        self._scanned_s: dict[str, float] = {}
        self._not_before_s: dict[str, float] = {}

    def start_due(self, now_s: float) -> float | None:
        """Starts what is due now; returns when the next is, None when nothing will be without a change or a request."""
        due: list[float] = []
        for tree in self._state.trees():
            if tree.workspace.baseline is Baseline.NONE:
                continue
            at_s = self._due_s(tree, now_s)
            if at_s is None:
                continue
            if at_s > now_s:
                due.append(at_s)
            elif tree.workspace.id not in self._busy:
                self._busy.add(tree.workspace.id)
                self._state.meanwhile(lambda tree=tree: self._look(tree))  # type: ignore[misc]
        return min(due, default=None)

    def _due_s(self, tree: Tree, now_s: float) -> float | None:
        """When the workspace is to be looked at; None: not before something happens."""
        if not self._state.active(tree.workspace.id) and not tree.windows:
            noticing.unwatch(tree)
            return None
        # One that is not watched yet is looked at once, now.
        scanned_s = self._scanned_s.setdefault(tree.workspace.id, now_s - SCAN_S if tree.watch is None else now_s)
        scan_s = scanned_s + (SCAN_S if tree.watch is None else IDLE_SCAN_S)
        changed_s = None if tree.watch is None else tree.watch.due_s(quiet_s=QUIET_S, at_latest_s=AT_LATEST_S)
        return max(scan_s if changed_s is None else min(scan_s, changed_s), self._not_before_s.get(tree.workspace.id, 0))

    async def _look(self, tree: Tree) -> None:
        try:
            await self._look_at(tree)
        except RewinddError as exc:
            self._not_before_s[tree.workspace.id] = monotonic() + SCAN_S
            log.debug("workspace %s was not looked at: %s", tree.workspace.id, exc)
        finally:
            self._busy.discard(tree.workspace.id)
            self._state.settle()
            self._state.noticed()

    async def _look_at(self, tree: Tree) -> None:
        state, now_s = self._state, monotonic()
        baseline.begin(state, tree)
        noticing.watch(state, tree)
        scanned_s = self._scanned_s[tree.workspace.id]
        if tree.watch is None:
            self._scanned_s[tree.workspace.id] = now_s
            async with locked(state, tree):
                await observe_dirt(state, tree, None, EVERYTHING)
            self._scanned_s[tree.workspace.id] = monotonic()
            return
        async with locked(state, tree):
            dirt = noticing.take_due(tree, tree.watch, quiet_s=QUIET_S, at_latest_s=AT_LATEST_S)
            if dirt.paths or dirt.trees:
                await observe_dirt(state, tree, dirt, noticing.wanted(tree, dirt))
        if now_s - scanned_s >= IDLE_SCAN_S:
            self._scanned_s[tree.workspace.id] = now_s
            await self._scan(tree)

    async def _scan(self, tree: Tree) -> None:
        """Looks at every known path, a part at a time, and asks whether rules let more in by now."""
        paths = list(tree.index)
        for start in range(0, len(paths), SCAN_PATHS):
            async with locked(self._state, tree):
                wanted = Wanted(paths=paths[start : start + SCAN_PATHS], anew=start == 0)
                await observe_dirt(self._state, tree, None, wanted)

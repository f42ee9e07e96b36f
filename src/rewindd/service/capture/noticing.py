"""What may have changed since it was last looked at: told by the change feed where there is one, else everything.

The feed only shrinks the set to look at; the answer always comes from looking.
"""

from collections.abc import Iterable
from dataclasses import replace
from time import time_ns

from msgspec import structs

from rewindd.model.session import Baseline
from rewindd.paths import ROOT, RelPath
from rewindd.service.state import State
from rewindd.service.trees import FirstCapture, Tree
from rewindd.tree.observation import EVERYTHING, Observation, Wanted
from rewindd.tree.watch.dirty import Dirt
from rewindd.tree.watch.mounts import below
from rewindd.tree.watch.watch import Watch

#: Bytes of waiting events that are read in the event loop: some 1,000 events, a millisecond. More go to a worker thread.
INLINE_BYTES = 64 << 10


def watch(state: State, tree: Tree) -> None:
    """Begins to watch a workspace that is captured as a whole; everything in it is to be looked at once."""
    if state.feed is not None and tree.watch is None and tree.workspace.baseline is not Baseline.NONE:
        tree.watch = state.feed.open()


def unwatch(tree: Tree) -> None:
    """Ends that; the next look is at everything."""
    if tree.watch is not None:
        tree.watch.close()
        tree.watch = None


async def drain(state: State) -> None:
    """Takes note of every change that was made before now: the kernel queued its event inside the call that made it."""
    if state.feed is None:
        return
    is_remounted = await _look_at_mounts(state)
    if state.feed.waiting_bytes() > INLINE_BYTES:
        events = await state.bridge.work(state.feed.drain)
    else:
        events = state.feed.drain()
    if events or is_remounted:
        state.noticed()


async def _look_at_mounts(state: State) -> bool:
    """Has every workspace looked at in which something was mounted or unmounted: no event tells of that. True where there is one."""
    if state.mounts is None:
        return False
    if state.mounts.changed():
        await state.bridge.work(state.mounts.read)
    moved = state.mounts.take()
    trees = [tree for tree in state.trees() if moved and tree.watch is not None and below(moved, tree.workspace.root)]
    for tree in trees:
        if tree.watch is not None:
            tree.watch.mark_tree(ROOT)
    return bool(trees)


async def take(state: State, tree: Tree) -> Dirt | None:
    """Returns what changed until now and takes it off the list; None where nothing is watched."""
    watch(state, tree)
    if tree.watch is None:
        state.noticed()
        return None
    await drain(state)
    return _noted(tree, tree.watch.take())


def take_due(tree: Tree, watch: Watch, *, quiet_s: float, at_latest_s: float) -> Dirt:
    """Returns what was quiet for so long, or changed so long ago, and takes it off the list."""
    return _noted(tree, watch.take(quiet_s=quiet_s, at_latest_s=at_latest_s))


def look_once_more(tree: Tree, first: FirstCapture) -> None:
    """Puts back what was taken off the list since the last call, while what a first capture had seen before was not entered yet.

    Who took it could not know what is there by that, and what was entered since may be from before the change.
    """
    taken, first.taken = first.taken, []
    for dirt in taken:
        put_back(tree, dirt)


def _noted(tree: Tree, dirt: Dirt) -> Dirt:
    if tree.first is not None and not tree.first.finished.is_set() and (dirt.paths or dirt.trees):
        tree.first.taken.append(dirt)
    return dirt


def put_back(tree: Tree, dirt: Dirt | None) -> None:
    """What could not be looked at is still to be looked at."""
    if dirt is not None and tree.watch is not None:
        tree.watch.put_back(dirt)


def wanted(tree: Tree, dirt: Dirt | None) -> Wanted:
    """Returns what is to be looked at: what the feed told, what it cannot tell of, and what could not be seen the last time."""
    _doubt(tree, dirt.closed if dirt is not None else ())
    if dirt is None or tree.watch is None:
        return replace(EVERYTHING, judge=frozenset(tree.judge))
    unwatched = list(tree.watch.unwatched)
    inside = [path for directory in unwatched for path in tree.index.inside(directory)]
    paths = {*dirt.paths, *tree.unseen, *tree.index.linked, *unwatched, *inside}
    return Wanted(paths=paths, trees=list(dirt.trees), judge=frozenset(tree.judge))


def _doubt(tree: Tree, closed: Iterable[RelPath]) -> None:
    """Has files read again that were closed by who could write them, also where they look as before."""
    known = [entry for path in closed if (entry := tree.index.get(path)) is not None]
    tree.index.put(structs.replace(one, signature=structs.replace(one.signature, racy=True)) for one in known if one.signature is not None)


def looked(tree: Tree, wanted: Wanted, seen: Observation) -> None:
    """Takes note of what could not be seen, and of what is to be looked at again."""
    tree.unseen = unseen_after(tree, wanted, seen)
    if wanted.is_everything:
        tree.scanned_at_ns = time_ns()
    tree.judge -= wanted.judge
    if tree.watch is not None:
        tree.watch.mark(seen.left)
        _fill_up(tree, tree.watch)


def _fill_up(tree: Tree, watch: Watch) -> None:
    """Has what a limit leaves out looked at where there is room since: no event tells of that."""
    now, before = (tree.index.files, tree.index.size_bytes), tree.fullest
    tree.fullest = max(now[0], before[0]), max(now[1], before[1])
    if tree.fullest != now:
        tree.fullest = now
        watch.mark(tree.left_out.limited)


def unseen_after(tree: Tree, wanted: Wanted, seen: Observation) -> dict[RelPath, str]:
    """Returns what could not be looked at, with the reason, once this look counts."""
    unseen = {one.path: one.reason for one in seen.unseen}
    if wanted.is_everything:
        return unseen
    return {path: reason for path, reason in tree.unseen.items() if path not in wanted.paths} | unseen

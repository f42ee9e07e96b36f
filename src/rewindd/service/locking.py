"""The workspace's lock: whoever holds it may observe and write its log, and finds no operation half done.

Nobody holds it for long: what takes time is done while the lock is free (`breathing`), or free at least for those who look at named
paths only, as snapshots do (`sharing.applying`): while an operation changes the tree, while much is read, between transactions.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio

from rewindd.paths import RelPath
from rewindd.service.bridge import from_reserve
from rewindd.service.rewinding.recover import recover
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import operations


@asynccontextmanager
async def locked(state: State, tree: Tree, *, about: Iterable[RelPath] | None = None) -> AsyncIterator[None]:
    """Holds the workspace's lock. An operation that the store failed to close is recovered first.

    Args:
        about: the paths that the holder will look at, with what is below; None: any. An operation on them that is being applied is
            waited for; another one is not.

    Raises:
        Busy: it cannot be recovered now.
    """
    await _acquire(state, tree, about)
    try:
        yield
    finally:
        tree.lock.release()


@asynccontextmanager
async def breathing(state: State, tree: Tree) -> AsyncIterator[None]:
    """Lets anybody have the lock within: what was known before may not be so after it. For a holder who took nothing off the feed's list.

    Raises:
        Busy: an operation was interrupted meanwhile, and cannot be recovered now.
    """
    tree.lock.release()
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):  # the holder will release it
            await _acquire(state, tree, None, must_hold=True)
    if tree.interrupted:
        await _recover(state, tree)


async def _acquire(state: State, tree: Tree, about: Iterable[RelPath] | None, *, must_hold: bool = False) -> None:
    paths = None if about is None else list(about)
    while True:
        await tree.lock.acquire()
        under_way = tree.applying
        if under_way is None or (paths is not None and not under_way.touches(paths)):
            break
        tree.lock.release()
        await under_way.finished.wait()
    if tree.interrupted and tree.applying is None and not must_hold:
        try:
            await _recover(state, tree)
        except BaseException:
            tree.lock.release()
            raise


async def _recover(state: State, tree: Tree) -> None:
    with from_reserve():  # whoever comes next: it is a rewind that is closed
        for operation in await state.bridge.transact(operations.unfinished):
            if operation.workspace == tree.workspace.id:
                await recover(state, tree, operation)
    tree.interrupted = False

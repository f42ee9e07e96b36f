"""The workspace's lock shared: its holder lets those have it who look at named paths only, and at none that he is about."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio

from rewindd.paths import RelPath
from rewindd.service.trees import Applying, Tree


@asynccontextmanager
async def applying(tree: Tree, paths: Iterable[RelPath] = ()) -> AsyncIterator[None]:
    """Frees the lock within for those who look at named paths only, and at none of these, which are being changed. For the holder.

    Who looks at everything waits for the end: what the holder took off the feed's list would be missing in what he sees.
    """
    under_way = tree.applying = Applying(paths)
    tree.lock.release()
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await tree.lock.acquire()
        tree.applying = None
        under_way.finished.set()

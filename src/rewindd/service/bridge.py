"""From the event loop to the two kinds of threads below it: the store's one thread, and workers for the tree.

A commit is never abandoned: the wait is shielded, and a cancellation is delivered afterwards.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from rewindd.store.database import Connection
from rewindd.store.thread import Longest, StoreThread

#: Worker threads for reading, hashing and compressing. More than the cores of a small machine help only while the disk is slow.
WORKERS = 4

P = ParamSpec("P")
T = TypeVar("T")


class Bridge:
    """Runs functions where they belong. One for the daemon; used from the event loop only."""

    def __init__(self, store: StoreThread) -> None:
        self._store = store
        self._workers = CapacityLimiter(WORKERS)

    async def transact(self, fn: Callable[[Connection], T], *, bulk: bool = False, lasting: bool = True) -> T:
        """Returns what `fn` returned, after its transaction was committed: what it wrote survives power loss, if it is `lasting`.

        Raises:
            StoreFull, StoreIO, StoreCorrupt: the store failed; nothing of `fn` was kept.
        """
        future = self._store.submit(fn, bulk=bulk, lasting=lasting)
        finished = anyio.Event()
        # anyio has no wake-up from a foreign thread that does not block that thread until the loop comes round.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(finished.set))
        with anyio.CancelScope(shield=True):
            await finished.wait()
        return future.result()

    def transact_here(self, fn: Callable[[Connection], T]) -> T:
        """As `transact`, from a worker thread, which it blocks."""
        return self._store.submit(fn).result()

    def waiting(self) -> tuple[int, int]:
        """Returns how many small and how many bulk transactions wait for the store's thread."""
        return self._store.waiting()

    def longest(self) -> Longest:
        """Returns the store's function that took longest since the start: others waited for it."""
        return self._store.longest

    @contextmanager
    def sending(self, *, ahead: int) -> Iterator[Callable[[Callable[[Connection], object]], None]]:
        """Yields what sends bulk transactions from a worker thread, without waiting for them while no more than `ahead` are under way.

        All are committed at the end of the block; none of them is lasting by itself. An error of one comes out of the next or of the end.
        """
        waiting: deque[Future[object]] = deque()

        def send(fn: Callable[[Connection], object]) -> None:
            if len(waiting) >= ahead:
                waiting.popleft().result()
            waiting.append(self._store.submit(fn, bulk=True, lasting=False))

        yield send
        for future in waiting:
            future.result()

    async def work(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what `fn` returned in a worker thread; waits for it even when cancelled."""
        return await to_thread.run_sync(lambda: fn(*args, **kwargs), limiter=self._workers)

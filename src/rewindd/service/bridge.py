"""From the event loop to the two kinds of threads below it: the store's one thread, and workers for the tree.

A commit is never abandoned: the wait is shielded, and a cancellation is delivered afterwards.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from rewindd.errors import StoreFull, StoreIO
from rewindd.store.database import Connection
from rewindd.store.reserve import Reserve
from rewindd.store.thread import Longest, StoreThread

#: Worker threads for reading, hashing and compressing. More than the cores of a small machine help only while the disk is slow.
WORKERS = 4

P = ParamSpec("P")
T = TypeVar("T")

_goes_on: ContextVar[bool] = ContextVar("goes_on", default=False)


@contextmanager
def from_reserve() -> Iterator[None]:
    """What is begun within may write to the store from the reserve, where there is no other room."""
    token = _goes_on.set(True)
    try:
        yield
    finally:
        _goes_on.reset(token)


class Bridge:
    """Runs functions where they belong. One for the daemon; used from the event loop only."""

    def __init__(self, store: StoreThread, reserve: Reserve) -> None:
        self._store = store
        self._workers = CapacityLimiter(WORKERS)
        self.reserve = reserve

    async def transact(self, fn: Callable[[Connection], T], *, bulk: bool = False, lasting: bool = True) -> T:
        """Returns what `fn` returned, after its transaction was committed: what it wrote survives power loss, if it is `lasting`.

        Raises:
            StoreFull, StoreIO, StoreCorrupt: the store failed; nothing of `fn` was kept.
        """
        while True:
            future = self._store.submit(fn, bulk=bulk, lasting=lasting)
            with anyio.CancelScope(shield=True):
                await _done(future)
            if isinstance(error := future.exception(), StoreFull | StoreIO):
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(self._make_room, error)
            else:
                return future.result()

    async def copy(self, path: Path, pace: Callable[[int, int], float]) -> None:
        """Copies the database to `path`, as `StoreThread.copy` does; waits for it even when cancelled.

        Raises:
            StoreError, ShuttingDown: it could not be copied; nothing is left at `path`.
        """
        future = self._store.copy(path, pace)
        with anyio.CancelScope(shield=True):
            await _done(future)
        future.result()

    @property
    def damage(self) -> str | None:
        """The first damage of the database's structure that was met in this life; None: none was."""
        return self._store.damage

    def suspect(self, damage: str) -> None:
        """Notes that the database's structure is damaged; the next start looks at all of it."""
        self._store.suspect(damage)

    def transact_here(self, fn: Callable[[Connection], T]) -> T:
        """As `transact`, from a worker thread, which it blocks."""
        while True:
            future = self._store.submit(fn)
            if not isinstance(error := future.exception(), StoreFull | StoreIO):
                return future.result()
            self._make_room(error)

    def ask(self, fn: Callable[[Connection], T]) -> Future[T]:
        """Has `fn` run in a transaction, and returns without waiting for it; for what only reads. From any thread."""
        return self._store.submit(fn)

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
        try:
            return await to_thread.run_sync(lambda: fn(*args, **kwargs), limiter=self._workers)
        except StoreFull as exc:
            if exc.__cause__ is not None:  # a write failed; it was not only foreseen that one would
                self.reserve.missed()
            raise

    def _make_room(self, error: StoreFull | StoreIO) -> None:
        """Gives up a part of the reserve for what may go on from it. Blocks.

        Raises:
            StoreFull: it may not, or nothing is left of the reserve.
            StoreIO: it was not for want of room.
        """
        if isinstance(error, StoreIO):
            if not self.reserve.has_no_room():
                raise error
            error = StoreFull(f"{error.message}: no room on the store's file system, or in the quota; free some space, then try again")
        self.reserve.missed()
        if not _goes_on.get() or not self.reserve.give():
            raise error


async def _done(future: Future[T]) -> None:
    """Returns when a future of another thread has its result."""
    finished = anyio.Event()
    # anyio has no wake-up from a foreign thread that does not block that thread until the loop comes round.
    loop = asyncio.get_running_loop()
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(finished.set))
    await finished.wait()

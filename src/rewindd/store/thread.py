"""The one thread that owns the store's connection, and the transactions it makes of other people's functions.

A batch is BEGIN, a SAVEPOINT a function, COMMIT; nobody is answered, reads included, before COMMIT. Where SQLite rolled the whole
batch back (SQLITE_FULL and SQLITE_IOERR do that, savepoints and all), each function runs again alone: so functions must be
re-runnable, and take ids and times as arguments. What the functions do is not known here.
"""

import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

from rewindd import faults
from rewindd.errors import ShuttingDown, StoreCorrupt, StoreError, StoreIO
from rewindd.store.copying import copy_pages
from rewindd.store.database import Connection
from rewindd.store.opening import open_store, suspect
from rewindd.store.seam import is_undecodable, translated

T = TypeVar("T")
#: Functions in one transaction. Beyond some dozens the commit's cost is spread thin enough, and the first waits for the last.
MAX_BATCH = 64
#: Seconds after which a bulk function goes before small ones that wait: under a load that never pauses it would wait for ever.
BULK_WAIT_S = 0.25

_log = logging.getLogger(__name__)
_Answer = Callable[[], None]


class Longest(NamedTuple):
    """How much CPU time a function took, and its name: what it waits for the interpreter or the disk is the machine's."""

    seconds: float
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """A function with its future: `run` returns what answers it, for later; `fail` does nothing once it is answered."""

    start: Callable[[], bool]
    run: Callable[[Connection], _Answer]
    fail: Callable[[BaseException], None]
    submitted_s: float
    lasting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copying:
    """A copy of the database that is to be made: where, and how long to wait after so many of so many pages, in seconds."""

    path: Path
    pace: Callable[[int, int], float]
    future: Future[None]


class _Lost(Exception):
    """SQLite rolled the whole transaction back; `error` is why."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class StoreThread:
    """Runs functions on the store's only connection. Any thread may submit; the constructor's caller closes it."""

    def __init__(self, directory: str) -> None:
        """Opens the store in its thread and returns when it is open; one that is damaged comes back from its backup first.

        Raises:
            StoreError: it cannot be opened; as `open_store`.
        """
        self._directory = directory
        #: The first damage of the database's structure that was met; the next start looks at all of it.
        self.damage: str | None = None
        self._copying: deque[_Copying] = deque()
        self._wake = threading.Condition()
        self._small: deque[_Job] = deque()
        self._bulk: deque[_Job] = deque()
        self._closed = False
        #: The function that took longest, its commit left out: all others wait for it.
        self.longest = Longest(0.0, "-")
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, args=(directory, opened), name="rewindd-store")
        self._thread.start()
        try:
            opened.result()
        except BaseException:
            self._thread.join()
            raise

    def submit(self, fn: Callable[[Connection], T], *, bulk: bool = False, lasting: bool = True) -> Future[T]:
        """Runs `fn(connection)` in a transaction; the future has its result once that is durable, or its error.

        The connection must not be kept. When `fn` raises, what it wrote is undone, what its neighbours wrote is not. `fn` may run
        twice. A `bulk` function runs alone and after small ones: give it some 5 ms or 256 KB of work at a time. What one that is not
        `lasting` wrote becomes durable with the next lasting commit; a power cut before that takes it, and nothing later without it.

        The future raises:
            StoreFull: there is no room; nothing was changed.
            StoreCorrupt: SQLite found damage.
            StoreIO: SQLite or the file system failed otherwise.
            ShuttingDown: the store was closed before it ran.
            whatever else `fn` raises, as it is.
        """
        future: Future[T] = Future()

        def run(db: Connection) -> _Answer:
            began_s = time.thread_time()
            try:
                return partial(future.set_result, fn(db))
            finally:
                self.longest = max(self.longest, Longest(time.thread_time() - began_s, _name(fn)), key=attrgetter("seconds"))

        def fail(error: BaseException) -> None:
            self._look_at(error)
            if not future.done():
                future.set_exception(error)

        job = _Job(start=future.set_running_or_notify_cancel, run=run, fail=fail, submitted_s=time.monotonic(), lasting=lasting)
        with self._wake:
            if not self._closed:
                (self._bulk if bulk else self._small).append(job)
                self._wake.notify()
                return future
        future.set_exception(ShuttingDown("the store is closed; ask the daemon that runs next"))
        return future

    def copy(self, path: Path, pace: Callable[[int, int], float]) -> Future[None]:
        """Copies the database to `path`, which is not there, as it is at the end; everything else goes on between two steps.

        `pace(done, total)` is called after each step, in the store's thread, and returns for how many seconds it shall pause.

        The future raises:
            StoreError: as `copy_pages`; nothing is left at `path`.
            ShuttingDown: the store was closed meanwhile; likewise.
        """
        future: Future[None] = Future()
        with self._wake:
            if not self._closed:
                self._copying.append(_Copying(path=path, pace=pace, future=future))
                self._wake.notify()
                return future
        future.set_exception(ShuttingDown("the store is closed; ask the daemon that runs next"))
        return future

    def waiting(self) -> tuple[int, int]:
        """Returns how many small functions wait, and how many bulk ones."""
        return len(self._small), len(self._bulk)

    def close(self) -> None:
        """Runs what was submitted, then closes the connection and ends the thread. May be called twice."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _live(self, directory: str, opened: Future[None]) -> None:
        try:
            db = open_store(directory)
        except BaseException as exc:  # noqa: BLE001 - whatever it is belongs to the constructor's caller
            opened.set_exception(exc)
            return
        opened.set_result(None)
        try:
            while (work := self._take()) != []:
                if isinstance(work, _Copying):
                    self._copy(db, work)
                else:
                    _answer(db, work)
        finally:
            self._abandon()
            _close(db)

    def _take(self) -> list[_Job] | _Copying:
        """Waits for work and returns the next batch, or a copy to be made; empty when there is none and none will come."""
        while True:
            with self._wake:
                while not (self._small or self._bulk or self._copying or self._closed):
                    self._wake.wait()
                if self._copying and not (self._small or self._bulk or self._closed):
                    return self._copying.popleft()
                taken = self._next()
            if not taken:
                return []
            if jobs := [job for job in taken if job.start()]:
                return jobs

    def _next(self) -> list[_Job]:
        waited = self._bulk and time.monotonic() - self._bulk[0].submitted_s > BULK_WAIT_S
        if self._bulk and (waited or not self._small):
            return [self._bulk.popleft()]
        return [self._small.popleft() for _ in range(min(len(self._small), MAX_BATCH))]

    def _copy(self, db: Connection, copying: _Copying) -> None:
        def between(done: int, total: int) -> None:
            self._go_on(db, copying.pace(done, total))

        if not copying.future.set_running_or_notify_cancel():
            return
        try:
            copy_pages(db, copying.path, between)
        except BaseException as exc:
            with contextlib.suppress(OSError):
                copying.path.unlink()
            self._look_at(exc)
            copying.future.set_exception(exc)
            if not isinstance(exc, StoreError | ShuttingDown):
                raise
        else:
            copying.future.set_result(None)

    def _go_on(self, db: Connection, pause_s: float) -> None:
        """Serves who waits, between two steps of a copy, and whoever comes in the next `pause_s` seconds.

        Raises:
            ShuttingDown: the store is being closed.
        """
        until_s = time.monotonic() + pause_s
        while True:
            with self._wake:
                while not (self._small or self._bulk or self._closed) and (left_s := until_s - time.monotonic()) > 0:
                    self._wake.wait(left_s)
                if self._closed:
                    raise ShuttingDown("the store is being closed, and the copy broken off")
                jobs = [job for job in self._next() if job.start()]
            if jobs:
                _answer(db, jobs)
            left_s = until_s - time.monotonic()
            # Under a load that never pauses, too, there is a step now and then.
            if left_s <= 0 and (left_s < -BULK_WAIT_S or not (self._small or self._bulk)):
                return

    def suspect(self, damage: str) -> None:
        """Notes that the database's structure is damaged; the next start looks at all of it. From any thread; the first counts."""
        if self.damage is None:
            self.damage = damage
            _log.error("%s; `rewindctl daemon restart` has the store looked at as a whole, and brought back from its backup", damage)
            suspect(self._directory, damage)

    def _look_at(self, error: BaseException) -> None:
        """Notes what SQLite itself found damaged, not what a checksum said."""
        cause = error.__cause__
        if isinstance(error, StoreCorrupt) and isinstance(cause, sqlite3.Error) and not is_undecodable(cause):
            self.suspect(error.message)

    def _abandon(self) -> None:
        """Nobody may wait for a thread that has ended."""
        with self._wake:
            self._closed = True
            left = [*self._small, *self._bulk]
            self._small.clear()
            self._bulk.clear()
            copies = list(self._copying)
            self._copying.clear()
        for copying in copies:
            copying.future.set_exception(ShuttingDown("the store was closed before it could be copied"))
        for job in left:
            if job.start():
                job.fail(StoreIO("the store's thread ended; see the daemon's log"))


def _answer(db: Connection, jobs: Sequence[_Job]) -> None:
    """Serves the jobs; where that breaks down, nobody is left waiting."""
    try:
        _serve(db, jobs)
    except BaseException as exc:
        for job in jobs:
            job.fail(exc)
        raise


def _serve(db: Connection, jobs: Sequence[_Job]) -> None:
    """Runs the jobs in one transaction, or each alone where that was lost; answers all of them."""
    try:
        answers = _transaction(db, jobs)
    except _Lost as lost:
        if len(jobs) == 1:
            jobs[0].fail(lost.error)
            return
        _log.warning("a batch of %d was rolled back (%s); each runs again alone", len(jobs), lost)
        for job in jobs:
            _serve(db, [job])
        return
    for answer in answers:
        answer()


def _transaction(db: Connection, jobs: Sequence[_Job]) -> list[_Answer]:
    """Returns the answers to give, of a transaction that is durable.

    Raises:
        _Lost: nothing of it is.
    """
    changes = db.total_changes
    try:
        with _synced(db, lasting=any(job.lasting for job in jobs)):
            db.execute("BEGIN IMMEDIATE")
            answers = [_run(db, job) for job in jobs]
            _commit(db, changed=db.total_changes != changes)
    except (sqlite3.Error, OSError) as exc:
        if db.in_transaction:
            db.execute("ROLLBACK")
        error = translated(exc, "committing to the store")
        error.__cause__ = exc
        raise _Lost(error) from exc
    return answers


@contextlib.contextmanager
def _synced(db: Connection, *, lasting: bool) -> Iterator[None]:
    """Without `lasting` the commit within is written to the log and not synced (https://www.sqlite.org/pragma.html#pragma_synchronous)."""
    if lasting:
        yield
        return
    db.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute("PRAGMA synchronous = FULL")


def _commit(db: Connection, *, changed: bool) -> None:
    if changed:
        faults.effect("store.commit")
    db.execute("COMMIT")
    if changed:
        # Here one can only die: the commit stands, and must be answered as such.
        with contextlib.suppress(OSError):
            faults.effect("store.committed")


def _close(db: Connection) -> None:
    """Brings the log into the database, as far as that goes: what could not be, the next life has from the log."""
    with contextlib.suppress(OSError):
        faults.effect("store.close")
    db.close()


def _run(db: Connection, job: _Job) -> _Answer:
    """Returns what will answer the job; its own failure is an answer too."""
    db.execute("SAVEPOINT job")
    try:
        answer = job.run(db)
    except BaseException as exc:
        error = _error(exc)
        if not db.in_transaction:
            raise _Lost(error) from exc
        db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")
        return partial(job.fail, error)
    if not db.in_transaction:
        raise _Lost(StoreIO("SQLite rolled the transaction back"))
    db.execute("RELEASE job")
    return answer


def _name(fn: Callable[..., object]) -> str:
    """Returns where a function stands: `module.name`."""
    while isinstance(fn, partial):
        fn = fn.func
    return f"{fn.__module__}.{fn.__qualname__}"


def _error(exc: BaseException) -> BaseException:
    if isinstance(exc, sqlite3.Error) or (isinstance(exc, OSError) and not isinstance(exc, StoreError)):
        error = translated(exc, "in a transaction of the store")
        error.__cause__ = exc
        return error
    return exc

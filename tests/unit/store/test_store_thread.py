"""The store's thread: a function's failure is its own, and nobody is answered before the commit."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait

import pytest

from rewindd import faults
from rewindd.errors import Busy, ShuttingDown, StoreCorrupt, StoreFull, StoreIO, StoreNewer
from rewindd.store.database import Connection
from rewindd.store.thread import MAX_BATCH, StoreThread


@pytest.fixture
def store(directory: str) -> Iterator[StoreThread]:
    thread = StoreThread(directory)
    thread.submit(lambda db: db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)").close()).result()
    yield thread
    faults.arm(None)
    thread.close()


def _put(number: int, size: int = 0) -> Callable[[Connection], int]:
    def fn(db: Connection) -> int:
        db.execute("INSERT INTO t VALUES (?, zeroblob(?))", (number, size))
        return number

    return fn


def _numbers(store: StoreThread) -> list[int]:
    return store.submit(lambda db: [int(number) for (number,) in db.execute("SELECT a FROM t ORDER BY a")]).result()


class _Gate:
    """Holds the thread inside a function, so that what is submitted next becomes one batch."""

    def __init__(self, store: StoreThread) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        self._future = store.submit(self._hold)
        assert self._entered.wait(10)

    def _hold(self, db: Connection) -> None:
        self._entered.set()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()
        self._future.result()


def test_result_and_error(store: StoreThread) -> None:
    """A function's result and its own error come back as they are; its writes are kept, or undone."""

    def refuse(db: Connection) -> None:
        db.execute("INSERT INTO t VALUES (2, NULL)")
        raise Busy("not now")

    assert store.submit(_put(1)).result() == 1
    with pytest.raises(Busy, match="not now"):
        store.submit(refuse).result()
    assert _numbers(store) == [1]


def test_neighbours_of_a_failure(store: StoreThread) -> None:
    """In one batch, failing functions lose their own writes and no others'."""

    def fail(db: Connection) -> None:
        db.execute("INSERT INTO t VALUES (100, NULL)")
        raise KeyError("a bug")

    gate = _Gate(store)
    futures: list[Future[int]] = [store.submit(_put(1))]
    failing: list[Future[None]] = [store.submit(fail), store.submit(lambda db: db.execute("no such statement").close())]
    futures += [store.submit(_put(2)), store.submit(_put(1)), store.submit(_put(3))]
    gate.open()
    wait(futures)
    wait(failing)
    assert isinstance(failing[0].exception(), KeyError)
    assert isinstance(failing[1].exception(), StoreIO)
    assert [future.exception() is None for future in futures] == [True, True, False, True]
    assert isinstance(futures[2].exception(), StoreIO)
    assert _numbers(store) == [1, 2, 3]


def test_disk_full_hits_only_who_needs_room(store: StoreThread) -> None:
    """SQLITE_FULL rolls the whole batch back; then each runs alone, and only the large one fails."""

    def bound(db: Connection) -> None:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 4}")

    store.submit(bound).result()
    gate = _Gate(store)
    first, large, last = store.submit(_put(1)), store.submit(_put(2, 1 << 20)), store.submit(_put(3))
    gate.open()
    assert (first.result(), last.result()) == (1, 3)
    with pytest.raises(StoreFull, match="free some space"):
        large.result()
    assert _numbers(store) == [1, 3]


def test_function_that_hides_the_rollback(store: StoreThread) -> None:
    """A function that swallows SQLITE_FULL does not get a result for a transaction that SQLite rolled back."""

    def hide(db: Connection) -> str:
        db.execute("ROLLBACK")
        return "done"

    gate = _Gate(store)
    first, hiding, last = store.submit(_put(1)), store.submit(hide), store.submit(_put(3))
    gate.open()
    assert (first.result(), last.result()) == (1, 3)
    with pytest.raises(StoreIO, match="rolled"):
        hiding.result()
    assert _numbers(store) == [1, 3]


def test_answered_after_commit_only(store: StoreThread) -> None:
    """When the commit is about to happen nobody has an answer; a reader waits for it too."""
    seen: list[list[bool]] = []
    gate = _Gate(store)
    futures = [store.submit(_put(n)) for n in range(3)]
    reading = store.submit(lambda db: len(db.execute("SELECT * FROM t").fetchall()))
    faults.arm(lambda name: seen.append([name == "store.commit", *(f.done() for f in [*futures, reading])]))
    gate.open()
    assert [f.result() for f in futures] == [0, 1, 2]
    assert reading.result() == 3
    store.submit(lambda db: None).result()
    assert seen == [[True, False, False, False, False], [False, False, False, False, False]]


def test_reading_announces_no_commit(store: StoreThread) -> None:
    """A batch that changed nothing has no durable effect, and says so to fault tests."""
    seen: list[str] = []
    faults.arm(seen.append)
    assert _numbers(store) == []
    assert seen == []


def test_failing_commit(store: StoreThread) -> None:
    """A commit that fails answers nobody with success: those in a batch get a second try alone, a single one gets the error."""
    faults.arm(faults.from_spec("ENOSPC:1:store.commit"))
    with pytest.raises(StoreFull):
        store.submit(_put(1)).result()
    assert _numbers(store) == []
    gate = _Gate(store)
    futures = [store.submit(_put(n)) for n in (1, 2)]
    faults.arm(faults.from_spec("EIO:1:store.commit"))
    gate.open()
    assert [future.result() for future in futures] == [1, 2]
    assert _numbers(store) == [1, 2]


def test_error_after_the_commit_is_none(store: StoreThread) -> None:
    """What is committed is answered as such."""
    faults.arm(faults.from_spec("EIO:1:store.committed"))
    assert store.submit(_put(1)).result() == 1


def test_corruption_is_named(store: StoreThread) -> None:
    """Damage that SQLite finds is `store-corrupt`."""

    def damaged(db: Connection) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT | 1 << 8
        raise error

    with pytest.raises(StoreCorrupt, match="malformed"):
        store.submit(damaged).result()


def test_file_errors_of_a_function(store: StoreThread) -> None:
    """An OSError inside a function is the store's trouble, by its number."""

    def quota(db: Connection) -> None:
        raise OSError(122, "quota exceeded")

    def gone(db: Connection) -> None:
        raise FileNotFoundError(2, "no such file")

    with pytest.raises(StoreFull):
        store.submit(quota).result()
    with pytest.raises(StoreIO, match="no such file"):
        store.submit(gone).result()


def test_small_before_bulk(store: StoreThread) -> None:
    """Bulk work waits for small requests, runs alone, and runs at last."""
    order: list[str] = []
    gate = _Gate(store)

    def note(name: str) -> Callable[[Connection], None]:
        return lambda db: order.append(name)

    bulk = [store.submit(note(f"bulk {n}"), bulk=True) for n in range(2)]
    small = [store.submit(note(f"small {n}")) for n in range(3)]
    gate.open()
    wait([*bulk, *small])
    assert order == ["small 0", "small 1", "small 2", "bulk 0", "bulk 1"]


def test_bulk_is_not_starved(store: StoreThread) -> None:
    """Small requests that never pause let bulk work through all the same."""
    ended = threading.Event()

    def again(db: Connection) -> None:
        if not ended.is_set():
            store.submit(again)

    for _ in range(3):
        store.submit(again)
    store.submit(lambda db: None, bulk=True).result(timeout=10)
    ended.set()


def test_many_threads(store: StoreThread) -> None:
    """Everybody gets their own answer, whatever was batched with it."""
    count = 4 * MAX_BATCH
    found: list[int] = []

    def client(start: int) -> None:
        found.extend(store.submit(_put(number)).result() for number in range(start, count, 4))

    threads = [threading.Thread(target=client, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == _numbers(store) == list(range(count))


def test_cancelled_before_it_ran(store: StoreThread) -> None:
    """A function whose future was cancelled in time does not run; its neighbours do."""
    gate = _Gate(store)
    gone, stays = store.submit(_put(1)), store.submit(_put(2))
    assert gone.cancel()
    gate.open()
    assert stays.result() == 2
    assert _numbers(store) == [2]


def test_close_drains(directory: str) -> None:
    """What was submitted before the close is done; what comes after is told so."""
    store = StoreThread(directory)
    gate = _Gate(store)
    store.submit(lambda db: db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)").close())
    futures = [store.submit(_put(n), bulk=n % 2 == 0) for n in range(10)]
    gate.open()
    store.close()
    store.close()
    assert [future.result() for future in futures] == list(range(10))
    with pytest.raises(ShuttingDown):
        store.submit(lambda db: None).result()


def test_opening_error_is_the_callers(directory: str) -> None:
    """The constructor raises what kept the store from opening, and leaves no thread."""
    StoreThread(directory).close()
    other = sqlite3.connect(f"{directory}/store.db")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreNewer, match="version 99"):
        StoreThread(directory)
    assert "rewindd-store" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_breaks_down_leaves_nobody_waiting(directory: str) -> None:
    """If even the rollback fails, whoever waits is told, and whoever comes later too."""
    store = StoreThread(directory)

    def close_it(db: Connection) -> None:
        db.close()

    gate = _Gate(store)
    first, second = store.submit(close_it), store.submit(lambda db: 1)
    gate.open()
    assert first.exception(10) is not None
    assert second.exception(10) is not None
    with pytest.raises((ShuttingDown, StoreIO)):
        store.submit(lambda db: 2).result(10)
    store.close()

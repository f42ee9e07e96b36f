"""The reserve: held back, given up a step at a time to what may go on, filled again; a quota counts as a full disk."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.errors import StoreFull, StoreIO
from rewindd.service.bridge import Bridge, from_reserve
from rewindd.store.database import Connection
from rewindd.store.reserve import STEP_BYTES, Reserve
from rewindd.store.thread import StoreThread

pytestmark = pytest.mark.anyio
SIZE_BYTES = 3 * STEP_BYTES


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def reserve(tmp_path: Path) -> Reserve:
    return Reserve(str(tmp_path), SIZE_BYTES)


@pytest.fixture
def bridge(tmp_path: Path, reserve: Reserve) -> Iterator[Bridge]:
    store = StoreThread(str(tmp_path))
    yield Bridge(store, reserve)
    faults.arm(None)
    store.close()


def failing(number: int, times: int, name: str) -> list[str]:
    """Arms a failure of the next effects of that name; returns those that were hit, as they are."""
    hit: list[str] = []

    def hook(effect: str) -> None:
        if effect == name and len(hit) < times:
            hit.append(effect)
            raise OSError(number, os.strerror(number))

    faults.arm(hook)
    return hit


def put(number: int) -> Callable[[Connection], int]:
    """A transaction that changes something."""

    def write(db: Connection) -> int:
        db.execute("UPDATE totals SET value = value + ? WHERE name = 'rows'", (number,))
        return int(db.execute("SELECT value FROM totals WHERE name = 'rows'").fetchone()[0])

    return write


def test_its_blocks_are_its_own(reserve: Reserve, tmp_path: Path) -> None:
    """The file has its size on the disk too, also where a copy of the data directory left a hole."""
    file = tmp_path / "reserve"
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (SIZE_BYTES, 0o600)
    assert file.stat().st_blocks * 512 >= SIZE_BYTES
    os.truncate(file, 0)
    os.truncate(file, SIZE_BYTES)
    assert not Reserve(str(tmp_path), SIZE_BYTES).is_spent
    assert file.stat().st_blocks * 512 >= SIZE_BYTES


def test_given_up_in_steps_and_filled_again(reserve: Reserve) -> None:
    """Each step frees a part, until nothing is left; it is spent until all of it is there again."""
    held = []
    while reserve.give():
        held.append(reserve.held_bytes)
        assert reserve.is_spent
    assert held == [2 * STEP_BYTES, STEP_BYTES, 0]
    assert reserve.fill()
    assert (reserve.is_spent, reserve.held_bytes) == (False, SIZE_BYTES)


def test_what_is_left_stays(reserve: Reserve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be filled again, what is left of it is there for the next rewind."""

    def fail(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    reserve.give()
    monkeypatch.setattr(os, "posix_fallocate", fail)
    assert not reserve.fill()
    assert (reserve.is_spent, reserve.held_bytes) == (True, 2 * STEP_BYTES)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_where_it_cannot_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """What fails in filling it leaves nothing of it, and it counts as spent."""

    def fail(descriptor: int, offset: int, length: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    reserve = Reserve(str(tmp_path), SIZE_BYTES)
    assert (reserve.is_spent, reserve.held_bytes, reserve.give()) == (True, 0, False)


def test_none_at_all(tmp_path: Path) -> None:
    """With a size of 0 there is no file, and nothing is spent but while a write just failed."""
    reserve = Reserve(str(tmp_path), 0)
    assert (reserve.is_spent, (tmp_path / "reserve").exists(), reserve.give()) == (False, False, False)
    reserve.missed()
    assert reserve.is_spent
    assert reserve.fill()
    assert not reserve.is_spent


def test_resized(reserve: Reserve, tmp_path: Path) -> None:
    """It grows and shrinks, to nothing too."""
    for size_bytes in (SIZE_BYTES + STEP_BYTES, STEP_BYTES, 0):
        reserve.resize(size_bytes)
        assert (reserve.held_bytes, reserve.is_spent) == (size_bytes, False)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_what_may_goes_on_from_it(bridge: Bridge, reserve: Reserve, number: int) -> None:
    """A transaction that finds no room is run again with a step of the reserve, as often as there is one."""
    hit = failing(number, 2, "store.commit")
    with from_reserve():
        assert await bridge.transact(put(5)) == 5
    assert (len(hit), reserve.held_bytes, reserve.is_spent) == (2, SIZE_BYTES - 2 * STEP_BYTES, True)


async def test_what_may_in_a_worker_thread(bridge: Bridge, reserve: Reserve) -> None:
    """So does one that a worker thread waits for."""
    failing(errno.ENOSPC, 1, "store.commit")
    with from_reserve():
        assert await bridge.work(bridge.transact_here, put(5)) == 5
    assert reserve.held_bytes == SIZE_BYTES - STEP_BYTES


async def test_what_may_not_leaves_it(bridge: Bridge, reserve: Reserve) -> None:
    """What takes something in fails with the reserve whole, and nothing of it is kept."""
    failing(errno.ENOSPC, 1, "store.commit")
    with pytest.raises(StoreFull):
        await bridge.transact(put(5))
    assert (reserve.held_bytes, reserve.is_spent) == (SIZE_BYTES, True)
    assert await bridge.transact(put(1)) == 1


async def test_nothing_left_to_give(bridge: Bridge, reserve: Reserve) -> None:
    """When all of it is given up, what finds no room fails."""
    failing(errno.ENOSPC, 10, "store.commit")
    with from_reserve(), pytest.raises(StoreFull):
        await bridge.transact(put(5))
    assert reserve.held_bytes == 0


async def test_a_quota_that_sqlite_calls_an_io_error(bridge: Bridge, reserve: Reserve) -> None:
    """SQLite does not say that an I/O error is a quota's: a write of our own tells, and only where that fails too the disk is full."""

    def fails(db: Connection) -> None:
        raise StoreIO("disk I/O error")

    with pytest.raises(StoreIO):
        await bridge.transact(fails)
    assert not reserve.is_spent
    failing(errno.EDQUOT, 1, "store.reserve.probe")
    with pytest.raises(StoreFull, match="quota"):
        await bridge.transact(fails)
    assert reserve.is_spent

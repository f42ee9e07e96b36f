"""How much the store may still take in."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from rewindd.model.capture import CaptureSettings
from rewindd.service.bridge import Bridge
from rewindd.service.space import room as room_module
from rewindd.service.space.room import HOLDS_BYTES, HOLDS_S, NEAR_BYTES, NEAR_S, room
from rewindd.service.state import State
from rewindd.store import blobs
from rewindd.store.blobs import Blobs
from rewindd.store.database import Connection
from rewindd.store.reserve import Reserve
from rewindd.store.thread import StoreThread
from rewindd.store.totals import totals

BLOCK_BYTES = 4096
MIB, GIB = 1 << 20, 1 << 30


class Disk:
    """A file system that says what it is told, and counts how often it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.size_bytes, self.free_bytes = 100 * GIB, 50 * GIB
        self.questions = 0
        monkeypatch.setattr(os, "statvfs", self._statvfs)

    def _statvfs(self, path: str) -> SimpleNamespace:
        self.questions += 1
        return SimpleNamespace(f_frsize=BLOCK_BYTES, f_blocks=self.size_bytes // BLOCK_BYTES, f_bavail=self.free_bytes // BLOCK_BYTES)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in its only element."""
    now = [1000.0]
    monkeypatch.setattr(room_module, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    data = str(tmp_path)
    store = StoreThread(data)
    yield State(
        Bridge(store, Reserve(data)), Blobs(data), data_dir=data, socket="s", runtime_dir=data, home=data, capture=CaptureSettings()
    )
    store.close()


def used_bytes(state: State) -> int:
    return state.bridge.transact_here(totals)[0]


def limit(state: State, *, max_store_bytes: int = GIB, min_free_bytes: int = 0) -> None:
    state.capture = CaptureSettings(max_store_bytes=max_store_bytes, min_free_bytes=min_free_bytes)


def test_up_to_the_store_s_limit(state: State, disk: Disk) -> None:
    """There is room for what the limit leaves beside all that is stored, small or large; when it is reached, for nothing."""
    limit(state)
    first = room(state)
    assert first.bytes == GIB - used_bytes(state)
    assert first.reason == "no room in the store: its limit is 1 GiB (max_bytes in [store])"
    small, large = state.blobs.inline(os.urandom(100_000)), os.urandom(MIB)
    pieces = iter((large, b""))
    digest, size = state.blobs.stream_in(lambda _: next(pieces))

    def write(db: Connection) -> None:
        blobs.put_inline(db, [small])
        blobs.put_file(db, digest, size, state.blobs.stored_bytes(digest))

    state.bridge.transact_here(write)
    state.measured_room = None
    assert first.bytes - room(state).bytes >= MIB + 90_000
    limit(state, max_store_bytes=10)
    state.measured_room = None
    assert room(state) == (0, "no room in the store: its limit is 10 bytes (max_bytes in [store])")


@pytest.mark.parametrize(
    ("size_bytes", "min_free_bytes", "kept_bytes", "said"),
    [(100 * GIB, 0, 5 * GIB, "5 GiB"), (10 * GIB, 0, 2 * GIB, "2 GiB"), (100 * GIB, MIB, MIB, "1 MiB")],
)
def test_what_the_file_system_keeps_free(
    state: State, disk: Disk, size_bytes: int, min_free_bytes: int, kept_bytes: int, said: str
) -> None:
    """Of the file system 2 GiB stay free, or 5 % if that is more, or what the configuration says."""
    limit(state, min_free_bytes=min_free_bytes)
    disk.size_bytes, disk.free_bytes = size_bytes, kept_bytes + 3 * BLOCK_BYTES
    assert room(state) == (3 * BLOCK_BYTES, f"no room in the store: its file system is to keep {said} free (min_free_bytes in [store])")
    disk.free_bytes = kept_bytes - BLOCK_BYTES
    state.measured_room = None
    assert room(state).bytes == 0


def test_a_file_system_that_does_not_say(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the free bytes are not to be had, only the store's own limit counts."""

    def fails(path: str) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "statvfs", fails)
    limit(state)
    assert room(state).bytes == GIB - used_bytes(state)
    assert "limit" in room(state).reason


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the store was found to hold, each time that it was counted."""
    found: list[int] = []

    def counted(db: Connection) -> tuple[int, int, int, int]:
        values = totals(db)
        found.append(values[0])
        return values

    monkeypatch.setattr(room_module, "totals", counted)
    return found


def test_what_the_store_holds_is_counted_now_and_then(state: State, disk: Disk, clock: list[float], counts: list[int]) -> None:
    """A count holds until much was read, or the count of that began anew; the file system is asked each time."""
    limit(state)
    for _ in range(3):
        room(state)
    assert (len(counts), disk.questions) == (1, 3)
    state.handled_bytes += HOLDS_BYTES - 1
    assert room(state).bytes == GIB - counts[0] - HOLDS_BYTES + 1
    assert len(counts) == 1
    state.handled_bytes += 1
    assert room(state).bytes == GIB - counts[1]
    state.handled_bytes = 0
    room(state)
    assert len(counts) == 3


def test_an_old_count_is_made_anew_behind_who_asks(state: State, disk: Disk, clock: list[float], counts: list[int]) -> None:
    """Nobody waits for it; the next question has what it found."""
    limit(state)
    first = room(state)
    state.bridge.transact_here(lambda db: blobs.put_inline(db, [state.blobs.inline(os.urandom(200_000))]))
    clock[0] += HOLDS_S
    assert room(state) == first
    state.bridge.transact_here(lambda db: None)  # the store's thread has done what was asked before
    assert len(counts) == 2
    assert first.bytes - room(state).bytes >= 190_000
    assert len(counts) == 2


def test_near_the_limit_it_is_counted_often(state: State, disk: Disk, clock: list[float], counts: list[int]) -> None:
    """So that what is removed makes room at once."""
    limit(state, max_store_bytes=used_bytes(state) + NEAR_BYTES - 1)
    room(state)
    room(state)
    assert len(counts) == 1
    clock[0] += NEAR_S
    room(state)
    assert len(counts) == 2
    state.capture = CaptureSettings(max_store_bytes=used_bytes(state) + NEAR_BYTES, min_free_bytes=0)
    clock[0] += NEAR_S
    room(state)
    assert len(counts) == 2

"""A day's operations in minutes: what the daemon holds of the system's is the same at the end as at the start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import RealDaemon
from support.day import Day

#: Rounds until everything was loaded, cached and allocated once; and those that are compared.
WARM, ROUNDS = 3, 6
WARM_LONG, ROUNDS_LONG = 40, 200
MIB = 1 << 20


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RealDaemon]:
    """A daemon that keeps few checkpoints, so that its store is as large at the end as at the start."""
    daemon = RealDaemon(tmp_path)
    config = tmp_path / "config" / "rewindd"
    config.mkdir()
    (config / "config.toml").write_text("[retention]\nkeep_last = 10\nkeep_daily = 0\nkeep_labelled = false\n")
    try:
        yield daemon.start()
        daemon.stop()
    finally:
        daemon.kill()


@pytest.mark.timeout(300)
def test_the_footprint(own: RealDaemon) -> None:
    """Descriptors, threads, tasks, watches, files of the runtime and data directories: none is left by any operation."""
    day = Day(own)
    day.spend(WARM)
    before = day.settled()
    day.spend(ROUNDS)
    assert day.settled(before) == before


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_footprint_of_a_day(own: RealDaemon) -> None:
    """The same for long; memory grows by what SQLite's cache and statements may take, the store by the answers that it keeps for a day."""
    day = Day(own)
    day.spend(WARM_LONG)
    before = day.settled()
    memory, store = [own.resident_bytes()], [store_bytes(own)]
    for _ in range(8):
        day.spend(ROUNDS_LONG // 8)
        day.settled()
        memory.append(own.resident_bytes())
        store.append(store_bytes(own))
        print(day.rounds, memory[-1], store[-1], flush=True)
    assert day.settled(before) == before
    assert memory[-1] - memory[0] < 32 * MIB, memory
    assert store[-1] - store[0] < 8 * MIB, store


def store_bytes(daemon: RealDaemon) -> int:
    return sum(path.stat().st_size for path in daemon.data_dir.rglob("*") if path.is_file())

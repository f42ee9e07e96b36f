"""The change feed when much happens at once: trees made at full speed, an overflowing queue, random work."""

import errno
import os
import random
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rewindd.paths import ROOT, RelPath
from rewindd.tree.watch.feed import Feed
from rewindd.tree.watch.queue import Queue
from rewindd.tree.watch.watch import OVERFLOWED, Health, Watch
from support.mirror import Mirror, on_disk
from support.tree import open_root

#: Argument: a seed. Makes deep trees, fills them, moves and removes them, as fast as it can.
BUILDER = """
import os, random, shutil, sys
rng = random.Random(int(sys.argv[1]))
for number in range(150):
    top = f"n{rng.randrange(40)}"
    deep = top + "".join(f"/{rng.choice('abc')}" for _ in range(rng.randrange(6)))
    os.makedirs(deep, exist_ok=True)
    for name in rng.choices("stuvwxyz", k=4):
        with open(f"{deep}/{name}.txt", "w") as file:
            file.write(str(number))
    match rng.randrange(8):
        case 0:
            shutil.rmtree(top)
        case 1:
            shutil.rmtree(f"n{number % 40}", ignore_errors=True)
            if os.path.isdir(top):
                os.rename(top, f"n{number % 40}")
        case 2:
            os.rename(f"{deep}/{name}.txt", f"{deep}/{name.upper()}.txt")
"""

#: How many events the queue holds here.
FULL = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def flood(top: Path) -> None:
    """Makes more events than the queue holds: writes to two files in turn, which it does not join."""
    with (top / "flood1").open("wb", buffering=0) as one, (top / "flood2").open("wb", buffering=0) as two:
        for _ in range(FULL // 2 + 10):
            os.pwrite(one.fileno(), b"1", 0)
            os.pwrite(two.fileno(), b"2", 0)


def armed(feed: Feed, top: Path) -> Watch:
    watch = feed.open()
    with open_root(top) as root:
        watch.arm(root, ROOT)
    watch.take()
    return watch


@pytest.mark.parametrize("seed", range(3))
def test_trees_made_at_full_speed(feed: Feed, top: Path, seed: int) -> None:
    """While another process makes, moves and removes trees, looking goes on; one look after its end and the copy equals the disk."""
    mirror = Mirror(feed, top)
    with subprocess.Popen([sys.executable, "-ISc", BUILDER, str(seed)], cwd=top) as builder:
        while builder.poll() is None:
            mirror.look()
    assert builder.returncode == 0
    mirror.look()

    assert mirror.copy == on_disk(top)
    assert mirror.watch.health == Health("on")
    assert not mirror.look()


def test_overflow(feed: Feed, top: Path) -> None:
    """When the queue overflows it is counted, every workspace has its whole tree to look at and says why; armed again, all is heard."""
    other_top = top.parent / "other"
    other_top.mkdir()
    watch, other, number = armed(feed, top), armed(feed, other_top), feed.fileno()
    flood(top)
    (other_top / "lost").touch()
    feed.drain()

    assert feed.overflows == 1
    for each in (watch, other):
        assert ROOT in each.take().trees
        assert each.health == Health("off", OVERFLOWED)
    (other_top / "unheard").touch()
    feed.drain()
    assert other.take().paths == {}
    with open_root(other_top) as root:
        other.arm(root, ROOT)
    (other_top / "f").touch()
    feed.drain()
    assert RelPath("f") in other.take().paths
    assert other.health == Health("on")
    assert feed.fileno() == number


def test_waiting_for_events_outlives_an_overflow(feed: Feed, top: Path) -> None:
    """Who waits for the descriptor with epoll, as an event loop does, is woken after an overflow as before it."""
    watch = armed(feed, top)
    with select.epoll() as poll:
        poll.register(feed.fileno(), select.EPOLLIN)
        flood(top)
        while feed.drain():
            pass
        with open_root(top) as root:
            watch.arm(root, ROOT)
        assert poll.poll(0) == []
        (top / "f").touch()

        assert poll.poll(0) == [(feed.fileno(), select.EPOLLIN)]


def test_copy_after_overflows(feed: Feed, top: Path) -> None:
    """A tree with hundreds of directories is copied right after overflows, with work going on before, between and behind them."""
    mirror = Mirror(feed, top)
    for seed in range(2):
        subprocess.run([sys.executable, "-ISc", BUILDER, str(seed)], cwd=top, check=True)
        if seed:
            mirror.look()
        flood(top)
        (top / f"after{seed}").mkdir()
        (top / f"after{seed}/f").write_bytes(b"late")
        mirror.look()
        assert mirror.copy == on_disk(top)
    assert feed.overflows >= 1

    (top / "after0/f").write_bytes(b"later")
    mirror.look()
    assert mirror.copy == on_disk(top)


def test_random_work(feed: Feed, top: Path) -> None:
    """After each of 150 random bursts one look suffices, and what is looked at is about what changed, not the tree."""
    rng = random.Random(11)
    for number in range(300):
        (top / f"still{number // 100}").mkdir(exist_ok=True)
        (top / f"still{number // 100}/f{number}").touch()
    mirror = Mirror(feed, top)
    mirror.look()
    mirror.looked = 0
    changes = 0
    for _ in range(150):
        for _ in range(rng.randrange(1, 8)):
            changes += 1
            disturb(top, rng)
            if rng.random() < 0.1:
                mirror.look()
        mirror.look()
        assert mirror.copy == on_disk(top)

    assert mirror.looked < 12 * changes


@pytest.mark.parametrize("seed", range(3))
def test_random_work_beside_a_limit(feed: Feed, top: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With watches refused now and then nothing is missed: to look at the entries of what is not watched makes up for it."""
    rng, add = random.Random(seed), Queue.add

    def scarce(queue: Queue, fd: int) -> int:
        if rng.random() < 0.4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return add(queue, fd)

    monkeypatch.setattr(Queue, "add", scarce)
    mirror = Mirror(feed, top)
    for _ in range(100):
        for _ in range(rng.randrange(1, 8)):
            disturb(top, rng)
        mirror.look()
        assert mirror.copy == on_disk(top)


def disturb(top: Path, rng: random.Random) -> None:
    """One random piece of work below `top`/w."""
    names = [f"w{a}{b}{c}" for a in ("", "/x", "/y") for b in ("", "/X", "/z") for c in ("", "/k")]
    place, other = (top / rng.choice(names) for _ in range(2))
    match rng.randrange(6):
        case 0 | 1:
            if not any(part.is_file() for part in (place, *place.parents)):
                place.mkdir(parents=True, exist_ok=True)
        case 2:
            if place.is_dir():
                (place / rng.choice("ef")).write_bytes(rng.randbytes(3))
        case 3:
            if place.is_dir() and other.parent.is_dir() and not other.exists() and not other.is_relative_to(place):
                place.rename(other)
        case 4:
            if place.is_dir() and place != top / "w":
                shutil.rmtree(place)
        case _:
            if place.is_dir() and rng.random() < 0.3:
                shutil.rmtree(place)
                place.touch()
            elif place.is_file():
                place.unlink()

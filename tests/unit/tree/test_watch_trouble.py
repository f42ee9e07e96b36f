"""The change feed where a directory cannot be watched, or goes: roots, limits, mounts, file systems without events."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rewindd.paths import ROOT, RelPath
from rewindd.tree.watch import filesystems
from rewindd.tree.watch.feed import Feed
from rewindd.tree.watch.queue import Queue
from rewindd.tree.watch.table import ENDED_AT_ONCE
from rewindd.tree.watch.watch import ROOT_DELETED, ROOT_MOVED, WATCH_LIMIT, Health, Watch
from support.tree import open_root
from support.watching import ON, arm, full, heard, make

ENDS: list[tuple[Callable[[Path], object], str]] = [
    (lambda top: top.rename(top.parent / "moved"), ROOT_MOVED),
    (lambda top: top.rmdir(), ROOT_DELETED),
]


@pytest.mark.parametrize(("change", "reason"), ENDS)
def test_root_goes(feed: Feed, watch: Watch, top: Path, change: Callable[[Path], object], reason: str) -> None:
    """A root that was moved or deleted is said to be, and is to be looked at; it is no error."""
    assert watch.health == ON
    change(top)

    assert heard(feed, watch)[1] == {"."}
    assert watch.health == Health("off", reason)


def test_moved_root_is_well_when_armed_again(feed: Feed, watch: Watch, top: Path) -> None:
    """A root that was moved away and back is heard as before, as soon as it is armed again."""
    top.rename(top.parent / "moved")
    (top.parent / "moved").rename(top)
    feed.drain()
    arm(watch, top, ".")
    (top / "f").touch()

    assert watch.health == ON
    assert heard(feed, watch)[0] == {"f"}


def test_limit_of_watches(feed: Feed, watch: Watch, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory beyond the limit of watches is named with the setting to raise; armed again when there is room, all is well."""
    make(top, "a", "b")

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "add", full)
        assert arm(watch, top, "a", "b") == [False, False]
    assert watch.unwatched == {"a": WATCH_LIMIT, "b": WATCH_LIMIT}
    assert watch.health == Health("partly", f"directories not watched: 2 ({WATCH_LIMIT})")

    assert arm(watch, top, "a", "b") == [True, True]
    assert watch.unwatched == {}
    assert watch.health == ON


def test_unused_watches_make_room(feed: Feed, watch: Watch, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of watches those that nobody uses any more are ended first, and then there is room."""
    names = [f"d{number}" for number in range(ENDED_AT_ONCE + 1)]
    make(top, *names)
    feed.drain()
    arm(watch, top, *names)
    watch.forget(ROOT)
    add, ended = Queue.add, list[int]()

    def nearly_full(queue: Queue, fd: int) -> int:
        if not ended:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return add(queue, fd)

    monkeypatch.setattr(Queue, "add", nearly_full)
    monkeypatch.setattr(Queue, "remove", lambda queue, wd: ended.append(wd))

    assert arm(watch, top, names[0]) == [True]
    assert len(ended) == 2  # the one, and the root's


def test_unreadable_directory_is_named(feed: Feed, watch: Watch, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that may not be read cannot be watched: it is named with the system's words, and gone from the list when it is gone."""
    make(top, "a")

    def forbidden(queue: Queue, fd: int) -> int:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Queue, "add", forbidden)
    arm(watch, top, "a")
    assert watch.unwatched == {"a": "permission denied"}
    feed.drain()
    watch.take()
    (top / "a").rmdir()

    assert heard(feed, watch) == (set(), {"a"})
    assert watch.unwatched == {}


def test_nothing_there_to_arm(watch: Watch, top: Path) -> None:
    """To arm what is not there, or is no directory, is the caller's to hear, and nothing is unwatched by it."""
    (top / "f").touch()
    with open_root(top) as root:
        with pytest.raises(FileNotFoundError):
            watch.arm(root, RelPath("none"))
        with pytest.raises(NotADirectoryError):
            watch.arm(root, RelPath("f"))

    assert watch.unwatched == {}


def test_file_system_without_events(feed: Feed, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that tells of nothing no directory counts as watched, and the reason names it."""
    kind = int(subprocess.check_output(["stat", "-f", "-c", "%t", str(top)]), 16)
    monkeypatch.setitem(filesystems.WITHOUT_EVENTS, kind, "nfs")
    watch = feed.open()

    assert arm(watch, top, ".") == [False]
    assert watch.unwatched == {".": "no change events on nfs"}
    assert watch.health == Health("off", "no change events on nfs")


@pytest.fixture
def mounted(top: Path) -> Iterator[Path]:
    """A file system of its own at `top`/m."""
    place = top / "m"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted")
    yield place
    subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def test_mount_below_the_root(feed: Feed, watch: Watch, top: Path, mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is mounted below the root is judged by its own kind of file system."""
    tmpfs = 0x01021994  # linux/magic.h
    monkeypatch.setitem(filesystems.WITHOUT_EVENTS, tmpfs, "fuse")

    assert arm(watch, top, ".", "m") == [True, False]
    assert watch.unwatched == {"m": "no change events on fuse"}


def test_unmounted(feed: Feed, watch: Watch, top: Path, mounted: Path) -> None:
    """What was mounted is to be looked at as a tree when it is unmounted, and what is under it is heard once it is armed."""
    make(mounted, "d")
    arm(watch, top, "m", "m/d")
    feed.drain()
    watch.take()
    subprocess.run(["umount", str(mounted)], check=True)

    assert heard(feed, watch)[1] == {"m"}
    assert arm(watch, top, "m") == [True]
    (mounted / "f").touch()
    assert heard(feed, watch)[0] == {"m/f"}

"""What tests of the change feed begin with: directories made, armed, and what was heard of them."""

import errno
import os
from pathlib import Path

from rewindd.paths import RelPath
from rewindd.tree.watch.feed import Feed
from rewindd.tree.watch.queue import Queue
from rewindd.tree.watch.watch import Health, Watch
from support.tree import open_root

ON = Health("on")


class Clock:
    """Seconds as the test says."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def arm(watch: Watch, top: Path, *directories: str) -> list[bool]:
    """Arms as one piece of work and forgets what was dirty until then."""
    with open_root(top) as root:
        armed = [watch.arm(root, RelPath(directory)) for directory in directories]
    watch.take()
    return armed


def full(queue: Queue, fd: int) -> int:
    """What `Queue.add` does at the limit of watches."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def make(top: Path, *directories: str) -> None:
    for directory in directories:
        (top / directory).mkdir()


def heard(feed: Feed, watch: Watch) -> tuple[set[str], set[str]]:
    """Returns the paths and the trees that are dirty now."""
    feed.drain()
    dirt = watch.take()
    return {*dirt.paths}, {*dirt.trees}

"""Which files are opened, by anybody: inotify(7) with IN_OPEN, in the test's own process."""

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rewindd.tree.watch.queue import IN_ISDIR, IN_Q_OVERFLOW, records

_IN_OPEN = 0x00000020
_libc = ctypes.CDLL(None, use_errno=True)


class Openings:
    """The files below some directories that were opened since it was made."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._fd >= 0
        self._directories = {_libc.inotify_add_watch(self._fd, os.fsencode(one), _IN_OPEN): one for one in directories}
        assert min(self._directories) > 0

    def files(self) -> list[Path]:
        """Returns the files that were opened since it was last asked, each as often as it was."""
        found: list[Path] = []
        while True:
            try:
                data = os.read(self._fd, 1 << 20)
            except BlockingIOError:
                return found
            for wd, mask, name in records(data):
                assert not mask & IN_Q_OVERFLOW, "more was opened than can be told"
                if not mask & IN_ISDIR and name:
                    found.append(self._directories[wd] / os.fsdecode(name))

    def close(self) -> None:
        """Ends it."""
        os.close(self._fd)


@contextmanager
def openings(top: Path) -> Iterator[Openings]:
    """Notes what is opened in a directory and in those right in it, for the block."""
    found = Openings([top, *(one for one in top.iterdir() if one.is_dir() and one.name != ".git")])
    try:
        yield found
    finally:
        found.close()

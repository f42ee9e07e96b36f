"""Whether the directories that were looked into are still where they were.

A descriptor stays the same directory when somebody moves it away: what is read through it then never was under the path that it
is read for. So who looks notes each directory that it looks into, and asks in the end which of them are somewhere else.
"""

import os
from contextlib import suppress

from rewindd.errors import OutsideWorkspace
from rewindd.paths import ROOT, RelPath
from rewindd.tree.birth import birth_ns
from rewindd.tree.root import Root

#: Noted directories that are kept open: the inode of one that is deleted is not given to the next as long as somebody has it open. For
#: more of them the time of their birth must tell, which steps by a tick of some milliseconds.
HELD = 64

_Identity = tuple[int, int, int]


class Whereabouts:
    """The directories that one piece of work looked into; for its thread. To be closed."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._noted: dict[RelPath, _Identity] = {}
        self._held: dict[RelPath, int] = {}

    def note(self, directory: RelPath) -> None:
        """Notes which directory is there, before something in it is looked at. Where none is, there is nothing to note."""
        if directory in self._noted:
            return
        with suppress(OSError, OutsideWorkspace):
            fd = self._root.directory(directory)
            self._noted[directory] = _identity(fd)
            if len(self._held) < HELD:
                self._held[directory] = os.dup(fd)

    def moved(self) -> set[RelPath]:
        """Returns the noted directories that are not there any more, or are others, and forgets them; the Root opens all anew."""
        if not self._noted:
            return set()
        self._root.forget(ROOT)
        gone = {directory for directory, identity in self._noted.items() if self._now(directory) != identity}
        for directory in gone:
            del self._noted[directory]
            if directory in self._held:
                os.close(self._held.pop(directory))
        return gone

    def close(self) -> None:
        """Lets go of all; twice does no harm."""
        while self._held:
            os.close(self._held.popitem()[1])

    def _now(self, directory: RelPath) -> _Identity | None:
        try:
            return _identity(self._root.directory(directory))
        except (OSError, OutsideWorkspace):
            return None


def _identity(fd: int) -> _Identity:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino, birth_ns(fd)

"""Whether the directories that were looked into are still where they were.

A descriptor stays the same directory when somebody moves it away: what is read through it then never was under the path that it
is read for. So who looks notes each directory that it looks into, and asks in the end which of them are somewhere else.
"""

import os
from contextlib import suppress

from rewindd.errors import OutsideWorkspace
from rewindd.paths import ROOT, RelPath
from rewindd.tree.root import Root


class Whereabouts:
    """The directories that one piece of work looked into; for its thread."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._noted: dict[RelPath, tuple[int, int]] = {}

    def note(self, directory: RelPath) -> None:
        """Notes which directory is there, before something in it is looked at. Where none is, there is nothing to note."""
        if directory not in self._noted:
            with suppress(OSError, OutsideWorkspace):
                self._noted[directory] = self._identity(directory)

    def moved(self) -> set[RelPath]:
        """Returns the noted directories that are not there any more, or are others, and forgets them; the Root opens all anew."""
        if not self._noted:
            return set()
        self._root.forget(ROOT)
        gone = {directory for directory, identity in self._noted.items() if self._now(directory) != identity}
        for directory in gone:
            del self._noted[directory]
        return gone

    def _now(self, directory: RelPath) -> tuple[int, int] | None:
        try:
            return self._identity(directory)
        except (OSError, OutsideWorkspace):
            return None

    def _identity(self, directory: RelPath) -> tuple[int, int]:
        found = os.fstat(self._root.directory(directory))
        return found.st_dev, found.st_ino

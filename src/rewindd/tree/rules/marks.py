"""Directories that are judged by what lies in them and is not captured: a repository of its own, which answers for itself, a mark that
leaves all out, a rule file that rules leave out.

What is in a directory that is left out is watched by nobody, and `.git` is never captured. So a mark that goes, and a repository that
comes, would be met by no question: it is noted what each directory was judged by, and looked at whether that is still so.
"""

import os
from collections.abc import Iterable

from rewindd.paths import GIT_DIRECTORY, RelPath

#: What a look at a mark says of it: device, inode, size, and when it was changed; None: there is none.
_Stamp = tuple[int, int, int, int] | None


class Marks:
    """What directories of one workspace were last judged by; used by one thread at a time."""

    def __init__(self, root_path: str) -> None:
        self._root_path = root_path
        self._tops: set[RelPath] = set()
        self._marked: dict[tuple[RelPath, str], _Stamp] = {}
        self._turned: set[RelPath] = set()

    def judged(self, directory: RelPath, *, is_top: bool) -> None:
        """Notes whether a directory was judged as one with a repository of its own."""
        if is_top != (directory in self._tops):
            (self._tops.add if is_top else self._tops.discard)(directory)
            self._turned.add(directory)

    def left_out(self, directory: RelPath, mark: str) -> None:
        """Notes that a directory is left out for the mark in it."""
        self._marked[directory, mark] = self._stamp(directory, mark)

    def rules_left_out(self, directory: RelPath, name: str) -> None:
        """Notes that a rule file in a directory is itself left out, and counts."""
        if (directory, name) not in self._marked:
            self.left_out(directory, name)
            self._turned.add(directory)

    def turned(self, directories: Iterable[RelPath]) -> set[RelPath]:
        """Returns where something else is to be judged by than it was: a mark or a rule file is gone or another, a repository came or went.

        Costs a stat for each mark and each rule file that is left out, and for each directory that is named.

        Args:
            directories: those in which a repository may have come to be, or gone.
        """
        for directory in directories:
            self.judged(directory, is_top=os.path.lexists(f"{self._root_path}/{directory}/{GIT_DIRECTORY}"))
        gone = [noted for noted, stamp in self._marked.items() if stamp is None or self._stamp(*noted) != stamp]
        for noted in gone:  # who judges the directory again finds the mark again, where it is one still
            del self._marked[noted]
        found, self._turned = self._turned | {directory for directory, _ in gone}, set()
        return found

    def settle(self) -> None:
        """All there is was judged by what was found: nothing of that is to be judged again."""
        self._turned.clear()

    def _stamp(self, directory: RelPath, mark: str) -> _Stamp:
        try:
            found = os.stat(f"{self._root_path}/{directory}/{mark}", follow_symlinks=False)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns

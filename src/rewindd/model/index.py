"""The index in memory: the last known version of every path of a workspace, found by path or by the directory it is in.

Cost follows what is asked for: what lies below a directory is found without walking the rest.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Self

from rewindd.model.capture import LIMIT
from rewindd.model.log import IndexEntry
from rewindd.model.versions import Directory, File, Unknown
from rewindd.paths import ROOT, RelPath


class Index(dict[RelPath, IndexEntry]):
    """Entries by path. Changed through `put` only, which keeps what is counted here right.

    Attributes:
        files: how many of the entries are files.
        size_bytes: what the files' contents come to.
        linked: files that have other names, through which they may be written unseen.
    """

    def __init__(self, entries: Iterable[IndexEntry] = ()) -> None:
        super().__init__()
        self.files = 0
        self.size_bytes = 0
        self.linked: set[RelPath] = set()
        self._inside: dict[str, list[RelPath]] = {}
        #: By directory, what in it is not known and leads to what is: a file may be known without the directories that it is in.
        self._leading: dict[str, set[RelPath]] = {}
        self.put(entries)

    def put(self, entries: Iterable[IndexEntry]) -> Self:
        """Adds entries, or replaces those of the same path. Returns itself."""
        for entry in entries:
            path = entry.path
            old = self.get(path)
            if old is None:
                if path != ROOT:
                    self._link(path)
            else:
                self._count(old, -1)
            self[path] = entry
            self._count(entry, 1)
        return self

    def inside(self, directory: RelPath) -> list[RelPath]:
        """Returns the known names right in a directory, absent ones too; not to be changed."""
        return self._inside.get("" if directory == "." else directory, [])

    def by_directory(self) -> Iterator[tuple[RelPath, list[RelPath]]]:
        """Yields each path that known names are right in, a directory now or not, with these names; not to be changed."""
        for head, paths in self._inside.items():
            yield (RelPath(head) if head else ROOT), paths

    def below(self, directory: RelPath) -> Iterator[RelPath]:
        """Yields the known paths below a path, without itself; parents first."""
        level = ["" if directory == "." else directory]
        while level:
            deeper: list[str] = []
            for above in level:
                inside = self._inside.get(above, ())
                yield from inside
                deeper += inside
                deeper += self._leading.get(above, ())
            level = deeper

    def is_unlisted(self, entry: IndexEntry) -> bool:
        """True for a directory in a covered one whose own entries could not be looked at yet."""
        above = self.get(entry.path.parent) if is_uncovered(entry) else None
        return above is not None and above.covered is not None

    def of_inodes(self, inodes: Set[tuple[int, int]]) -> list[IndexEntry]:
        """Returns the entries of these inodes, each (device, inode) as last seen; walks all entries where any is asked for."""
        if not inodes:
            return []
        return [one for one in self.values() if one.signature is not None and (one.signature.device, one.signature.inode) in inodes]

    def _link(self, path: RelPath) -> None:
        """Makes a new path findable from the root, whether or not the directories on the way are known."""
        head = path.rpartition("/")[0]
        self._inside.setdefault(head, []).append(path)
        if head in self._leading:
            self._leading[head].discard(path)
        while head and head not in self:
            above = head.rpartition("/")[0]
            leading = self._leading.setdefault(above, set())
            if head in leading:
                return
            leading.add(RelPath(head))
            head = above

    def _count(self, entry: IndexEntry, step: int) -> None:
        version = entry.version
        if isinstance(version, File):
            self.files += step
            self.size_bytes += step * version.size
            if entry.signature is not None and entry.signature.links > 1:
                (self.linked.add if step > 0 else self.linked.discard)(entry.path)


class LeftOut(dict[RelPath, str]):
    """The names that rules and limits leave out, with the reason of each. Changed through `put` and `strike` only.

    Attributes:
        limited: those that a limit leaves out.
    """

    def __init__(self, reasons: Mapping[RelPath, str] | None = None) -> None:
        super().__init__()
        self._inside: dict[str, set[RelPath]] = {}
        self._kinds: dict[RelPath, bool] = {}
        self.limited: set[RelPath] = set()
        self.put(reasons or {})

    def put(self, reasons: Mapping[RelPath, str]) -> None:
        """Adds names, or gives those that are there another reason."""
        for path, reason in reasons.items():
            self[path] = reason
            (self.limited.add if reason.startswith(LIMIT) else self.limited.discard)(path)
            self._inside.setdefault(path.rpartition("/")[0], set()).add(path)

    def strike(self, paths: Iterable[RelPath]) -> None:
        """Takes names off; one that is not there is no error."""
        for path in paths:
            self._kinds.pop(path, None)
            self.limited.discard(path)
            if self.pop(path, None) is not None:
                self._inside[path.rpartition("/")[0]].discard(path)

    def judged(self, path: RelPath, is_directory: bool) -> None:
        """Notes what a name was when it was left out: a rule may be about directories only."""
        self._kinds[path] = is_directory

    def still(self, path: RelPath, is_directory: bool) -> str | None:
        """Returns why a name is left out, if it is what it was when that was judged; None where that must be judged again."""
        return self.get(path) if self._kinds.get(path) == is_directory else None

    def inside(self, directory: RelPath) -> Set[RelPath]:
        """Returns the names right in a directory; not to be changed."""
        return self._inside.get("" if directory == "." else directory, _NONE)

    def below(self, directory: RelPath) -> list[RelPath]:
        """Returns the names below a directory; walks all of them."""
        return [path for path in self if path.below(directory)]


_NONE: Set[RelPath] = frozenset()


def is_uncovered(entry: IndexEntry) -> bool:
    """True for a directory, not the root, of whose entries not all were looked at."""
    return entry.covered is None and isinstance(entry.version, Directory) and entry.path != ROOT


def is_there(entry: IndexEntry | None) -> bool:
    """True where something is known to be at the path."""
    return entry is not None and not isinstance(entry.version, Unknown) and entry.signature is not None

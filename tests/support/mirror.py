"""The smallest user of the change feed: keeps a copy of a tree by looking only at what the feed says."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rewindd.errors import OutsideWorkspace
from rewindd.paths import ROOT, RelPath
from rewindd.tree.root import Root
from rewindd.tree.watch.feed import Feed
from support.tree import open_root

#: What is at a path: a file's content, a link's target, or that it is a directory.
Seen = bytes | str | None


class Mirror:
    """A copy in memory of the tree at `top`. `looked` counts how many names were looked at."""

    def __init__(self, feed: Feed, top: Path) -> None:
        self.watch = feed.open()
        self.copy: dict[RelPath, Seen] = {}
        self.looked = 0
        self._inside: dict[RelPath, set[RelPath]] = {}
        self._feed, self._top = feed, top

    def look(self) -> bool:
        """Looks at everything that changed until now; False when there was nothing."""
        self._feed.drain()
        dirt, unwatched = self.watch.take(), self.watch.unwatched
        found = bool(dirt.paths or dirt.trees or unwatched)
        with open_root(self._top) as root:
            for directory in unwatched:
                if self.copy.get(directory, "") is None:
                    self._list(root, directory, deep=False)
                else:  # it was found to be gone, or another thing
                    self.watch.forget(directory)
            while dirt.paths or dirt.trees:
                for path in dirt.trees:
                    self._drop(path)
                for path in (*dirt.trees, *dirt.paths):
                    self._see(root, path)
                dirt = self.watch.take()  # what arming a directory marked
        return found

    def _see(self, root: Root, path: RelPath) -> None:
        """Looks at one path, and at all below a directory that is new; what fails by a race is marked again by its event."""
        self.looked += 1
        try:
            found = os.stat(path.name, dir_fd=root.directory(path.parent), follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                self._drop(path)
                self._put(path, read(root, path, found))
            elif self.copy.get(path, "") is not None:
                self._list(root, path, deep=True)
        except (OSError, OutsideWorkspace):
            self._drop(path)
            self.watch.forget(path)

    def _list(self, root: Root, directory: RelPath, *, deep: bool) -> None:
        """Watches, lists, goes down, if not `deep` then only into what is new; what was known and is not listed is gone."""
        pending = [directory]
        while pending:
            path = pending.pop()
            try:
                self.watch.arm(root, path)
                names = _names(root, path)
            except (OSError, OutsideWorkspace):
                self._drop(path)
                continue
            if self.copy.get(path, "") is not None:
                self._drop(path)
                self._put(path, None)
            for gone in self._inside.get(path, set()) - set(names):
                self._drop(gone)
            for name in names:
                self.looked += 1
                try:
                    found = os.stat(name.name, dir_fd=root.directory(path), follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        if deep or self.copy.get(name, "") is not None:
                            pending.append(name)
                        else:
                            self.watch.arm(root, name)
                    else:
                        self._drop(name)
                        self._put(name, read(root, name, found))
                except (OSError, OutsideWorkspace):
                    self._drop(name)

    def _put(self, path: RelPath, seen: Seen) -> None:
        self.copy[path] = seen
        if path != ROOT:
            self._inside.setdefault(path.parent, set()).add(path)

    def _drop(self, path: RelPath) -> None:
        self._inside.get(path.parent, set()).discard(path)
        pending = [path]
        while pending:
            gone = pending.pop()
            self.copy.pop(gone, None)
            pending += self._inside.pop(gone, set())


def _names(root: Root, directory: RelPath) -> list[RelPath]:
    fd = root.listable(directory)
    try:
        return [directory.child(name) for name in os.listdir(fd)]
    finally:
        os.close(fd)


def read(root: Root, path: RelPath, found: os.stat_result) -> Seen:
    if stat.S_ISLNK(found.st_mode):
        return os.readlink(path.name, dir_fd=root.directory(path.parent))
    fd = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=root.directory(path.parent))
    try:
        return os.read(fd, 1 << 20)
    finally:
        os.close(fd)


def on_disk(top: Path) -> dict[RelPath, Seen]:
    """Returns what a copy of the tree should be."""
    with open_root(top) as root:
        return {ROOT: None, **dict(_walk(root, top))}


def _walk(root: Root, top: Path) -> Iterator[tuple[RelPath, Seen]]:
    for directory, directories, files in os.walk(top):
        for name in (*directories, *files):
            path = RelPath(os.path.relpath(f"{directory}/{name}", top))
            found = Path(directory, name).lstat()
            yield path, None if stat.S_ISDIR(found.st_mode) else read(root, path, found)

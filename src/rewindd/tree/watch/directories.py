"""The directories of one workspace that are watched, or could not be, found by path and by what they lie in."""

from collections.abc import Iterator

from rewindd.paths import ROOT, RelPath


class Directories:
    """Watch descriptors and refusals by path. Taking a tree out costs what is in it, never the size of the workspace."""

    def __init__(self) -> None:
        self.refused: dict[RelPath, str] = {}
        self._watched: dict[RelPath, int] = {}
        self._inside: dict[RelPath, set[RelPath]] = {}

    def knows(self, path: RelPath) -> bool:
        """True when the directory, or one below it, is watched or was refused."""
        return path in self._watched or path in self.refused or path in self._inside

    def put(self, path: RelPath, wd: int) -> int | None:
        """The directory is watched; returns the watch descriptor that it had before."""
        before = self._watched.get(path)
        self._watched[path] = wd
        self.refused.pop(path, None)
        if before is None:
            self._link(path)
        return before

    def refuse(self, path: RelPath, reason: str) -> int | None:
        """The directory cannot be watched; returns the watch descriptor that it had before."""
        self.refused[path] = reason
        self._link(path)
        return self._watched.pop(path, None)

    def take_tree(self, path: RelPath) -> Iterator[tuple[RelPath, int | None]]:
        """Takes out the directory and all below it: yields each with its watch descriptor, None if it was refused."""
        self._unlink(path)
        return self._take([path])

    def take_below(self, path: RelPath) -> Iterator[tuple[RelPath, int | None]]:
        """Takes out all below the directory, which stays; yields as `take_tree`."""
        return self._take(list(self._inside.pop(path, ())))

    def _take(self, found: list[RelPath]) -> Iterator[tuple[RelPath, int | None]]:
        while found:
            path = found.pop()
            found += self._inside.pop(path, ())
            wd = self._watched.pop(path, None)
            if self.refused.pop(path, None) is not None or wd is not None:
                yield path, wd

    def _link(self, path: RelPath) -> None:
        """Makes a path findable from the root: every directory on the way knows what is in it, itself watched or not."""
        while path != ROOT:
            above = path.parent
            inside = self._inside.get(above)
            if inside is not None:
                inside.add(path)
                return
            self._inside[above] = {path}
            path = above

    def _unlink(self, path: RelPath) -> None:
        while path != ROOT:
            above = path.parent
            inside = self._inside.get(above)
            if inside is None:
                return
            inside.discard(path)
            if inside:
                return
            del self._inside[above]
            if above in self._watched or above in self.refused:
                return
            path = above

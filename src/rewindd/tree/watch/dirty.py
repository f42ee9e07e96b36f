"""What is to be looked at again, and when: pure, the time is an argument."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rewindd.paths import ROOT, RelPath

#: (first_s, last_s): when it was first and last touched since it was looked at; seconds of time.monotonic.
Span = tuple[float, float]

#: With more single paths than that the whole tree is looked at: a look at 100,000 files by signature takes less than a second, and
#: so many spans take 15 MB.
MOST_PATHS = 50_000


@dataclass(slots=True)
class Dirt:
    """What to look at.

    Attributes:
        paths: each by itself.
        trees: each with all that is below it, and all that was known to be there; none of `paths` and `trees` lies below one.
        closed: files that somebody had open to write and closed, or unmapped. They may be changed though nothing of it shows: of a
            page that is written through a mapping only the first write moves the time stamps, until it is written back (mmap(2)).
    """

    paths: dict[RelPath, Span] = field(default_factory=dict)
    trees: dict[RelPath, Span] = field(default_factory=dict)
    closed: set[RelPath] = field(default_factory=set)


class Dirty:
    """The paths and trees touched since they were last taken."""

    def __init__(self) -> None:
        self._paths = _Spans()
        self._trees = _Spans()
        self._closed: set[RelPath] = set()

    def mark(self, paths: Iterable[RelPath], now_s: float) -> None:
        """Each of these paths was touched."""
        if self._paths.touch(paths, now_s) > MOST_PATHS:
            self.mark_all(now_s)

    def close(self, paths: Iterable[RelPath]) -> None:
        """Each of these paths, which are marked too, was open to be written and is not any more."""
        self._closed.update(paths)
        if len(self._closed) > MOST_PATHS:
            self._closed.clear()

    def mark_tree(self, directory: RelPath, now_s: float) -> None:
        """A directory was touched in a way that says nothing of what is below it."""
        if self._trees.touch((directory,), now_s) > MOST_PATHS:
            self.mark_all(now_s)

    def mark_all(self, now_s: float) -> None:
        """Everything is to be looked at, since the first of what was."""
        first_s = min(now_s, self._paths.first_s, self._trees.first_s)
        self._paths, self._trees = _Spans(), _Spans()
        self._trees.touch((ROOT,), first_s)
        self._trees.touch((ROOT,), now_s)

    def take(self) -> Dirt:
        """Removes and returns everything, unsifted."""
        taken = Dirt(self._paths.by_path, self._trees.by_path, self._closed)
        self._paths, self._trees, self._closed = _Spans(), _Spans(), set()
        return taken

    def take_due(self, last_s: float, first_s: float) -> Dirt:
        """Removes and returns, unsifted, what was last touched at `last_s` or earlier, or first at `first_s` or earlier."""
        taken = Dirt(self._paths.take_due(last_s, first_s), self._trees.take_due(last_s, first_s))
        taken.closed = set(self._closed) if ROOT in taken.trees else self._closed & taken.paths.keys()
        self._closed -= taken.closed
        return taken

    def due_s(self, quiet_s: float, at_latest_s: float) -> float | None:
        """Returns when the first of it has been quiet for `quiet_s` or was first touched `at_latest_s` ago; never later than that."""
        due = [spans.due_s(quiet_s, at_latest_s) for spans in (self._paths, self._trees) if spans.by_path]
        return min(due, default=None)


def sifted(dirt: Dirt) -> Dirt:
    """Returns it without what lies below one of its trees."""
    if not dirt.trees:
        return dirt
    inside = _inside_of(dirt.trees)
    return Dirt(
        {path: span for path, span in dirt.paths.items() if path not in dirt.trees and not inside(path)},
        {path: span for path, span in dirt.trees.items() if path == ROOT or not inside(path)},
        dirt.closed,
    )


class _Spans:
    """Spans by path, what was touched last at the end."""

    def __init__(self) -> None:
        self.by_path: OrderedDict[RelPath, Span] = OrderedDict()
        #: When the first was touched, or earlier: it is not looked for again when that one is taken.
        self.first_s = float("inf")

    def touch(self, paths: Iterable[RelPath], now_s: float) -> int:
        """Notes that paths were touched at `now_s`, no earlier than any before; returns how many there are in all."""
        by_path = self.by_path
        fresh = (now_s, now_s)
        for path in paths:
            known = by_path.get(path)
            if known is None:
                by_path[path] = fresh
            else:
                by_path[path] = (known[0], now_s)
                by_path.move_to_end(path)
        if now_s < self.first_s and by_path:
            self.first_s = now_s
        return len(by_path)

    def take_due(self, last_s: float, first_s: float) -> dict[RelPath, Span]:
        """Removes and returns as `Dirty.take_due`; costs what it returns, unless something was first touched long ago."""
        due: dict[RelPath, Span] = {}
        by_path = self.by_path
        while by_path and next(iter(by_path.values()))[1] <= last_s:
            path, span = by_path.popitem(last=False)
            due[path] = span
        if not by_path:
            self.first_s = float("inf")
        if self.first_s <= first_s:
            for path in [path for path, span in by_path.items() if span[0] <= first_s]:
                due[path] = by_path.pop(path)
            self.first_s = min((span[0] for span in by_path.values()), default=float("inf"))
        return due

    def due_s(self, quiet_s: float, at_latest_s: float) -> float:
        """Returns as `Dirty.due_s`; there must be something."""
        return min(next(iter(self.by_path.values()))[1] + quiet_s, self.first_s + at_latest_s)


def _inside_of(trees: Iterable[RelPath]) -> Callable[[RelPath], bool]:
    """Returns what tells whether a path lies below one of the trees; it asks each directory once."""
    known: dict[str, bool] = dict.fromkeys(trees, True)
    everywhere = ROOT in known

    def inside(path: str) -> bool:
        if everywhere:
            return True
        asked = []
        above = path.rpartition("/")[0]
        while above and above not in known:
            asked.append(above)
            above = above.rpartition("/")[0]
        found = known[above] if above else False
        known.update(dict.fromkeys(asked, found))
        return found

    return inside

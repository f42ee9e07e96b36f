"""Which row each line of a file came from: back from the newest version, from each version to the one it was made of.

Pure. Contents are asked for as they are needed: `blame` yields the versions that it must see next, and is sent their contents
by digest. The cost follows the path's own history, and ends at a bound; what is older than that is said to be older.

A version that an operation wrote is no session's work: its lines came from the versions that it brought back. A file that was renamed has
its lines from the path that it had before.
"""

from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from rewindd.model.log import Row, Source
from rewindd.model.versions import File, Version
from rewindd.paths import RelPath
from rewindd.timeline import lines
from rewindd.timeline.history import Moment, Timeline

#: Versions that are gone back through. An agent that edits a file every minute makes as many in a day and a half.
MAX_VERSIONS = 2000
#: Lines times lines compared in all: some 0.5 s.
MAX_COMPARED = 30 * lines.MAX_COMPARED
#: Versions, and bytes of them, that are asked for at once.
AHEAD = 16
AHEAD_BYTES = 8 << 20
#: Rows whose versions are searched for what one operation brought back.
MAX_BROUGHT_BACK = 16

#: Yields versions, is sent contents by digest (not of those too large), and returns the spans.
Blaming = Generator[frozenset[File], Mapping[bytes, bytes], "list[Span]"]


@dataclass(frozen=True, slots=True)
class Span:
    """Lines that follow each other and came from one row. `first` counts from 0.

    `row` None: they were there when the path was first looked at, or with `older` come from before that position, and how is not known.
    """

    first: int
    count: int
    row: Row | None
    older: int | None = None


def blame(
    timeline: Timeline, path: RelPath, count: int, *, cut: Container[RelPath] = (), renames: Mapping[int, Row] | None = None
) -> Blaming:
    """Returns the spans of the newest version of a path, which has `count` lines.

    Args:
        cut: paths whose oldest rows the timeline lacks.
        renames: by the position of a row that made a file, the deletion that it came from; the timeline has that path's rows up to it.
    """
    walk = _Walk(timeline, path, cut, renames or {})
    return (yield from walk.back(count))


@dataclass(frozen=True, slots=True)
class _Origin:
    row: Row | None
    older: int | None = None


#: Lines on their way back: the first of them in the newest version, where it is in an older one, and how many follow.
Stretch = tuple[int, int, int]


@dataclass(slots=True)
class _Texts:
    """The contents of the versions that were asked for last."""

    contents: dict[bytes, bytes] = field(default_factory=dict)

    def of(self, version: Version) -> bytes:
        return self.contents[version.digest] if isinstance(version, File) else b""

    def take(self, wanted: Iterable[File], contents: Mapping[bytes, bytes]) -> None:
        """What is binary, or too large to be there, has no lines: nothing can have come from it."""
        for version in wanted:
            content = contents.get(version.digest, b"")
            self.contents[version.digest] = b"" if lines.is_binary(content) else content


@dataclass(frozen=True, slots=True)
class _Place:
    """A moment of a path, with the row that made it (None: none did) and the number of the path's moment before (None: it is the first)."""

    path: RelPath
    moment: Moment
    row: Row | None
    before: int | None


def _places(timeline: Timeline, paths: Iterable[RelPath]) -> list[_Place]:
    """The moments of all these paths as one list, by position."""
    moments = sorted(((moment, path) for path in paths for moment in timeline.moments(path)), key=lambda one: one[0].seq)
    rows = {(path, row.seq): row for path in paths for row in timeline.rows(path)}
    last: dict[RelPath, int] = {}
    found: list[_Place] = []
    for moment, path in moments:
        found.append(_Place(path, moment, rows.get((path, moment.seq)), last.get(path)))
        last[path] = len(found) - 1
    return found


class _Walk:
    """The lines of the newest version on their way back: at each moment those that are not accounted for."""

    def __init__(self, timeline: Timeline, path: RelPath, cut: Container[RelPath], renames: Mapping[int, Row]) -> None:
        self._timeline, self._path, self._cut, self._renames = timeline, path, cut, renames
        self._places = _places(timeline, {path, *(gone.path for gone in renames.values())})
        self._at = {(place.path, place.moment.seq): number for number, place in enumerate(self._places)}
        self._pending: dict[int, list[Stretch]] = {}
        self._texts = _Texts()
        self._compared = 0

    def back(self, count: int) -> Blaming:
        origins: list[_Origin] = [_Origin(None)] * count
        newest = max((number for number, place in enumerate(self._places) if place.path == self._path), default=None)
        if newest is not None and count:
            self._pending[newest] = [(0, 0, count)]
        seen = 0
        while self._pending:
            number = max(self._pending)
            waiting = _joined(self._pending.pop(number))
            seen += 1
            if seen > MAX_VERSIONS or self._compared > MAX_COMPARED:
                # Whatever else waits is older, or as old.
                waiting = [stretch for rest in (waiting, *self._pending.values()) for stretch in rest]
                self._pending.clear()
                origin: _Origin | None = _Origin(None, self._places[number].moment.seq + 1)
            else:
                before = self._places[number].before
                origin, waiting = (self._first(number), waiting) if before is None else (yield from self._step(number, before, waiting))
            for line, _, length in waiting:
                origins[line : line + length] = [origin or _Origin(None)] * length
        return _spans(origins)

    def _first(self, number: int) -> _Origin:
        """What the lines of a path's oldest moment came from: it is a first look, or the state before the first row that is known."""
        place = self._places[number]
        if place.row is not None and place.row.source.is_view:
            return _Origin(place.row)
        rows = self._timeline.rows(place.path)
        return _Origin(None, rows[0].seq) if place.path in self._cut and rows else _Origin(None)

    def _step(
        self, number: int, before: int, waiting: list[Stretch]
    ) -> Generator[frozenset[File], Mapping[bytes, bytes], tuple[_Origin | None, list[Stretch]]]:
        """Takes lines from a moment to those before; returns those that began in it, and with which row."""
        place = self._places[number]
        row = place.row
        if row is None or _same(place.moment.version, self._places[before].moment.version):
            self._move(before, waiting)
            return None, []
        same = self._same_before(number) if row.source is Source.EFFECT else self._renamed(number)
        if same is not None:
            self._move(same, waiting)
            return None, []
        sources = [before, *(self._brought_back(number, row) if row.source is Source.EFFECT else ())]
        for source in sources:
            if waiting:
                waiting = yield from self._trace(number, source, waiting)
        return _Origin(row), waiting

    def _trace(self, number: int, source: int, waiting: list[Stretch]) -> Generator[frozenset[File], Mapping[bytes, bytes], list[Stretch]]:
        """Takes to `source` the lines that it has too; returns the others."""
        yield from self._load(number, source)
        old, new = (self._texts.of(self._places[place].moment.version) for place in (source, number))
        blocks, compared = lines.stays(old, new)
        self._compared += compared
        moved, left = _parted(waiting, blocks)
        self._move(source, moved)
        return left

    def _move(self, number: int, stretches: list[Stretch]) -> None:
        if stretches:
            self._pending.setdefault(number, []).extend(stretches)

    def _same_before(self, number: int) -> int | None:
        """The newest earlier moment that had just this content: if there is one with just these rows live, that."""
        wanted = self._places[number].moment
        found: int | None = None
        for earlier in self._back_from(number):
            moment = self._places[earlier].moment
            if _same(moment.version, wanted.version):
                if moment.live == wanted.live:
                    return earlier
                found = earlier if found is None else found
        return found

    def _renamed(self, number: int) -> int | None:
        """The moment at which what came here was at another path still, just before it went from there."""
        place = self._places[number]
        gone = self._renames.get(place.moment.seq)
        at = self._at.get((gone.path, gone.seq)) if gone is not None else None
        before = self._places[at].before if at is not None else None
        # Only ever back in time: two files that took each other's names must not be gone through for ever.
        is_it = before is not None and before < number and _same(self._places[before].moment.version, place.moment.version)
        return before if is_it else None

    def _back_from(self, number: int) -> Iterator[int]:
        """Yields the path's moments before one, newest first."""
        before = self._places[number].before
        while before is not None:
            yield before
            before = self._places[before].before

    def _brought_back(self, number: int, row: Row) -> list[int]:
        """The moments before this one that an operation took lines from, newest first: before what it took back, after what it put back."""
        at = self._timeline.operation_at(row)
        off, on = self._timeline.toggled(at, row.path) if at is not None else (frozenset(), frozenset())
        after = {one for seq in on if (one := self._at.get((row.path, seq))) is not None}
        before = {self._places[one].before for seq in off if (one := self._at.get((row.path, seq))) is not None}
        last = self._places[number].before or 0
        return sorted((place for place in after | before if place is not None and place < last), reverse=True)[:MAX_BROUGHT_BACK]

    def _load(self, number: int, source: int) -> Generator[frozenset[File], Mapping[bytes, bytes], None]:
        """Has the lines of two moments at hand; asks for those of the moments before along with them."""
        needed = _files(self._places[place].moment.version for place in (number, source))
        if all(version.digest in self._texts.contents for version in needed):
            return
        wanted = list(needed)
        size = sum(version.size for version in wanted)
        for earlier in islice(self._back_from(source), AHEAD):
            for version in _files([self._places[earlier].moment.version]):
                size += version.size
                wanted += [version] if size <= AHEAD_BYTES else []
        asked = frozenset(wanted)
        self._texts = _Texts()
        self._texts.take(asked, (yield asked))


def _parted(waiting: Sequence[Stretch], blocks: Sequence[lines.Block]) -> tuple[list[Stretch], list[Stretch]]:
    """Parts stretches, in order of where they are, into what some blocks keep, told by where it was before, and the rest."""
    moved: list[Stretch] = []
    left: list[Stretch] = []
    place = 0
    for line, there, length in waiting:
        at, end = there, there + length
        while place < len(blocks) and blocks[place][1] + blocks[place][2] <= at:
            place += 1
        n = place
        while at < end and n < len(blocks) and blocks[n][1] < end:
            before, after, many = blocks[n]
            if after > at:
                left.append((line + at - there, at, after - at))
                at = after
            stop = min(end, after + many)
            moved.append((line + at - there, before + at - after, stop - at))
            at, n = stop, n + 1
        if at < end:
            left.append((line + at - there, at, end - at))
    return moved, left


def _joined(waiting: Iterable[Stretch]) -> list[Stretch]:
    """Returns stretches in order of where they are, those that follow each other on both sides as one."""
    joined: list[Stretch] = []
    for line, there, length in sorted(waiting, key=lambda stretch: stretch[1]):
        last = joined[-1] if joined else None
        if last is not None and (last[0] + last[2], last[1] + last[2]) == (line, there):
            joined[-1] = (last[0], last[1], last[2] + length)
        else:
            joined.append((line, there, length))
    return joined


def _same(one: Version, other: Version) -> bool:
    """True for versions with the same lines: two contents that are the same, or none on either side."""
    first = one.digest if isinstance(one, File) else None
    second = other.digest if isinstance(other, File) else None
    return first == second


def _files(versions: Iterable[Version]) -> list[File]:
    return [version for version in versions if isinstance(version, File)]


def _spans(origins: Sequence[_Origin]) -> list[Span]:
    spans: list[Span] = []
    for number, origin in enumerate(origins):
        last = spans[-1] if spans else None
        if last is not None and (last.row is origin.row and last.older == origin.older):
            spans[-1] = Span(last.first, last.count + 1, last.row, last.older)
        else:
            spans.append(Span(number, 1, origin.row, origin.older))
    return spans

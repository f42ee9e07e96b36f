"""What the log says of some paths: their state and their live rows at any position.

Pure. A `Timeline` holds the complete rows of the paths it is about, the toggles of those rows, and the index; what it
answers follows docs/design.md, "The one idea", under the same names.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import IndexEntry, Row, Source, Toggle
from rewindd.model.versions import UNKNOWN, Unknown, Version
from rewindd.paths import RelPath

Seqs = frozenset[int]


@dataclass(frozen=True, slots=True)
class Moment:
    """From position `seq` on, until the next moment: the path's version, and which of its rows were live."""

    seq: int
    version: Version
    live: Seqs


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive rows of one owner on one path, joined: from `before` to `after`.

    What operations wrote in between counts for nothing where it came to nothing: a rewind and its undo.
    """

    before: Version
    after: Version
    rows: tuple[Row, ...]


def state_at(seq: int, following: Row | None, entry: IndexEntry | None) -> Version:
    """state(w, s)(p), from the first row of the path after the position, and what the index says of it."""
    if following is not None:
        return following.before if following.since <= seq else UNKNOWN
    return entry.version if entry and entry.since <= seq else UNKNOWN


class Timeline:
    """The log of `paths`, whole, up to `position`. Immutable; made for one decision and thrown away.

    Args:
        rows: every row of each path it is asked about.
        toggles: every toggle of those rows.
        operations: the position of each operation that wrote an effect row among `rows`.
        index: the last known version of each of the paths, and whatever else is known.
        position: the log's last position, "now".
    """

    def __init__(
        self,
        rows: Iterable[Row],
        toggles: Iterable[Toggle],
        operations: Mapping[OperationId, int],
        index: Mapping[RelPath, IndexEntry],
        position: int,
    ) -> None:
        self.position = position
        self._index = index
        self._operations = operations
        by_path: defaultdict[RelPath, list[Row]] = defaultdict(list)
        path_of: dict[int, RelPath] = {}
        for row in sorted(rows, key=lambda row: row.seq):
            by_path[row.path].append(row)
            path_of[row.seq] = row.path
        self._rows: dict[RelPath, list[Row]] = dict(by_path)
        grouped: defaultdict[RelPath, defaultdict[int, list[Toggle]]] = defaultdict(lambda: defaultdict(list))
        for toggle in toggles:
            if toggle.row in path_of:
                grouped[path_of[toggle.row]][toggle.at].append(toggle)
        self._toggles = {path: dict(sorted(groups.items())) for path, groups in grouped.items()}
        self._live: dict[tuple[int, RelPath], Seqs] = {}

    def with_rows(self, rows: Sequence[Row]) -> "Timeline":
        """Returns this log with rows that come after all of it."""
        toggles = [toggle for groups in self._toggles.values() for group in groups.values() for toggle in group]
        known = [row for of_path in self._rows.values() for row in of_path]
        return Timeline([*known, *rows], toggles, self._operations, self._index, rows[-1].seq if rows else self.position)

    @property
    def paths(self) -> list[RelPath]:
        """The paths that have rows, in order."""
        return sorted(self._rows)

    @property
    def owners(self) -> frozenset[SessionId]:
        """The sessions that any of the rows is of, alone or with others."""
        return frozenset(owner for rows in self._rows.values() for row in rows for owner in row.owner)

    def rows(self, path: RelPath) -> Sequence[Row]:
        """Every row of a path, by position."""
        return self._rows.get(path, ())

    def current(self, path: RelPath) -> Version:
        """index(p): the version that was last seen."""
        entry = self._index.get(path)
        return entry.version if entry else UNKNOWN

    def state(self, seq: int, path: RelPath) -> Version:
        """state(w, s)(p): the path's version at a position; unknown where nobody had looked."""
        return state_at(seq, next((row for row in self.rows(path) if row.seq > seq), None), self._index.get(path))

    def live(self, seq: int, path: RelPath) -> Seqs:
        """live(s) of one path: its content rows up to `seq`, as the operations up to `seq` left them switched."""
        known = self._live.get((seq, path))
        if known is not None:
            return known
        alive = {row.seq for row in self.rows(path) if row.seq <= seq and row.source.is_content}
        for at, group in self._toggles.get(path, {}).items():
            if at <= seq:
                _switch(alive, group)
        return self._live.setdefault((seq, path), frozenset(alive))

    def owned(self, seqs: Iterable[int], path: RelPath, session: SessionId) -> Seqs:
        """Those of `seqs` that are the session's alone."""
        wanted = set(seqs)
        return frozenset(row.seq for row in self.rows(path) if row.seq in wanted and row.owner == (session,))

    def own(self, session: SessionId, seq: int, path: RelPath) -> Seqs:
        """own(S, s) of one path."""
        return self.owned(self.live(seq, path), path, session)

    def nobodys(self, seq: int, path: RelPath) -> Seqs:
        """The live rows at a position that are nobody's."""
        alive = self.live(seq, path)
        return frozenset(row.seq for row in self.rows(path) if row.seq in alive and not row.owner)

    def shared(self, session: SessionId, seq: int, path: RelPath) -> Seqs:
        """The live rows at a position that are of several sessions, this one among them."""
        alive = self.live(seq, path)
        return frozenset(row.seq for row in self.rows(path) if row.seq in alive and len(row.owner) > 1 and session in row.owner)

    def toggled(self, at: int, path: RelPath) -> tuple[Seqs, Seqs]:
        """The rows of a path that the operation at `at` switched (off, on)."""
        group = self._toggles.get(path, {}).get(at, [])
        return frozenset(t.row for t in group if not t.on), frozenset(t.row for t in group if t.on)

    def operation_at(self, row: Row) -> int | None:
        """The position of the operation that wrote an effect row; None for other rows."""
        return self._operations.get(row.operation) if row.operation is not None and row.source is Source.EFFECT else None

    def is_touched(self, at: int, path: RelPath) -> bool:
        """True when the operation at `at` switched rows of a path, or wrote it."""
        return at in self._toggles.get(path, {}) or any(self.operation_at(row) == at for row in self.rows(path))

    def moments(self, path: RelPath) -> list[Moment]:
        """The path's versions with the rows then live, oldest first, from its last view row on."""
        found: list[Moment] = []
        for seq, version, alive, is_first in self._history(path):
            if is_first:
                found.clear()
            found.append(Moment(seq, version, frozenset(alive)))
        return found

    def newest(self, path: RelPath, wanted: Seqs) -> Version:
        """The version of the newest moment at which just these rows were live; unknown where there is none."""
        version: Version = UNKNOWN
        for _, then, alive, is_first in self._history(path):
            if is_first:
                version = UNKNOWN
            if len(alive) == len(wanted) and not isinstance(then, Unknown) and alive == wanted:
                version = then
        return version

    def just_before(self, path: RelPath, at: int) -> Moment | None:
        """The last moment before a position; None where there is none."""
        last: tuple[int, Version] | None = None
        for seq, version, _, is_first in self._history(path):
            if is_first:
                last = None
            if seq < at:
                last = seq, version
        return Moment(*last, self.live(last[0], path)) if last is not None else None

    def _history(self, path: RelPath) -> Iterator[tuple[int, Version, Set[int], bool]]:
        """Yields each moment of a path, its live rows as a set that changes as it goes on; True: what came before does not count.

        An operation's toggles and the effect row that carries them out are one moment: between the two positions the rows
        are switched and the file is not yet written, and nobody could have looked.
        """
        rows, groups = self.rows(path), self._toggles.get(path, {})
        entry = self._index.get(path)
        if not rows:
            if entry:
                yield entry.since, entry.version, set(), True
            return
        written = {at for row in rows if (at := self.operation_at(row)) is not None}
        alive: set[int] = set()
        version = rows[0].before
        yield rows[0].since, version, alive, True
        events: list[tuple[int, Row | None]] = [(row.seq, row) for row in rows] + [(at, None) for at in groups if at not in written]
        for seq, row in sorted(events, key=lambda event: event[0]):
            if row is None:
                _switch(alive, groups[seq])
            else:
                version = row.after
                if row.source.is_content:
                    alive.add(seq)
                elif not row.source.is_view:
                    _switch(alive, groups.get(self.operation_at(row) or 0, ()))
            yield seq, version, alive, row is not None and row.source.is_view

    def runs(self, path: RelPath, seqs: Iterable[int]) -> list[Run]:
        """The runs of a path that are made of these rows, oldest first; runs that come to nothing are left out."""
        wanted, joined, previous = set(seqs), list[list[Row]](), False
        for row in self.rows(path):
            if row.seq not in wanted:
                previous = previous and row.source is Source.EFFECT
                continue
            if previous and joined[-1][-1].owner == row.owner and joined[-1][-1].after == row.before:
                joined[-1].append(row)
            else:
                joined.append([row])
            previous = True
        runs = [Run(rows[0].before, rows[-1].after, tuple(rows)) for rows in joined]
        return [run for run in runs if run.before != run.after]


def _switch(alive: set[int], group: Iterable[Toggle]) -> None:
    for toggle in group:
        if toggle.on:
            alive.add(toggle.row)
        else:
            alive.discard(toggle.row)

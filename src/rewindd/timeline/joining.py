"""What of the log may go once nobody can ask for some positions any more: its beginning is cut, and rows in between are joined.

Pure. At every position that stays, state, live rows and whose they are remain what they were; so does what is wanted of any path by a
rewind to it. docs/design.md, "Retention", says why.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec import structs

from rewindd.model.ids import OperationId
from rewindd.model.log import Row, Toggle
from rewindd.model.versions import ABSENT
from rewindd.paths import RelPath

#: What operations did with a row, each with its position: off False, on True.
Switches = frozenset[tuple[int, bool]]
#: Paths whose last row is remembered while a stretch of the log is read, some 500 bytes each. What comes back later is not joined to it.
MOST_PATHS = 100_000


@dataclass(slots=True)
class Joining:
    """One stretch of the log within which no position can be asked for, read once, in order.

    `take` tells of each row whether an older one goes into it.
    """

    _last: dict[RelPath, tuple[Row, Switches]] = field(default_factory=dict)

    def take(self, row: Row, switches: Switches) -> tuple[Row, int] | None:
        """Returns the row that stands for this one and the last of its path, at this one's position, and the position of the one that goes.

        None where both stay. The toggles of the one that goes go with it.
        """
        before = self._last.pop(row.path, None)
        made = joined(before[0], row) if before is not None and before[1] == switches else None
        if len(self._last) >= MOST_PATHS:
            self._last.clear()
        self._last[row.path] = made or row, switches
        return (made, before[0].seq) if made is not None and before is not None else None


def joined(older: Row, newer: Row) -> Row | None:
    """Returns the row for two that follow each other on a path and were live at the same times; None where it would say something else.

    They are of one run. A row that makes or removes the path, or makes it another kind, must still be seen to do so: what is done to
    the path later is judged by that. A path that was made and removed again keeps both rows.
    """
    if not (older.source.is_content and newer.source.is_content) or older.owner != newer.owner or older.after != newer.before:
        return None
    made = structs.replace(newer, before=older.before, since=older.since)
    for says in (_comes_or_goes, _is_another_kind):
        if says(made) != (says(older) or says(newer)):
            return None
    return made


def cuts(until: int, rows: Iterable[Row], toggles: Iterable[Toggle], operations: Mapping[OperationId, int]) -> dict[RelPath, int]:
    """Returns up to which position each path's rows may go, where that is not `until`, the first position that can be asked for.

    A row that is switched later must stay, and with it all that came after it on its path: what is made of it rests on them. So the
    rows that go are live at the end as they will be for ever, and stand for nothing in any comparison.

    Args:
        rows: every row up to `until` of the paths of which a row was ever switched.
        toggles: every toggle of those rows.
        operations: the position of each operation that wrote an effect row among them.
    """
    switched: defaultdict[int, list[int]] = defaultdict(list)
    for toggle in toggles:
        switched[toggle.row].append(toggle.at)
    by_path: defaultdict[RelPath, list[Row]] = defaultdict(list)
    for row in rows:
        by_path[row.path].append(row)
    return {path: cut for path, of_path in by_path.items() if (cut := _cut(until, of_path, switched, operations)) != until}


def _cut(until: int, of_path: Iterable[Row], switched: Mapping[int, list[int]], operations: Mapping[OperationId, int]) -> int:
    cut, listed = until, list(of_path)
    while True:
        before = cut
        for row in listed:
            if row.seq <= cut and any(at > cut for at in switched.get(row.seq, ())):
                cut = row.seq - 1
            at = operations.get(row.operation, row.seq) if row.operation is not None else row.seq
            if at <= cut < row.seq:
                cut = at - 1
        if cut == before:
            return cut


def _comes_or_goes(row: Row) -> bool:
    return (row.before == ABSENT) != (row.after == ABSENT)


def _is_another_kind(row: Row) -> bool:
    return row.before.kind is not row.after.kind

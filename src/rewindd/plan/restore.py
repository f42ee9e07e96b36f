"""What a restore wants of each path: single things back as they were, everything else left.

A restore removes nothing: a path that was absent then and is there now stays. Where no position is named, the newest burst of
deletions is what comes back.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from rewindd.model.ids import SessionId
from rewindd.model.log import Row
from rewindd.model.versions import Absent, Unknown
from rewindd.paths import RelPath
from rewindd.plan.draft import Draft, Exact, Keep
from rewindd.plan.merge import Clash
from rewindd.plan.naming import Names, listed
from rewindd.timeline.history import Timeline

#: Deletions further apart than this are not one: an `rm -rf` of 100,000 files takes seconds, and is seen half a minute later at the latest.
GAP_NS = 60 * 1_000_000_000
#: A write goes into the log up to 5 s after it was made, a deletion perhaps at once, and a look takes its time: one that is noted no later
#: than that after a deletion may have been before it.
LAG_NS = 10 * 1_000_000_000


@dataclass(slots=True)
class Burst:
    """The newest burst of deletions among some rows, told from the newest row backwards.

    `deletions`: the newest of each path. `is_over` once an older row cannot be of it: somebody worked there in between, or more
    than `GAP_NS` passed. A long deletion is seen in several looks, and what was made shortly before it may be noted between two of
    them: so a write to what the burst itself deleted is work in between only where it was noted later than `LAG_NS` after a deletion.
    """

    deletions: dict[RelPath, Row] = field(default_factory=dict)
    is_over: bool = False
    _newer_ns: int | None = None
    _written_ns: int | None = None

    def take(self, rows: Iterable[Row]) -> None:
        """Goes on with older rows, newest first; those behind the end of the burst are not looked at.

        What an operation removed is deleted too. What an operation brought, and what only became known, says nothing.
        """
        for row in rows:
            if self.is_over:
                return
            if row.source.is_view:
                continue
            if isinstance(row.after, Absent):
                self._take(row)
            elif row.source.is_content:
                self._pass(row)

    def _take(self, row: Row) -> None:
        is_apart = self._newer_ns is not None and self._newer_ns - row.at_ns > GAP_NS
        if is_apart or (self._written_ns is not None and self._written_ns - row.at_ns > LAG_NS):
            self.is_over = True
            return
        self._newer_ns, self._written_ns = row.at_ns, None
        self.deletions.setdefault(row.path, row)

    def _pass(self, row: Row) -> None:
        self._written_ns = row.at_ns if self._written_ns is None else self._written_ns
        self.is_over = row.path not in self.deletions or self._written_ns - row.at_ns > LAG_NS


def before_of(timeline: Timeline, deletion: Row) -> int:
    """Returns the position just before a deletion. That of an operation was decided before its first row: rows are switched there."""
    at = timeline.operation_at(deletion)
    return (deletion.seq if at is None else at) - 1


def deleted(timeline: Timeline, burst: Burst) -> dict[RelPath, int]:
    """Returns, for each path of a burst that is still gone, the position at which it is wanted."""
    gone = (row for row in burst.deletions.values() if isinstance(timeline.current(row.path), Absent | Unknown))
    return {row.path: before_of(timeline, row) for row in gone}


def restore(
    timeline: Timeline,
    wanted: Mapping[RelPath, int],
    session: SessionId | None = None,
    names: Names | None = None,
    *,
    overwrite: bool = True,
    unkept: Collection[RelPath] = (),
) -> list[Draft]:
    """Returns what it takes to have each path as it was at its position, by path; nothing for one that is so, or was absent.

    The rows live then are live again, everybody's.

    Args:
        session: who asks; the others whose work goes or stands in the way are named.
        names: what sessions are called, for the words.
        overwrite: False: what is there and differs is a conflict.
        unkept: paths where something else is on disk than the log says, and is in no store: who may lose that is not decided here.
    """
    ways = (_way(timeline, path, wanted[path], overwrite=overwrite, is_unkept=path in unkept) for path in sorted(wanted))
    by_path = zip(sorted(wanted), ways, strict=True)
    return [_restored(timeline, path, wanted[path], way, session, names or Names()) for path, way in by_path if way is not None]


def _way(timeline: Timeline, path: RelPath, seq: int, *, overwrite: bool, is_unkept: bool) -> Exact | Keep | Clash | None:
    current, version = timeline.current(path), timeline.state(seq, path)
    if isinstance(version, Absent) or (version == current and not is_unkept):
        return None
    if isinstance(version, Unknown):
        return Keep("not known at that point")
    if isinstance(current, Unknown):
        return Keep("outside the rules now")
    if not (overwrite or is_unkept or isinstance(current, Absent)):
        return Clash("there is something else now")
    return Exact(version)


def _restored(timeline: Timeline, path: RelPath, seq: int, way: Exact | Keep | Clash, session: SessionId | None, names: Names) -> Draft:
    live, then = timeline.live(timeline.position, path), timeline.live(seq, path)
    going = live - then
    gone = listed({owner for row in timeline.rows(path) if row.seq in going for owner in row.owner} - {session})
    if isinstance(way, Clash):
        way = Clash(names.standing(way.reason, gone))
    why = names.why("as it was then", gone=gone)
    return Draft(path=path, current=timeline.current(path), live=live, wanted=then, way=way, why=why, gone=gone)

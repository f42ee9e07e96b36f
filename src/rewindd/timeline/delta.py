"""What a session changed between two positions: a fold of the log, path by path."""

from collections.abc import Iterable
from dataclasses import dataclass

from rewindd.model.ids import SessionId
from rewindd.model.log import Row
from rewindd.model.versions import Version
from rewindd.paths import RelPath
from rewindd.timeline.history import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class PathDelta:
    """One path's change. `spans` are its parts in order; between two of them others changed the path, and it is `mixed`.

    `seq` and `at_ns` are those of the last row of it.
    """

    path: RelPath
    before: Version
    after: Version
    spans: tuple[tuple[Version, Version], ...]
    mixed: bool
    seq: int
    at_ns: int


def delta(timeline: Timeline, session: SessionId, start: int, end: int) -> list[PathDelta]:
    """delta(S, a -> b): what is the session's own at `end` and was not at `start`, and the other way round."""
    found = (_of_path(timeline, path, session, start, end) for path in timeline.paths)
    return [change for change in found if change is not None]


def unowned(timeline: Timeline, start: int, without: Iterable[int] = ()) -> dict[RelPath, int]:
    """Nobody's live rows after a position, but for those in `without`: how many, for each path that has any."""
    taken = set(without)
    counts = {path: sum(seq > start for seq in timeline.nobodys(timeline.position, path) - taken) for path in timeline.paths}
    return {path: count for path, count in counts.items() if count}


def contested(timeline: Timeline, session: SessionId, start: int) -> list[RelPath]:
    """The paths with live rows after a position that are of several sessions, this one among them."""
    return [path for path in timeline.paths if any(seq > start for seq in timeline.shared(session, timeline.position, path))]


def _of_path(timeline: Timeline, path: RelPath, session: SessionId, start: int, end: int) -> PathDelta | None:
    if timeline.own(session, start, path) == timeline.own(session, end, path):
        return None
    steps = [row for row in timeline.rows(path) if start < row.seq <= end and _is_transition(timeline, row, session)]
    spans = _spans(steps)
    if not spans:
        return None
    return (
        PathDelta(
            path=path,
            before=spans[0][0],
            after=spans[-1][1],
            spans=tuple(span for span in spans if span[0] != span[1]),
            mixed=len(spans) > 1,
            seq=steps[-1].seq,
            at_ns=steps[-1].at_ns,
        )
        if any(before != after for before, after in spans)
        else None
    )


def _is_transition(timeline: Timeline, row: Row, session: SessionId) -> bool:
    """True for the session's own changes, and for what operations wrote to take them back or put them back."""
    if row.source.is_content:
        return row.owner == (session,)
    at = timeline.operation_at(row)
    if at is None:
        return False
    off, on = timeline.toggled(at, row.path)
    return bool(timeline.owned(off | on, row.path, session))


def _spans(steps: Iterable[Row]) -> list[tuple[Version, Version]]:
    """Joins transitions that follow each other on the path without anybody else in between."""
    spans: list[tuple[Version, Version]] = []
    for row in steps:
        if spans and spans[-1][1] == row.before:
            spans[-1] = (spans[-1][0], row.after)
        else:
            spans.append((row.before, row.after))
    return spans

"""The log's rows cut and joined, a page in a transaction; each leaves the log as right as it was.

Which rows may go is decided by `timeline.joining`. A walk that was cut off begins anew: what is joined is joined.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rewindd.model.ids import WorkspaceId
from rewindd.model.log import Row
from rewindd.model.versions import File, Version
from rewindd.paths import RelPath
from rewindd.store import edits, operations
from rewindd.store.schema import Connection
from rewindd.timeline.joining import Joining, cuts

#: Rows read in one transaction: some milliseconds.
PAGE_ROWS = 100


@dataclass(frozen=True, slots=True)
class Swept:
    """What a page came to. `last`: how far it went, None: to the end. `rows` went, and with them a mention of each of `lost`."""

    last: int | None
    rows: int = 0
    lost: tuple[bytes, ...] = ()


def cuts_page(db: Connection, workspace: WorkspaceId, until: int, after: int) -> tuple[int | None, dict[RelPath, int]]:
    """Returns up to where paths may be cut on which a row behind `after` was ever switched, where that is before `until`.

    And how far it went; None: to the end.
    """
    switched = edits.switched_until(db, workspace, until, after, PAGE_ROWS)
    paths = {row.path for row in edits.at(db, workspace, switched)}
    rows = edits.of_paths(db, workspace, paths, until)
    written = operations.positions(db, {row.operation for row in rows if row.operation is not None})
    toggles = edits.toggles_of_rows(db, workspace, (row.seq for row in rows))
    found = cuts(until, rows, toggles, written)
    return switched[-1] if len(switched) == PAGE_ROWS else None, found


def cut(db: Connection, workspace: WorkspaceId, until: int, earlier: Mapping[RelPath, int], after: int, *, is_dry: bool = False) -> Swept:
    """Forgets the rows of a page behind `after`, up to `until` or where their path is in `earlier`. `is_dry`: only tells."""
    rows = edits.page(db, workspace, after, until, PAGE_ROWS)
    going = [row for row in rows if row.seq <= earlier.get(row.path, until)]
    if going and not is_dry:
        edits.drop(db, workspace, (row.seq for row in going))
    lost = [digest for row in going for digest in _digests(row.before, row.after)]
    return Swept(rows[-1].seq if len(rows) == PAGE_ROWS else None, len(going), tuple(lost))


def join(db: Connection, workspace: WorkspaceId, until: int, joining: Joining, after: int, *, is_dry: bool = False) -> Swept:
    """Joins the rows of a page behind `after`, up to `until`, with each other and with what `joining` was given before."""
    rows = edits.page(db, workspace, after, until, PAGE_ROWS)
    switches: defaultdict[int, set[tuple[int, bool]]] = defaultdict(set)
    for toggle in edits.toggles_of_rows(db, workspace, (row.seq for row in rows)):
        switches[toggle.row].add((toggle.at, toggle.on))
    made: dict[int, Row] = {}
    gone: list[int] = []
    lost: list[bytes] = []
    for row in rows:
        taken = joining.take(row, frozenset(switches[row.seq]))
        if taken is not None:
            made[row.seq] = taken[0]
            made.pop(taken[1], None)
            gone.append(taken[1])
            lost += _digests(row.before, row.before)
    if gone and not is_dry:
        edits.drop(db, workspace, gone)
        edits.put(db, workspace, list(made.values()))
    return Swept(rows[-1].seq if len(rows) == PAGE_ROWS else None, len(gone), tuple(lost))


def _digests(*versions: Version) -> Collection[bytes]:
    return [version.digest for version in versions if isinstance(version, File)]

"""Stretches of the log of which no position can be asked for any more, and which of them were not cut or joined yet.

Two never overlap. One that begins at 0 is the log's beginning: its rows are cut; those of others are joined.
"""

from collections.abc import Iterable

from rewindd.model.ids import WorkspaceId
from rewindd.store.records import Records
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

_TABLE = Records("stretches", ("workspace", "first"), ("last", "swept"))

#: The first position of a stretch, and the last; the one after it can be asked for.
Stretch = tuple[int, int]


def add(db: Connection, workspace: WorkspaceId, found: Iterable[Stretch]) -> None:
    """Notes stretches that are to be swept, in the place of those that are within them. Raises UnknownWorkspace."""
    number = number_of(db, workspace)
    for first, last in found:
        db.execute("DELETE FROM stretches WHERE workspace = ? AND first >= ? AND last <= ?", (number, first, last))
        _TABLE.put(db, [(number, first, last, 0)])


def unswept(db: Connection, workspace: WorkspaceId) -> Stretch | None:
    """Returns the first stretch that is to be swept; None where there is none. Raises UnknownWorkspace."""
    return _TABLE.find(db, _stretch, "WHERE workspace = ? AND swept = 0 ORDER BY first", (number_of(db, workspace),))


def drop(db: Connection, workspace: WorkspaceId, stretch: Stretch) -> None:
    """Forgets a stretch; others are noted in its place. Raises UnknownWorkspace."""
    db.execute("DELETE FROM stretches WHERE workspace = ? AND first = ?", (number_of(db, workspace), stretch[0]))


def swept(db: Connection, workspace: WorkspaceId, stretch: Stretch) -> None:
    """Notes that a stretch's rows were cut or joined. Raises UnknownWorkspace."""
    _TABLE.put(db, [(number_of(db, workspace), *stretch, 1)])


def around(db: Connection, workspace: WorkspaceId, seq: int) -> Stretch | None:
    """Returns the stretch that a position lies in; None where it can be asked for. Raises UnknownWorkspace."""
    clause = "WHERE workspace = ? AND first <= ? AND last >= ? ORDER BY first DESC"
    return _TABLE.find(db, _stretch, clause, (number_of(db, workspace), seq, seq))


def _stretch(workspace: int, first: int, last: int, swept: int) -> Stretch:
    return first, last

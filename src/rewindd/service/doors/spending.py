"""What the sessions of grants add to the store, counted as it is written."""

from collections import Counter
from collections.abc import Iterable

from rewindd.model.ids import GrantId
from rewindd.model.log import Row, Source
from rewindd.model.versions import File
from rewindd.service.capture.changes import Change
from rewindd.service.state import Tree
from rewindd.store import grants
from rewindd.store.database import Connection


def first_seen_bytes(changes: Iterable[Change]) -> int:
    """Returns the bytes of contents that are seen for the first time, and that nobody is known to have made."""
    return sum(one.after.size for one in changes if one.source is Source.FIRST_SEEN and isinstance(one.after, File))


def spend(db: Connection, tree: Tree, rows: Iterable[Row]) -> None:
    """Counts the contents that rows of the log name against the grants of the sessions that own them; in the caller's transaction."""
    if not tree.granted:
        return
    used: Counter[GrantId] = Counter()
    for row in rows:
        grant = tree.granted.get(row.owner[0]) if len(row.owner) == 1 else None
        if grant is not None and isinstance(row.after, File):
            used[grant] += row.after.size
    for grant, size in used.items():
        grants.spend(db, grant, size)

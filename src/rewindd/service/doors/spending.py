"""What the sessions of grants add to the store: bounded before it is read, counted as it is written."""

from collections import Counter
from collections.abc import Iterable

from rewindd.model.capture import NO_ROOM, binary
from rewindd.model.ids import GrantId
from rewindd.model.log import Owner, Row, Source
from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.service.capture.changes import Change
from rewindd.service.capture.holding import announced
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import grants
from rewindd.store.database import Connection
from rewindd.timeline.attribution import owner_of


def first_seen_bytes(changes: Iterable[Change]) -> int:
    """Returns the bytes of contents that are seen for the first time, and that nobody is known to have made."""
    return sum(one.after.size for one in changes if one.source is Source.FIRST_SEEN and isinstance(one.after, File))


def spend(db: Connection, tree: Tree, rows: Iterable[Row]) -> None:
    """Counts the contents that rows of the log name against the grants of the sessions that own them; in the caller's transaction."""
    if not tree.granted:
        return
    used: Counter[GrantId] = Counter()
    for row in rows:
        grant = _payer(tree, row.owner)
        if grant is not None and isinstance(row.after, File):
            used[grant] += row.after.size
    for grant, size in used.items():
        grants.spend(db, grant, size)


class Purse:
    """What the grants of a workspace may still add, during one observation. For a worker thread, under the workspace's lock.

    What is more is not read: it is as content for which the store has no room, until the grant ends, or nobody of it holds the path.
    """

    def __init__(self, state: State, tree: Tree) -> None:
        """Takes where it is asked who holds a path; of the grants nothing is read before one has to pay."""
        self._state, self._tree = state, tree
        self._left: dict[GrantId, int] = {}
        self._quotas: dict[GrantId, int] = {}

    def refuse(self, path: RelPath, size_bytes: int) -> str | None:
        """Returns why a file of so many bytes is not read; None where nobody's grant pays for it, or has room."""
        grant = self._pays(path)
        if grant is None or size_bytes <= self._left_of(grant):
            return None
        return f"{NO_ROOM}: grant {grant} has a quota of {binary(self._quotas[grant])}; `rewindctl grant --revoke {grant}` ends it"

    def took(self, path: RelPath, size_bytes: int) -> None:
        """Notes that a file is captured: whoever pays for it has less."""
        grant = self._pays(path)
        if grant is not None:
            self._left[grant] = self._left_of(grant) - size_bytes

    def _pays(self, path: RelPath) -> GrantId | None:
        if not self._tree.granted:
            return None
        return _payer(self._tree, owner_of(announced(self._state, self._tree, path))[0])

    def _left_of(self, grant: GrantId) -> int:
        if grant not in self._left:
            found = self._state.bridge.transact_here(lambda db: grants.find(db, grant))
            self._quotas[grant] = found.quota_bytes if found is not None else 0
            self._left[grant] = found.quota_bytes - found.used_bytes if found is not None else 0
        return self._left[grant]


def _payer(tree: Tree, owner: Owner) -> GrantId | None:
    """The grant that pays for a change: where all that it may be of came through grants, the first one's."""
    through = [tree.granted.get(one) for one in owner]
    return through[0] if through and all(through) else None

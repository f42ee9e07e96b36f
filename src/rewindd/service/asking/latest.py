"""The newest rows of a workspace's log, in memory: what a save asks of the store is mostly what was just written to it."""

from collections import deque
from collections.abc import Sequence

from rewindd.model.log import Row

#: Rows that are remembered: those of a few turns. Who is further behind reads the store.
LIMIT = 200


class Latest:
    """The last rows as they were committed, without a gap; whatever switches rows or takes some out of the log ends them.

    For the event loop only, under the workspace's lock.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rows: deque[Row] = deque()
        self._since = self._until = -1

    def add(self, before: int, rows: Sequence[Row], position: int) -> None:
        """Takes over rows that brought the log from one position to another. What came without being told ends what was there."""
        if before != self._until:
            self._rows.clear()
            self._since = before
        self._rows.extend(rows)
        self._until = position
        while len(self._rows) > self._limit:
            self._since = self._rows.popleft().seq

    def since(self, seq: int, position: int) -> list[Row] | None:
        """Returns the rows after a position of the log, which is at `position`; None where they are not all here."""
        if self._until != position or seq < self._since:
            return None
        return [row for row in self._rows if row.seq > seq]

    def clear(self) -> None:
        """Forgets all of them."""
        self._rows.clear()
        self._since = self._until = -1

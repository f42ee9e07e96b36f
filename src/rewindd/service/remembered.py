"""The sessions that are in memory: all that are open, and the closed ones that were asked about last."""

from collections.abc import Iterator

from rewindd.model.ids import SessionId
from rewindd.model.session import Session

#: Closed sessions that stay in memory; the store has them all. A year's are tens of thousands.
MAX_CLOSED = 1_000


class Remembered:
    """Sessions by id. Used from the event loop only."""

    def __init__(self) -> None:
        self._sessions: dict[SessionId, Session] = {}
        self._closed: dict[SessionId, None] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def get(self, session: SessionId) -> Session | None:
        """Returns a session where it is in memory."""
        return self._sessions.get(session)

    def put(self, session: Session) -> SessionId | None:
        """Takes over a session as it is now; returns the one that is let go of for it, if any."""
        self._sessions[session.id] = session
        self._closed.pop(session.id, None)
        if session.closed_at_ns is None:
            return None
        self._closed[session.id] = None
        if len(self._closed) <= MAX_CLOSED:
            return None
        oldest = next(iter(self._closed))
        self.drop(oldest)
        return oldest

    def drop(self, session: SessionId) -> None:
        """Lets go of a session."""
        del self._sessions[session]
        self._closed.pop(session, None)

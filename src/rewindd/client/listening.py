"""A session's notices as they come: what is asked in turn, and what of the answers is yielded. Without a socket, without waiting."""

import uuid
from collections import deque
from collections.abc import Callable, Sequence

from rewindd.client.notices import Post
from rewindd.protocol.replies import Notice, Notices
from rewindd.protocol.requests import ReadEvents

#: How long the daemon is asked to wait for something to tell; then it is asked again, also about sessions opened meanwhile.
WAIT_MS = 20_000


class Listening:
    """Where a listener is with each of its sessions. `sessions` says whose notices are wanted; those that were closed end.

    A notice is acknowledged when the one after it is asked for, so one that was yielded and not dealt with is told again.
    """

    def __init__(self, sessions: Callable[[], Sequence[str]], post: Post, *, diff: bool, ack: bool) -> None:
        self.ready: deque[Notice] = deque()
        self._sessions, self._post, self._diff, self._ack = sessions, post, diff, ack
        self._after: dict[str, int] = {}
        self._closed: set[str] = set()
        self._waiter = uuid.uuid4().hex

    def open(self) -> list[str]:
        """Returns the sessions to ask about."""
        return [one for one in self._sessions() if one not in self._closed]

    def question(self, session: str, wait_ms: int) -> ReadEvents:
        """Returns the next request about a session. It takes the place of the one before, should that still wait."""
        after = self._after.get(session)
        return ReadEvents(session=session, after=after, wait_ms=wait_ms, diff=self._diff, ack=self._ack, waiter=self._waiter)

    def heard(self, session: str, told: Notices) -> bool:
        """Takes in an answer; returns whether there is something to yield."""
        fresh = [notice for notice in told.events if notice.seq > self._after.get(session, -1)]
        if fresh:
            self._after[session] = told.cursor
            self.ready.extend(fresh)
            if self._ack:
                self._post.box(session).told(told.cursor)
        return bool(fresh)

    def closed(self, session: str) -> None:
        """Says that a session is told of nothing any more."""
        self._closed.add(session)

"""What rides on replies: kept for each session until it is taken, and acknowledged with the next request. Pure."""

from rewindd.protocol.replies import Notice, Notices
from rewindd.protocol.requests import OpenSession, Request


class Mailbox:
    """One session's. The daemon repeats what is not acknowledged; here each notice is once."""

    def __init__(self) -> None:
        self.waiting: list[Notice] = []
        self._seen = self._taken = self._acknowledged = -1

    @property
    def noticed(self) -> int | None:
        """What the next request acknowledges; None: nothing new."""
        return self._taken if self._taken > self._acknowledged else None

    def receive(self, told: Notices | None, acknowledged: int | None) -> None:
        """Takes in a reply: what rode on it, and that its request's acknowledgement arrived."""
        self._acknowledged = max(self._acknowledged, acknowledged if acknowledged is not None else -1)
        fresh = [notice for notice in told.events if notice.seq > self._seen] if told is not None else []
        if fresh:
            self._seen = fresh[-1].seq
            self.waiting = [*self.waiting, *fresh]

    def take(self) -> list[Notice]:
        """Returns what waits, and has it acknowledged with the next request."""
        taken, self.waiting = self.waiting, []
        if taken:
            self._taken = max(self._taken, taken[-1].seq)
        return taken

    def told(self, seq: int) -> None:
        """Says that what is not after a position was read in another way."""
        self._seen = max(self._seen, seq)
        self.waiting = [notice for notice in self.waiting if notice.seq > seq]


class Post:
    """The mailboxes of one client's sessions."""

    def __init__(self) -> None:
        self._boxes: dict[str, Mailbox] = {}

    def box(self, session: str) -> Mailbox:
        """Returns a session's mailbox."""
        return self._boxes.setdefault(session, Mailbox())

    def of(self, request: Request) -> Mailbox | None:
        """Returns the mailbox of the session that a request is about; None where it is about none that is known."""
        session = request.session or (request.id if isinstance(request, OpenSession) else None)
        return self.box(session) if session else None

    @property
    def waiting(self) -> dict[str, list[Notice]]:
        """What waits, of each session for which something does."""
        return {session: list(box.waiting) for session, box in self._boxes.items() if box.waiting}

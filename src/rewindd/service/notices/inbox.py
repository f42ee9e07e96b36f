"""What one session is still to be told: the newest part in memory, the rest in the log, where it is found again.

The log is the store of notices. So nobody pays for a reader that is slow or away: beyond `MAX_PENDING` nothing is kept for it.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import anyio

from rewindd.model.ids import SessionId
from rewindd.model.notice import Notice, NoticeKind
from rewindd.model.stakes import Stakes

#: Notices kept in memory for one session, some 100 KB; what is more is read from the log when there is room again.
MAX_PENDING = 500
#: Taken claims have no row to be found again by: so many are kept while the log must be read.
MAX_LOOSE = 50
#: Processes of one session that are told each by itself, those heard of last. An agent that is resumed has two.
MAX_PROCESSES = 16


@dataclass(slots=True, eq=False)
class Inbox:
    """One session's. Used from the event loop only.

    `cursor`: what is not after it was acknowledged; `saved`: as the store has it. `pending`: what is, in order; all there is
    unless it is `behind`: then what is after `scanned` is only in the log. `until`: what is not after it came from the log already.
    `reading`: held by who reads the log for it. `waiters`: of each long poll that waits, by its waiter's name. `heard`: how far each
    process took note; `recent`: what was acknowledged last, by one process perhaps and not yet by the other.
    """

    cursor: int
    saved: int
    behind: bool = False
    scanned: int = 0
    until: int = 0
    pending: deque[Notice] = field(default_factory=deque)
    loose: list[Notice] = field(default_factory=list)
    reading: anyio.Lock = field(default_factory=anyio.Lock)
    waiters: dict[str, anyio.Event] = field(default_factory=dict)
    encoded: bytes | None = None
    heard: dict[int, int] = field(default_factory=dict)
    recent: deque[Notice] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))

    def cursor_of(self, pid: int | None) -> int:
        """Returns how far a process took note; one that was not heard of (None: not known) as far as anybody did."""
        if pid is None:
            return self.cursor
        found = self.heard.pop(pid, self.cursor)
        while len(self.heard) >= MAX_PROCESSES:
            del self.heard[next(iter(self.heard))]
        self.heard[pid] = found
        return found

    def add(self, notice: Notice) -> None:
        """Takes what was just committed; positions come in order."""
        if self.behind:
            if notice.kind is NoticeKind.CLAIM_TAKEN and len(self.loose) < MAX_LOOSE:
                self.loose.append(notice)
        elif notice.seq > self.until:
            if len(self.pending) < MAX_PENDING:
                self.pending.append(notice)
            else:
                self.behind, self.scanned = True, self.pending[-1].seq
        self.encoded = None
        self.wake()

    def catch_up(self, found: Iterable[Notice], scanned: int, *, is_all: bool) -> None:
        """Takes what the log has after `scanned`, up to a new `scanned`; `is_all`: nothing was committed after it."""
        loose = [one for one in self.loose if one.seq <= scanned]
        self.pending.extend(sorted([*found, *loose], key=lambda one: one.seq))
        self.loose = [one for one in self.loose if one.seq > scanned]
        self.scanned, self.behind, self.encoded = scanned, not is_all, None
        if is_all:
            self.until = scanned
            self.pending.extend(self.loose)
            self.loose = []

    def acknowledge(self, seq: int, pid: int | None = None) -> bool:
        """Drops what is not after a position, for a process and whoever was not heard of; returns whether that was more than before."""
        if pid is not None:
            self.heard[pid] = max(seq, self.cursor_of(pid))
        if seq <= self.cursor:
            return False
        self.cursor = seq
        self.loose = [one for one in self.loose if one.seq > seq]
        while self.pending and self.pending[0].seq <= seq:
            self.recent.append(self.pending.popleft())
        if self.behind:
            self.scanned = max(self.scanned, seq)
        self.encoded = None
        return True

    def after(self, seq: int, limit: int) -> tuple[list[Notice], int]:
        """Returns the first `limit` notices after a position, and how many more are in memory."""
        found = [one for one in (*self.recent, *self.pending) if one.seq > seq]
        return found[:limit], len(found[limit:])

    def wake(self) -> None:
        """Has all who wait look again."""
        for waiter in self.waiters.values():
            waiter.set()


def inboxes(stakes: Stakes, noted: Mapping[SessionId, int], position: int) -> dict[SessionId, Inbox]:
    """Returns the inboxes as a daemon begins with them; `noted`: how far each session took note. Who is not up to date is behind."""
    found: dict[SessionId, Inbox] = {}
    for session in {*stakes.sessions, *noted}:
        cursor = noted.get(session, stakes.first(session))
        found[session] = Inbox(cursor=cursor, saved=cursor, behind=cursor < position, scanned=cursor)
    return found

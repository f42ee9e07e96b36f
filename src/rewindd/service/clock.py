"""How much time passed: whatever is to last so long goes by this, and not by a wall clock that somebody may set.

What is shown as a time, and `@{…}`, is the wall clock's. What came first is told by positions and numbers, never by times.
"""

from datetime import datetime, timedelta, tzinfo
from time import CLOCK_BOOTTIME, clock_gettime_ns, time, time_ns

from rewindd.model.ids import SessionId
from rewindd.model.session import Session

#: What the wall clock showed when the machine started, as far as this process knows. CLOCK_BOOTTIME counts while it sleeps, too.
_BEGAN_NS = time_ns() - clock_gettime_ns(CLOCK_BOOTTIME)


def steady_ns() -> int:
    """Returns the time in ns since the epoch, as it would be if nobody had set the clock since this process began: it never goes back."""
    return _BEGAN_NS + clock_gettime_ns(CLOCK_BOOTTIME)


def steady_at(shown_ns: int) -> int:
    """Returns the steady time of a moment that only the wall clock's time is known of: no later than now, and not moved by a setting."""
    return steady_ns() - max(time_ns() - shown_ns, 0)


class _Here(tzinfo):
    """The zone of this machine, summer and winter: of each time the offset that its clocks had then (localtime(3))."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        return None if dt is None else dt.replace(tzinfo=None).astimezone().tzname()


def now_here() -> datetime:
    """Returns what the wall clock shows, in a zone that knows what it showed, and will show, on other days."""
    return datetime.fromtimestamp(time()).replace(tzinfo=_Here())


class LastAsked:
    """When each session last made a request. Used from the event loop only."""

    def __init__(self) -> None:
        self._at_ns: dict[SessionId, int] = {}

    def note(self, known: Session | None, session: Session) -> None:
        """Takes over what a session says, where it is not what was known of it."""
        if known is None or known.last_seen_at_ns != session.last_seen_at_ns:
            self._at_ns[session.id] = steady_at(session.last_seen_at_ns)

    def forget(self, session: SessionId) -> None:
        """Lets go of a session that is in memory no more."""
        self._at_ns.pop(session, None)

    def is_within(self, session: SessionId, span_ns: int) -> bool:
        """True where that was no longer ago."""
        return steady_ns() - self._at_ns.get(session, 0) < span_ns

"""Where a session's handle sits: what it knows, what it did not tell yet, and how a call is made from there.

A call is a generator: it yields a `Call` and is sent the reply, or is thrown the error, by whoever has a connection. So
the async client and the blocking one do the same. Calls that carry the session's position (`alone`) must not overlap.

A change whose outcome the caller did not learn (cancelled, or no answer) stays in doubt: the next such call asks for it
by its key, with a deadline that has passed, so that it is answered if it was done and is not done if it was not.
"""

import os
import uuid
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from rewindd import errors
from rewindd.client.exchange import OnProgress
from rewindd.client.history import SessionHistory, SessionStats
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import EventBody, Request, StatsDelta

R = TypeVar("R", bound=Reply)
T = TypeVar("T")

#: CLOCK_MONOTONIC in milliseconds, long past: what is asked with it is answered from the kept answers, or not at all.
PAST_MS = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and the type of its reply."""

    request: Request
    expected: type[Reply]


Steps = Generator[Call, Reply, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Generic[T]):
    """A call to be driven. `placeholder` makes its result from a reason when no daemon answered and none is required.

    `alone`: not beside another such call of the same session. `timeout_s`: of silence, for each of its requests.
    `on_progress`: is told how far each of its requests is.
    """

    steps: Steps[T]
    placeholder: Callable[[str], T]
    alone: bool = False
    timeout_s: float | None = None
    on_progress: OnProgress | None = None


class Run(Generic[T]):
    """Steps on their way. `call` is what to ask next, None once they ended; then `result` holds. Closed by its `with`."""

    result: T

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.call: Call | None = None

    def __enter__(self) -> "Run[T]":
        self._advance(lambda: next(self._steps))
        return self

    def __exit__(self, *_: object) -> None:
        self._steps.close()

    def send(self, reply: Reply) -> None:
        """Goes on with the reply."""
        self._advance(lambda: self._steps.send(reply))

    def throw(self, error: errors.RewinddError) -> None:
        """Goes on with the error that the request ended in."""
        self._advance(lambda: self._steps.throw(error))

    def _advance(self, advance: Callable[[], Call]) -> None:
        try:
            self.call = advance()
        except StopIteration as stop:
            self.call, self.result = None, stop.value


class Seat:
    """A session as its handle knows it.

    `info` is None until the daemon was reached. `known` is what the daemon has of the statistics. `doubt` asks again for
    a change whose outcome is not known. `missed` counts paths that could not be kept while there was no daemon. `moved`: another
    process took the conversation on or back, and no call of this one went through since: what is unsent was said before that.
    """

    def __init__(self, opening: requests.OpenSession) -> None:
        self.opening = opening
        self.info: replies.SessionInfo | None = None
        self.head: str | None = None
        self.event: int | None = None
        self.stats = SessionStats()
        self.known = self.stats.copy()
        self.history = SessionHistory(self.stats)
        self.missed = 0
        self.moved = False
        self.doubt: Callable[[], Steps[None]] | None = None

    @property
    def id(self) -> str:
        """The session's id; empty while it is neither given nor known."""
        return self.info.id if self.info is not None else self.opening.id or ""

    @property
    def has_unsent(self) -> bool:
        """True when events or statistics wait to be told."""
        return bool(self.history.unsent) or self.stats.since(self.known) != StatsDelta()

    def base(self) -> requests.Base:
        """What the handle believes the session's head and last event to be."""
        return requests.Base(head=self.head, event=self.event)

    def check_unmoved(self) -> None:
        """Raises HeadMoved where another process took the conversation elsewhere and the caller decided nothing since.

        Then nothing is told on the caller's behalf, as it is at the end of a handle and of a turn.
        """
        if self.moved:
            raise errors.HeadMoved(
                f"session {self.id!r} has moved on, and what was recorded here before that is not told by itself",
                head=self.head,
                event=self.event,
            )

    def stand(self, head: str | None, event: int | None, stats: replies.Stats, told: StatsDelta) -> None:
        """Takes what the daemon said; `told` is what it counted of ours, what was counted meanwhile stays."""
        self.known.become(self.known.copy(), told)
        later = self.stats.since(self.known)
        self.known.become(SessionStats.of(stats), StatsDelta())
        self.stats.become(self.known, later)
        self.head, self.event = head, event


def ask(request: Request, expected: type[R]) -> Steps[R]:
    """Asks one request. Raises what the driver throws: the daemon's error, or that there is none."""
    reply = yield Call(request, expected)  # type: ignore[arg-type]  # mypy: `type[R]` of a union is one of its members' types
    if not isinstance(reply, expected):
        raise errors.InternalError(f"{request.op}: answered with {type(reply).__name__}")
    return reply


def ask_in(seat: Seat, make: Callable[[], Request], expected: type[R]) -> Steps[R]:
    """Asks one request in the session, which is opened first where it is not yet: `make` may use the seat."""
    yield from _enter(seat)
    return (yield from ask(make(), expected))


def ready(seat: Seat) -> Steps[None]:
    """Opens the session where it is not yet, and settles what is in doubt."""
    yield from _enter(seat)
    if seat.doubt is None:
        return
    try:
        yield from seat.doubt()
    except (errors.TransportError, errors.Busy, errors.ShuttingDown):
        raise
    except errors.RewinddError:  # `expired`, and whatever else says that it was not done and will not be
        pass
    seat.doubt = None


def change(seat: Seat, request: Request, expected: type[R], take_in: Callable[[R], None]) -> Steps[R]:
    """Asks for a change under a new key, and takes in what it means for the seat.

    A session that moved on is looked at again before the caller hears of it.
    """
    keyed = msgspec.structs.replace(request, key=uuid.uuid4().hex)

    def again() -> Steps[None]:
        take_in((yield from ask(msgspec.structs.replace(keyed, deadline_ms=PAST_MS), expected)))

    seat.doubt = again
    try:
        reply = yield from ask(keyed, expected)
    except errors.OutcomeUnknown:
        raise
    except errors.HeadMoved as exc:
        seat.doubt = None
        seat.moved = seat.moved or exc.fields.get("event", seat.event) != seat.event  # without it, the plan is another
        with suppress(errors.RewinddError):  # the caller hears of the first error; the next call looks again
            yield from _refresh(seat)
        raise
    except errors.RewinddError:
        seat.doubt = None
        raise
    seat.doubt = None
    seat.moved = False
    take_in(reply)
    return reply


def flush(seat: Seat, *, keep_last: bool = False) -> Steps[None]:
    """Tells what is unsent, in as many requests as it takes; `keep_last`: what fits into one more stays for that."""
    yield from ready(seat)
    while seat.has_unsent:
        batch = seat.history.batch()
        if keep_last and len(batch) == seat.history.unsent:
            return
        yield from _record_batch(seat, batch)


def named(seat: Seat, paths: Iterable[FsText]) -> list[FsText]:
    """Returns the paths, absolute ones by the workspace's real root where the caller reached it by another name."""
    root = str(seat.info.root) if seat.info is not None else "/"
    return [_below_root(path, root) for path in paths]


def _enter(seat: Seat) -> Steps[None]:
    if seat.info is None:
        info = (yield from ask(seat.opening, replies.SessionReply)).session
        seat.info = info
        seat.stand(info.head, info.event, info.stats, StatsDelta())
        seat.history.took((), info.event)


def _record_batch(seat: Seat, batch: list[EventBody]) -> Steps[None]:
    delta = seat.stats.since(seat.known)

    def take_in(reply: replies.Recorded) -> None:
        seat.history.sent(len(batch), reply.event)
        seat.stand(reply.head, reply.event, reply.stats, delta)

    request = requests.Record(session=seat.id, events=batch, stats=delta, base=seat.base())
    yield from change(seat, request, replies.Recorded, take_in)


def _refresh(seat: Seat) -> Steps[None]:
    info = (yield from ask(requests.ShowSession(session=seat.id), replies.SessionReply)).session
    if info.event != seat.event:
        seat.history.stand_at(info.event)
    seat.info = info
    seat.stand(info.head, info.event, info.stats, StatsDelta())


def _below_root(path: FsText, root: str) -> FsText:
    if not path.startswith("/") or f"{path}/".startswith(f"{root.rstrip('/')}/") or "\0" in path:
        return path
    above, below = path.rstrip("/"), ""
    while above.strip("/"):
        if os.path.realpath(above) == root:
            return FsText(root + below)
        above, _, name = above.rpartition("/")
        below = f"/{name}{below}"
    return path

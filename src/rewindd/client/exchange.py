"""One request until its answer: when it is sent again, how long silence lasts, and what error it ends in.

Pure: no socket, no clock (times in seconds of one monotonic clock are arguments). Both clients drive it, so that they
retry and fail alike. Rules: every sending of a request has the same bytes, so the daemon knows it by its key; what
changes something is `outcome-unknown` as soon as one sending may have arrived.
"""

import uuid
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from rewindd import errors
from rewindd.client.notices import Mailbox
from rewindd.protocol import wire
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request, Stop, TakeSnapshot

#: How long a caller waits in silence, where it does not say. An agent waits for a snapshot before each edit, so it is shorter.
TIMEOUT_S = 10.0
SNAPSHOT_TIMEOUT_S = 2.0
#: A request that makes the daemon die each time must not kill it for ever; a restart or two in a row are ridden out.
MAX_SENDINGS = 5

R = TypeVar("R", bound=Reply)
OnProgress = Callable[[wire.Progress], None]


def default_timeout_s(request: Request) -> float:
    """Returns the seconds of silence that end a request whose caller named none."""
    return SNAPSHOT_TIMEOUT_S if isinstance(request, TakeSnapshot) else TIMEOUT_S


class Exchange(Generic[R]):
    """A request on its way. The link calls `sent`, `lost` and `heard` as they happen, and ends by `answer` or `failure`.

    `number` is the request's id, unique in the client: a late reply to another one is told by it. `give_up_at_s` is when
    silence has lasted too long; a progress frame moves it.
    """

    def __init__(
        self,
        request: Request,
        expected: type[R],
        number: int,
        *,
        timeout_s: float,
        now_s: float,
        on_progress: OnProgress | None = None,
        mailbox: Mailbox | None = None,
    ) -> None:
        self.number = number
        self.give_up_at_s = now_s + timeout_s
        self.op = request.op
        self._expected = expected
        self._timeout_s = timeout_s
        self._on_progress = on_progress
        self._mailbox = mailbox
        self._noticed = request.noticed if request.noticed is not None or mailbox is None else mailbox.noticed
        self._changes_something = request.mutates and not getattr(request, "dry_run", False)
        self._sendings_left = 1 if isinstance(request, Stop) else MAX_SENDINGS  # its effect is that the connection goes
        self._sent = False
        self._in_flight = False
        self.body = wire.encode_request(self._completed(request), number)

    def remaining_s(self, now_s: float) -> float:
        """Returns how much more silence there may be, 0 when it is over."""
        return max(0.0, self.give_up_at_s - now_s)

    def sent(self) -> None:
        """Says that the request was handed to a live connection: from now on it may have arrived."""
        self._sent = self._in_flight = True
        self._sendings_left -= 1

    def lost(self) -> None:
        """Says that the connection it went over is gone; it is to be sent again.

        Raises:
            Unavailable, OutcomeUnknown: it was sent as often as it may be.
        """
        self._in_flight = False
        if not self._sendings_left:
            raise self.failure("the daemon went away with it")

    def heard(self, progress: wire.Progress, now_s: float) -> None:
        """Takes a progress frame: the daemon works on it, so silence starts anew."""
        self.give_up_at_s = now_s + self._timeout_s
        if self._on_progress is not None:
            self._on_progress(progress)

    def answer(self, head: wire.ReplyHead, body: bytes) -> R:
        """Returns the reply; what rides on it is in the mailbox. Raises the error that it names, BadRequest for another kind of reply."""
        if self._mailbox is not None:
            self._mailbox.receive(head.notices, self._noticed)
        if not head.ok:
            raise wire.error_of(head)
        return wire.decode_reply(body, self._expected)

    def failure(self, reason: str) -> errors.TransportError:
        """Returns the error to raise when there is no answer; `reason` says what was seen last."""
        if self._sent and self._changes_something:
            return errors.OutcomeUnknown(f"{self.op}: {reason}; it may have been done, look with `rewindctl list` or `rewindctl status`")
        if self._in_flight:
            return errors.Timeout(f"{self.op}: {reason}; ask again, or look with `rewindctl status`")
        return errors.Unavailable(f"{self.op}: {reason}; start the daemon with `rewindctl daemon start`")

    @property
    def silence(self) -> str:
        """Says for how long nothing was heard."""
        return f"no answer from the daemon in {self._timeout_s:g} s"

    def _completed(self, request: Request) -> Request:
        key = request.key or (uuid.uuid4().hex if self._changes_something else None)
        deadline_ms = request.deadline_ms if request.deadline_ms is not None else self.give_up_at_s * 1000
        return msgspec.structs.replace(request, key=key, deadline_ms=deadline_ms, progress=True, noticed=self._noticed)

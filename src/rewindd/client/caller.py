"""What a client remembers from one request to the next: numbers, patience, and the calls that no daemon heard."""

import itertools
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from rewindd import errors
from rewindd.client.exchange import Exchange, OnProgress, default_timeout_s
from rewindd.client.notices import Post
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)
T = TypeVar("T")

#: How long an optional call waits for a daemon that said nothing the last time, until it says something again.
IMPATIENT_S = 0.25


class Caller:
    """Makes the exchanges of one client, and decides what its failures become.

    `required`: errors are raised. Otherwise what a missing daemon fails is counted in `gaps`, said once, and answered by
    the call's placeholder. `post`: what the daemon told its sessions beside its answers.
    """

    def __init__(self, *, timeout_s: float | None, required: bool) -> None:
        self.required = required
        self.gaps = 0
        self.post = Post()
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._is_away = False

    def exchange(
        self,
        request: Request,
        expected: type[R],
        *,
        timeout_s: float | None = None,
        usual_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Exchange[R]:
        """Returns a new exchange, its silence measured from now.

        It lasts `timeout_s`, else what the client was told, else `usual_s`, else what is usual for the request.
        """
        limit_s = self._limit_s(_first(timeout_s, self._timeout_s, usual_s, default_timeout_s(request)))
        return Exchange(
            request,
            expected,
            next(self._numbers),
            timeout_s=limit_s,
            now_s=time.monotonic(),
            on_progress=on_progress,
            mailbox=self.post.of(request),
        )

    def failed(self, error: errors.RewinddError) -> None:
        """Says how a request ended; what the daemon answered was heard."""
        if not isinstance(error, errors.TransportError):
            self.heard()

    def heard(self) -> None:
        """Says that the daemon answered; what it did not hear before is logged."""
        if self._is_away:
            self._is_away = False
            logger.warning("rewindd answers again; it did not hear %d calls of this client so far", self.gaps)

    def missed(self, error: errors.RewinddError, placeholder: Callable[[str], T]) -> T:
        """Returns the placeholder for a call that no daemon answered.

        Raises:
            RewinddError: it is of another kind, or the client requires a daemon.
        """
        if self.required or not isinstance(error, (errors.TransportError, errors.BusyError)):
            raise error
        self.gaps += 1
        if not self._is_away:
            logger.warning("rewindd does not answer, this client goes on without it: %s", error.message)
        self._is_away = True
        return placeholder("unavailable" if isinstance(error, errors.TransportError) else error.code)

    def _limit_s(self, timeout_s: float) -> float:
        return min(timeout_s, IMPATIENT_S) if self._is_away and not self.required else timeout_s


def _first(*given: float | None) -> float:
    return next(one for one in given if one is not None)

"""What the server asks to carry requests out: the service, as this floor knows it."""

from collections.abc import Callable
from typing import Protocol

from rewindd.protocol.requests import Request
from rewindd.protocol.wire import Progress


class Service(Protocol):
    """Answers requests. Used from the event loop only."""

    async def answer(self, request: Request, body: bytes, report: Callable[[Progress], None]) -> bytes:
        """Returns the reply's encoded fields. `report` may be called from any thread, as often as it likes."""
        ...

    def riding(self, request: Request) -> bytes | None:
        """Returns the notices that ride on the reply to a request, encoded; None where there are none. Takes no time."""
        ...

    def end_waiting(self) -> None:
        """Answers at once what only waits for news, from now on: the daemon ends."""
        ...

    def is_needed(self) -> bool:
        """Returns whether a session or window is active."""
        ...

    def active_sessions(self) -> int:
        """Returns how many sessions are active."""
        ...

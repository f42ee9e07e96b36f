"""Notices of the asynchronous client's sessions, as an async iterator."""

from collections.abc import Awaitable, Callable

import anyio

from rewindd.client.listening import WAIT_MS, Listening
from rewindd.errors import RewinddError, TransportError, UnknownSession
from rewindd.protocol.replies import Notice, Notices
from rewindd.protocol.requests import ReadEvents

Ask = Callable[[ReadEvents], Awaitable[Notices]]


class Events:
    """Yields each notice once, as it comes. Ends when the last of its sessions is closed. One task at a time may wait on it.

    It survives the daemon's restart. Nothing runs between two steps, and it needs no closing: whoever waits may be cancelled at any
    time, and may come back.
    """

    def __init__(self, ask: Ask, listening: Listening, *, required: bool) -> None:
        self._ask, self._listening, self._required = ask, listening, required

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> Notice:
        """Returns the next notice.

        Raises:
            StopAsyncIteration: there is no open session, or no daemon and none is required.
            Unavailable, Timeout: there is no daemon.
        """
        while not self._listening.ready:
            sessions = self._listening.open()
            if not sessions:
                raise StopAsyncIteration
            try:
                await self._poll(sessions)
            except TransportError:
                if self._required:
                    raise
                raise StopAsyncIteration from None
        return self._listening.ready.popleft()

    async def _poll(self, sessions: list[str]) -> None:
        """Asks about all of them at once, and returns with the first answer that has something. The others are asked anew then."""
        failed: list[RewinddError] = []

        async def ask(session: str) -> None:
            try:
                if await self._ask_about(session):
                    group.cancel_scope.cancel()
            except RewinddError as exc:
                failed.append(exc)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for session in sessions:
                group.start_soon(ask, session)
        if failed and not self._listening.ready:
            raise failed[0]

    async def _ask_about(self, session: str) -> bool:
        try:
            return self._listening.heard(session, await self._ask(self._listening.question(session, WAIT_MS)))
        except UnknownSession:
            self._listening.closed(session)
            return not self._listening.open()

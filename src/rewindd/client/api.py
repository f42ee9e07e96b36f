"""The asynchronous client: `async with rewindd.connect() as client`, or `await rewindd.open()` and `await client.aclose()`."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import anyio.to_thread

from rewindd.client import autostart as starting
from rewindd.client import calls
from rewindd.client.caller import Caller
from rewindd.client.exchange import Exchange, OnProgress
from rewindd.client.handle import opening
from rewindd.client.link import Link
from rewindd.client.seat import Run, Work
from rewindd.client.session import Session
from rewindd.errors import RewinddError
from rewindd.protocol import replies
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Ping, Request

R = TypeVar("R", bound=Reply)
T = TypeVar("T")


@asynccontextmanager
async def connect(
    *,
    socket: str | os.PathLike[str] | None = None,
    autostart: bool | None = None,
    timeout_s: float | None = None,
    required: bool = True,
) -> AsyncIterator["Client"]:
    """Opens a client for the block; as `open`, which says what the arguments mean."""
    client = await open(socket=socket, autostart=autostart, timeout_s=timeout_s, required=required)
    try:
        yield client
    finally:
        await client.aclose()


async def open(  # noqa: A001 - the interface's name
    *,
    socket: str | os.PathLike[str] | None = None,
    autostart: bool | None = None,
    timeout_s: float | None = None,
    required: bool = True,
) -> "Client":
    """Returns a client with a connection; `await client.aclose()` ends it, from any task of this event loop.

    Args:
        socket: the daemon's; by default as the environment says.
        autostart: whether a missing daemon is started; by default unless `REWINDD_AUTOSTART` is 0.
        timeout_s: seconds of silence that end a call; by default 2 for snapshots, else 10.
        required: False makes calls without a daemon return false placeholders instead of raising, and this call not connect.

    Raises:
        Unavailable: there is no daemon, and one is required.
        BadConfig: the socket's path is too long.
    """
    path = starting.socket_of(socket, os.environ)
    command = starting.daemon_command(path) if starting.wanted(autostart, os.environ) else None
    return await open_with(starting.Starter(socket_path=path, command=command), timeout_s=timeout_s, required=required)


async def open_with(starter: starting.Starter, *, timeout_s: float | None = None, required: bool = True) -> "Client":
    """Returns a client of the daemon that `starter` finds; as `open`."""
    client = Client(Link(starter), Caller(timeout_s=timeout_s, required=required))
    if required:
        try:
            await client.contact()
        except BaseException:  # cancelled, too: nobody else could close it
            await client.aclose()
            raise
    return client


class Client:
    """A connection to the daemon, for any number of tasks of one event loop. Made by `open` or `connect`."""

    def __init__(self, link: Link, caller: Caller) -> None:
        self._link = link
        self._caller = caller

    @property
    def gaps(self) -> int:
        """How many calls no daemon heard, where none is required."""
        return self._caller.gaps

    @property
    def required(self) -> bool:
        """False when calls without a daemon return placeholders."""
        return self._caller.required

    async def aclose(self) -> None:
        """Ends the connection; calls on their way fail. From any task; a second call does nothing."""
        await self._link.aclose()

    async def contact(self) -> None:
        """Returns when there is a connection. Raises Unavailable when there is none in time."""
        await self._link.contact(self._caller.exchange(Ping(), replies.Pong))

    async def ask(self, request: Request, expected: type[R], *, timeout_s: float | None = None, on_progress: OnProgress | None = None) -> R:
        """Sends one request and returns its reply. `timeout_s` bounds the silence, not the work. Raises even if not `required`.

        Raises:
            Unavailable: no daemon, and nothing was sent.
            Timeout: no answer to what changes nothing.
            OutcomeUnknown: no answer to what may have been done.
            RewinddError: whatever the daemon answered.
        """
        return await self._ask(partial(self._caller.exchange, request, expected, timeout_s=timeout_s, on_progress=on_progress))

    async def run(self, work: Work[T], *, timeout_s: float | None = None) -> T:
        """Drives one of `calls`; returns its placeholder when there is no daemon and none is required."""
        try:
            with Run(work.steps) as run:
                while run.call is not None:
                    try:
                        call = run.call
                        exchange = partial(
                            self._caller.exchange,
                            call.request,
                            call.expected,
                            timeout_s=timeout_s,
                            usual_s=work.timeout_s,
                            on_progress=work.on_progress,
                        )
                        reply = await self._ask(exchange)
                    except RewinddError as exc:
                        run.throw(exc)
                    else:
                        run.send(reply)
                return run.result
        except RewinddError as exc:
            return self._caller.missed(exc, work.placeholder)

    async def status(self) -> replies.Status:
        """Returns the daemon's state."""
        return await self.run(calls.status())

    async def sessions(self, directory: calls.AnyPath | None = None, *, closed: bool = False) -> list[replies.SessionInfo]:
        """Returns the open sessions (`closed`: those too), oldest first: of a directory's workspace, or all."""
        return await self.run(calls.sessions(directory, closed=closed))

    async def checkpoints(self, workspace: calls.AnyPath, *, limit: int | None = None) -> list[replies.Summary]:
        """Returns the newest checkpoints of all sessions of a workspace (its id, or a directory), oldest first."""
        return await self.run(calls.workspace_checkpoints(workspace, limit))

    @asynccontextmanager
    async def session(
        self,
        workspace: calls.AnyPath = ".",
        *,
        agent: str | None = None,
        session_id: str | None = None,
        parent_id: str | None = None,
        capture: str | None = None,
        attribution: str | None = None,
        exact: bool = False,
        replaced: str | None = None,
    ) -> AsyncIterator[Session]:
        """Opens a session on a directory, or comes back to the one with that id, for the block.

        Leaving the block tells what was recorded and leaves the session open; `Session.close` ends it. `replaced`: what to do where
        another directory has the place of the workspace's: `adopt` (the workspace goes on) or `new`; without it that is AlreadyExists.
        """
        look = partial(
            opening,
            workspace,
            agent=agent,
            session_id=session_id,
            parent_id=parent_id,
            capture=capture,
            attribution=attribution,
            exact=exact,
            replaced=replaced,
        )
        session = Session(self.run, await anyio.to_thread.run_sync(look), required=self.required)
        await session.open()
        try:
            yield session
        except BaseException:
            await session.leave(quietly=True)
            raise
        await session.leave(quietly=not self.required)

    async def _ask(self, make: Callable[[], Exchange[R]]) -> R:
        try:
            reply = await self._link.ask(make())
        except RewinddError as exc:
            self._caller.failed(exc)
            raise
        self._caller.heard()
        return reply

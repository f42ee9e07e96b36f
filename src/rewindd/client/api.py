"""The asynchronous client: `async with rewindd.connect() as client`, or `await rewindd.open()` and `await client.aclose()`."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import anyio.to_thread

from rewindd.client import autostart as starting
from rewindd.client import calls, integrity, retention
from rewindd.client.caller import Caller
from rewindd.client.events import Events
from rewindd.client.exchange import TIMEOUT_S, Exchange, OnProgress
from rewindd.client.handle import opening
from rewindd.client.link import Link
from rewindd.client.listening import Listening
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
        self._sessions: list[Session] = []

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

    async def barrier(
        self, workspace: calls.AnyPath, label: str | None = None, *, wait: bool = True, progress: OnProgress | None = None
    ) -> replies.Barrier:
        """Makes one named point over all open sessions of a workspace (its id, or a directory); durable on return.

        Each gets a checkpoint at the same position, which is its head from then on; `session.rewind("barrier:ID")` in any of them takes
        files, conversations and statistics of all of them back to it, or of none. What a session's handle has not told yet is not in it.

        Args:
            wait: for the workspace's first capture to be complete; without, what it did not reach yet is `incomplete`.
            progress: is called about once a second while it waits, with `done` of `total`; it must not block.

        Raises:
            UnknownWorkspace: there is none such, or its directory is gone.
        """
        return await self.run(calls.barrier(workspace, label, wait=wait, on_progress=progress))

    async def barriers(self, workspace: calls.AnyPath, *, limit: int | None = None) -> list[replies.Barrier]:
        """Returns the newest barriers of a workspace (its id, or a directory), oldest first."""
        return await self.run(calls.barriers(workspace, limit))

    async def verify(self, *, sample: float = 100.0, drill: int = 0, progress: OnProgress | None = None) -> replies.Verified:
        """Compares every row and content of the store with what was written; what a workspace still has is put right from there.

        Args:
            sample: of all contents, how many are read, in percent, chosen at random.
            drill: so many checkpoints, chosen at random, are written out beside the store and compared.
            progress: is called about once a second, with `done` of `total`; it must not block.

        Raises:
            StoreFull: there is no room to write a checkpoint out.
        """
        return await self.run(integrity.verify(sample, drill, on_progress=progress))

    async def backup(self, directory: calls.AnyPath, *, progress: OnProgress | None = None) -> replies.BackedUp:
        """Copies the whole store to a directory that is not there, or empty; durable on return. A daemon can be started on the copy.

        Raises:
            BadRequest: it cannot be made, or is the store's own.
            AlreadyExists: something is in it.
            StoreFull, StoreIO: it cannot be written; what was is removed.
        """
        return await self.run(integrity.backup(directory, on_progress=progress))

    async def prune(
        self, directory: calls.AnyPath | None = None, *, dry_run: bool = False, progress: OnProgress | None = None
    ) -> replies.Pruned:
        """Drops what `[retention]` does not keep, of the workspace that holds `directory` or of all; `dry_run` only tells.

        Raises:
            UnknownWorkspace: no workspace holds it.
        """
        return await self.run(retention.prune(directory, dry_run=dry_run, on_progress=progress))

    async def gc(self, *, progress: OnProgress | None = None) -> replies.Collected:
        """Removes contents that nothing names, and gives their space back to the file system."""
        return await self.run(retention.gc(on_progress=progress))

    async def forget(self, what: calls.AnyPath, *, dry_run: bool = False, progress: OnProgress | None = None) -> replies.Forgotten:
        """Erases a session or workspace by its id, a workspace by its root, or every version of a path; there is no way back.

        Raises:
            UnknownPath: nothing of that name is kept.
            Busy: a session is at work in it, or an operation is not over.
            Conflict: a fork goes on from the session's conversation.
        """
        return await self.run(retention.forget(what, dry_run=dry_run, on_progress=progress))

    def events(self, session: Session | str | None = None, *, diff: bool = False, ack: bool = True) -> Events:
        """Yields what others do to what a session works on, as it comes: an async iterator of `replies.Notice`.

        A notice is acknowledged when the one after it is asked for. One iterator of a session that acknowledges is enough.

        Args:
            session: a handle or an id; None: all sessions of this client whose block is entered, `told` says which one it is for.
            diff: has each notice's `patch` filled in.
            ack: False leaves the notices to the session's own reader, and does not keep the session active.
        """

        def wanted() -> list[str]:
            given = self._sessions if session is None else [session]
            return [name for one in given if (name := one if isinstance(one, str) else one.id)]

        ask = partial(self.ask, expected=replies.Notices, timeout_s=TIMEOUT_S)
        return Events(ask, Listening(wanted, self._caller.post, diff=diff, ack=ack), required=self.required)

    @asynccontextmanager
    async def session(
        self,
        workspace: calls.AnyPath = ".",
        *,
        agent: str | None = None,
        session_id: str | None = None,
        parent_id: str | None = None,
        from_position: str | None = None,
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
            from_position=from_position,
            capture=capture,
            attribution=attribution,
            exact=exact,
            replaced=replaced,
        )
        opened = await anyio.to_thread.run_sync(look)
        session = Session(self.run, opened, required=self.required, post=self._caller.post, listen=self.events)
        await session.open()
        self._sessions.append(session)
        try:
            yield session
        except BaseException:
            await session.leave(quietly=True)
            raise
        finally:
            self._sessions.remove(session)
        await session.leave(quietly=not self.required)

    async def _ask(self, make: Callable[[], Exchange[R]]) -> R:
        try:
            reply = await self._link.ask(make())
        except RewinddError as exc:
            self._caller.failed(exc)
            raise
        self._caller.heard()
        return reply

"""The client without async, for command lines, hooks and scripts. Loads no asyncio and no anyio."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from rewindd.client import autostart as starting
from rewindd.client.caller import Caller
from rewindd.client.exchange import Exchange, OnProgress
from rewindd.client.line import Line
from rewindd.errors import RewinddError
from rewindd.protocol import replies
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request

if TYPE_CHECKING:  # a command line needs `ask` alone, and starts faster without these
    from rewindd.client.blocking_session import Session
    from rewindd.client.calls import AnyPath
    from rewindd.client.seat import Work

R = TypeVar("R", bound=Reply)
T = TypeVar("T")


def connect(
    *,
    socket: str | os.PathLike[str] | None = None,
    autostart: bool | None = None,
    timeout_s: float | None = None,
    required: bool = True,
) -> "Client":
    """Returns a client; the first request connects it. Use it in a `with`, or `close` it.

    Args:
        socket: the daemon's; by default as the environment says.
        autostart: whether a missing daemon is started; by default unless `REWINDD_AUTOSTART` is 0.
        timeout_s: seconds of silence that end a call; by default 2 for snapshots, else 10.
        required: False makes calls without a daemon return false placeholders instead of raising.

    Raises:
        BadConfig: the socket's path is too long.
    """
    path = starting.socket_of(socket, os.environ)
    command = starting.daemon_command(path) if starting.wanted(autostart, os.environ) else None
    return Client(starting.Starter(socket_path=path, command=command), timeout_s=timeout_s, required=required)


class Client:
    """A connection to the daemon; several threads may use it, one request at a time."""

    def __init__(self, starter: starting.Starter, *, timeout_s: float | None = None, required: bool = True) -> None:
        self._line = Line(starter)
        self._caller = Caller(timeout_s=timeout_s, required=required)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; a second call does nothing."""
        self._line.close()

    def ask(self, request: Request, expected: type[R], *, timeout_s: float | None = None, on_progress: OnProgress | None = None) -> R:
        """Sends one request and returns its reply. `timeout_s` bounds the silence, not the work.

        Raises:
            Unavailable: no daemon, and nothing was sent.
            Timeout: no answer to what changes nothing.
            OutcomeUnknown: no answer to what may have been done.
            RewinddError: whatever the daemon answered.
        """
        return self._ask(self._caller.exchange(request, expected, timeout_s=timeout_s, on_progress=on_progress))

    def run(self, work: "Work[T]", *, timeout_s: float | None = None) -> T:
        """Drives one of `calls`; returns its placeholder when there is no daemon and none is required."""
        from rewindd.client.seat import Run

        try:
            with Run(work.steps) as run:
                while run.call is not None:
                    try:
                        reply = self._ask(
                            self._caller.exchange(
                                run.call.request,
                                run.call.expected,
                                timeout_s=timeout_s,
                                usual_s=work.timeout_s,
                                on_progress=work.on_progress,
                            )
                        )
                    except RewinddError as exc:
                        run.throw(exc)
                    else:
                        run.send(reply)
                return run.result
        except RewinddError as exc:
            return self._caller.missed(exc, work.placeholder)

    @property
    def gaps(self) -> int:
        """How many calls no daemon heard, where none is required."""
        return self._caller.gaps

    def status(self) -> replies.Status:
        """Returns the daemon's state."""
        from rewindd.client import calls

        return self.run(calls.status())

    def sessions(self, directory: "AnyPath | None" = None, *, closed: bool = False) -> list[replies.SessionInfo]:
        """Returns the open sessions (`closed`: those too), oldest first: of a directory's workspace, or all."""
        from rewindd.client import calls

        return self.run(calls.sessions(directory, closed=closed))

    def checkpoints(self, workspace: "AnyPath", *, limit: int | None = None) -> list[replies.Summary]:
        """Returns the newest checkpoints of all sessions of a workspace (its id, or a directory), oldest first."""
        from rewindd.client import calls

        return self.run(calls.workspace_checkpoints(workspace, limit))

    @contextmanager
    def session(
        self,
        workspace: "AnyPath" = ".",
        *,
        agent: str | None = None,
        session_id: str | None = None,
        parent_id: str | None = None,
        capture: str | None = None,
        attribution: str | None = None,
        exact: bool = False,
        replaced: str | None = None,
    ) -> "Iterator[Session]":
        """Opens a session on a directory, or comes back to the one with that id, for the block.

        Leaving the block tells what was recorded and leaves the session open; `Session.close` ends it. `replaced`: what to do where
        another directory has the place of the workspace's: `adopt` (the workspace goes on) or `new`; without it that is AlreadyExists.
        """
        from rewindd.client.blocking_session import Session
        from rewindd.client.handle import opening

        asked = opening(
            workspace,
            agent=agent,
            session_id=session_id,
            parent_id=parent_id,
            capture=capture,
            attribution=attribution,
            exact=exact,
            replaced=replaced,
        )
        session = Session(self.run, asked, required=self._caller.required)
        session.open()
        try:
            yield session
        except BaseException:
            session.leave(quietly=True)
            raise
        session.leave(quietly=not self._caller.required)

    def _ask(self, exchange: Exchange[R]) -> R:
        try:
            reply = self._line.ask(exchange)
        except RewinddError as exc:
            self._caller.failed(exc)
            raise
        self._caller.heard()
        return reply

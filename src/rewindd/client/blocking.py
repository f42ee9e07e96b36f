"""The client without async, for command lines, hooks and scripts. Loads no asyncio and no anyio."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TypeVar

from rewindd.client import autostart
from rewindd.client.caller import Caller
from rewindd.client.exchange import OnProgress
from rewindd.client.line import Line
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request

R = TypeVar("R", bound=Reply)


def connect(
    *,
    socket: str | os.PathLike[str] | None = None,
    autostart: bool | None = None,
    timeout_s: float | None = None,
    required: bool = True,
) -> "Client":
    """Returns a client; the first request connects it. Use it in a `with`, or `close` it."""
    return Client(_starter(socket, autostart, os.environ), timeout_s=timeout_s, required=required)


class Client:
    """A connection to the daemon; several threads may use it, one request at a time."""

    def __init__(self, starter: autostart.Starter, *, timeout_s: float | None = None, required: bool = True) -> None:
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
        reply = self._line.ask(self._caller.exchange(request, expected, timeout_s=timeout_s, on_progress=on_progress))
        self._caller.heard()
        return reply


def _starter(socket: str | os.PathLike[str] | None, wanted: bool | None, env: Mapping[str, str]) -> autostart.Starter:
    path = autostart.socket_of(socket, env)
    return autostart.Starter(socket_path=path, command=autostart.daemon_command(path) if autostart.wanted(wanted, env) else None)


class Session:
    """Placeholder until below."""

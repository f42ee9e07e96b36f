"""What a daemon that cannot start still does: it tells those who wait on the service manager's socket why.

Else their connections would stay in the socket's queue, start the unit again at once, over and over, until the manager gives the socket
up; and each of them would learn nothing but that time passed.
"""

import time
from collections.abc import Callable

import anyio

from rewindd import errors
from rewindd.daemon.guard import Guard
from rewindd.daemon.server import Server
from rewindd.protocol.requests import Request
from rewindd.protocol.wire import Progress

#: How long nobody must have asked before the daemon ends. The unit's start limit (8 in 20 s) is not reached by starts this far apart.
QUIET_S = 3.0
#: Who waited is heard by then: a connection and its first message take some milliseconds, or more where much else runs.
HEARD_S = 1.0


class _Refusing:
    """A service that answers nothing but why."""

    def __init__(self, error: errors.Unavailable) -> None:
        self._error = error

    async def answer(self, request: Request, body: bytes, report: Callable[[Progress], None]) -> bytes:
        raise self._error

    def riding(self, request: Request) -> bytes | None:
        return None

    def end_waiting(self) -> None:
        return

    def is_needed(self) -> bool:
        return False

    def active_sessions(self) -> int:
        return 0


def refuse(path: str, inherited: int, error: Exception) -> None:
    """As `answer`, where there is no server yet. Takes the descriptor."""
    anyio.run(_refuse, path, inherited, error)


async def answer(server: Server, error: Exception) -> None:
    """Answers every request with `unavailable` and the error's words, until none came for `QUIET_S`; the server has not served yet.

    Where nobody waits it returns soon, so that who starts the unit by hand sees at once that it failed.
    """
    refusing = _Refusing(errors.Unavailable(f"the daemon cannot start: {error}"))
    began_s = time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, refusing)
        while True:
            patience_s = QUIET_S if server.counts.requests else HEARD_S
            left_s = max(server.last_request_s, began_s) + patience_s - time.monotonic()
            if left_s <= 0:
                break
            await anyio.sleep(left_s)
        server.stop()


async def _refuse(path: str, inherited: int, error: Exception) -> None:
    server = Server(path, inherited, guard=Guard())
    try:
        await answer(server, error)
    finally:
        await server.close()

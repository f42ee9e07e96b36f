"""What a daemon that cannot start still does: it tells those who wait on the service manager's socket why.

Else their connections would stay in the socket's queue, start the unit again at once, over and over, until the manager gives the socket
up; and each of them would learn nothing but that time passed.
"""

import os
import select
import time
from collections.abc import Callable

import anyio

from rewindd import errors
from rewindd.daemon.server import Server
from rewindd.protocol.requests import Request
from rewindd.protocol.wire import Progress

#: How long nobody must have asked before the daemon ends. The unit's start limit (8 in 20 s) is not reached by starts this far apart.
QUIET_S = 3.0
#: A client whose connection ended with an attempt to start is back by then: libzmq connects again after 100 ms.
COMES_BACK_S = 0.5


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
    """Answers every request with `unavailable` and the error's words, until none came for `QUIET_S`. Takes the descriptor.

    Returns soon where nobody waits, so that who starts the unit by hand sees at once that it failed.
    """
    if select.select([inherited], [], [], COMES_BACK_S)[0]:
        anyio.run(_answer, path, inherited, error)
    else:
        os.close(inherited)


async def _answer(path: str, inherited: int, error: Exception) -> None:
    refusing = _Refusing(errors.Unavailable(f"the daemon cannot start: {error}"))
    server = Server(path, inherited)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, refusing)
            while True:
                left_s = server.last_request_s + QUIET_S - time.monotonic()
                if left_s <= 0:
                    break
                await anyio.sleep(left_s)
            server.stop()
    finally:
        await server.close()

"""The sockets of grants: each lies alone in a directory of its own, which is mounted into a sandbox, and is served as the daemon's own is.

Each has a context of its own, so that its end waits for nobody else's replies: three threads, 9 descriptors and 94 KB of memory.

A sandbox may be able to write in its directory. So nothing there is trusted: a socket is made beside it, in a directory that no sandbox
has, and renamed into it, which follows no link and opens nothing.
"""

import logging
import os
import socket
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from rewindd import errors
from rewindd.daemon import endpoint
from rewindd.daemon.connections import MAX_OF_GRANT
from rewindd.daemon.server import Server
from rewindd.model.ids import GrantId
from rewindd.service.doors.door import Door
from rewindd.service.numbers.meter import Meter
from rewindd.service.state import GRANTS_NAME

_log = logging.getLogger(__name__)

#: A grant's socket in its directory: as the daemon's own is called.
NAME = "rewindd.sock"
#: What a socket is called until it is renamed: the grant's id, and this.
_BESIDE = ".sock"
#: Connections that wait to be accepted: libzmq's own default, zmq_setsockopt(3).
BACKLOG = 100
#: The wall clock may be set: whether a grant is over is looked at again after this long at the latest.
LOOK_AGAIN_S = 60.0
#: Codes of what a sandbox should not have asked; each is worth a line that a person looks at.
REFUSALS = frozenset(
    {
        *("not-permitted", "outside-workspace", "refused-root", "unknown-session", "unknown-workspace", "already-exists"),
        *("over-quota", "too-large", "bad-request", "unknown-op", "unsupported-version"),
    }
)


@dataclass(slots=True, eq=False)
class _Opened:
    """A door's socket. `over`: the grant has ended, and its directory goes with it."""

    server: Server
    path: str
    made: tuple[int, int]
    over: bool = False
    closed: anyio.Event = field(default_factory=anyio.Event)


class Doors:
    """All sockets of grants of one daemon. Used from the event loop only; `ended` is awaited before its task group is left."""

    def __init__(self, runtime_dir: str, meter: Meter, tasks: TaskGroup) -> None:
        """Takes the directory of the daemon's own socket, what counts requests, and the group in which the doors are served."""
        self._directory = os.path.join(runtime_dir, GRANTS_NAME)
        self._meter, self._tasks = meter, tasks
        self._open: dict[GrantId, _Opened] = {}
        self._stopping = False

    @property
    def is_open(self) -> bool:
        """True while one of them listens."""
        return bool(self._open)

    def place(self, grant: GrantId) -> str:
        """Returns the path of a grant's socket. Raises BadConfig where no socket can have it."""
        path = os.path.join(self._directory, grant, NAME)
        endpoint.check_length(path)
        return path

    async def sweep(self, live: Collection[GrantId]) -> None:
        """Removes what is left of the sockets of other grants than these, which ended while no daemon ran, or with one that died."""
        await anyio.to_thread.run_sync(_sweep, self._directory, frozenset(live))

    async def open(self, door: Door, ends_at_ns: int) -> None:
        """Returns when the door's socket listens; it is closed at `ends_at_ns`, of the wall clock.

        Raises:
            ShuttingDown: the daemon ends.
            NotPermitted, OSError: it cannot be made where it is to be.
        """
        if self._stopping:
            raise errors.ShuttingDown("the daemon is ending; the grant's socket listens when it is back")
        path = self.place(door.grant)
        descriptor, made = await anyio.to_thread.run_sync(_listen, self._directory, path)
        opened = _Opened(Server(path, descriptor, meter=_Counting(door.grant, self._meter), most=MAX_OF_GRANT), path, made)
        self._open[door.grant] = opened
        self._tasks.start_soon(self._serve, door, opened, ends_at_ns)

    async def close(self, grant: GrantId) -> None:
        """Returns when nobody comes in any more, and what came in is broken off. Does nothing where there is no such socket."""
        opened = self._open.get(grant)
        if opened is not None:
            opened.over = True
            opened.server.stop()
            opened.server.stop()  # what is in hand is not waited for
            await opened.closed.wait()

    def stop(self) -> None:
        """Lets nobody in any more; requests in hand are drained, and broken off by the second call."""
        self._stopping = True
        for opened in self._open.values():
            opened.server.stop()

    async def ended(self) -> None:
        """Returns when all of them are closed, after `stop`."""
        for opened in list(self._open.values()):
            await opened.closed.wait()

    async def _serve(self, door: Door, opened: _Opened, ends_at_ns: int) -> None:
        try:
            try:
                async with anyio.create_task_group() as while_open:
                    while_open.start_soon(_end_in_time, door.grant, opened, ends_at_ns)
                    await opened.server.serve(door)
                    while_open.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    await opened.server.close()
                    await anyio.to_thread.run_sync(_remove, opened)
                self._open.pop(door.grant, None)
            if opened.over:
                await door.end()
        finally:
            opened.closed.set()


class _Counting(Meter):
    """Counts a door's requests with all others, and logs what was refused there."""

    def __init__(self, grant: GrantId, whole: Meter) -> None:
        super().__init__()
        self._grant, self._whole = grant, whole

    def answered(self, op: str, code: str, took_s: float) -> None:
        """Counts one request that was answered, or refused."""
        self._whole.answered(op, code, took_s)
        if code in REFUSALS:
            _log.warning("grant %s: refused op=%s code=%s", self._grant, op, code)


async def _end_in_time(grant: GrantId, opened: _Opened, ends_at_ns: int) -> None:
    """Ends a grant at its time by the wall clock; where that was set back, after as long as was left of it at first, suspended or not."""
    ends_s = time.clock_gettime(time.CLOCK_BOOTTIME) + (ends_at_ns - time.time_ns()) / 1e9
    while True:
        left_s = min((ends_at_ns - time.time_ns()) / 1e9, ends_s - time.clock_gettime(time.CLOCK_BOOTTIME))
        if left_s <= 0:
            break
        await anyio.sleep(min(left_s, LOOK_AGAIN_S))
    _log.info("grant %s is over", grant)
    opened.over = True
    opened.server.stop()


def _listen(directory: str, path: str) -> tuple[int, tuple[int, int]]:
    """Returns a descriptor that listens at `path`, and what the socket file is. What is at the path is replaced."""
    own = os.path.dirname(path)
    for each in (directory, own):
        endpoint.private_directory(each)
    beside = f"{own}{_BESIDE}"
    with suppress(FileNotFoundError):
        os.unlink(beside)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as listening:
        listening.bind(beside)
        os.chmod(beside, 0o600)
        listening.listen(BACKLOG)
        made = endpoint.identity(beside)
        os.rename(beside, path)
        return listening.detach(), made


def _sweep(directory: str, live: frozenset[GrantId]) -> None:
    with suppress(OSError):  # there never was a grant
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if name not in live:
                with suppress(OSError):  # whatever else is there is nobody's business of ours
                    os.unlink(path if name.endswith(_BESIDE) else os.path.join(path, NAME))
                with suppress(OSError):
                    os.rmdir(path)


def _remove(opened: _Opened) -> None:
    """Removes the socket's file; and its directory, where the grant is over: else it is mounted, and the next daemon listens in it."""
    with suppress(OSError):  # a sandbox may have put anything there
        endpoint.remove(opened.path, opened.made)
    if opened.over:
        with suppress(OSError):
            os.rmdir(os.path.dirname(opened.path))

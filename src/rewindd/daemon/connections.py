"""How many connections a socket of the daemon's has: never so many that the process runs out of descriptors.

libzmq ends the process when it accepts a connection and has no descriptor for it (EMFILE, src/ipc_listener.cpp; libzmq #1306). So each
connection that it accepts is told to a thread here, and where there are too many, the newest of the process that has most is shut down:
who floods is turned away, and others come in meanwhile.

That holds however late the thread is. What it is told waits in a queue of `_UNTOLD`, and where that is full libzmq waits, within accept,
until the thread has read (measured: of 4,000 connections that nobody was told of, 1,002 were accepted).
"""

import logging
import os
import resource
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import zmq
import zmq.asyncio
import zmq.utils.monitor

_log = logging.getLogger(__name__)

#: Connections of the daemon's own socket: 64 agents with 32 each. Each takes a descriptor, and some 20 KB once it has spoken.
MAX_CONNECTIONS = 2048
#: Connections of one grant's socket.
MAX_OF_GRANT = 256
#: What libzmq may accept before it waits for the thread: its own queue, and one of ours (zmq_setsockopt(3), ZMQ_SNDHWM).
_UNTOLD = 1002
#: Connections that a daemon with few descriptors has all the same: 64 agents with four each.
_FEW = 256
#: Descriptors for all else: the store, files that are read, git, the sockets of grants.
_OWN_DESCRIPTORS = 512
_CREDENTIALS = struct.Struct("3i")
_PLACE = "inproc://connections"


@dataclass(frozen=True, slots=True)
class _Connection:
    """The process that connected, as far as it is known here, and the socket's inode: descriptors are used again."""

    pid: int
    inode: int


def budget(wanted: int) -> int:
    """Returns how many connections a socket may have, `wanted` at most, with the descriptors that this process may have now.

    As many again as may be untold are kept free: those that were shut down have theirs until libzmq has seen it. Where that leaves too
    few, a quarter of all is taken, and the thread must be in time.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(limit - _OWN_DESCRIPTORS - 2 * _UNTOLD, min(limit // 4, _FEW)))


class Connections:
    """Those of one socket. Made before it is bound; all here belongs to the thread, which ends with the socket, or its context."""

    def __init__(self, context: zmq.asyncio.Context, router: zmq.asyncio.Socket, most: int) -> None:
        self._most, self._warned_of = most, 0
        #: All that libzmq has not closed, by descriptor; and of those we have not shut down, the descriptors of each process, by age.
        self._open: dict[int, _Connection] = {}
        self._of: dict[int, dict[int, None]] = {}
        self._count = 0
        router.monitor(_PLACE, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED)
        self._told: zmq.Socket[bytes] = zmq.Context.shadow(context).socket(zmq.PAIR)
        self._told.setsockopt(zmq.LINGER, 0)
        self._told.setsockopt(zmq.RCVHWM, 1)
        self._told.connect(_PLACE)
        threading.Thread(target=self._listen, name="connections", daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                told = zmq.utils.monitor.parse_monitor_message(self._told.recv_multipart())
                if told["event"] == zmq.EVENT_MONITOR_STOPPED:
                    return
                self._hear(told["event"], told["value"])
        except zmq.ContextTerminated:
            return
        finally:
            self._told.close()

    def _hear(self, event: int, descriptor: int) -> None:
        self._forget(descriptor)
        if event != zmq.EVENT_ACCEPTED:
            self._open.pop(descriptor, None)
            return
        found = _look(descriptor)
        if found is None:
            return
        self._open[descriptor] = found
        self._of.setdefault(found.pid, {})[descriptor] = None
        self._count += 1
        if self._count > self._most:
            self._turn_away()

    def _turn_away(self) -> None:
        """Shuts down the newest connection of the process that has most."""
        pid, theirs = max(self._of.items(), key=lambda item: len(item[1]))
        if self._warned_of != pid:
            self._warned_of = pid
            _log.warning("process %d has %d of %d connections; its newest are closed until there are fewer", pid, len(theirs), self._most)
        descriptor = next(reversed(theirs))
        self._forget(descriptor)
        _shut_down(descriptor, self._open[descriptor].inode)

    def _forget(self, descriptor: int) -> None:
        """Counts it no more."""
        known = self._open.get(descriptor)
        theirs = self._of.get(known.pid) if known is not None else None
        if known is None or theirs is None or descriptor not in theirs:
            return
        del theirs[descriptor]
        self._count -= 1
        if not theirs:
            del self._of[known.pid]


def _look(descriptor: int) -> _Connection | None:
    """Returns who is at the other end; None where libzmq has closed it already."""
    try:
        with held(descriptor) as connection:
            pid, _, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            return _Connection(pid=pid, inode=os.fstat(connection.fileno()).st_ino)
    except OSError:
        return None


def _shut_down(descriptor: int, inode: int) -> None:
    """Ends a connection, which libzmq then closes; nothing else that has its descriptor by now."""
    try:
        with held(descriptor) as connection:
            if os.fstat(connection.fileno()).st_ino == inode:
                connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is gone
        return


@contextmanager
def held(descriptor: int) -> Iterator[socket.socket]:
    """The socket under a descriptor, held by one of ours: it stays the one that is looked at. Raises OSError: it is none (any more)."""
    own = os.dup(descriptor)
    try:
        connection = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise
    with connection:
        yield connection

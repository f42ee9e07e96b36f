"""Who sent a message, and how much each sender may have in hand. Pure; the server asks it before it takes a request."""

import os
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

#: Requests in hand of one connection. Beside it a client that awaits its answers has one or two.
MAX_OF_CONNECTION = 64
#: Of one process, however many connections it opens; 64 agents at once with room to spare.
MAX_OF_PROCESS = 256
#: Of all. Each is a task and, while it works, perhaps a thread's turn.
MAX_OF_ALL = 1024
#: Bytes of request bodies in hand, of all: what keeps 1024 requests of 16 MiB from being 16 GiB.
MAX_BYTES = 256 << 20
#: Bytes of large replies that one connection leaves unread; libzmq bounds messages only, and 128 of 64 MiB are 8 GiB.
MAX_UNREAD_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as the kernel told libzmq when it connected."""

    uid: int
    pid: int


def parse_address(address: str) -> Peer | None:
    """Returns the peer that libzmq's `Peer-Address` of an ipc connection names: `HOST:UID:GID:PID`, else None.

    The format is not promised (src/stream_engine_base.cpp), so anything else is not guessed at.
    """
    parts = address.rsplit(":", 3)
    if len(parts) != 4 or not all(part.isascii() and part.isdecimal() for part in parts[1:]):
        return None
    return Peer(uid=int(parts[1]), pid=int(parts[3]))


def is_foreign(peer: Peer | None) -> bool:
    """True for another user. A peer that could not be told is not: the directory's mode and libzmq's filter keep others out before."""
    return peer is not None and peer.uid != os.getuid()


class InHand:
    """Counts the requests in hand. Each `take` that returns None is followed by one `give_back` of the same arguments."""

    def __init__(self) -> None:
        self._connections: Counter[bytes] = Counter()
        self._processes: Counter[int] = Counter()
        self._bytes = 0

    def __len__(self) -> int:
        return self._connections.total()

    def take(self, connection: bytes, peer: Peer | None, size: int) -> str | None:
        """Counts one more of `size` bytes; returns whose limit it would exceed, None when it was taken."""
        if self._connections[connection] >= MAX_OF_CONNECTION:
            return f"this connection has {MAX_OF_CONNECTION} requests in hand"
        if peer is not None and self._processes[peer.pid] >= MAX_OF_PROCESS:
            return f"process {peer.pid} has {MAX_OF_PROCESS} requests in hand"
        if len(self) >= MAX_OF_ALL or (self._bytes and self._bytes + size > MAX_BYTES):
            return "the daemon has as many requests in hand as it takes"
        self._count(connection, peer, size, 1)
        return None

    def give_back(self, connection: bytes, peer: Peer | None, size: int) -> None:
        """Counts one less."""
        self._count(connection, peer, size, -1)

    def _count(self, connection: bytes, peer: Peer | None, size: int, step: int) -> None:
        self._bytes += step * size
        self._connections[connection] += step
        if not self._connections[connection]:
            del self._connections[connection]
        if peer is not None:
            self._processes[peer.pid] += step
            if not self._processes[peer.pid]:
                del self._processes[peer.pid]


class Tracked(Protocol):
    """A message on its way; `done` when its bytes are needed no more: sent, or its connection gone."""

    @property
    def done(self) -> bool:
        """Returns whether libzmq let go of it."""
        ...


class Unread:
    """Remembers the large replies that are on their way to each connection."""

    def __init__(self) -> None:
        self._on_the_way: dict[bytes, list[tuple[Tracked, int]]] = {}

    def has_room(self, connection: bytes, size: int) -> bool:
        """Returns whether one more of `size` bytes may be sent there; to who has read all, any may."""
        self._forget_done()
        unread = sum(each for _, each in self._on_the_way.get(connection, ()))
        return not unread or unread + size <= MAX_UNREAD_BYTES

    def add(self, connection: bytes, message: Tracked, size: int) -> None:
        """Remembers a message that was sent."""
        self._on_the_way.setdefault(connection, []).append((message, size))

    def _forget_done(self) -> None:
        left = {name: [each for each in messages if not each[0].done] for name, messages in self._on_the_way.items()}
        self._on_the_way = {name: messages for name, messages in left.items() if messages}

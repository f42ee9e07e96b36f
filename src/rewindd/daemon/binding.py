"""The daemon's socket as zmq is told of it: its options, and where it is bound."""

import os
from typing import cast

import zmq
import zmq.asyncio

from rewindd.daemon import endpoint, peers
from rewindd.protocol import wire

#: A frame above this ends its connection, so that nobody makes us allocate at will. It is above what is taken, so that a body of
#: 64 MiB, the largest reply and a likely mistake, still gets its `too-large`.
MAX_FRAME_BYTES = wire.MAX_REPLY_BYTES + (64 << 10)
#: Messages per peer that wait in libzmq; with what a connection may have in hand, and as many progress frames, nothing is dropped.
SEND_MESSAGES = 2 * peers.MAX_OF_CONNECTION
RECEIVE_MESSAGES = peers.MAX_OF_CONNECTION
#: Who connects and says nothing has this long a descriptor of ours (libzmq's default is 30 s).
HANDSHAKE_MS = 2000
#: Replies just handed over are lost at 0 (measured: 1 of 50 of 1 MB), none at this.
LINGER_MS = 1000


def bind(socket: zmq.asyncio.Socket, path: str, inherited: int | None) -> tuple[int, int] | None:
    """Sets what must be set before bind, and binds. Returns what the socket file is; None when it is not ours to remove."""
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.SNDHWM, SEND_MESSAGES)
    socket.setsockopt(zmq.RCVHWM, RECEIVE_MESSAGES)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    # Ignored after bind (measured). Deprecated in favour of ZAP, but a second fence that costs nothing.
    socket.setsockopt(zmq.IPC_FILTER_UID, os.getuid())
    place = address(path)
    if inherited is not None:
        socket.setsockopt(zmq.USE_FD, inherited)
        socket.bind(place)
        return None
    socket.bind(place)
    os.chmod(path, 0o600)
    return endpoint.identity(path)


def address(path: str) -> str:
    """Returns the address to bind; as bytes where the path is not UTF-8, which pyzmq takes but words its errors wrongly for."""
    text = f"ipc://{path}"
    encoded = os.fsencode(text)
    return text if encoded == text.encode("utf-8", "replace") else cast("str", encoded)

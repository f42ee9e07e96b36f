"""How a client's DEALER and its monitor are set up, and what the monitor's events mean. Shared by both clients."""

import os
import struct
from typing import TYPE_CHECKING

import zmq

from rewindd import errors, places
from rewindd.protocol import wire

if TYPE_CHECKING:
    import zmq.asyncio

#: A stopped daemon is noticed well within a request's timeout (ZMQ_HEARTBEAT_IVL and ZMQ_HEARTBEAT_TIMEOUT, zmq_setsockopt(3)).
HEARTBEAT_MS = 1000
HEARTBEAT_TIMEOUT_MS = 3000
#: Longer than anybody takes to notice a loss; then the endpoint is disconnected, and connected anew.
RECONNECT_MS = 60_000
#: The frame beside the body: MAXMSGSIZE is per frame, and ours are single.
SLACK_BYTES = 1 << 16
#: zmq_socket_monitor(3): 16 bits of event, 32 of value, in the host's order, unpadded.
_EVENT = struct.Struct("=hi")


def configure(socket: "zmq.Socket[bytes] | zmq.asyncio.Socket") -> None:
    """Sets a DEALER's options, before it connects.

    LINGER 0: what its caller gave up is not sent later. IMMEDIATE stays off, although nothing must be queued for a daemon
    that is not there: with it libzmq drops a reply that has arrived and was not read yet when its sender closes (5 of 5
    with libzmq 4.3.5; socket_base.cpp, `hiccuped`), such as the last one of a daemon that ends. Instead a request is sent
    only after the monitor said that a connection is up, and the endpoint is disconnected as soon as it says that it went.
    RECONNECT_IVL: by itself libzmq connects again within 0.1 s, and sends the next daemon what was queued for the last one: a request
    whose caller was told `outcome-unknown` by then, and has gone on.
    """
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_REPLY_BYTES + SLACK_BYTES)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)


MONITORED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


def is_up(frames: list[bytes]) -> bool:
    """Returns what a monitor's message says: True when a connection came up, False when it went."""
    event, _ = _EVENT.unpack(frames[0])
    return bool(event == zmq.EVENT_HANDSHAKE_SUCCEEDED)


def endpoint(socket_path: str) -> str:
    """Returns the ZeroMQ endpoint of a socket's path.

    Raises:
        BadConfig: the path is longer than a socket's may be.
    """
    path = os.path.abspath(socket_path)
    if len(os.fsencode(path)) > places.MAX_SOCKET_BYTES:
        raise errors.BadConfig(f"the socket's path has over {places.MAX_SOCKET_BYTES} bytes: {path}; set REWINDD_SOCKET to a shorter one")
    return f"ipc://{path}"

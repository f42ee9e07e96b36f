"""What is told of a message from its frames alone, before its body is read: the way back, and who sent it."""

from collections.abc import Sequence

import zmq

from rewindd.daemon import peers
from rewindd.protocol import wire


def route(frames: Sequence[zmq.Frame]) -> tuple[bytes, ...]:
    """Returns the way back. Raises Unroutable, without a look at the content of what is too many or too long."""
    if len(frames) > wire.MAX_FRAMES or any(len(frame) > wire.MAX_ID_BYTES * 2 for frame in frames[:-1]):
        raise wire.Unroutable(f"{len(frames)} frames")
    found, _ = wire.split_route([*(frame.bytes for frame in frames[:-1]), b"", b""][: len(frames)])
    return found


def peer(frame: zmq.Frame) -> peers.Peer | None:
    """Returns the process that sent it; None where libzmq does not tell."""
    try:
        return peers.parse_address(str(frame.get("Peer-Address")))
    except zmq.ZMQError:
        return None

"""The daemon's question to itself, asked as a client asks: it comes back when socket, event loop and service have each answered.

A timer that fed the watchdog would prove that timers work. A daemon whose socket file is another's, whose reader is stuck or whose
store thread hangs is not at work, however well its loop turns.
"""

import secrets

import zmq
import zmq.asyncio

from rewindd.protocol import wire
from rewindd.protocol.requests import Ping


class Pulse:
    """One daemon's; belongs to the event loop's thread, as the context does.

    `question` is a ping, which the service answers after its store thread has, under an `id` that nobody else can know: so no
    client's message is taken for it.
    """

    def __init__(self, context: zmq.asyncio.Context, address: str) -> None:
        self._context, self._address = context, address
        self.id: wire.RequestId = secrets.token_hex(16)
        self.question = wire.encode_request(Ping(), self.id)

    def is_own(self, frame: zmq.Frame) -> bool:
        """Returns whether a message is the daemon's own question."""
        return len(frame) == len(self.question) and frame.bytes == self.question

    async def beat(self) -> None:
        """Asks on a new connection, so that accepting is part of it, and returns when the answer is there."""
        with self._context.socket(zmq.DEALER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(self._address)
            await socket.send(self.question)
            await socket.recv_multipart()

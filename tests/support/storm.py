"""Asks as much as it can, over several connections, and waits for no answer: `storm.py SOCKET CONNECTIONS SECONDS SESSION`.

Reads what comes meanwhile, and until it is silent after the end. Prints one JSON object: what was sent, and what came.
"""

import sys
import time
from collections import Counter

import msgspec
import zmq

from rewindd.protocol import replies, requests, wire

#: Milliseconds without an answer after which none is on its way.
SILENCE_MS = 3_000
#: Sent between two looks at what came.
_BURST = 64


class Heard(msgspec.Struct):
    """What one process sent, and what it was told: by code (`-`: an answer), and how many answers were not what was asked for."""

    sent: int = 0
    told: dict[str, int] = {}
    wrong: int = 0
    took_s: float = 0.0


def bodies(session: str) -> list[bytes]:
    """The requests, in the order in which they are sent; the id says which it is."""
    asked = (
        requests.Ping(),
        requests.ListCheckpoints(session=session),
        requests.Ping(),
        requests.ShowSession(session=session),
        requests.ListSessions(),
        requests.Record(session=session, events=[requests.EventBody(kind="user_prompt", text="x", tokens=1)]),
    )
    return [wire.encode_request(one, number) for number, one in enumerate(asked)]


EXPECTED = (replies.Pong, replies.Checkpoints, replies.Pong, replies.SessionReply, replies.Sessions, replies.Recorded)


def hear(heard: Heard, told: Counter[str], body: bytes) -> None:
    head = wire.decode_reply_head(body)
    if not head.ok:
        told[str((head.error or {}).get("code"))] += 1
        return
    told["-"] += 1
    assert isinstance(head.id, int)
    try:
        wire.decode_reply(body, EXPECTED[head.id])
    except ValueError:
        heard.wrong += 1


def main() -> None:
    socket, connections, seconds, session = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    heard, told = Heard(), Counter[str]()
    asked = bodies(session)
    with zmq.Context[zmq.Socket[bytes]]() as context:
        dealers = [context.socket(zmq.DEALER) for _ in range(connections)]
        poller = zmq.Poller()
        for dealer in dealers:
            dealer.setsockopt(zmq.LINGER, 0)
            dealer.connect(f"ipc://{socket}")
            poller.register(dealer, zmq.POLLIN)
        began_s = time.monotonic()
        while time.monotonic() - began_s < seconds:
            for dealer in dealers:
                try:
                    for _ in range(_BURST):
                        dealer.send(asked[heard.sent % len(asked)], zmq.NOBLOCK)
                        heard.sent += 1
                except zmq.Again:
                    pass
            for ready, _ in poller.poll(0):
                try:
                    while True:
                        hear(heard, told, ready.recv(zmq.NOBLOCK))
                except zmq.Again:
                    pass
        heard.took_s = time.monotonic() - began_s
        while found := poller.poll(SILENCE_MS):
            for ready, _ in found:
                hear(heard, told, ready.recv())
        for dealer in dealers:
            dealer.close()
    heard.told = dict(told)
    sys.stdout.buffer.write(msgspec.json.encode(heard))


if __name__ == "__main__":
    main()

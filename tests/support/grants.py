"""A grant of a real daemon, and who comes in through it: what the sandbox would see, byte by byte."""

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec
import zmq

from rewindd.blocking import Client
from rewindd.paths import FsText
from rewindd.protocol import replies
from rewindd.protocol.requests import ListGrants, MakeGrant, RevokeGrant
from support.daemon import PATIENCE_S, RealDaemon

#: What the workspace is called inside; nothing is there outside.
INSIDE = "/box/project"

Fields = dict[str, object]


def grant(client: Client, root: Path, *ops: str, ttl_s: float = 3600.0, quota_bytes: int = 1 << 30, inside: str = INSIDE) -> replies.Grant:
    """Makes a grant."""
    request = MakeGrant(directory=FsText(str(root)), ops=list(ops), ttl_s=ttl_s, inside=FsText(inside), quota_bytes=quota_bytes)
    return client.ask(request, replies.GrantReply).grant


def grants(client: Client) -> list[replies.Grant]:
    """The grants that there are."""
    return client.ask(ListGrants(), replies.Grants).grants


def revoke(client: Client, granted: replies.Grant) -> None:
    """Ends a grant."""
    client.ask(RevokeGrant(id=granted.id), replies.GrantReply)


class Box:
    """Who is in the sandbox: a DEALER that says what it likes. Keeps all that it was told."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", socket: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        self.socket.connect(f"ipc://{socket}")
        self.told = b""
        self._numbers = count(1)

    def exchange(self, op: str, **fields: object) -> Fields:
        """Sends a request and returns its reply, whole."""
        number = next(self._numbers)
        self.socket.send(msgspec.msgpack.encode({"v": 1, "id": number, "op": op, **fields}))
        body = self.socket.recv()
        self.told += body
        reply = msgspec.convert(msgspec.msgpack.decode(body), dict[str, object])
        assert reply["id"] == number
        return reply

    def ask(self, op: str, **fields: object) -> Fields:
        """Returns an answer's fields."""
        reply = self.exchange(op, **fields)
        assert reply["ok"] is True, reply
        return reply

    def error(self, op: str, **fields: object) -> Fields:
        """Returns the error that a request gets."""
        reply = self.exchange(op, **fields)
        assert reply["ok"] is False, reply
        return msgspec.convert(reply["error"], dict[str, object])

    def code(self, op: str, **fields: object) -> str:
        """Returns the code of the error that a request gets."""
        return str(self.error(op, **fields)["code"])

    def open(self, name: str, **fields: object) -> str:
        """Opens a session, whose id is `name`."""
        self.ask("session.open", directory=os.fsencode(INSIDE), session_id=name, agent="boxed", **fields)
        return name

    def edit(self, session: str, root: Path, path: str, content: str) -> None:
        """The session changes a file of the workspace, and says so before."""
        self.ask("snapshot", session=session, paths=[os.fsencode(path)])
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)

    def saved(self, session: str, root: Path, path: str, content: str, name: str) -> str:
        """The session changes a file and saves."""
        self.edit(session, root, path, content)
        self.ask("save", session=session, checkpoint_id=name, label=name)
        return name


@contextmanager
def box(granted: replies.Grant) -> Iterator[Box]:
    """Somebody in the sandbox of a grant, for the block."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield Box(context, granted.socket)
    finally:
        context.destroy(linger=0)


def paths_of(reply: Fields, field: str) -> dict[str, str]:
    """Paths with their reasons, of a reply's list."""
    listed = msgspec.convert(reply[field], list[dict[str, object]])
    return {os.fsdecode(msgspec.convert(one["path"], bytes)): str(one.get("reason", "")) for one in listed}


def wait_until_said(daemon: RealDaemon, text: str) -> None:
    """Waits until the daemon's log has a text."""
    _wait_until(lambda: text in daemon.said(), daemon)


def wait_until_refused(daemon: RealDaemon, granted: replies.Grant, times: int) -> None:
    """Waits until the daemon's log has so many lines of what a grant refused: they come after the replies."""
    _wait_until(lambda: daemon.said().count(f"grant {granted.id}: refused") >= times, daemon)


def _wait_until(is_so: Callable[[], bool], daemon: RealDaemon) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until_s, daemon.said()
        select.select([], [], [], 0.005)

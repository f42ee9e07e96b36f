"""What a request may have, at the limit and one above, and what the daemon's memory does under those who ask without end."""

from collections.abc import Iterator

import msgspec
import pytest
import zmq

import rewindd.blocking
from support.daemon import RealDaemon

PATIENCE_MS = 60_000
#: Memory that an abuse may add to the daemon's; without its limits each of these would add gigabytes, or grow with the count.
MORE_BYTES = 160 << 20
FLOOD, SESSIONS = 50_000, 1_200
Body = dict[str, object]


@pytest.fixture
def dealer(running: RealDaemon) -> "Iterator[zmq.Socket[bytes]]":
    """A socket that speaks msgpack and nothing of ours."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as made:
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        made.connect(f"ipc://{running.socket}")
        yield made


def code_of(dealer: "zmq.Socket[bytes]", **fields: object) -> str:
    """The code of a request's answer; `-` where it is none."""
    dealer.send(msgspec.msgpack.encode({"v": 1, "id": 1, **fields}))
    reply: Body = msgspec.msgpack.decode(dealer.recv())
    return "-" if reply["ok"] else str(msgspec.convert(reply["error"], Body)["code"])


@pytest.mark.parametrize(
    ("field", "fits", "above"),
    [
        ("id", "i" * 128, "i" * 129),
        ("key", "k" * 128, "k" * 129),
        ("label", "l" * 1000, "l" * 1001),
        ("paths", [b"p"] * 100_000, [b"p"] * 100_001),
        ("paths", [b"n" * 255], [b"n" * 256]),
        ("events", [{"kind": "user_prompt", "text": "x"}] * 100_000, [{"kind": "user_prompt", "text": "x"}] * 100_001),
        ("restore", ["files"] * 8, ["files"] * 9),
        ("wait_ms", 0, 60_001),
        ("limit", 1000, 1001),
    ],
    ids=lambda value: str(value)[:12],
)
def test_at_the_limit(running: RealDaemon, dealer: "zmq.Socket[bytes]", field: str, fits: object, above: object) -> None:
    """What is at the limit is taken, and one more is refused, with a code of the caller's."""
    op = {"paths": "snapshot", "events": "record", "restore": "rewind", "wait_ms": "events", "limit": "events"}.get(field, "save")
    root = running.directory / f"limits-{field}"
    root.mkdir(exist_ok=True)
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client, client.session(root) as session:
        more = {"position": session.save().id} if op == "rewind" else {}
        assert code_of(dealer, op=op, session=session.id, **more, **{field: fits}) == "-"
        assert code_of(dealer, op=op, session=session.id, **more, **{field: above}) == "bad-request"


def test_a_flood_of_requests(running: RealDaemon, dealer: "zmq.Socket[bytes]") -> None:
    """As many as one sends, without waiting for an answer: each is answered, or `busy`; memory stays, others are served."""
    before = running.resident_bytes()
    ping = msgspec.msgpack.encode({"v": 1, "id": 1, "op": "ping", "more": "x" * 1_000})
    sent = answered = 0
    codes: set[object] = set()
    while sent < FLOOD:
        try:
            dealer.send(ping, zmq.NOBLOCK)
            sent += 1
        except zmq.Again:
            codes.add(msgspec.msgpack.decode(dealer.recv()).get("error", {}).get("code"))
            answered += 1
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client:
        assert client.status().pid == running.pid
    assert codes <= {None, "busy"}
    assert answered > 0
    assert running.resident_bytes() - before < MORE_BYTES


def test_many_sessions(running: RealDaemon) -> None:
    """Sessions that were opened and closed leave little behind in memory, and each can be opened again."""
    root = running.directory / "many"
    root.mkdir()
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client:
        before = running.resident_bytes()
        for number in range(SESSIONS):
            with client.session(root, session_id=f"many-{number}", capture="snapshots") as session:
                session.close()
        assert running.resident_bytes() - before < MORE_BYTES // 4
        with client.session(root, session_id="many-0") as session:
            assert session.save().files == 0

"""What a real daemon process answers on its socket, to clients good, broken, slow and gone."""

import re
import socket
import time
from pathlib import Path

import msgspec
import pytest
import zmq

from rewindd.protocol import requests, wire
from support.daemon_process import Client, Daemon


def body(**fields: object) -> bytes:
    return msgspec.msgpack.encode({"v": 1, "id": 7, "op": "ping", **fields})


def code_of(client: "Client") -> tuple[object, object]:
    head, _ = client.receive()
    return head.id, (head.error or {}).get("code")


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_both_envelopes(daemon: "Daemon", kind: int) -> None:
    """A DEALER's and a REQ's request are both answered, along the route they came."""
    client = daemon.client(kind)
    assert client.ping()
    assert client.ping()


@pytest.mark.parametrize(
    ("frames", "answer"),
    [
        ((b"",), (None, "bad-request")),
        ((b"", b""), (None, "bad-request")),
        ((b"\xff\xfe garbage",), (None, "bad-request")),
        ((b"\x93\x01\x02\x03",), (None, "bad-request")),
        ((body()[:-2],), (7, "bad-request")),
        ((b"\x91" * 100_000,), (None, "bad-request")),
        ((body(id="x" * 200),), (None, "bad-request")),
        ((body(op="dance"),), (7, "unknown-op")),
        ((body(op=5),), (7, "bad-request")),
        ((body(v=2),), (7, "unsupported-version")),
        ((body(op="snapshot", paths="no list"),), (7, "bad-request")),
        ((body(op="session.open"),), (7, "bad-request")),
        ((msgspec.msgpack.encode({"z": [1], "op": 5, "id": "late", "v": 1}),), ("late", "bad-request")),
    ],
)
def test_what_cannot_be_done_is_answered(daemon: "Daemon", frames: tuple[bytes, ...], answer: tuple[object, object]) -> None:
    """Each malformed request gets an error reply, with its id wherever that can be read; and the connection goes on."""
    client = daemon.client()
    client.send_raw(*frames)
    if frames[0] == b"" and len(frames) == 2:
        assert client.socket.recv() == b""
    assert code_of(client) == answer
    assert client.ping()


def test_unknown_fields_are_ignored(daemon: "Daemon") -> None:
    """A field of a later version does not make a request wrong."""
    client = daemon.client()
    client.send_raw(body(later={"x": 1}))
    head, _ = client.receive()
    assert head.ok
    assert head.id == 7


def test_frames_without_a_route_are_dropped(daemon: "Daemon") -> None:
    """Messages of too many frames, or without the empty delimiter, get no reply, are counted, and cost nobody else anything."""
    client = daemon.client()
    client.send_raw(b"", b"", body())
    client.send_raw(b"x", body())
    client.send_raw(*[b"x" * 900] * 50)
    assert client.ping()
    assert "unroutable=3" in daemon.stop()


def test_too_large(daemon: "Daemon") -> None:
    """A body of 64 MiB gets its `too-large` with its id; one above what a frame may be ends its connection and no other."""
    client, other = daemon.client(), daemon.client()
    client.send_raw(body(op="record", z=bytes(64 << 20)))
    assert code_of(client) == (7, "too-large")
    assert client.ping()
    client.send_raw(body(z=bytes(66 << 20)))
    assert other.ping()


def test_a_reply_too_large(daemon: "Daemon") -> None:
    """An answer that would not fit is an error that says so."""
    client = daemon.client()
    client.do(f"big:{64 << 20}")
    assert code_of(client) == (1, "too-large")


def test_a_bug_is_answered(daemon: "Daemon") -> None:
    """An exception nobody expected is `internal` for its caller; the traceback is in the log alone, and the daemon lives."""
    client = daemon.client()
    client.do("bug")
    head, raw = client.receive()
    assert (head.error or {})["code"] == "internal"
    assert b"secret" not in raw
    assert client.ping()
    assert "RuntimeError: a secret of the daemon" in daemon.text()


def test_an_error_names_any_path(daemon: "Daemon") -> None:
    """An error about a path that is not UTF-8 still reaches its caller, with its fields."""
    client = daemon.client()
    client.do("moved")
    head, _ = client.receive()
    assert head.error == {"code": "head-moved", "message": "it moved", "retryable": False, "head": None, "path": "\\udcff"}


def test_a_client_that_left(daemon: "Daemon") -> None:
    """The reply to a client that is gone is counted and dropped; it goes to nobody else."""
    client, other = daemon.client(), daemon.client()
    client.do("sleep:0.3")
    assert other.ping()
    client.socket.close()
    other.do("sleep:0.6")
    other.receive()
    assert other.ping()
    assert "gone=1" in daemon.stop()


def test_a_client_that_does_not_read(daemon: "Daemon") -> None:
    """Replies to a client that does not read them are dropped at its limit; others are answered at once meanwhile."""
    slow, other = daemon.unconnected(), daemon.client()
    slow.socket.setsockopt(zmq.RCVHWM, 1)
    slow.socket.setsockopt(zmq.RCVBUF, 4096)
    slow.connect()
    longest_s = 0.0
    for _ in range(400):
        slow.do(f"big:{256 << 10}")
        began = time.monotonic()
        assert other.ping()
        longest_s = max(longest_s, time.monotonic() - began)
    assert longest_s < 1.0
    assert re.search(r"slow=[1-9]", daemon.stop())


def test_unread_bytes_are_bounded(daemon: "Daemon") -> None:
    """Large replies that nobody reads do not pile up in the daemon; what is read makes room again."""
    slow, other = daemon.unconnected(), daemon.client()
    slow.socket.setsockopt(zmq.RCVHWM, 1)
    slow.connect()
    for _ in range(24):
        slow.do(f"big:{40 << 20}")
        assert other.ping()
    peak_kib = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{daemon.process.pid}/status").read_text())[1])  # type: ignore[index]
    assert peak_kib < 600 << 10
    daemon.wait_until("reply=slow")
    slow.receive()
    while "reply=sent" not in daemon.text().splitlines()[-1]:
        slow.do(f"big:{40 << 20}")
        slow.receive()
    assert other.ping()


def test_a_flood_starves_nobody(daemon: "Daemon") -> None:
    """While one client sends without pause, another's requests are answered."""
    flood, other = daemon.client(), daemon.client()
    assert flood.ping()
    for number in range(20_000):
        flood.send_raw(body(id=number))
    began = time.monotonic()
    assert other.ping()
    assert time.monotonic() - began < 5.0


def test_the_limit_of_one_connection(daemon: "Daemon") -> None:
    """The 65th request in hand of a connection is `busy`, at once and with its id; another connection is not concerned."""
    client, other = daemon.client(), daemon.client()
    numbers = [client.do("sleep:1") for _ in range(65)]
    head, _ = client.receive()
    assert head.id == numbers[-1]
    assert head.error is not None
    assert (head.error["code"], head.error["retryable"]) == ("busy", True)
    assert other.ping()
    assert {client.receive()[0].id for _ in range(64)} == set(numbers[:-1])
    assert client.ping()


def test_progress(daemon: "Daemon") -> None:
    """A request longer than a second says so each second, to who asked, with what was last reported; then comes the answer."""
    client, silent = daemon.client(), daemon.client()
    number = client.do("sleep:2.4", progress=True)
    silent.do("sleep:2.4")
    heads = [client.receive()[0] for _ in range(3)]
    assert [head.id for head in heads] == [number] * 3
    assert [head.progress for head in heads] == [wire.Progress(done=1, total=2, what="sleeping")] * 2 + [None]
    assert silent.receive()[0].ok


def test_a_half_closed_peer(daemon: "Daemon") -> None:
    """Who connects and says half a greeting, or closes its half, loses the connection in some seconds; others are served."""
    client = daemon.client()
    with socket.socket(socket.AF_UNIX) as mute, socket.socket(socket.AF_UNIX) as half:
        for raw in (mute, half):
            raw.settimeout(15)
            raw.connect(daemon.socket)
            raw.sendall(b"\xff\x00\x00")
        half.shutdown(socket.SHUT_WR)
        assert client.ping()
        for raw in (mute, half):
            while raw.recv(1000):
                pass
    assert client.ping()


def test_large_bodies_of_many_paths(daemon: "Daemon") -> None:
    """Decoding a large body does not keep others waiting; more paths than one request may name are `bad-request`."""
    client, other = daemon.client(), daemon.client()
    assert other.ping()
    client.send_raw(body(op="snapshot", paths=[b"p"] * 1_000_000))
    began = time.monotonic()
    assert other.ping()
    assert time.monotonic() - began < 1.0
    assert code_of(client) == (7, "bad-request")


def test_one_line_a_request(daemon: "Daemon") -> None:
    """Each request is one INFO line with op, id, peer, time, outcome and code; the caller's id cannot forge a line."""
    client = daemon.client()
    client.send_raw(body(id="a\nrequest op=forged"))
    client.receive()
    client.do("moved")
    client.receive()
    daemon.wait_until("code=head-moved")  # the line follows the reply
    lines = [line for line in daemon.text().splitlines() if "request op=" in line]
    assert re.search(r"op=ping session=- id='a\\nrequest op=forged' peer_pid=\d+ ms=[\d.]+ outcome=ok code=- ", lines[-2])
    assert re.search(r"op=session.show session='moved' id=1 peer_pid=\d+ ms=[\d.]+ outcome=error code=head-moved ", lines[-1])


def test_encoded_by_our_own_codec(daemon: "Daemon") -> None:
    """The reply's fields decode as the reply they are."""
    head, raw = daemon.client().ask(requests.Ping())
    assert head.ok
    assert msgspec.msgpack.decode(raw)["pid"] == daemon.process.pid

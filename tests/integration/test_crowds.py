"""More than anybody needs: ten thousand sessions, and as many requests as this machine can send. Each is answered, or `busy`."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import msgspec
import pytest
import zmq

import rewindd.blocking
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import requests, wire
from support import storm
from support.daemon import PATIENCE_S, RealDaemon, real_daemon
from support.storm import Heard

SESSIONS, CONNECTIONS = 10_000, 4
#: Requests on their way, of each connection; below what is `busy`.
IN_FLIGHT = 48
#: What each open session may add to the daemon's memory.
SESSION_BYTES = 16 << 10
#: What a storm may add: what is in hand, and what libzmq holds for each connection, which it gives back late.
STORM_BYTES = 128 << 20


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RealDaemon]:
    """A daemon of the test's own, so that nobody else adds to its memory."""
    with real_daemon(tmp_path) as daemon:
        yield daemon


def ask_all(daemon: RealDaemon, bodies: list[bytes]) -> list[bytes]:
    """Sends all over a few connections, `IN_FLIGHT` at a time each; returns the answers, in any order."""
    answers: list[bytes] = []
    left = iter(bodies)
    with zmq.Context[zmq.Socket[bytes]]() as context, ExitStack() as stack:
        dealers = [stack.enter_context(context.socket(zmq.DEALER)) for _ in range(CONNECTIONS)]
        poller = zmq.Poller()
        for dealer in dealers:
            dealer.setsockopt(zmq.LINGER, 0)
            dealer.connect(f"ipc://{daemon.socket}")
            poller.register(dealer, zmq.POLLIN)
            for body in islice(left, IN_FLIGHT):
                dealer.send(body)
        while len(answers) < len(bodies):
            found = poller.poll(int(PATIENCE_S * 1000))
            assert found, f"{len(answers)} answers, and then silence: {daemon.said()}"
            for ready, _ in found:
                answers.append(ready.recv())
                for body in left:
                    ready.send(body)
                    break
    return answers


def check_sessions(daemon: RealDaemon, count: int) -> None:
    root = daemon.directory / "tree"
    root.mkdir()
    before = daemon.resident_bytes()
    opening = [
        requests.OpenSession(directory=FsText(str(root)), id=f"s{number}", agent="crowd", exact=True, capture="snapshots")
        for number in range(count)
    ]
    answers = ask_all(daemon, [wire.encode_request(one, number) for number, one in enumerate(opening)])
    assert Counter(wire.decode_reply_head(body).ok for body in answers) == {True: count}
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
        assert daemon.resident_bytes() - before < (32 << 20) + count * SESSION_BYTES
        assert {one.id for one in client.sessions()} == {one.id for one in opening}
        with client.session(root, session_id=f"s{count - 1}", agent="crowd") as session:
            session.snapshot("it")
            (root / "it").write_text("one of many\n")
            made = session.save()
            began_s = time.monotonic()
            session.rewind(made.id, before=True)
            session.undo()
            assert time.monotonic() - began_s < PATIENCE_S / 3
        barrier = client.barrier(root, "all of them")
        assert len(barrier.members) == count
    daemon.restart()
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
        assert len(client.sessions(root)) == count
    closing = [wire.encode_request(requests.CloseSession(session=f"s{number}"), number) for number in range(count)]
    assert Counter(wire.decode_reply_head(body).ok for body in ask_all(daemon, closing)) == {True: count}
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
        assert client.sessions() == []
        assert len(client.sessions(closed=True)) == count


def test_a_thousand_sessions(own: RealDaemon) -> None:
    """All open at once, listed, one of them works as ever; after a restart all are there, and each is closed."""
    check_sessions(own, 1_000)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_sessions(own: RealDaemon) -> None:
    """The same, ten times as many."""
    check_sessions(own, SESSIONS)


def check_storm(daemon: RealDaemon, processes: int, seconds: float) -> None:
    root = daemon.directory / "tree"
    root.mkdir()
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
        with client.session(root, session_id="stormed") as session:
            session.save()
            before = daemon.resident_bytes()
            command = [sys.executable, storm.__file__, daemon.socket, "4", str(seconds), "stormed"]
            environment = {**os.environ, "PYTHONPATH": str(Path(storm.__file__).parents[1])}
            running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(processes)]
            try:
                served = refused = 0
                while any(one.poll() is None for one in running):
                    try:
                        assert client.status().pid == daemon.pid
                        served += 1
                    except errors.Busy:
                        refused += 1
                told = [msgspec.json.decode(one.communicate()[0], type=Heard) for one in running]
            finally:
                for one in running:
                    one.kill()
                    one.wait()
            assert daemon.resident_bytes(peak=True) - before < STORM_BYTES
            assert [one.returncode for one in running] == [0] * processes
            codes = {code for one in told for code in one.told}
            assert codes <= {"-", "busy"}
            assert [one.wrong for one in told] == [0] * processes
            assert all(one.told.get("-") for one in told), "each gets its share"
            assert served > seconds, f"others are served meanwhile: {served} answers, {refused} refusals in {seconds} s"
            recorded = sum(one.sent for one in told)
            print(f"{recorded / seconds:.0f} requests a second, of which answered: {sum(one.told['-'] for one in told) / seconds:.0f}")
            assert len(session.list()) == 1


def test_a_storm(own: RealDaemon) -> None:
    """Two processes ask without end for two seconds."""
    check_storm(own, 2, 2.0)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_long_storm(own: RealDaemon) -> None:
    """Eight processes, for a minute."""
    check_storm(own, 8, 60.0)

"""More connections than there are descriptors: who floods is turned away. Where libzmq finds none left it ends the process, and the next
one has all there was."""

import os
import resource
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

import rewindd.blocking
from rewindd.daemon import connections
from rewindd.daemon.connections import MAX_OF_GRANT
from rewindd.errors import TransportError
from support import flood as flood_program
from support.daemon import PATIENCE_S, RealDaemon, real_daemon
from support.grants import Box, grant, revoke

#: The hard limit of a daemon that has not enough; those who came in before are far below it.
DESCRIPTORS = 128
#: Connections that one with 4,096 has at most (`daemon/connections.py`).
BUDGET = 1_580


def wait_until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so."""
    for _ in range(int(PATIENCE_S / 0.02)):
        if is_so():
            return
        select.select([], [], [], 0.02)
    raise AssertionError("it did not come to be")


def limited(descriptors: int) -> tuple[str, ...]:
    """A command that runs another with so few descriptors that it cannot raise."""
    limit = f"({resource.RLIMIT_NOFILE}, ({descriptors}, {descriptors}))"
    return (sys.executable, "-c", f"import os, resource, sys; resource.setrlimit(*{limit}); os.execv(sys.argv[1], sys.argv[1:])")


def flood(daemon: RealDaemon, count: int) -> None:
    """Connects so often, and says nothing; returns when all are open, or nobody takes them."""
    held: list[socket.socket] = []
    assert daemon.process is not None
    try:
        while len(held) < count and daemon.process.poll() is None:
            raw = socket.socket(socket.AF_UNIX)
            held.append(raw)
            raw.setblocking(False)
            for _ in range(int(PATIENCE_S / 0.01)):
                try:
                    raw.connect(daemon.socket)
                except BlockingIOError:  # nobody took those before it yet
                    select.select([], [], [], 0.01)
                except OSError:  # nobody listens any more
                    return
                else:
                    break
        if count > DESCRIPTORS:
            daemon.process.wait(PATIENCE_S)
    finally:
        for raw in held:
            raw.close()


@contextmanager
def flooders(daemon: RealDaemon, path: str, processes: int, count: int, way: str) -> Iterator[None]:
    """So many processes that each have opened so many connections, and hold them while the block runs."""
    command = [sys.executable, str(Path(flood_program.__file__)), path, str(count), way]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(processes)]
    try:
        for one in running:
            assert one.stdout is not None
            assert one.stdout.readline() == b"full\n", daemon.said()
        yield
    finally:
        for one in running:
            one.kill()
            one.communicate()


def descriptors(daemon: RealDaemon) -> int:
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def connections_to(path: str) -> int:
    """Connections that a socket has; each is a socket with the path of the one that listens, proc_net(5)."""
    return sum(1 for line in Path("/proc/net/unix").read_text().splitlines() if line.endswith(f" {path}")) - 1


@pytest.mark.parametrize("way", ["silent", "spoken"])
def test_who_floods_is_turned_away(tmp_path: Path, way: str) -> None:
    """Three processes open twice as many connections as there are descriptors: the daemon lives, and others are served meanwhile."""
    root = tmp_path / "tree"
    root.mkdir()
    daemon = RealDaemon(tmp_path / "d").start(prefix=limited(4096))
    try:
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
            before = descriptors(daemon)
            session = client.session(root, session_id="in-before").__enter__()
            with flooders(daemon, daemon.socket, 3, 2_700, way):
                assert descriptors(daemon) < 4096
                session.snapshot("it")
                (root / "it").write_text("kept\n")
                made = session.save("in the flood")
                with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as newcomer:
                    assert newcomer.status().pid == daemon.pid
                if way == "spoken":
                    wait_until(lambda: connections_to(daemon.socket) <= BUDGET)
                assert [one.id for one in session.list()] == [made.id]
            wait_until(lambda: descriptors(daemon) <= before + 8)
            assert "its newest are closed" in daemon.said()
        daemon.stop()
    finally:
        daemon.kill()


def test_a_flooded_grant(tmp_path: Path) -> None:
    """A sandbox floods its grant's socket, which has few connections: who is outside notices nothing, who else is inside comes in."""
    root = tmp_path / "tree"
    root.mkdir()
    with real_daemon(tmp_path / "d") as daemon:
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
            granted = grant(client, root)
            with flooders(daemon, str(granted.socket), 2, 1_000, "spoken"):
                wait_until(lambda: connections_to(str(granted.socket)) <= MAX_OF_GRANT)
                assert client.status().pid == daemon.pid
                with zmq.Context[zmq.Socket[bytes]]() as context:
                    box = Box(context, str(granted.socket))
                    try:
                        assert box.exchange("ping")["ok"]
                    finally:
                        box.socket.close()
            revoke(client, granted)


#: Has libzmq accept as much as it likes, and reads no word of it; prints how much that is.
_NOBODY_READS = """
import os, resource, select, socket, sys, zmq
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
context, path = zmq.Context(), sys.argv[1]
router, told = context.socket(zmq.ROUTER), context.socket(zmq.PAIR)
router.monitor("inproc://told", zmq.EVENT_ACCEPTED)
told.rcvhwm = 1
told.connect("inproc://told")
router.bind(f"ipc://{path}")
before, held, waited = len(os.listdir("/proc/self/fd")), [], 0
while len(held) < 1_500 and waited < 40:  # a second in all
    made = socket.socket(socket.AF_UNIX)
    made.setblocking(False)
    try:
        made.connect(path)
        held.append(made)
    except BlockingIOError:
        made.close()
        waited += 1
        select.select([], [], [], 0.025)
print(len(os.listdir("/proc/self/fd")) - before - len(held))
sys.stdout.flush()
os._exit(0)
"""


def test_what_libzmq_accepts_untold(tmp_path: Path) -> None:
    """It waits where nobody reads what it tells of connections: what the budget of descriptors rests on."""
    done = subprocess.run([sys.executable, "-c", _NOBODY_READS, str(tmp_path / "s")], capture_output=True, text=True, check=True)
    assert 1_000 <= int(done.stdout) <= connections._UNTOLD


def test_no_descriptor_left(tmp_path: Path) -> None:
    """Where there is none all the same, the process ends. What was answered is there in the next life; the work goes on where it was."""
    root = tmp_path / "tree"
    root.mkdir()
    daemon = RealDaemon(tmp_path / "d").start(prefix=limited(DESCRIPTORS))
    try:
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            with client.session(root, session_id="flooded") as session:
                session.snapshot("it")
                (root / "it").write_text("kept\n")
                made = session.save("before the flood")
            none_free = max(map(int, os.listdir(f"/proc/{daemon.pid}/fd"))) + 2
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (none_free, none_free))
            flood(daemon, 3 * DESCRIPTORS)
        assert daemon.wait() == -6, daemon.said()
        assert "Too many open files" in daemon.said()
        daemon.start()
        with (
            rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client,
            client.session(root, session_id="flooded") as session,
        ):
            assert [one.id for one in session.list()] == [made.id]
            session.rewind(made.id, before=True)
            assert not (root / "it").exists()
            session.undo()
            assert (root / "it").read_text() == "kept\n"
        daemon.stop()
    finally:
        daemon.kill()


def test_those_who_say_nothing_go(tmp_path: Path) -> None:
    """A flood of fewer connections than that keeps nobody out, and is over by itself: who says nothing is closed after two seconds."""
    daemon = RealDaemon(tmp_path / "d").start(prefix=limited(DESCRIPTORS))
    try:
        for _ in range(3):
            flood(daemon, DESCRIPTORS // 3)
            try:
                with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
                    assert client.status().pid == daemon.pid
            except TransportError as exc:
                raise AssertionError(daemon.said()) from exc
        daemon.stop()
    finally:
        daemon.kill()

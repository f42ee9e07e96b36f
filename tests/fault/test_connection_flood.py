"""More connections than there are descriptors. libzmq ends the process then (accept, EMFILE); the next one has all there was."""

import resource
import select
import socket
import sys
from pathlib import Path

import rewindd.blocking
from rewindd.errors import TransportError
from support.daemon import PATIENCE_S, RealDaemon

#: The hard limit of the flooded daemon; those who came in before are far below it.
DESCRIPTORS = 128


def limited() -> tuple[str, ...]:
    """A command that runs another with so few descriptors that it cannot raise."""
    limit = f"({resource.RLIMIT_NOFILE}, ({DESCRIPTORS}, {DESCRIPTORS}))"
    return (sys.executable, "-c", f"import os, resource, sys; resource.setrlimit(*{limit}); os.execv(sys.argv[1], sys.argv[1:])")


def flood(daemon: RealDaemon, connections: int) -> None:
    """Connects so often, and says nothing; returns when all are open, or nobody takes them."""
    held: list[socket.socket] = []
    assert daemon.process is not None
    try:
        while len(held) < connections and daemon.process.poll() is None:
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
        if connections > DESCRIPTORS:
            daemon.process.wait(PATIENCE_S)
    finally:
        for raw in held:
            raw.close()


def test_a_flood(tmp_path: Path) -> None:
    """What was answered is there after it, in the next life; the work goes on where it was."""
    root = tmp_path / "tree"
    root.mkdir()
    daemon = RealDaemon(tmp_path / "d").start(prefix=limited())
    try:
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            with client.session(root, session_id="flooded") as session:
                session.snapshot("it")
                (root / "it").write_text("kept\n")
                made = session.save("before the flood")
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
    daemon = RealDaemon(tmp_path / "d").start(prefix=limited())
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

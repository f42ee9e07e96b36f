"""Which connections the guard objects to: what cannot be told or looked at, once a connection, and whose pid file counts."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd.daemon import guard
from rewindd.daemon.guard import Guard
from rewindd.daemon.peers import Peer

ME = Peer(uid=os.getuid(), pid=os.getpid())


class Source:
    """A message that came by a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def get(self, option: int | str) -> int | str | bytes:
        del option
        return self.descriptor


@pytest.fixture
def message() -> Iterator[Source]:
    """One that came from this process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Source(ours.fileno())


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int | str]:
    """The processes that were looked at, in order."""
    found: list[int | str] = []
    really = guard._namespaces

    def look(process: int | str) -> dict[str, str]:
        found.append(process)
        return really(process)

    monkeypatch.setattr(guard, "_namespaces", look)
    return found


def test_a_process_beside_the_daemon(message: Source) -> None:
    """In the same namespaces there is no objection."""
    assert Guard().objection(b"\0a", ME, message) is None


@pytest.mark.parametrize(("peer", "says"), [(None, "which process asks"), (Peer(uid=os.getuid(), pid=0), "the daemon is in a container")])
def test_nobody_knows_who(peer: Peer | None, says: str, message: Source) -> None:
    """Who cannot be told is refused, and so is who has no number here."""
    assert says in str(Guard().objection(b"\0a", peer, message))


def test_a_connection_that_is_closed(message: Source) -> None:
    """A descriptor that is none any more, or no socket, or another process's now: it hung up."""
    with open(os.devnull, "rb") as null:  # noqa: PTH123 - for its descriptor
        for source in (Source(-1), Source(null.fileno())):
            assert "it hung up" in str(Guard().objection(b"\0a", ME, source))
    assert "it hung up" in str(Guard().objection(b"\0a", Peer(uid=os.getuid(), pid=1), message))


def test_a_process_that_ended(tmp_path: Path) -> None:
    """A connection that outlives its process is refused: nobody can say any more where it was."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        child = subprocess.Popen(["python3", "-c", f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({path!r})"])
        with listener.accept()[0] as accepted:
            child.wait()
            assert "it ended" in str(Guard().objection(b"\0a", Peer(uid=os.getuid(), pid=child.pid), Source(accepted.fileno())))


def test_a_kernel_that_gives_no_process(message: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 6.5 a process is held by its number."""
    monkeypatch.setattr(guard, "_SO_PEERPIDFD", 9999)
    assert Guard().objection(b"\0a", ME, message) is None


def test_one_that_ends_while_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of a number whose process ended meanwhile may be another's already: it does not count."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        script = f"import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect({path!r}); sys.stdin.read()"
        child = subprocess.Popen(["python3", "-c", script], stdin=subprocess.PIPE)
        found, really = Guard(), guard._namespaces

        def look(process: int | str) -> dict[str, str]:
            child.communicate()
            return really("self")

        monkeypatch.setattr(guard, "_namespaces", look)
        with listener.accept()[0] as accepted:
            assert "it ended" in str(found.objection(b"\0a", Peer(uid=os.getuid(), pid=child.pid), Source(accepted.fileno())))


def test_once_a_connection(message: Source, looked: list[int | str]) -> None:
    """A connection under libzmq's own name is judged once; one that a peer named each time; another connection by itself."""
    found = Guard()
    looked.clear()
    for name in (b"\0a", b"\0a", b"\0b", b"\0a", b"mine", b"mine"):
        assert found.objection(name, ME, message) is None
    assert looked == [os.getpid()] * 4
    found.tune((), checks=True)
    assert found.objection(b"\0a", ME, message) is None
    assert looked == [os.getpid()] * 5


def test_what_is_remembered_is_bounded(message: Source, looked: list[int | str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many connections the oldest are forgotten, and judged again when they speak."""
    monkeypatch.setattr(guard, "MAX_REMEMBERED", 3)
    found = Guard()
    looked.clear()
    for number in range(5):
        found.objection(b"\0%d" % number, ME, message)
    assert len(looked) == 5
    found.objection(b"\0" + b"4", ME, message)
    assert len(looked) == 5
    found.objection(b"\0" + b"0", ME, message)
    assert len(looked) == 6


def test_turned_off(message: Source) -> None:
    """`check_namespaces = false`: nobody is looked at."""
    found = Guard(checks=False)
    assert found.objection(b"\0a", None, message) is None
    found.tune((), checks=True)
    assert found.objection(b"\0a", None, message) is not None


def test_whose_pid_file_counts(tmp_path: Path) -> None:
    """A file of ours that nobody else may write, of a process that began before it was written, and is in these namespaces."""
    file, own = tmp_path / "pid", guard._namespaces("self")
    assert not guard._is_of(str(file), own)
    file.write_text(f"{os.getpid()}\n")
    file.chmod(0o644)
    assert guard._is_of(str(file), own)
    assert not guard._is_of(str(file), {**own, "mnt": "mnt:[1]"})
    file.chmod(0o664)
    assert not guard._is_of(str(file), own)
    file.chmod(0o600)
    os.utime(file, (1, time.time() - 10 * 365 * 86400))
    assert not guard._is_of(str(file), own)
    for text in ("", "self", "-1", "1 2", "9" * 40, str(2**22 + 1)):
        file.write_text(text)
        assert not guard._is_of(str(file), own)


def test_when_a_process_began() -> None:
    """The kernel's ticks are the wall clock's seconds: a process that was started just now began just now."""
    child = subprocess.Popen(["sleep", "30"])
    try:
        assert abs(guard._began_s(child.pid) - time.time()) < 5
    finally:
        child.kill()
        child.wait()

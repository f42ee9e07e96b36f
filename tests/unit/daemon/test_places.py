"""The lock, the socket's place, and the descriptor handed over."""

import os
import socket
from pathlib import Path

import pytest

from rewindd import errors
from rewindd.daemon import activation, endpoint, lock


def test_a_lock_is_exclusive_and_names_its_holder(tmp_path: Path) -> None:
    """Who comes second hears who holds it; after the end the file stays and can be locked again."""
    path = str(tmp_path / "lock")
    for _ in range(2):
        with lock.held(path, "data"):
            assert lock.holder(path) == os.getpid()
            with pytest.raises(errors.Busy, match=f"process {os.getpid()} .* data") as raised, lock.held(path, "data"):
                pytest.fail("locked twice")
            assert raised.value.pid == os.getpid()
    assert Path(path).exists()


def test_a_lock_follows_no_link(tmp_path: Path) -> None:
    """A link at the lock's path is an error, and what it points to is not truncated."""
    (tmp_path / "precious").write_text("text")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(OSError, match="Too many levels"), lock.held(str(tmp_path / "lock"), "data"):
        pytest.fail("followed")
    assert (tmp_path / "precious").read_text() == "text"


@pytest.mark.parametrize("text", ["", "no number", "\xff", "1" * 100])
def test_an_unreadable_holder(tmp_path: Path, text: str) -> None:
    """Whatever the file says, the message can be made."""
    (tmp_path / "lock").write_text(text, encoding="latin-1")
    assert lock.holder(str(tmp_path / "lock")) in (None, int("1" * 32))


def test_make_way(tmp_path: Path) -> None:
    """Free: nothing there, or a dead socket of ours. Not: a live one, a file, a link, a directory."""
    path = str(tmp_path / "s")
    endpoint.make_way(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        endpoint.make_way(path)
        listener.listen()
        with pytest.raises(errors.Busy):
            endpoint.make_way(path)
    endpoint.make_way(path)
    for name, make in (("file", Path.touch), ("directory", Path.mkdir)):
        make(tmp_path / name)
        with pytest.raises(errors.NotPermitted):
            endpoint.make_way(str(tmp_path / name))
    (tmp_path / "link").symlink_to("s")
    with pytest.raises(errors.NotPermitted):
        endpoint.make_way(str(tmp_path / "link"))


def test_only_our_socket_is_removed(tmp_path: Path) -> None:
    """At the end the path is cleared of the very file that we made, not of its successor."""
    path = tmp_path / "s"
    path.touch()
    made = endpoint.identity(str(path))
    (tmp_path / "other").touch()
    (tmp_path / "other").rename(path)
    endpoint.remove(str(path), made)
    assert path.exists()
    endpoint.remove(str(path), endpoint.identity(str(path)))
    assert not path.exists()
    endpoint.remove(str(path), made)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else(tmp_path: Path) -> None:
    """A runtime directory of another user is refused, and so is our directory behind another user's link."""
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 65534, -1)
    (tmp_path / "ours").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("ours")
    os.chown(tmp_path / "link", 65534, -1, follow_symlinks=False)
    for name in ("theirs", "link"):
        with pytest.raises(errors.NotPermitted, match="not owned by you"):
            endpoint.private_directory(str(tmp_path / name))
    endpoint.private_directory(str(tmp_path / "ours"))


def test_nothing_handed_over() -> None:
    """Variables for another process, or none, hand nothing over; they are dropped all the same."""
    assert activation.inherited({}, "/s") is None
    env = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "HOME": "/"}
    assert activation.inherited(env, "/s") is None
    assert env == {"HOME": "/"}


def test_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was handed over, the listener at the path is taken, non-blocking and closed on exec; else all are named."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as found:
        found.bind(path)
        start = max(other.fileno(), found.fileno()) + 100
        for number, each in enumerate((other, found)):
            os.dup2(each.fileno(), start + number, inheritable=True)
        monkeypatch.setattr(activation, "FIRST", start)

        def env() -> dict[str, str]:
            return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}

        try:
            with pytest.raises(errors.BadConfig, match="no listening unix socket, no listening unix socket"):
                activation.inherited(env(), path)
            found.listen()
            with pytest.raises(errors.BadConfig, match="ListenStream="):
                activation.inherited(env(), str(tmp_path / "t"))
            assert activation.inherited(env(), path) == start + 1
            assert not os.get_inheritable(start + 1)
            assert not os.get_blocking(start + 1)
        finally:
            os.close(start)
            os.close(start + 1)

"""What could not be captured, or is tracked all the same, is never passed over in silence."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd import errors
from support.daemon import RealDaemon, real_daemon


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty directory for a workspace."""
    found = tmp_path.resolve() / "tree"
    found.mkdir()
    return found


def git(root: Path, *args: str) -> None:
    """Runs git in a repository, as somebody."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *args], cwd=root, check=True, capture_output=True)


def test_what_cannot_be_read_is_kept_and_named(running: RealDaemon, root: Path) -> None:
    """A path that is there and cannot be read is none that needs nothing: a rewind names it, in either scope, until it can be read."""
    (root / "file").write_text("it\n")
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client, client.session(root) as session:
        session.save("whole")
        (root / "file").unlink()
        os.mkfifo(root / "file")
        for scope in ("session", "workspace"):
            kept = session.rewind("whole", scope=scope).kept
            assert [(str(one.path), one.reason) for one in kept] == [("file", "special-file")]
        (root / "file").unlink()
        assert [str(path) for path in session.rewind("whole", scope="workspace").restored] == ["file"]
    assert (root / "file").read_text() == "it\n"


def test_what_becomes_tracked_is_let_in(running: RealDaemon, root: Path) -> None:
    """A file in an ignored directory is captured once git tracks it; the rest of the directory stays out."""
    git(root, "init", "-q")
    (root / ".gitignore").write_text("build/\n")
    (root / "build").mkdir()
    for name in ("tracked", "not"):
        (root / "build" / name).write_text("1\n")
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client, client.session(root) as session:
        session.save("before")
        git(root, "add", "-f", "build/tracked")
        (root / "build" / "tracked").write_text("2\n")
        session.save("tracked")
        with session.command("rm -rf build"):
            shutil.rmtree(root / "build")
        session.rewind("tracked")
    assert (root / "build" / "tracked").read_text() == "2\n"
    assert os.listdir(root / "build") == ["tracked"]


def test_the_hint_of_a_restore_brings_back_the_whole_burst(running: RealDaemon, root: Path) -> None:
    """Where somebody worked since a deletion, the position that the message names is from before all of it."""
    (root / "src").mkdir()
    for number in range(5):
        (root / "src" / f"f{number}").write_text("x\n")
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client, client.session(root) as session:
        session.save()
        shutil.rmtree(root / "src")
        session.save()
        (root / "src").mkdir()
        (root / "src" / "new").write_text("n\n")
        session.save()
        with pytest.raises(errors.BadRequest) as refused:
            session.restore("src")
        position = refused.value.message.rpartition("restore '")[2].partition("'")[0]
        restored = {str(path) for path in session.restore("src", position=position).restored}
    assert restored == {f"src/f{number}" for number in range(5)}


def test_the_first_capture_keeps_to_the_limit_of_the_store(tmp_path: Path, root: Path) -> None:
    """Content for which the store has no room is not taken by the first capture either, and is named with the reason."""
    for number in range(40):
        (root / f"f{number}").write_bytes(os.urandom(200_000))
    home = tmp_path / "home"
    (home / "config" / "rewindd").mkdir(parents=True)
    (home / "config" / "rewindd" / "config.toml").write_text("[store]\nmax_bytes = 3000000\n")
    with (
        real_daemon(home) as daemon,
        rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client,
        client.session(root) as session,
    ):
        incomplete = session.save().incomplete
        assert client.status().store.bytes < 4_000_000
    assert incomplete.count >= 25
    assert "no room in the store" in incomplete.first[0].reason

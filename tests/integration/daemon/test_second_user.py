"""Another user of the same machine: cannot connect, cannot read, cannot take a place of ours. Real processes under a second uid."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd import errors
from support.daemon import RealDaemon
from support.daemon_process import Daemons
from support.stranger import UID, needs_root, start, tries

pytestmark = needs_root

#: Listens at a path, says so, and waits to be told to end.
LISTEN = """
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
listener.listen()
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may look into, as a home directory may be."""
    with tempfile.TemporaryDirectory(prefix="rewindd-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory).resolve()


@pytest.fixture
def busy(place: Path) -> Iterator[RealDaemon]:
    """A daemon with something in its store, large contents too; its user's umask is none."""
    daemon = RealDaemon(place)
    root = place / "tree"
    root.mkdir()
    (root / "secret").write_text("a secret\n")
    (root / "large").write_bytes(os.urandom(2 << 20))
    before = os.umask(0)
    try:
        daemon.start()
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client, client.session(root, agent="t") as session:
            session.snapshot("secret", "large")
            session.save("one")
        yield daemon
        daemon.stop()
    finally:
        os.umask(before)
        daemon.kill()


def places(daemon: RealDaemon) -> dict[str, os.stat_result]:
    """Everything that the daemon has made."""
    tops = (Path(daemon.socket).parent, daemon.data_dir)
    return {str(path): path.lstat() for top in tops for path in (top, *top.rglob("*"))}


def test_modes(busy: RealDaemon) -> None:
    """Directories 0700, files and the socket 0600, all ours, whatever the umask."""
    wanted = {stat.S_IFDIR: 0o700, stat.S_IFREG: 0o600, stat.S_IFSOCK: 0o600}
    found = places(busy)
    assert any("/blobs/" in path and stat.S_ISREG(one.st_mode) for path, one in found.items()), "no content has a file of its own"
    assert {path: oct(one.st_mode) for path, one in found.items() if stat.S_IMODE(one.st_mode) != wanted[stat.S_IFMT(one.st_mode)]} == {}
    assert {one.st_uid for one in found.values()} == {os.getuid()}


def test_cannot_connect(busy: RealDaemon) -> None:
    """The socket cannot be reached, whatever was done to its own mode."""
    connect = "socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    assert tries(connect, busy.socket) == "PermissionError"
    Path(busy.socket).chmod(0o777)
    assert tries(connect, busy.socket) == "PermissionError"


def test_cannot_read(busy: RealDaemon) -> None:
    """Nothing that the daemon has can be read, listed, or written, by its path."""
    for path, found in places(busy).items():
        assert tries("os.listdir(sys.argv[1])" if stat.S_ISDIR(found.st_mode) else "open(sys.argv[1], 'rb')", path) == "PermissionError"
        assert tries("os.open(sys.argv[1], os.O_WRONLY)", path) in ("PermissionError", "IsADirectoryError")


def test_cannot_take_the_place(busy: RealDaemon) -> None:
    """Neither the socket, nor its directory, nor the store can be removed, renamed, or made before us."""
    for path in (busy.socket, f"{busy.socket}.lock", str(Path(busy.socket).parent), str(busy.data_dir), str(busy.data_dir / "store.db")):
        assert tries("os.unlink(sys.argv[1])", path) == "PermissionError"
        assert tries("os.rename(sys.argv[1], sys.argv[1] + '.old')", path) == "PermissionError"
    assert tries("socket.socket(socket.AF_UNIX).bind(sys.argv[1])", str(Path(busy.socket).with_name("new"))) == "PermissionError"
    with rewindd.blocking.connect(socket=busy.socket, autostart=False) as client:
        assert client.status().pid == busy.pid


def ended(daemons: Daemons, **how: object) -> tuple[int, str]:
    daemon = daemons.start(**how)  # type: ignore[arg-type]
    return daemon.process.wait(20), daemon.text()


def test_a_runtime_directory_that_was_made_before_us(daemons: Daemons, place: Path) -> None:
    """Where another user was first, as anybody can be in /tmp, the daemon listens not, and says why; theirs is left as it is."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    theirs = shared / "rewindd-0"
    assert tries("os.mkdir(sys.argv[1], 0o700)", str(theirs)) == "done"
    status, text = ended(daemons, socket=str(theirs / "d.sock"))
    assert status == 77
    assert f"belongs to another user (uid {UID})" in text
    assert list(theirs.iterdir()) == []


def test_a_place_that_others_could_replace(daemons: Daemons, place: Path) -> None:
    """A directory of ours inside one that all may write: another user can move it away, so neither socket nor data are put there."""
    shared = place / "shared"
    (shared / "ours").mkdir(parents=True, mode=0o700)
    shared.chmod(0o777)
    for how in ({"socket": str(shared / "ours" / "d.sock")}, {"data_dir": shared / "ours" / "data"}):
        status, text = ended(daemons, **how)
        assert (status, "others could put something else" in text) == (77, True)
    assert tries("os.rename(sys.argv[1], sys.argv[1] + '.old')", str(shared / "ours")) == "done"


def test_data_of_anothers(daemons: Daemons, place: Path) -> None:
    """A data directory, or a database in ours, that another user made is refused with 77, and not opened."""
    data = place / "data"
    data.mkdir()
    data.chmod(0o777)
    assert tries("open(sys.argv[1], 'w').write('x')", str(data / "store.db")) == "done"
    status, text = ended(daemons, data_dir=data)
    assert status == 77
    assert "store.db" in text
    assert (data / "store.db").read_text() == "x"


def test_a_listener_of_anothers(place: Path) -> None:
    """A client sends nothing to a socket that another user listens on."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    path = str(shared / "d.sock")
    with start(LISTEN, path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "listens\n"
        with rewindd.blocking.connect(socket=path, autostart=False) as client, pytest.raises(errors.Unavailable, match=f"by user {UID}"):
            client.status()
        other.communicate()

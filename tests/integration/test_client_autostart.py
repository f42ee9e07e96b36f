"""Starting a daemon that is not there, and what importing the client costs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from rewindd import errors
from rewindd.client import autostart
from rewindd.client.api import open_with
from rewindd.client.autostart import Starter
from rewindd.client.blocking import Client
from rewindd.protocol import replies, requests
from support import peer as program
from support.peer import Book, peer

CLIENT = """
import sys
from rewindd.client.autostart import Starter
from rewindd.client.blocking import Client
from rewindd.protocol import replies, requests
socket, *command = sys.argv[1:]
sys.stdin.readline()
with Client(Starter(socket_path=socket, command=tuple(command))) as client:
    print(client.ask(requests.Ping(), replies.Pong).pid)
"""


class Runtime:
    """A private directory for a socket, and the command that serves there; started daemons are ended with it."""

    def __init__(self, directory: Path) -> None:
        self.socket = str(directory / "d.sock")
        self.pids = directory / "pids"
        self.command = (sys.executable, program.__file__, self.socket, str(self.pids))

    def started(self) -> list[list[str]]:
        """One entry a daemon: pid, REWINDD_STARTED_BY, parent, session."""
        return [line.split() for line in self.pids.read_text().splitlines()] if self.pids.exists() else []


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    monkeypatch.setenv("PYTHONPATH", str(Path(program.__file__).parents[1]))
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    one = Runtime(directory)
    yield one
    for entry in one.started():
        os.kill(int(entry[0]), signal.SIGTERM)
        deadline = time.monotonic() + 5
        while Path(f"/proc/{entry[0]}").exists() and time.monotonic() < deadline:
            if Path(f"/proc/{entry[0]}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break  # nobody reaps in this container
            time.sleep(0.01)


def test_ten_clients_at_once_start_one_daemon(runtime: Runtime) -> None:
    """However many processes miss the daemon at the same moment, one is started, and answers all of them."""
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", CLIENT, runtime.socket, *runtime.command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(10)
    ]
    for client in clients:
        assert client.stdin is not None
        client.stdin.write("go\n")
        client.stdin.flush()
    answers = {client.communicate()[0].strip() for client in clients}

    assert len(runtime.started()) == 1
    assert answers == {runtime.started()[0][0]}


def test_the_daemon_is_detached(runtime: Runtime) -> None:
    """The started daemon knows why it was started, is no child of ours, leads no session, and outlives its client."""
    with Client(Starter(socket_path=runtime.socket, command=runtime.command)) as client:
        pid = client.ask(requests.Ping(), replies.Pong).pid
    (entry,) = runtime.started()

    assert entry[:2] == [str(pid), "autostart"]
    assert int(entry[3]) not in (pid, os.getsid(0))
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    with Client(Starter(socket_path=runtime.socket, command=None)) as client:
        assert client.ask(requests.Ping(), replies.Pong).pid == pid
    assert Path(runtime.socket).parent.joinpath("rewindd.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_daemon_that_died_is_started_again(runtime: Runtime) -> None:
    """The asynchronous client starts a daemon at its first call, and another when that one is killed."""
    client = await open_with(Starter(socket_path=runtime.socket, command=runtime.command))
    try:
        first = await client.ask(requests.Ping(), replies.Pong)
        os.kill(first.pid, signal.SIGTERM)
        with anyio.fail_after(5):
            while (second := await client.ask(requests.Ping(), replies.Pong)).pid == first.pid:
                await anyio.sleep(0.01)
    finally:
        await client.aclose()

    assert [int(entry[0]) for entry in runtime.started()] == [first.pid, second.pid]


def test_a_start_that_fails_is_not_tried_at_each_call(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that ends at once makes the first call fail after the wait, and the next ones at once."""
    monkeypatch.setattr(autostart, "START_S", 0.3)
    starter = Starter(socket_path=runtime.socket, command=("/bin/sh", "-c", f"echo 1 >>{runtime.socket}.tries"))
    with Client(starter) as client:
        for _ in range(5):
            with pytest.raises(errors.Unavailable):
                client.ask(requests.Ping(), replies.Pong)

    assert Path(f"{runtime.socket}.tries").read_text().count("1") == 1


def test_a_start_that_fails_says_why(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the daemon that was started said at its end is in the error; not what another one said before."""
    monkeypatch.setattr(autostart, "START_S", 0.3)
    Path(autostart.log_beside(runtime.socket)).write_text("rewindd: an earlier trouble\n")
    starter = Starter(socket_path=runtime.socket, command=("/bin/sh", "-c", "echo a word >&2; echo 'rewindd: no luck' >&2"))
    with (
        Client(starter) as client,
        pytest.raises(errors.Unavailable, match=r"did not answer in 0\.3 s: no luck; see .*rewindd\.log") as raised,
    ):
        client.ask(requests.Ping(), replies.Pong)
    assert "earlier" not in str(raised.value)


def test_no_daemon_is_started_in_a_directory_of_others(tmp_path: Path) -> None:
    """A directory that others may write to is refused: anybody could put a socket there."""
    tmp_path.chmod(0o777)
    with Client(Starter(socket_path=str(tmp_path / "d.sock"), command=("/bin/false",))) as client:
        with pytest.raises(errors.Unavailable, match="not yours alone"):
            client.ask(requests.Ping(), replies.Pong)

    assert list(tmp_path.iterdir()) == []


def test_what_listens_is_not_started_again(tmp_path: Path) -> None:
    """A listening socket is enough, whoever made it: nothing is spawned beside it."""
    tmp_path.chmod(0o700)
    socket = str(tmp_path / "d.sock")
    with peer(socket, Book().answer), Client(Starter(socket_path=socket, command=("/bin/false",))) as client:
        assert client.ask(requests.Ping(), replies.Pong).pid == os.getpid()


def test_autostart_is_turned_off_by_the_environment() -> None:
    """The argument goes before the environment; only 0 turns it off."""
    assert autostart.wanted(None, {})
    assert not autostart.wanted(None, {"REWINDD_AUTOSTART": "0"})
    assert autostart.wanted(True, {"REWINDD_AUTOSTART": "0"})
    assert not autostart.wanted(False, {})


def test_a_socket_path_that_is_too_long() -> None:
    """It is named as such, before libzmq could say something else."""
    with pytest.raises(errors.BadConfig, match="107"):
        Client(Starter(socket_path="/" + "x" * 107, command=None))


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import rewindd", ["zmq", "anyio", "msgspec", "asyncio"]),
        ("import rewindd; rewindd.errors.RewinddError", ["zmq", "anyio", "msgspec", "asyncio"]),
        ("import rewindd.client.blocking", ["anyio", "asyncio", "aiofiles", "rewindd.client.calls"]),
        (
            "import rewindd.blocking; c = rewindd.blocking.connect(socket='/nowhere/x', autostart=False, required=False)\n"
            "with c, c.session('.') as s: s.save()",
            ["anyio", "asyncio", "aiofiles"],
        ),
        ("import rewindd; rewindd.connect, rewindd.Session, rewindd.Summary", ["aiofiles"]),
    ],
)
def test_imports_are_lazy(code: str, absent: list[str]) -> None:
    """What is not used is not loaded."""
    script = f"{code}\nimport sys\nprint([name for name in {absent} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    """Each name that `dir(rewindd)` shows can be had."""
    import rewindd

    assert all(getattr(rewindd, name) is not None for name in dir(rewindd))

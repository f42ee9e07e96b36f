"""Who is in another namespace than the daemon is refused on the main socket: real processes in namespaces of their own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewindd.protocol import wire
from rewindd.protocol.requests import Ping
from support import sandbox
from support.daemon import RealDaemon
from support.daemon_process import Daemon, Daemons
from support.vectors import vectors

REASON = sandbox.why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

REWINDCTL = [sys.executable, "-c", "from rewindd.cli.main import main; main()"]
#: Asks one ping, under a routing id of its own where one is given, and prints the reply as JSON.
ASK = """
import json, sys, msgspec, zmq
with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
    dealer.linger = 0
    if len(sys.argv) > 2:
        dealer.routing_id = sys.argv[2].encode()
    dealer.connect("ipc://" + sys.argv[1])
    dealer.send(msgspec.msgpack.encode({"v": 1, "id": 1, "op": "ping"}))
    print(json.dumps(msgspec.msgpack.decode(dealer.recv()) if dealer.poll(20000) else None))
"""
#: Asks whatever it is told, one body in hexadecimal a line, and prints each reply.
RELAY = """
import sys, zmq
with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
    dealer.linger = 0
    dealer.connect("ipc://" + sys.argv[1])
    for line in sys.stdin:
        dealer.send(bytes.fromhex(line))
        print(dealer.recv().hex() if dealer.poll(20000) else "", flush=True)
"""
#: Shakes hands as a DEALER (ZMTP 3.0), then waits for a line; says a ping, and ends at once, or when it is answered.
BLURT = """
import socket, sys
def until(what):
    global heard
    while what not in heard:
        found = stream.recv(1000)
        assert found, "hung up"
        heard += found
heard = b""
with socket.socket(socket.AF_UNIX) as stream:
    stream.settimeout(20)
    stream.connect(sys.argv[1])
    stream.sendall(b"\\xff" + bytes(8) + b"\\x7f\\x03\\x00" + b"NULL".ljust(20, b"\\0") + bytes(32))
    until(b"NULL")
    ready = b"\\x05READY\\x0bSocket-Type\\x00\\x00\\x00\\x06DEALER\\x08Identity\\x00\\x00\\x00\\x00"
    stream.sendall(b"\\x04" + bytes([len(ready)]) + ready)
    until(b"ROUTER")
    print("ready", flush=True)
    sys.stdin.readline()
    stream.sendall(bytes.fromhex(sys.argv[2]))
    if sys.argv[3:]:
        until(b"pid")
"""


def asked(daemon: Daemon, prefix: Sequence[str] = (), *more: str) -> dict[str, object]:
    """The reply that a process gets which runs behind a prefix."""
    done = subprocess.run([*prefix, sys.executable, "-c", ASK, daemon.socket, *more], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def refused(reply: dict[str, object]) -> str:
    """The message of a refusal."""
    error = reply["error"]
    assert isinstance(error, dict)
    assert (reply["id"], error["code"]) == (1, "not-permitted")
    return str(error["message"])


@contextmanager
def blurting(daemon: Daemon, prefix: Sequence[str], *more: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has shaken hands, and says a ping as soon as it is told a line."""
    body = wire.encode_request(Ping(), 1)
    message = b"\x00" + bytes([len(body)]) + body
    command = [*prefix, sys.executable, "-c", BLURT, daemon.socket, message.hex(), *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        (sandbox.MOUNT, "mount"),
        (sandbox.PID, "pid"),
        (sandbox.USER, "user"),
        (sandbox.ALL, "mount, pid and user"),
    ],
    ids=["mount", "pid", "user", "all"],
)
def test_another_namespace(daemon: Daemon, prefix: Sequence[str], says: str) -> None:
    """Any of the three is enough to be refused; the reply says which, and the command; the log says so too. Others go on."""
    if os.geteuid() != 0 and says in ("mount", "pid"):
        says = f"{says} and user"
    message = refused(asked(daemon, prefix))
    assert f"has another {says} namespace than the daemon" in message
    assert "`rewindctl grant WORKSPACE`" in message
    assert asked(daemon)["ok"] is True
    daemon.wait_until(f"has another {says} namespace")
    assert "WARNING" in next(line for line in daemon.text().splitlines() if "has another" in line)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_bubblewrap(daemon: Daemon) -> None:
    """An agent's usual sandbox: everything is there to be seen, and the socket is not for it."""
    bwrap = ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--unshare-pid"]
    assert "mount, pid and user" in refused(asked(daemon, bwrap))


def test_a_name_that_was_anothers(daemon: Daemon) -> None:
    """Who is refused gains nothing by the routing id of one who was not."""
    assert asked(daemon, (), "me")["ok"] is True
    assert "sandbox" in refused(asked(daemon, sandbox.MOUNT, "me"))
    assert asked(daemon, (), "me")["ok"] is True


@pytest.mark.parametrize("prefix", [(), sandbox.ALL], ids=["outside", "inside"])
def test_who_ended_before_being_looked_at(daemons: Daemons, prefix: Sequence[str]) -> None:
    """What cannot be looked at is refused: a request of a process that is gone is not carried out."""
    daemon = daemons.up()
    with blurting(daemon, (), "stay") as stays:
        stays.communicate("\n")
    assert stays.returncode == 0
    with blurting(daemon, prefix) as goes:
        daemon.process.send_signal(signal.SIGSTOP)
        os.waitpid(daemon.process.pid, os.WUNTRACED)
        goes.communicate("\n")
    daemon.process.send_signal(signal.SIGCONT)
    daemon.wait_until("code=not-permitted")
    assert goes.returncode == 0
    assert re.search("cannot be looked at .it (ended|hung up)", daemon.text())
    assert daemon.client().ping()


def test_a_container_of_the_users(daemons: Daemons) -> None:
    """With a pid file of its first process a container may use the socket; not a sandbox in it; not after the number is another's."""
    config, pid_file = daemons.directory / "c.toml", daemons.directory / "pid"
    config.write_text("")
    daemon = daemons.up("--config", str(config))

    def reload(text: str, times: int) -> None:
        config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        while daemon.text().count("read ") < times:
            assert daemon.process.poll() is None

    with sandbox.container() as pid:
        pid_file.write_text(f"{pid}\n")
        pid_file.chmod(0o644)
        inside = sandbox.entering(pid)
        assert "sandbox" in refused(asked(daemon, inside))
        reload(f"[daemon]\nallow_namespaces_of = ['{pid_file}']\n", 1)
        assert asked(daemon, inside)["ok"] is True
        assert "sandbox" in refused(asked(daemon, [*inside, "unshare", "--mount"]))
        assert "sandbox" in refused(asked(daemon, sandbox.ALL))
        os.utime(pid_file, (1, 1))  # as if the process were younger than the file
        assert "sandbox" in refused(asked(daemon, inside))
        reload("[daemon]\ncheck_namespaces = false\n", 2)
        assert asked(daemon, inside)["ok"] is True


VECTORS = [one.body for one in vectors() if one.kind == "request"]
#: Requests as they should be, the same with some bytes changed, and anything.
BODIES = st.one_of(
    st.sampled_from(VECTORS),
    st.builds(
        lambda body, at, byte: body[: at % len(body)] + byte + body[at % len(body) + 1 :],
        st.sampled_from(VECTORS),
        st.integers(0, 500),
        st.binary(min_size=1, max_size=2),
    ),
    st.binary(min_size=1, max_size=200),
)


def test_any_message(daemon: Daemon) -> None:
    """Whatever is said from another namespace, each operation as it should be too: refused, one line in the log each, and nothing done."""
    command = [*sandbox.ALL, sys.executable, "-c", RELAY, daemon.socket]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as relay:
        told, answers = relay.stdin, relay.stdout
        assert told is not None
        assert answers is not None
        count = 0

        def say(body: bytes) -> None:
            nonlocal count
            print(body.hex(), file=told, flush=True)
            reply = wire.decode_reply_head(bytes.fromhex(answers.readline()))
            assert (reply.ok, (reply.error or {}).get("code")) == (False, "not-permitted")
            count += 1

        for body in VECTORS:
            say(body)
        settings(max_examples=150, deadline=None)(given(BODIES)(say))()
        told.close()
    assert daemon.client().ping()
    log = daemon.stop()
    assert (log.count("code=not-permitted"), log.count("code=")) == (count, count + 2), "the two are pings from outside"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    daemon = RealDaemon(tmp_path_factory.mktemp("real").resolve())
    try:
        yield daemon.start()
        daemon.stop()
    finally:
        daemon.kill()


def test_a_daemon_in_a_container(tmp_path: Path) -> None:
    """One that a client in a container starts serves that container, and nobody outside."""
    run, data = tmp_path / "run", tmp_path / "data"
    run.mkdir(mode=0o700)
    env = {**os.environ, "REWINDD_SOCKET": str(run / "s"), "REWINDD_DATA_DIR": str(data), "REWINDD_AUTOSTART": "1"}
    with sandbox.container((*sandbox.ALL, "--mount-proc")) as pid:
        done = subprocess.run([*sandbox.entering(pid), *REWINDCTL, "status"], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        done = subprocess.run([*REWINDCTL, "status"], env={**env, "REWINDD_AUTOSTART": "0"}, capture_output=True, text=True, check=False)
        assert (done.returncode, "the daemon is in a container" in done.stderr) == (77, True)


def test_what_a_person_sees(real: RealDaemon) -> None:
    """`rewindctl` in a sandbox exits 77 with the command to give access; `doctor` there names it as the remedy."""
    env = {**os.environ, "REWINDD_SOCKET": real.socket, "REWINDD_AUTOSTART": "0"}
    done = subprocess.run([*sandbox.ALL, *REWINDCTL, "status"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 77
    assert "rewindctl grant WORKSPACE" in done.stderr
    done = subprocess.run([*sandbox.ALL, *REWINDCTL, "doctor", "--json"], env=env, capture_output=True, text=True, check=False)
    found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert "mount, pid and user namespace" in found["daemon"]["message"]
    assert found["daemon"]["remedy"].startswith("rewindctl grant WORKSPACE")


def test_nothing_of_a_refused_session_is_there(real: RealDaemon, tmp_path: Path) -> None:
    """A refused request has no effect: no session is opened, no workspace made."""
    request = {"v": 1, "id": 1, "op": "session.open", "directory": os.fsencode(tmp_path), "agent": "inside"}
    script = ASK.replace('{"v": 1, "id": 1, "op": "ping"}', repr(request))
    done = subprocess.run([*sandbox.ALL, sys.executable, "-c", script, real.socket], capture_output=True, text=True, check=True)
    assert "sandbox" in refused(json.loads(done.stdout))
    done = subprocess.run(
        [*REWINDCTL, "status", "--json"], env={**os.environ, "REWINDD_SOCKET": real.socket}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["workspaces"] == []

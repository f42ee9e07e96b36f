"""How a real daemon process starts, shares its place, and ends."""

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import pytest
import zmq

from rewindd import __version__
from rewindd.protocol import requests
from support.daemon_process import Daemon, Daemons

FAKE = Path(__file__).with_name("fake_daemon.py")
#: Starts a program as a service manager does: its socket is descriptor 3, and the variables name the process.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="zmq")
os.execv(sys.argv[2], sys.argv[2:])
"""


def listener(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.bind(path)
    found.listen(64)
    return found


def activate(daemons: "Daemons", handed: socket.socket, path: str, *arguments: str) -> "Daemon":
    command = [sys.executable, "-c", HAND_OVER, str(handed.fileno()), sys.executable, str(FAKE), "--socket", path, *arguments]
    return daemons.start_command([*command, "--data-dir", str(daemons.data_dir)], path, daemons.data_dir, pass_fds=(handed.fileno(),))


def ended(daemon: "Daemon") -> tuple[int, str]:
    return daemon.process.wait(20), daemon.text()


def data_of(raw: bytes) -> str:
    found = msgspec.msgpack.decode(raw)["data"]
    assert isinstance(found, bytes)
    return found.decode()


def test_modes(daemons: "Daemons") -> None:
    """Whatever the umask was, only the user can reach socket, lock and data; the socket is gone at the end, and the locks stay."""
    place = daemons.directory / "run"
    daemon = daemons.up(socket=str(place / "d.sock"), umask=0)
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (place, place / "d.sock", place / "d.sock.lock", daemons.data_dir, daemons.data_dir / "lock")
    }
    assert list(modes.values()) == [0o700, 0o600, 0o600, 0o700, 0o600]
    daemon.stop()
    assert [path.name for path in place.iterdir()] == ["d.sock.lock"]


def test_a_second_daemon_on_the_socket(daemons: "Daemons") -> None:
    """It exits 75 and says who holds the socket; the first one keeps its clients, old and new."""
    first = daemons.up()
    client = first.client()
    assert client.ping()
    status, text = ended(daemons.start(data_dir=daemons.directory / "other"))
    assert status == 75
    assert f"process {first.process.pid}" in text
    assert client.ping()
    assert first.client().ping()


def test_a_second_daemon_on_the_data(daemons: "Daemons") -> None:
    """Another socket does not help: one daemon per data directory."""
    first = daemons.up()
    status, text = ended(daemons.start(socket=str(daemons.directory / "e.sock")))
    assert status == 75
    assert f"process {first.process.pid}" in text
    assert first.client().ping()


def test_a_lock_file_that_was_removed(daemons: "Daemons") -> None:
    """Even then a second daemon does not steal the socket of one that listens."""
    first = daemons.up()
    Path(f"{first.socket}.lock").unlink()
    status, text = ended(daemons.start(data_dir=daemons.directory / "other"))
    assert status == 75
    assert "listens" in text
    assert first.client().ping()


def test_after_a_kill(daemons: "Daemons") -> None:
    """What a killed daemon left behind is in nobody's way."""
    first = daemons.up()
    first.process.kill()
    first.process.wait()
    assert Path(first.socket).exists()
    assert daemons.up().client().ping()


def test_a_file_in_the_way(daemons: "Daemons") -> None:
    """A regular file at the socket's path is kept, and the daemon exits 77."""
    Path(daemons.socket).write_text("mine")
    status, text = ended(daemons.start())
    assert status == 77
    assert "no socket" in text
    assert Path(daemons.socket).read_text() == "mine"


def test_a_path_too_long(daemons: "Daemons") -> None:
    """A path that no socket can have is bad configuration, said with the limit; 107 bytes are taken."""
    room = 107 - len(os.fsencode(f"{daemons.directory}/"))
    status, text = ended(daemons.start(socket=f"{daemons.directory}/{'x' * (room + 1)}"))
    assert status == 78
    assert "107" in text
    assert daemons.up(socket=f"{daemons.directory}/{'x' * room}").client().ping()


def test_a_path_that_is_not_utf8(daemons: "Daemons") -> None:
    """The socket's path may be any bytes."""
    path = os.fsdecode(os.fsencode(str(daemons.directory)) + b"/\xff.sock")
    daemon = daemons.start(socket=path)
    while not Path(path).exists():
        assert daemon.process.poll() is None, daemon.text()
    daemon.wait_until("ready on")
    daemon.stop()
    assert not Path(path).exists()


def test_a_directory_open_to_others(daemons: "Daemons") -> None:
    """The daemon does not listen where others may look in, and does not change the mode of what it did not make."""
    place = daemons.directory / "open"
    place.mkdir()
    place.chmod(0o755)
    status, text = ended(daemons.start(socket=str(place / "d.sock")))
    assert status == 77
    assert "chmod 700" in text
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user(daemons: "Daemons") -> None:
    """A process of another user is not answered, even where the directory's mode lets it through."""
    foreign = "import os, sys, zmq; os.setuid(65534); s = zmq.Context().socket(zmq.DEALER); s.linger = 0; " + (
        "s.connect(sys.argv[1]); s.send(b'x'); print(s.poll(500)); s.close()"
    )
    with tempfile.TemporaryDirectory(prefix="rewindd-test") as place:
        daemon = daemons.up(socket=f"{place}/d.sock")
        Path(place).chmod(0o755)
        Path(daemon.socket).chmod(0o666)
        command = [sys.executable, "-c", foreign, f"ipc://{daemon.socket}"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "0\n"
        assert daemon.client().ping()
        daemon.stop()


def test_activation(daemons: "Daemons") -> None:
    """A request sent before the daemon exists is answered, so is one sent between two daemons; the path is never removed."""
    with listener(daemons.socket) as handed:
        for _ in range(2):
            early = daemons.start_client()
            number = early.send(requests.Ping())
            daemon = activate(daemons, handed, daemons.socket)
            head, _ = early.receive()
            assert (head.id, head.ok) == (number, True)
            daemon.stop()
            assert Path(daemons.socket).exists()


def test_activation_leaves_nothing_to_children(daemons: "Daemons") -> None:
    """The variables that were for the daemon alone are not in its environment any more."""
    with listener(daemons.socket) as handed:
        client = activate(daemons, handed, daemons.socket).client()
        client.do("environment")
        _, raw = client.receive()
    assert not [name for name in data_of(raw).split() if name.startswith("LISTEN_")]


def test_activation_elsewhere(daemons: "Daemons") -> None:
    """A handed-over socket of another path than the configured one is refused: clients would look for the other."""
    with listener(str(daemons.directory / "e.sock")) as handed:
        status, text = ended(activate(daemons, handed, daemons.socket))
    assert status == 78
    assert "e.sock" in text
    assert "d.sock" in text


def test_a_socket_of_systemd_is_not_taken(daemons: "Daemons") -> None:
    """Started by hand where a service manager listens, the daemon exits 75 and leaves that socket alone."""
    with listener(daemons.socket):
        before = Path(daemons.socket).stat().st_ino
        status, _ = ended(daemons.start())
        assert status == 75
        assert Path(daemons.socket).stat().st_ino == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain(daemon: "Daemon", number: signal.Signals) -> None:
    """A request in hand at the stop signal gets its reply, what comes after is not read, the service is closed, the status is 0."""
    client, late = daemon.client(), daemon.client()
    assert late.ping()
    client.do("sleep:0.7")
    assert late.ping()
    daemon.process.send_signal(number)
    daemon.wait_until("ending:")
    late.send(requests.Ping())
    head, _ = client.receive()
    assert head.ok
    assert daemon.process.wait(20) == 0
    assert (daemon.data_dir / "closed").exists()
    assert not Path(daemon.socket).exists()
    late.socket.setsockopt(zmq.RCVTIMEO, 0)
    with pytest.raises(zmq.Again):
        late.socket.recv()


def test_a_second_signal_ends_the_drain(daemon: "Daemon") -> None:
    """Asked twice, the daemon does not wait for what is in hand, and still ends in order."""
    client = daemon.client()
    client.do("sleep:60")
    assert client.ping()
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_until("ending:")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(5) == 0
    assert (daemon.data_dir / "closed").exists()


def test_the_last_replies_leave(daemon: "Daemon") -> None:
    """Large replies that were handed over just before the end arrive whole."""
    clients = [daemon.client() for _ in range(8)]
    for client in clients:
        client.do(f"big:{4 << 20}")
    while daemon.text().count("op=session.show") < len(clients):
        assert daemon.process.poll() is None
    clients[0].send(requests.Stop())
    for client in clients:
        head, raw = client.receive()
        if len(raw) < 1 << 20:
            head, raw = client.receive()
        assert head.ok
        assert len(raw) > 4 << 20
    assert daemon.process.wait(20) == 0


def test_stop_is_answered(daemon: "Daemon") -> None:
    """The op `stop` gets its reply before the daemon ends, with status 0."""
    head, raw = daemon.client().ask(requests.Stop())
    assert head.ok
    assert msgspec.msgpack.decode(raw)["pid"] == daemon.process.pid
    assert daemon.process.wait(20) == 0


def test_reload(daemons: "Daemons") -> None:
    """SIGHUP reads the configuration again; a bad file is logged and changes nothing, and the daemon goes on."""
    file = daemons.directory / "c.toml"
    file.write_text("[daemon]\nlog_level = 'info'\n")
    daemon = daemons.up("--config", str(file))
    file.write_text("[daemon]\nlog_lvel = 'error'\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_until("did you mean daemon.log_level?")
    client = daemon.client()
    client.send_raw(msgspec.msgpack.encode({"v": 1, "id": "still at info", "op": "ping"}))
    client.receive()
    daemon.wait_until("id='still at info'")
    file.write_text("[daemon]\nlog_level = 'debug'\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_until("changed: daemon.log_level")
    client.send_raw(b"x", b"y")
    assert client.ping()
    assert "dropped: 3 frames" in daemon.text()


def test_bad_configuration(daemons: "Daemons") -> None:
    """An unknown key, a missing file that was named, and a wrong fault specification exit 78 and say what is wrong."""
    file = daemons.directory / "c.toml"
    file.write_text("[daemon]\nidle_exit = 5\n")
    status, text = ended(daemons.start("--config", str(file)))
    assert (status, "daemon.idle_exit_s" in text) == (78, True)
    assert ended(daemons.start(env={"REWINDD_CONFIG": "/nonexistent"}))[0] == 78
    assert ended(daemons.start(env={"REWINDD_FAULTS": "explode:1"}))[0] == 78


def test_a_store_that_cannot_be_opened(daemons: "Daemons") -> None:
    """A service that does not start is one line on stderr and status 1; no socket is left."""
    daemons.data_dir.mkdir(mode=0o700)
    (daemons.data_dir / "refuse").touch(mode=0o600)
    status, text = ended(daemons.start())
    assert status == 1
    assert text == "rewindd: row 5 of edits does not have its checksum; restore a backup\n"
    assert not Path(daemons.socket).exists()


def test_a_socket_that_was_replaced(daemons: "Daemons") -> None:
    """A daemon that nobody can reach any more ends in order, lets go of the data, and leaves the other's socket alone."""
    daemon = daemons.up()
    Path(daemon.socket).unlink()
    with listener(daemon.socket) as other:
        assert daemon.process.wait(20) == 0
        assert "another's now" in daemon.text()
        assert Path(daemon.socket).stat().st_ino
        client = daemons.start_client()
        number = client.send(requests.Ping())
        successor = activate(daemons, other, daemons.socket)
        head, _ = client.receive()
        assert (head.id, head.ok) == (number, True)
        successor.stop()


def test_idle_end(daemons: "Daemons") -> None:
    """A daemon that a client started ends by itself after its idle time; any other stays."""
    file = daemons.directory / "c.toml"
    file.write_text("[daemon]\nidle_exit_s = 1\n")
    stays = daemons.up("--config", str(file))
    began = time.monotonic()
    goes = daemons.up(
        *("--config", str(file), "--log-level", "info"),
        socket=str(daemons.directory / "e.sock"),
        data_dir=daemons.directory / "other",
        env={"REWINDD_STARTED_BY": "autostart"},
    )
    assert goes.process.wait(20) == 0
    assert time.monotonic() - began >= 1
    assert "nothing to do" in goes.text()
    assert stays.process.poll() is None


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_words_to_the_service_manager(daemons: "Daemons", kind: str) -> None:
    """READY comes when requests are answered, RELOADING and READY around a reload, STOPPING when the end begins; each in one datagram."""
    place = str(daemons.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place if kind == "path" else "\0" + place[1:])
        manager.settimeout(20)
        daemon = daemons.start(env={"NOTIFY_SOCKET": place if kind == "path" else "@" + place[1:]})
        assert manager.recv(1000).startswith(b"READY=1\nSTATUS=answering requests: 0 so far")
        daemon.process.send_signal(signal.SIGHUP)
        before_us = time.monotonic_ns() // 1000
        reloading = dict(line.split(b"=", 1) for line in manager.recv(1000).splitlines())
        assert reloading[b"RELOADING"] == b"1"
        assert abs(int(reloading[b"MONOTONIC_USEC"]) - before_us) < 20_000_000
        assert manager.recv(1000).startswith(b"READY=1\n")
        daemon.process.send_signal(signal.SIGTERM)
        assert manager.recv(1000).startswith(b"STOPPING=1\n")
        assert daemon.process.wait(20) == 0


def test_the_watchdog_is_fed(daemons: "Daemons") -> None:
    """As often as asked, by the process that was meant; children cannot speak in the daemon's name."""
    place = str(daemons.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place)
        manager.settimeout(20)
        daemon = daemons.start(env={"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "100000"})
        assert manager.recv(1000).startswith(b"READY=1\n")
        for _ in range(3):
            assert manager.recv(1000).startswith(b"WATCHDOG=1\n")
        client = daemon.client()
        client.do("environment")
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & {line.partition("=")[0] for line in data_of(client.receive()[1]).splitlines()}
        assert "op=ping" not in daemon.stop()


@pytest.mark.parametrize("trouble", ["configuration", "store", "lock"])
def test_who_waits_is_told_why_there_is_no_daemon(daemons: "Daemons", trouble: str) -> None:
    """A daemon that cannot start answers those who wait on the service manager's socket with the reason, and ends with its status."""
    file = daemons.directory / "c.toml"
    file.write_text("[daemon]\nidle_exit = 5\n" if trouble == "configuration" else "")
    if trouble == "lock":
        daemons.up(socket=str(daemons.directory / "other.sock"))
    elif trouble == "store":
        daemons.data_dir.mkdir()
        (daemons.data_dir / "refuse").touch()
    status, word = {"configuration": (78, "daemon.idle_exit_s"), "store": (1, "restore a backup"), "lock": (75, "holds the lock")}[trouble]
    with listener(daemons.socket) as handed:
        client = daemons.start_client()
        number = client.send(requests.Ping())
        daemon = activate(daemons, handed, daemons.socket, "--config", str(file))
        head, _ = client.receive()
        assert (head.id, head.ok, (head.error or {})["code"]) == (number, False, "unavailable")
        assert word in str((head.error or {})["message"])
        assert ended(daemon)[0] == status
        assert Path(daemons.socket).exists()


def test_descriptors(daemons: "Daemons") -> None:
    """The soft limit is raised to the hard one, so more clients than the soft limit do not abort the daemon (libzmq #1306)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    daemon = daemons.up(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (48, hard)))
    client = daemon.client()
    raws = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    for raw in raws:
        raw.connect(daemon.socket)
    assert client.ping()
    client.do("limits")
    assert msgspec.msgpack.decode(client.receive()[1])["size"] == hard
    for raw in raws:
        raw.close()
    daemon.stop()


def test_nothing_is_imported_late(daemon: "Daemon") -> None:
    """No request, error or reload loads a module that start did not: an upgrade beneath the daemon cannot break it."""
    client = daemon.client()
    client.send_raw(b"\xc1garbage")
    client.do("bug")
    client.do("moved")
    client.send_raw(msgspec.msgpack.encode({"v": 1, "id": 1, "op": "record", "z": bytes(100_000)}))
    client.do("sleep:1.1", progress=True)
    client.do(f"big:{2 << 20}")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_until("again; changed: nothing")
    for _ in range(7):
        client.receive()
    client.do("modules")
    assert data_of(client.receive()[1]) == ""


def test_faults_are_armed(daemons: "Daemons") -> None:
    """REWINDD_FAULTS arms the named effects in the daemon."""
    client = daemons.up(env={"REWINDD_FAULTS": "ENOSPC:1:test."}).client()
    client.do("effect")
    head, _ = client.receive()
    assert (head.error or {})["code"] == "internal"
    client.do("effect")
    assert client.receive()[0].ok


def test_version() -> None:
    """`--version` names program and version."""
    found = subprocess.run([sys.executable, str(FAKE), "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == f"rewindd {__version__}\n"


def test_usage(daemons: "Daemons") -> None:
    """A wrong command line is status 2."""
    assert ended(daemons.start("--log-level", "loud"))[0] == 2

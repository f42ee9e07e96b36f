"""The daemon process around a fake service to talk to, and a plain DEALER to talk with."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from rewindd.protocol import requests, wire

FAKE = Path(__file__).parents[1] / "integration" / "daemon" / "fake_daemon.py"
#: Far above what anything here takes; only a broken daemon uses it up.
PATIENCE_MS = 20_000


class Client:
    """One DEALER connection; replies are told apart by who waits for them."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str, kind: int = zmq.DEALER) -> None:
        self.socket = context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        self.socket.setsockopt(zmq.SNDTIMEO, PATIENCE_MS)
        self._path = path
        self._next = 0

    def connect(self) -> "Client":
        self.socket.connect(f"ipc://{self._path}")
        return self

    def send(self, request: requests.Request) -> int:
        self._next += 1
        self.socket.send(wire.encode_request(request, self._next))
        return self._next

    def send_raw(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def receive(self) -> tuple[wire.ReplyHead, bytes]:
        body = self.socket.recv()
        return wire.decode_reply_head(body), body

    def ask(self, request: requests.Request) -> tuple[wire.ReplyHead, bytes]:
        self.send(request)
        return self.receive()

    def do(self, what: str, *, progress: bool = False) -> int:
        return self.send(requests.ShowSession(session=what, progress=progress))

    def ping(self) -> bool:
        """Says whether the daemon answered a ping, with its own id."""
        number = self.send(requests.Ping())
        head, _ = self.receive()
        return head.ok is True and head.id == number


@dataclass
class Daemon:
    process: "subprocess.Popen[bytes]"
    socket: str
    data_dir: Path
    log: Path
    clients: "Callable[[str, int], Client]" = field(repr=False)

    def client(self, kind: int = zmq.DEALER) -> Client:
        return self.clients(self.socket, kind).connect()

    def unconnected(self) -> Client:
        return self.clients(self.socket, zmq.DEALER)

    def stop(self) -> str:
        """Ends it as a service manager does; returns what it logged. It must have ended well."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0
        return self.text()

    def text(self) -> str:
        return self.log.read_text()

    def wait_until(self, text: str) -> None:
        """Waits until the log holds the text; the process must live until then."""
        while text not in self.text():
            assert self.process.poll() is None, self.text()
            select.select([], [], [], 0.005)


class Daemons:
    """Makes daemons in a directory; ends them."""

    def __init__(self, directory: Path, clients: "Callable[[str, int], Client]") -> None:
        directory.chmod(0o700)
        self.directory = directory
        self.socket = str(directory / "d.sock")
        self.data_dir = directory / "data"
        self._clients = clients
        self._made: list[Daemon] = []

    def start(
        self, *arguments: str, socket: str | None = None, data_dir: Path | None = None, env: dict[str, str] | None = None, **popen: object
    ) -> Daemon:
        """Starts one without waiting for it."""
        place, data = socket or self.socket, data_dir or self.data_dir
        command = [sys.executable, str(FAKE), "--socket", place, "--data-dir", str(data), *arguments]
        return self.start_command(command, place, data, env, **popen)

    def start_command(self, command: list[str], socket: str, data: Path, env: dict[str, str] | None = None, **popen: object) -> Daemon:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("REWINDD_", "LISTEN_", "NOTIFY_", "XDG_"))}
        log = self.directory / f"log{len(self._made)}"
        with log.open("wb") as stderr:
            process = subprocess.Popen(  # type: ignore[call-overload]
                command, env={**clean, "HOME": str(self.directory), **(env or {})}, stdin=subprocess.DEVNULL, stderr=stderr, **popen
            )
        self._made.append(Daemon(process, socket, data, log, self._clients))
        return self._made[-1]

    def start_client(self) -> Client:
        """A client of the usual socket, before anybody may listen there."""
        return self._clients(self.socket, zmq.DEALER).connect()

    def up(self, *arguments: str, **how: object) -> Daemon:
        """Starts one and waits until it answers."""
        daemon = self.start(*arguments, **how)  # type: ignore[arg-type]
        client = daemon.client()
        assert client.ping(), daemon.text()
        client.socket.close()
        return daemon

    def end(self) -> None:
        for daemon in self._made:
            daemon.process.kill()
            daemon.process.wait()

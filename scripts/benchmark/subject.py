"""What is measured: a daemon of the benchmark's own, and what the system says of its process."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rewindd import blocking, errors
from rewindd.protocol import replies, requests

#: Seconds that a daemon may take to come, and to go.
PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A running daemon."""

    socket: str
    pid: int

    def memory(self, field: str = "VmRSS") -> float:
        """Returns what it holds in memory, in MB; `VmHWM`: the most it ever held."""
        return memory_of(self.pid, field)

    def switches(self) -> int:
        """Returns how often its threads went to sleep by themselves since their start."""
        return switches_of(self.pid)


def memory_of(pid: int, field: str = "VmRSS") -> float:
    """Returns a size of a process from /proc/PID/status, in MB (proc(5): kB are 1,024 bytes)."""
    return _number(Path(f"/proc/{pid}/status"), field) / 1024


def switches_of(pid: int) -> int:
    """Returns the voluntary context switches of all threads of a process."""
    return sum(_number(task / "status", "voluntary_ctxt_switches") for task in Path(f"/proc/{pid}/task").iterdir())


@contextmanager
def running(directory: Path, tracer: Sequence[str] = (), settings: Mapping[str, str] | None = None) -> Iterator[Subject]:
    """A daemon for the block, with all it has below `directory`, which may have a store from before.

    `tracer`: a command that runs it; `settings`: variables of its environment.

    Raises:
        RuntimeError: it did not start, or did not end well.
    """
    socket = directory / "run" / "d.sock"
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REWINDD_")}
    command = [
        sys.executable,
        "-m",
        "rewindd.daemon",
        "--socket",
        str(socket),
        "--data-dir",
        str(directory / "data"),
        "--log-level",
        "warning",
    ]
    environment |= {"XDG_CONFIG_HOME": str(directory), **(settings or {})}
    process = subprocess.Popen([*tracer, *command], env=environment, stdin=subprocess.DEVNULL)
    try:
        pid = _wait_until_up(str(socket), process)
        yield Subject(str(socket), pid)
        _stop(str(socket))
        if process.wait(PATIENCE_S):
            raise RuntimeError(f"the daemon ended with status {process.returncode}")
    finally:
        if process.poll() is None:
            _stop(str(socket))
            _end(process)


def _wait_until_up(socket: str, process: "subprocess.Popen[bytes]") -> int:
    give_up_s = time.monotonic() + PATIENCE_S
    with blocking.connect(socket=socket, autostart=False) as client:
        while time.monotonic() < give_up_s and process.poll() is None:
            try:
                return client.status().pid
            except errors.TransportError:
                time.sleep(0.02)
    raise RuntimeError(f"the daemon does not answer (exit status {process.poll()})")


def _stop(socket: str) -> None:
    with blocking.connect(socket=socket, autostart=False) as client:
        client.ask(requests.Stop(), replies.Stopping)


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _number(path: Path, field: str) -> int:
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise RuntimeError(f"{path} has no {field}")

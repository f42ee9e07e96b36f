"""A real daemon process of a test's own: its socket, its store and its log lie in one directory; it is ended by id."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import rewindd.blocking
from rewindd.errors import TransportError

#: Seconds; far above what anything here takes, so that only a broken daemon uses it up.
PATIENCE_S = 30.0


class RealDaemon:
    """A daemon below `directory`, started and ended as often as a test likes; the store outlives each life."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = str(directory / "run" / "rewindd" / "d.sock")
        self.data_dir = directory / "data"
        self.log = directory / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None
        (directory / "run" / "rewindd").mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "config").mkdir(exist_ok=True)

    @property
    def pid(self) -> int:
        """The process of this life."""
        assert self.process is not None, "the daemon is not running"
        return self.process.pid

    def resident_bytes(self, *, peak: bool = False) -> int:
        """The memory that the process has in RAM, or the most it ever had (proc_pid_status(5): VmRSS, VmHWM)."""
        wanted = "VmHWM:" if peak else "VmRSS:"
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted))

    def start(self, *arguments: str, env: Mapping[str, str] | None = None, wait: bool = True, prefix: Sequence[str] = ()) -> "RealDaemon":
        """Starts it, and returns when it answers (`wait=False`: at once).

        `prefix`: a command that runs it in its own place. There it is in a sandbox, so to say, and could not tell that we are in none.
        """
        assert self.process is None, "it is running"
        if prefix:
            drop_ins = self.directory / "config" / "rewindd" / "config.d"
            drop_ins.mkdir(parents=True, exist_ok=True)
            (drop_ins / "prefix.toml").write_text("[daemon]\ncheck_namespaces = false\n")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("REWINDD_", "LISTEN_", "NOTIFY_"))}
        command = [*prefix, sys.executable, "-m", "rewindd.daemon", "--socket", self.socket, "--data-dir", str(self.data_dir)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--log-level", "warning", *arguments],
                env={**clean, "XDG_CONFIG_HOME": str(self.directory / "config"), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_until_up()
        return self

    def wait_until_up(self) -> None:
        """Returns when it answers; fails with its log when it ended instead."""
        assert self.process is not None
        for _ in range(int(PATIENCE_S / 0.05)):
            assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}: {self.said()}"
            try:
                with rewindd.blocking.connect(socket=self.socket, autostart=False, timeout_s=PATIENCE_S) as client:
                    client.status()
            except TransportError:
                select.select([], [], [], 0.05)
            else:
                return
        raise AssertionError(f"the daemon does not answer: {self.said()}")

    def stop(self) -> None:
        """Ends it as a service manager does; it must end well. Does nothing when it is not running."""
        if self.process is not None:
            self.process.terminate()
            status = self._ended()
            assert status == 0, f"the daemon ended with {status}: {self.said()}"

    def kill(self) -> None:
        """Ends it with SIGKILL, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self._ended()

    def restart(self, *arguments: str, env: Mapping[str, str] | None = None) -> "RealDaemon":
        """Stops it and starts it anew on the same store."""
        self.stop()
        return self.start(*arguments, env=env)

    def wait(self) -> int:
        """Waits until it ends by itself; returns its exit status, negative for a signal."""
        return self._ended()

    def said(self) -> str:
        """Everything that it logged, in all its lives."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _ended(self) -> int:
        assert self.process is not None
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def real_daemon(directory: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[RealDaemon]:
    """A running daemon for the block. It is killed where the block fails, and must end well where it does not."""
    daemon = RealDaemon(directory)
    try:
        daemon.start(*arguments, env=env)
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()

"""A real `systemd --user` in namespaces of its own, without being booted by systemd: a home directory, a runtime directory, units.

Process 1 of the namespaces holds a pipe's end and reads: when the test's process ends, however that is, the kernel ends everything inside.
"""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TypeVar

SYSTEMD = Path("/lib/systemd/systemd")
RUNTIME = f"/run/user/{os.getuid()}"
#: Far above what anything here takes (installing, 7 s; on a machine that does much else, 45), so that only what is broken uses it up.
PATIENCE_S = 240.0

#: What installing may need of the environment: where packages come from.
_KEPT = ("PIP_", "SSL_", "http", "HTTP", "no_proxy", "NO_PROXY")
#: What is there is perhaps read-only, or the same already, which cannot be mounted over itself.
_MOUNT = "umount --lazy /sys/fs/cgroup 2>/dev/null || true; mount -t cgroup2 none /sys/fs/cgroup"
#: A cgroup of our own first, so that what is made inside is below it and can be taken away: $1 is its name.
_OUTER = f"""
{_MOUNT}
own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$1
mkdir -p "$own"
echo $$ > "$own/cgroup.procs"
shift
exec unshare --mount --pid --fork --kill-child --cgroup --propagation private sh -euc "$1" sh
"""
#: As sd_booted(3) wants it, and a runtime directory as pam_systemd makes it.
_INNER = f"""
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system {RUNTIME}
chmod 700 {RUNTIME}
{_MOUNT}
mkdir /sys/fs/cgroup/first
echo $$ > /sys/fs/cgroup/first/cgroup.procs
echo ready
exec cat
"""
_TAKE_AWAY = f"""
{_MOUNT}
find "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$1" -depth -type d -exec rmdir {{}} +
"""


def why_not() -> str | None:
    """Returns why there can be no user manager here, None where there can."""
    if not SYSTEMD.exists() or shutil.which("systemctl") is None:
        return "systemd is not installed"
    probe = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "--propagation", "private"]
    tried = subprocess.run([*probe, "sh", "-ec", _MOUNT], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"namespaces are not to be had: {tried.stderr.strip()}"


class UserManager:
    """The inside: run commands there; log in and out."""

    def __init__(self, home: Path, pid: int) -> None:
        self.home = home
        self._init = pid
        self._logins = 0
        self._manager: subprocess.Popen[bytes] | None = None
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http", "HTTP", "no_proxy", "NO_PROXY"))
        }
        path = f"{home}/.local/bin:{os.environ['PATH']}"
        cache = {"PIP_CACHE_DIR": str(Path("~/.cache/pip").expanduser())}
        self.env = {**cache, **kept, "HOME": str(home), "PATH": path, "XDG_RUNTIME_DIR": RUNTIME, "LANG": "C.UTF-8"}

    def start(self, *command: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """Starts a command inside; its output is read by `communicate`."""
        return subprocess.Popen(
            [*self._enter, *command],
            env={**self.env, **(env or {})},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, status: int | None = 0, env: Mapping[str, str] | None = None) -> str:
        """Runs a command inside; returns what it said on both streams. It must end with `status`; None: with any."""
        process = self.start(*command, env=env)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert status in (None, process.returncode), f"{command}: {process.returncode}\n{out}\n{err}"
        return out + err

    def output(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        """As `run`, with what it printed on stdout alone."""
        process = self.start(*command, env=env)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, f"{command}: {process.returncode}\n{out}\n{err}"
        return out

    def systemctl(self, *arguments: str, status: int | None = 0) -> str:
        """Runs `systemctl --user`."""
        return self.run("systemctl", "--user", *arguments, status=status).strip()

    def shown(self, name: str, unit: str = "rewindd.service") -> str:
        """Returns a property of a unit."""
        return self.systemctl("show", "--value", "--property", name, unit)

    def until(self, name: str, wanted: str, unit: str = "rewindd.service") -> None:
        """Waits until a property of a unit is as wanted."""
        end_s = time.monotonic() + PATIENCE_S
        while (found := self.shown(name, unit)) != wanted:
            assert time.monotonic() < end_s, f"{name} of {unit} is {found!r}, not {wanted!r}"
            select.select([], [], [], 0.02)

    def kill(self, number: signal.Signals) -> None:
        """Sends the daemon's main process a signal, past its manager."""
        self.run("kill", f"-{int(number)}", self.shown("MainPID"))

    def log_in(self) -> None:
        """Starts the manager, and returns when it has started what is enabled."""
        self._logins += 1
        place = f"/sys/fs/cgroup/login{self._logins}"
        script = f'mkdir {place}; echo $$ > {place}/cgroup.procs; exec {SYSTEMD} --user 2>"$HOME/../manager.log"'
        self._manager = subprocess.Popen([*self._enter, "sh", "-euc", script], env=self.env, cwd=self.home, stdin=subprocess.DEVNULL)
        end_s = time.monotonic() + PATIENCE_S
        while self.systemctl("is-system-running", status=None) not in ("running", "degraded"):
            assert time.monotonic() < end_s, "the manager does not come up"
            select.select([], [], [], 0.02)

    def log_out(self) -> None:
        """Ends the manager as the last logout does: it stops its units first."""
        assert self._manager is not None, "nobody is logged in"
        inside = self.run("pgrep", "--full", "--exact", f"{SYSTEMD} --user").split()
        self.run("kill", *inside)
        self._manager.wait(PATIENCE_S)
        self._manager = None

    def close(self) -> None:
        """Logs out, if somebody is logged in."""
        if self._manager is not None:
            self.log_out()

    def namespaces(self, pid: int | str) -> dict[str, str]:
        """Returns the namespaces of a process inside."""
        names = self.run("sh", "-c", f"cd /proc/{pid}/ns; for each in *; do echo $each $(readlink $each); done").splitlines()
        return dict(line.split() for line in names)

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", "--target", str(self._init), "--mount", "--pid", "--cgroup", "--"]


M = TypeVar("M", bound=UserManager)


@contextmanager
def user_manager(directory: Path, kind: type[M]) -> Iterator[M]:
    """The namespaces for the block, nobody logged in; the home directory is an empty one below `directory`."""
    home = directory / "home"
    home.mkdir()
    group = f"rewindd-test-{os.getpid()}"
    namespaces = ["unshare", "--mount", "--propagation", "private"]
    outer = subprocess.Popen(
        [*namespaces, "sh", "-euc", _OUTER, "sh", group, _INNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    assert outer.stdin is not None
    assert outer.stdout is not None
    try:
        _wait_for_ready(outer.stdout)
        # `sh` became `unshare`, whose one child is process 1 inside.
        pid = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
        found = kind(home, pid)
        with closing(found):
            yield found
    finally:
        outer.stdin.close()
        outer.wait(PATIENCE_S)
        outer.stdout.close()
        subprocess.run([*namespaces, "sh", "-euc", _TAKE_AWAY, "sh", group], check=False, capture_output=True)


def _wait_for_ready(stdout: IO[bytes]) -> None:
    assert stdout.readline() == b"ready\n", "the namespaces could not be made"

"""Is a daemon there, and if not, start one: once, however many clients ask at the same time.

Blocking system calls only, each short; whoever drives `ensure` sleeps, in its own way, where it says so. The daemon is
detached: it has no terminal, no parent that must wait for it, and outlives the client.
"""

import errno
import fcntl
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from rewindd import errors, places

#: As the interface promises: a daemon that does not answer by then is not waited for.
START_S = 5.0
POLL_S = 0.02
#: After a start that failed, calls fail at once for so long: an agent that calls for each edit must not wait 5 s each time.
PAUSE_AFTER_FAILURE_S = 10.0
#: What the daemon says before it can log elsewhere; above this size it is put aside when the next one starts.
LOG_BYTES = 1 << 20
#: Runs "$@" in the background with its standard error in "$0", and ends: the daemon is nobody's child, and no session leader.
_DETACH = 'umask 077; "$@" </dev/null >/dev/null 2>>"$0" &'
_PEER = struct.Struct("3i")

#: What `ensure` yields: seconds to sleep, or something that may take some milliseconds and belongs into a worker thread.
Step = float | Callable[[], None]


def daemon_command(socket_path: str) -> tuple[str, ...]:
    """Returns the command that runs a daemon on a socket, with this interpreter."""
    return (sys.executable, "-m", "rewindd.daemon", "--socket", socket_path)


def wanted(given: bool | None, env: Mapping[str, str]) -> bool:
    """True when a missing daemon is to be started: as the caller says, else unless `REWINDD_AUTOSTART` is 0."""
    return given if given is not None else env.get("REWINDD_AUTOSTART") != "0"


#: How the daemon says why there is none (`daemon/start.py`), and how much of the log is read for that.
_SAYS = "rewindd: "
_SAID_BYTES = 64 << 10


@dataclass(slots=True, kw_only=True)
class Starter:
    """Finds the daemon of one socket, and starts it by `command` (None: never). Used by one client, from one task at a time."""

    socket_path: str
    command: tuple[str, ...] | None
    failed_at_s: float = field(default=-PAUSE_AFTER_FAILURE_S, init=False)
    #: Where in the log the daemon that was started began to write.
    _said_from: int = field(default=0, init=False)

    def is_there(self) -> bool:
        """True when something listens on the socket: a daemon, or systemd on its behalf.

        Raises:
            Unavailable: the socket is another user's.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.setblocking(False)
            try:
                probe.connect(self.socket_path)
            except BlockingIOError:
                return True  # a full backlog: there is a listener, and it is busy
            except OSError as exc:
                if exc.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK, errno.ENOTDIR):
                    return False
                raise errors.Unavailable(f"{self.socket_path}: {exc.strerror}") from exc
            _, uid, _ = _PEER.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if uid not in (os.geteuid(), 0):
            raise errors.Unavailable(f"{self.socket_path} is listened on by user {uid}, not by you; nothing is sent there")
        return True

    def ensure(self, *, may_wait: bool) -> Generator[Step, None, None]:
        """Returns when something listens; starts it if need be, and says when to sleep in between.

        `may_wait`: there was a daemon a moment ago, so one that somebody else restarts is waited for.

        Raises:
            Unavailable: nothing listens, and none may be started or it did not answer in `START_S`.
        """
        if self.is_there():
            return
        if self.command is None:
            yield from self._wait_for_others(may_wait)
            return
        if time.monotonic() - self.failed_at_s < PAUSE_AFTER_FAILURE_S:
            raise self._missing("and the last one started did not answer")
        try:
            yield from self._start(self.command, time.monotonic() + START_S)
        except errors.Unavailable:
            self.failed_at_s = time.monotonic()
            raise

    def _wait_for_others(self, may_wait: bool) -> Generator[Step, None, None]:
        until_s = time.monotonic() + START_S
        while not self.is_there():
            if not may_wait or time.monotonic() > until_s:
                raise self._missing("and starting one is turned off")
            yield POLL_S

    def _start(self, command: tuple[str, ...], until_s: float) -> Generator[Step, None, None]:
        with closing(_Lock(self._private_file(".start"))) as lock:
            while not lock.is_taken():
                if self.is_there():
                    return
                self._check(until_s)
                yield POLL_S
            if not self.is_there():  # the lock's last holder may have started it
                self._said_from = _size(self._log())
                yield lambda: _spawn(command, self._log())
            while not self.is_there():
                self._check(until_s)
                yield POLL_S

    def _check(self, until_s: float) -> None:
        if time.monotonic() > until_s:
            why = _why(self._log(), self._said_from)
            raise self._missing(f"and the one started did not answer in {START_S:g} s{why}; see {self._log()}")

    def _missing(self, why: str) -> errors.Unavailable:
        return errors.Unavailable(f"no daemon on {self.socket_path}, {why}", socket=os.fsencode(self.socket_path).decode(errors="replace"))

    def _log(self) -> str:
        return log_beside(self.socket_path)

    def _private_file(self, suffix: str) -> str:
        """Returns the name of a file beside the socket, after making sure that its directory is ours alone."""
        directory = os.path.dirname(os.path.abspath(self.socket_path))
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            found = os.stat(directory)
        except OSError as exc:
            raise errors.Unavailable(f"no daemon, and {directory} cannot be made: {exc.strerror}") from exc
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise errors.Unavailable(f"no daemon, and none is started in {directory}: it is not yours alone; set REWINDD_SOCKET")
        return os.path.abspath(self.socket_path) + suffix


def log_beside(socket_path: str) -> str:
    """Returns the path of the log of a daemon that a client started: beside its socket."""
    return os.path.join(os.path.dirname(os.path.abspath(socket_path)), "rewindd.log")


def _size(log: str) -> int:
    """Returns the log's size in bytes; of one that is put aside before the next line is written, 0."""
    try:
        size = os.path.getsize(log)
    except OSError:
        return 0
    return size if size <= LOG_BYTES else 0


def _why(log: str, start: int) -> str:
    """Returns what a daemon that ended said of it behind `start` in its log, for a message; nothing where it said nothing."""
    try:
        with open(log, "rb") as file:  # noqa: PTH123 - paths are `str` throughout
            file.seek(start)
            lines = file.read(_SAID_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.removeprefix(_SAYS) for line in lines if line.startswith(_SAYS)]
    return f": {said[-1]}" if said else ""


class _Lock:
    """A lock between processes, held by the descriptor: it ends with its holder."""

    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise errors.Unavailable(f"no daemon, and {path} cannot be made: {exc.strerror}") from exc

    def is_taken(self) -> bool:
        """Tries once; True when we hold it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Lets it go. The file stays: removing it would let two hold "the" lock."""
        os.close(self._descriptor)


def _spawn(command: tuple[str, ...], log: str) -> None:
    """Runs the command detached. Returns when it was started, which is not yet when it answers."""
    try:
        if os.path.exists(log) and os.path.getsize(log) > LOG_BYTES:
            os.replace(log, f"{log}.old")
        subprocess.run(
            ["/bin/sh", "-c", _DETACH, log, *command],
            cwd="/",
            env={**os.environ, "REWINDD_STARTED_BY": "autostart"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as exc:
        raise errors.Unavailable(f"no daemon, and {command[0]} cannot be started: {exc}") from exc


def socket_of(given: str | os.PathLike[str] | None, env: Mapping[str, str]) -> str:
    """Returns the absolute path of the socket that a client uses."""
    return os.path.abspath(os.fspath(given) if given is not None else places.socket_path(env, os.getuid()))

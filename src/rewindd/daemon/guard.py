"""Who may speak on the main socket: processes in the daemon's own mount, pid and user namespaces.

A process in a sandbox comes with the user's uid, and could have the daemon do what it may not do itself. Its namespaces tell it apart
(docs/security.md). What cannot be looked at is refused: a process that ended or hung up before it was looked at, or that forbids it.

A connection is judged by its first message, once: a socket's credentials are those of who connected, unix(7), so who hands a
connection into a sandbox hands its rights over. The process is held by a descriptor while it is looked at, so that a number that was
used again is not taken for it.
"""

import errno
import logging
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rewindd.daemon.connections import held
from rewindd.daemon.peers import Peer

_log = logging.getLogger(__name__)

#: The namespaces that count, namespaces(7), and what they are called.
KINDS: Mapping[str, str] = {"mnt": "mount", "pid": "pid", "user": "user"}
#: Connections whose judgement is remembered; the oldest is judged again when it speaks (20 us).
MAX_REMEMBERED = 4096
#: Seconds that a process may have begun after its pid file was written: the kernel tells its start in hundredths.
BEGUN_LATE_S = 1.0
#: Bytes of a pid file that are read: a number is shorter.
_NUMBER_BYTES = 32

#: What a person can do about it.
_WAY_IN = "; outside of it `rewindctl grant WORKSPACE` makes a socket for it"
#: What an error says of a process that is looked at: ptrace(2), "Ptrace access mode checking"; socket(7), SO_PEERPIDFD.
_WHY = {
    **dict.fromkeys((errno.ENOENT, errno.ESRCH, errno.EINVAL, errno.ENODATA), "it ended"),
    **dict.fromkeys((errno.EBADF, errno.ENOTSOCK, errno.ECONNABORTED), "it hung up"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "it has rights that the daemon has not, or forbids it"),
}
#: zmq_msg_get(3), ZMQ_SRCFD: the descriptor that a message came by.
_SOURCE = 2
#: asm-generic/socket.h; from Linux 6.5 on.
_SO_PEERPIDFD = 77
_CREDENTIALS = struct.Struct("3i")


class Message(Protocol):
    """A message as libzmq has it."""

    def get(self, option: int | str) -> int | str | bytes:
        """Returns a property of it."""
        ...


class Guard:
    """Judges each connection once. Belongs to the event loop's thread; looks at /proc, 20 us a connection."""

    def __init__(self, pid_files: Iterable[str] = (), *, checks: bool = True) -> None:
        """Takes `allow_namespaces_of` of the configuration, paths of pid files, and `check_namespaces`.

        Raises:
            OSError: the daemon cannot even look at itself; there is no /proc.
        """
        self._own = _namespaces("self")
        self._pid_files, self._checks = tuple(pid_files), checks
        self._judged: dict[bytes, tuple[int, str | None]] = {}
        self._warned_of = 0

    def tune(self, pid_files: Iterable[str], *, checks: bool) -> None:
        """Takes over other settings; every connection is judged again."""
        self._pid_files, self._checks = tuple(pid_files), checks
        self._judged.clear()

    def objection(self, connection: bytes, peer: Peer | None, message: Message) -> str | None:
        """Returns why a message is refused, None when it is not.

        Args:
            connection: the name that the ROUTER gave it.
            peer: who connected.
            message: as it came, one of that connection's.
        """
        if not self._checks:
            return None
        known = self._judged.get(connection)
        if known is not None and peer is not None and known[0] == peer.pid:
            return known[1]
        if peer is None:
            return f"it cannot be told which process asks{_WAY_IN}"
        if not peer.pid:  # none of the numbers that are known here: in a pid namespace that is not below the daemon's own
            return "the daemon is in a container, and serves who is in it; stop it there, and start one here: `rewindctl daemon start`"
        try:
            with _held(peer, message):
                found = self._compare(peer, _namespaces(peer.pid))
        except OSError as exc:  # not remembered: it may also be the daemon that lacks descriptors
            found = f"process {peer.pid} cannot be looked at ({_WHY.get(exc.errno or 0, exc.strerror)}), so it may be in a sandbox{_WAY_IN}"
        else:
            self._remember(connection, peer, found)
        if found is not None and self._warned_of != peer.pid:
            self._warned_of = peer.pid
            _log.warning("refused: %s", found)
        return found

    def _compare(self, peer: Peer, found: Mapping[str, str]) -> str | None:
        others = [name for kind, name in KINDS.items() if found[kind] != self._own[kind]]
        if not others or any(_is_of(path, found) for path in self._pid_files):
            return None
        return f"process {peer.pid} has another {_listed(others)} namespace than the daemon, as in a sandbox or container{_WAY_IN}"

    def _remember(self, connection: bytes, peer: Peer, objection: str | None) -> None:
        """Under libzmq's own name, which is given once; one that a peer chose may be another's the next moment."""
        if not connection.startswith(b"\0"):
            return
        if len(self._judged) >= MAX_REMEMBERED:
            del self._judged[next(iter(self._judged))]
        self._judged[connection] = (peer.pid, objection)


@contextmanager
def _held(peer: Peer, message: Message) -> Iterator[None]:
    """While inside, and when it was left without an error, `peer.pid` was the process that connected.

    Raises:
        OSError: it ended, or hung up.
    """
    descriptor = _process(peer, message)
    try:
        yield
        if _has_ended(descriptor):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    finally:
        os.close(descriptor)


def _process(peer: Peer, message: Message) -> int:
    """Returns a descriptor of the process that connected, pidfd_open(2).

    Before Linux 6.5 it is that of the process which has its number now.
    """
    source = message.get(_SOURCE)
    with held(source if isinstance(source, int) else -1) as connection:
        pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if (pid, uid) != (peer.pid, peer.uid):  # that connection is closed, and its descriptor another's
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        try:
            return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
        except OSError as exc:
            if exc.errno != errno.ENOPROTOOPT:
                raise
        return os.pidfd_open(peer.pid)


def _has_ended(process: int) -> bool:
    ended = select.poll()
    ended.register(process, select.POLLIN)
    return bool(ended.poll(0))


def _namespaces(process: int | str) -> dict[str, str]:
    """Returns what identifies a process's namespaces. Raises OSError: it is gone, or not ours to look at (ptrace(2))."""
    return {kind: os.readlink(f"/proc/{process}/ns/{kind}") for kind in KINDS}


def _is_of(pid_file: str, namespaces: Mapping[str, str]) -> bool:
    """True for the namespaces of the process that a pid file names, if that is the process which it was written of."""
    try:
        with open(pid_file, "rb") as file:  # noqa: PTH123 - paths are `str` throughout
            written = os.fstat(file.fileno())
            text = file.read(_NUMBER_BYTES).strip()
        if written.st_uid != os.getuid() or written.st_mode & 0o022 or not text.isdigit():
            return False
        return _namespaces(int(text)) == namespaces and _began_s(int(text)) <= written.st_mtime + BEGUN_LATE_S
    except (OSError, ValueError):
        return False


def _began_s(process: int) -> float:
    """Returns when a process began, by the wall clock: proc_pid_stat(5), `starttime`, in ticks since the machine's start."""
    with open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123 - a file of the kernel
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age_s


def _listed(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last

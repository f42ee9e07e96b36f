"""The socket's place in the file system, when nobody hands the socket over: the directory, what is in the way, the end.

libzmq's bind removes whatever is at the path, a regular file or the socket of a daemon at work (zmq_ipc(7)); so all that must be
looked at is looked at here, before, by who holds the socket's lock.
"""

import os
import stat
from contextlib import suppress

from rewindd import errors, places

#: `__SO_ACCEPTCON` of the flags column in /proc/net/unix, proc_net(5), include/uapi/linux/net.h: the socket listens.
_LISTENS = 0x10000


def check_length(path: str) -> None:
    """Refuses a path that no socket can have.

    Raises:
        BadConfig: it has more bytes than `sun_path` holds.
    """
    size = len(os.fsencode(path))
    if size > places.MAX_SOCKET_BYTES:
        raise errors.BadConfig(
            f"the socket's path has {size} bytes, and the system takes {places.MAX_SOCKET_BYTES}: {path!r}; "
            "name a shorter one with --socket or REWINDD_SOCKET",
            path=path,
        )


def private_directory(path: str) -> None:
    """Makes the directory (0700) where it is missing, and refuses one that others could use.

    The mode of a socket file is not honoured everywhere and is wrong for a moment after bind; the directory is the real guard.

    Raises:
        NotPermitted: it is somebody else's, others may search it, or it is no directory.
        OSError: it cannot be made.
    """
    os.makedirs(path, mode=0o700, exist_ok=True)
    uid = os.getuid()
    found = os.stat(path)
    if found.st_uid != uid or os.lstat(path).st_uid != uid:
        raise errors.NotPermitted(f"the directory {path!r} is not owned by you (uid {uid}); name another socket with --socket", path=path)
    if found.st_mode & 0o077:
        raise errors.NotPermitted(
            f"others may use the directory {path!r} (mode {stat.S_IMODE(found.st_mode):04o}); run `chmod 700 {path}`", path=path
        )


def make_way(path: str) -> None:
    """Refuses to bind at `path` when that would take something away.

    Raises:
        NotPermitted: what is there is no socket, or not ours.
        Busy: somebody listens there: a service manager's socket unit, or a daemon whose lock file was removed.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise errors.NotPermitted(f"{path!r} exists and is no socket; it is left alone: move it, or name another --socket", path=path)
    if found.st_uid != os.getuid():
        raise errors.NotPermitted(f"the socket {path!r} belongs to another user; name another --socket", path=path)
    if is_listening(path):
        raise errors.Busy(f"another program listens on {path!r}; if it is systemd, start rewindd.service instead", path=path)


def is_listening(path: str) -> bool:
    """Returns whether a socket of that path listens, without connecting to it (which would start a unit)."""
    wanted = os.fsencode(path)
    with open("/proc/net/unix", "rb") as table:  # noqa: PTH123 - a table of the kernel
        for line in table:
            columns = line.rstrip(b"\n").split(maxsplit=7)
            if len(columns) == 8 and columns[7] == wanted and int(columns[3], 16) & _LISTENS:
                return True
    return False


def identity(path: str) -> tuple[int, int]:
    """Returns device and inode of the socket file, to know it again at the end."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def is_still(path: str, made: tuple[int, int]) -> bool:
    """Returns whether the socket file still is the one that was `made`."""
    try:
        return identity(path) == made
    except OSError:
        return False


def remove(path: str, made: tuple[int, int]) -> None:
    """Removes the socket file if it still is the one that was `made`; a service manager may have put its own there since."""
    if is_still(path, made):
        with suppress(FileNotFoundError):
            os.unlink(path)

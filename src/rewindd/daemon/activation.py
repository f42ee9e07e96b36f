"""The listening socket that a service manager hands over, sd_listen_fds(3).

The variables are dropped from the environment whatever they say, so that no child takes them for its own.
"""

import os
import socket
from collections.abc import MutableMapping

from rewindd import errors

#: SD_LISTEN_FDS_START, sd_listen_fds(3).
FIRST = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def inherited(env: MutableMapping[str, str], path: str) -> int | None:
    """Returns the descriptor that listens on `path`, None when nothing was handed over to this process.

    It comes back non-blocking and closed on exec; from here on it is libzmq's, which closes it with its socket.

    Raises:
        BadConfig: something was handed over, but no listening stream socket at `path`: clients and daemon would not meet.
    """
    count = _count(env)
    for variable in _VARIABLES:
        env.pop(variable, None)
    if count == 0:
        return None
    given = range(FIRST, FIRST + count)
    for descriptor in given:
        os.set_inheritable(descriptor, False)
    names = [_listens_at(descriptor) for descriptor in given]
    for descriptor, name in zip(given, names, strict=True):
        if name is not None and os.path.realpath(name) == os.path.realpath(path):
            os.set_blocking(descriptor, False)
            return descriptor
    told = ", ".join("no listening unix socket" if name is None else repr(name) for name in names)
    raise errors.BadConfig(
        f"the service manager handed over {told}, but the socket is to be {path!r}; make ListenStream= and --socket agree"
    )


def _count(env: MutableMapping[str, str]) -> int:
    pid, count = env.get("LISTEN_PID", ""), env.get("LISTEN_FDS", "")
    return int(count) if pid == str(os.getpid()) and count.isdecimal() else 0


def _listens_at(descriptor: int) -> str | None:
    """Returns the path a descriptor listens on; None when it is no listening unix stream socket with one."""
    try:
        found = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return None
    with found:
        if found.family != socket.AF_UNIX or found.type != socket.SOCK_STREAM:
            return None
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        name = found.getsockname()
    return name if isinstance(name, str) and name else None

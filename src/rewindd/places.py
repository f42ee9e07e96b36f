"""Where the daemon's socket, data and configuration are: the same answer on both sides of the socket.

Pure functions of the environment. They follow the XDG Base Directory Specification: a relative path in one of its
variables is ignored.
"""

import os
import pwd
from collections.abc import Callable, Mapping

#: Linux: `sun_path` is 108 bytes with its NUL, unix(7).
MAX_SOCKET_BYTES = 107

Environment = Mapping[str, str]


def socket_path(env: Environment, uid: int, *, is_directory: Callable[[str], bool] = os.path.isdir) -> str:
    """Returns the path of the daemon's socket: `$REWINDD_SOCKET`, else `rewindd.sock` in the runtime directory."""
    return env.get("REWINDD_SOCKET") or os.path.join(runtime_dir(env, uid, is_directory=is_directory), "rewindd.sock")


def runtime_dir(env: Environment, uid: int, *, is_directory: Callable[[str], bool] = os.path.isdir) -> str:
    """Returns the directory of the socket where none is named. It may not exist; its user checks owner and mode."""
    given = _absolute(env.get("XDG_RUNTIME_DIR"))
    if given:
        return os.path.join(given, "rewindd")
    if is_directory(f"/run/user/{uid}"):
        return f"/run/user/{uid}/rewindd"
    return f"/tmp/rewindd-{uid}"


def data_dir(env: Environment) -> str:
    """Returns the directory of the store: `$REWINDD_DATA_DIR`, else `rewindd` in the XDG data directory."""
    return env.get("REWINDD_DATA_DIR") or _xdg(env, "XDG_DATA_HOME", ".local/share", "rewindd")


def config_path(env: Environment) -> str:
    """Returns the path of the configuration: `$REWINDD_CONFIG`, else `rewindd/config.toml` in the XDG configuration directory."""
    return env.get("REWINDD_CONFIG") or _xdg(env, "XDG_CONFIG_HOME", ".config", "rewindd/config.toml")


def _xdg(env: Environment, variable: str, default: str, name: str) -> str:
    return os.path.join(_absolute(env.get(variable)) or os.path.join(_home(env), default), name)


def _home(env: Environment) -> str:
    return env.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir


def _absolute(path: str | None) -> str | None:
    return path if path and os.path.isabs(path) else None

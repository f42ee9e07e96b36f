"""The configuration's files: `config.toml` and the drop-ins beside it, and what the environment puts over them.

Both the daemon and `rewindctl config` read by this, so that what the one says is what the other does. Blocks.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from rewindd import errors, places
from rewindd.configuration.parsing import Layer, Merged, merge, parse
from rewindd.configuration.schema import Config, settings, value

#: The directory of the drop-ins, beside the file.
DROP_INS = "config.d"
DEFAULT = "default"
#: Bytes of one file: every setting with its comments is a few KB; a device or a disk image put there by mistake has no end.
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the files say. `path`: of `config.toml`, whether it is there or not; `files`: those that were read, in order."""

    path: str
    files: tuple[str, ...]
    merged: Merged

    @property
    def config(self) -> Config:
        """Returns the configuration."""
        return self.merged.config


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """A setting as it counts: its value, and where that comes from: `default`, a file's path, or `$VARIABLE`."""

    name: str
    value: object
    origin: str


def config_file(given: str | None, env: Mapping[str, str]) -> tuple[str, bool]:
    """Returns the absolute path of `config.toml`, and whether it was named, and so must be there."""
    return os.path.abspath(given or places.config_path(env)), given is not None or bool(env.get("REWINDD_CONFIG"))


def read(path: str, *, required: bool) -> Found:
    """Returns what the file at `path` and its drop-ins say; the defaults where there are none and need not be.

    Drop-ins are `config.d/*.toml` beside the file, in the order of their names; of each key the last one counts.

    Raises:
        BadConfig: a file cannot be read, or holds what it must not; or there is none at `path` though it is `required`.
    """
    layers = [layer for layer in (_read(path, required=required), *map(_read_drop_in, drop_ins(path))) if layer is not None]
    return Found(path=path, files=tuple(layer.path for layer in layers), merged=merge(layers))


def drop_ins(path: str) -> list[str]:
    """Returns the drop-ins of the configuration file at `path`, in the order in which they count. Raises BadConfig."""
    directory = os.path.join(os.path.dirname(path), DROP_INS)
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise errors.BadConfig(f"the directory {directory!r} cannot be read: {exc.strerror}", path=directory) from exc
    return [os.path.join(directory, name) for name in sorted(names) if name.endswith(".toml") and not name.startswith(".")]


def check(path: str) -> None:
    """Reads one file and nothing else. Raises BadConfig, as `read`."""
    _read(path, required=True)


def data_dir(config: Config, env: Mapping[str, str], given: str | None = None) -> str:
    """Returns the absolute path of the data directory: as given, else the environment's, the file's, the usual one."""
    return os.path.abspath(given or env.get("REWINDD_DATA_DIR") or home_path(config.daemon.data_dir, env) or places.data_dir(env))


def home_path(path: str | None, env: Mapping[str, str]) -> str | None:
    """Returns the path with a leading `~/` as the environment's home; a shell expands it on the command line, nobody does in a file."""
    if path is not None and path.startswith("~/") and env.get("HOME"):
        return os.path.join(env["HOME"], path[2:])
    return path


def effective(found: Found, env: Mapping[str, str]) -> list[Effective]:
    """Returns every setting as it counts in this environment, with what is the default where nothing is said."""
    return [_effective(name, found, env) for name in settings()]


def _effective(name: str, found: Found, env: Mapping[str, str]) -> Effective:
    said = value(found.config, name)
    origin = found.merged.origins.get(name, DEFAULT)
    if name == "daemon.data_dir":
        origin = "$REWINDD_DATA_DIR" if env.get("REWINDD_DATA_DIR") else origin
        return Effective(name=name, value=data_dir(found.config, env), origin=origin)
    if name == "capture.watch" and env.get("REWINDD_WATCH") == "0":
        return Effective(name=name, value=False, origin="$REWINDD_WATCH")
    if name == "daemon.log_level" and said is None:
        return Effective(name=name, value="info", origin=origin)
    if settings()[name].is_path and said is not None:
        paths = [home_path(one, env) for one in said] if isinstance(said, list) else home_path(str(said), env)
        return Effective(name=name, value=paths, origin=origin)
    return Effective(name=name, value=said, origin=origin)


def _read(path: str, *, required: bool) -> Layer | None:
    try:
        text = _bounded(path)
    except FileNotFoundError as exc:
        if required:
            raise errors.BadConfig(f"there is no configuration file {path!r}; make it, or name another", path=path) from exc
        return None
    except OSError as exc:
        raise errors.BadConfig(f"the configuration file {path!r} cannot be read: {exc.strerror}", path=path) from exc
    return parse(text, path)


def _bounded(path: str) -> bytes:
    """Returns what a regular file holds. Opens without waiting: a FIFO that nobody writes to would hold the start for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise errors.BadConfig(f"the configuration file {path!r} cannot be read: it is no regular file", path=path)
        with open(descriptor, "rb", closefd=False) as file:
            text = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > MAX_FILE_BYTES:
        raise errors.BadConfig(f"the configuration file {path!r} has more than {MAX_FILE_BYTES >> 10} KiB", path=path)
    return text


def _read_drop_in(path: str) -> Layer | None:
    return _read(path, required=False)

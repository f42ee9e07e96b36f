"""The daemon's settings: `config.toml`, and what the command line and the environment put over it.

A key that is not known is refused, never ignored: a misspelt limit that silently does nothing is worse than no start.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from rewindd import errors, places
from rewindd.model.capture import MAX_FILE_BYTES, MAX_FILES, MAX_STORE_BYTES, MAX_WORKSPACE_BYTES, CaptureSettings

LogLevel = Literal["debug", "info", "warning", "error"]
#: For the command line's choices.
LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")
#: A daemon that a client started ends after an hour without requests (docs/rewindctl.md).
IDLE_EXIT_S = 3600
#: How a client tells the daemon that it started it.
STARTED_BY, AUTOSTART = "REWINDD_STARTED_BY", "autostart"


class DaemonSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[daemon]`. `idle_exit_s`: how long a daemon that a client started stays without work; 0: for ever.

    `log_level`: `info` where it is not set, and `warning` for a daemon that a client started: its log is a file in the
    runtime directory, which is memory, and nobody rotates it while the daemon runs.
    """

    log_level: LogLevel | None = None
    idle_exit_s: Annotated[int, msgspec.Meta(ge=0)] = IDLE_EXIT_S
    data_dir: str | None = None


AtLeastZero = Annotated[int, msgspec.Meta(ge=0)]


class CaptureSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[capture]`: what is captured of a workspace. Sizes in bytes; patterns as in gitignore(5). See `model.capture`."""

    max_file_bytes: AtLeastZero = MAX_FILE_BYTES
    max_files: AtLeastZero = MAX_FILES
    max_bytes: AtLeastZero = MAX_WORKSPACE_BYTES
    exclude: list[str] = []
    include: list[str] = []
    watch: bool = True


class StoreSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[store]`: how much it may hold, and what stays free on its file system, in bytes; `min_free_bytes` 0: max(2 GiB, 5 %)."""

    max_bytes: AtLeastZero = MAX_STORE_BYTES
    min_free_bytes: AtLeastZero = 0


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of `config.toml`."""

    daemon: DaemonSection = DaemonSection()
    capture: CaptureSection = CaptureSection()
    store: StoreSection = StoreSection()

    def capture_settings(self, env: Mapping[str, str]) -> CaptureSettings:
        """Returns what is captured. `REWINDD_WATCH=0` in the environment turns inotify off."""
        given = self.capture
        return CaptureSettings(
            max_file_bytes=given.max_file_bytes,
            max_files=given.max_files,
            max_bytes=given.max_bytes,
            exclude=tuple(given.exclude),
            include=tuple(given.include),
            watch=given.watch and env.get("REWINDD_WATCH", "1") != "0",
            max_store_bytes=self.store.max_bytes,
            min_free_bytes=self.store.min_free_bytes,
        )


SECTIONS: dict[str, type[msgspec.Struct]] = {"daemon": DaemonSection, "capture": CaptureSection, "store": StoreSection}


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said; None where it did not."""

    socket: str | None = None
    data_dir: str | None = None
    config: str | None = None
    log_level: LogLevel | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon runs with: the command line before the environment before the file before the defaults. Paths are absolute."""

    socket: str
    data_dir: str
    config: str
    log_level: LogLevel
    #: True when the command line named the level: then SIGHUP does not change it.
    level_given: bool = False
    default_level: LogLevel = "info"
    idle_exit_s: int = IDLE_EXIT_S
    capture: CaptureSettings = CaptureSettings()


def settle(given: Given, env: Mapping[str, str], uid: int) -> Settings:
    """Returns the settings; reads the configuration file.

    Raises:
        BadConfig: the file is not there though it was named, cannot be read, or holds what it must not.
    """
    path = os.path.abspath(given.config or places.config_path(env))
    named = given.config is not None or "REWINDD_CONFIG" in env
    found = read(path, required=named)
    section = found.daemon
    return Settings(
        socket=os.path.abspath(given.socket or places.socket_path(env, uid)),
        data_dir=os.path.abspath(given.data_dir or env.get("REWINDD_DATA_DIR") or _home(section.data_dir, env) or places.data_dir(env)),
        config=path,
        log_level=given.log_level or section.log_level or default_level(env),
        level_given=given.log_level is not None,
        default_level=default_level(env),
        idle_exit_s=section.idle_exit_s,
        capture=found.capture_settings(env),
    )


def default_level(env: Mapping[str, str]) -> LogLevel:
    """Returns the log level where nothing names one."""
    return "warning" if env.get(STARTED_BY) == AUTOSTART else "info"


def read(path: str, *, required: bool) -> Config:
    """Returns what the file at `path` says; the defaults where it is not there and need not be.

    Raises:
        BadConfig: as `settle`.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - paths are `str` throughout
            text = file.read()
    except FileNotFoundError as exc:
        if required:
            raise errors.BadConfig(f"there is no configuration file {path!r}; make it, or name another", path=path) from exc
        return Config()
    except OSError as exc:
        raise errors.BadConfig(f"the configuration file {path!r} cannot be read: {exc.strerror}", path=path) from exc
    return parse(text, path)


def parse(text: bytes, path: str) -> Config:
    """Returns what the text of a configuration file says; `path` is for the messages.

    Raises:
        BadConfig: it is no TOML, has an unknown key, or a value of a wrong type or out of its range.
    """
    try:
        table = tomllib.loads(text.decode())
    except ValueError as exc:  # of which both TOMLDecodeError and UnicodeDecodeError are kinds
        raise errors.BadConfig(f"{path}: {exc}", path=path) from exc
    _refuse_unknown(table, Config, path, "")
    for name, section in SECTIONS.items():
        if isinstance(table.get(name), dict):
            _refuse_unknown(table[name], section, path, f"{name}.")
    try:
        return msgspec.convert(table, Config)
    except msgspec.ValidationError as exc:
        raise errors.BadConfig(f"{path}: {exc}", path=path) from exc


def _refuse_unknown(table: Mapping[str, object], known: type[msgspec.Struct], path: str, prefix: str) -> None:
    names = known.__struct_fields__
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(prefix + name for name in names)}"
            raise errors.BadConfig(f"{path}: unknown key {prefix}{key}; {hint}", path=path, key=f"{prefix}{key}")


def _home(path: str | None, env: Mapping[str, str]) -> str | None:
    """Returns the path with a leading `~/` as the environment's home; a shell expands it on the command line, nobody does in a file."""
    if path is not None and path.startswith("~/") and env.get("HOME"):
        return os.path.join(env["HOME"], path[2:])
    return path

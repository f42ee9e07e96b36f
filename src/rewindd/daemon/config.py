"""The daemon's settings: what the command line and the environment put over the configuration's files."""

import os
from collections.abc import Mapping

import msgspec

from rewindd import places
from rewindd.configuration import reading
from rewindd.configuration.reading import Found
from rewindd.configuration.schema import IDLE_EXIT_S, LOG_LEVELS, TEXTFILE_INTERVAL_S, LogLevel
from rewindd.model.capture import CaptureSettings

__all__ = ["AUTOSTART", "LOG_LEVELS", "STARTED_BY", "Given", "LogLevel", "Settings", "default_level", "settle", "with_files"]

#: How a client tells the daemon that it started it.
STARTED_BY, AUTOSTART = "REWINDD_STARTED_BY", "autostart"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said; None where it did not."""

    socket: str | None = None
    data_dir: str | None = None
    config: str | None = None
    log_level: LogLevel | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon runs with: the command line before the environment before the files before the defaults. Paths are absolute.

    `environment`: the variables that count beside the files, for a reload. `config`: where `config.toml` is, or would be;
    `files`: what was read. `textfile`: where the metrics go, None: nowhere. `check_namespaces`, `allow_namespaces_of`: see `guard`.
    """

    socket: str
    data_dir: str
    config: str
    given: Given = Given()
    environment: dict[str, str] = {}
    files: tuple[str, ...] = ()
    log_level: LogLevel = "info"
    idle_exit_s: int = IDLE_EXIT_S
    capture: CaptureSettings = CaptureSettings()
    textfile: str | None = None
    textfile_interval_s: int = TEXTFILE_INTERVAL_S
    allow_network_data_dir: bool = False
    check_namespaces: bool = True
    allow_namespaces_of: tuple[str, ...] = ()


def settle(given: Given, env: Mapping[str, str], uid: int) -> Settings:
    """Returns the settings; reads the configuration's files.

    Raises:
        BadConfig: the file is not there though it was named, or a file cannot be read, or holds what it must not.
    """
    path, named = reading.config_file(given.config, env)
    place = Settings(
        socket=os.path.abspath(given.socket or places.socket_path(env, uid)),
        data_dir="",
        config=path,
        given=given,
        environment={name: value for name, value in env.items() if name == "HOME" or name.startswith(("REWINDD_", "XDG_"))},
    )
    return with_files(place, reading.read(path, required=named))


def with_files(settings: Settings, found: Found) -> Settings:
    """Returns the settings with these files in the place of those read before; socket and command line stay as they are."""
    given, env, config = settings.given, settings.environment, found.config
    return msgspec.structs.replace(
        settings,
        data_dir=reading.data_dir(config, env, given.data_dir),
        files=found.files,
        log_level=given.log_level or config.daemon.log_level or default_level(env),
        idle_exit_s=config.daemon.idle_exit_s,
        capture=config.capture_settings(env),
        textfile=reading.home_path(config.metrics.textfile, env),
        textfile_interval_s=config.metrics.interval_s,
        allow_network_data_dir=config.daemon.allow_network_data_dir,
        check_namespaces=config.daemon.check_namespaces,
        allow_namespaces_of=tuple(reading.home_path(path, env) or path for path in config.daemon.allow_namespaces_of),
    )


def default_level(env: Mapping[str, str]) -> LogLevel:
    """Returns the log level where nothing names one."""
    return "warning" if env.get(STARTED_BY) == AUTOSTART else "info"

"""Every setting there is: its section, key, unit and default, and whether a reload is enough.

docs/configuration.md is held against this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import msgspec

from rewindd.model.capture import MAX_FILE_BYTES, MAX_FILES, MAX_STORE_BYTES, MAX_WORKSPACE_BYTES, CaptureSettings

LogLevel = Literal["debug", "info", "warning", "error"]
#: For the command line's choices.
LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")
#: A daemon that a client started ends after an hour without requests (docs/rewindctl.md).
IDLE_EXIT_S = 3600
#: Between two textfiles: the interval at which Prometheus asks by default is a minute, at which many ask 15 s.
TEXTFILE_INTERVAL_S = 15

# ---- units, as the documentation names them
_Bytes = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "bytes"})]
_Count = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "files"})]
_Seconds = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "seconds"})]
_Interval = Annotated[int, msgspec.Meta(ge=1, extra={"unit": "seconds"})]
_Patterns = Annotated[list[str], msgspec.Meta(extra={"unit": "patterns"})]
_Switch = Annotated[bool, msgspec.Meta(extra={"unit": "true or false"})]
_Level = Annotated[LogLevel | None, msgspec.Meta(extra={"unit": "a level"})]
_Path = Annotated[str | None, msgspec.Meta(extra={"unit": "a path"})]


class DaemonSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[daemon]`. `idle_exit_s`: how long a daemon that a client started stays without work; 0: for ever.

    `log_level`: `info` where it is not set, and `warning` for a daemon that a client started: its log is a file in the
    runtime directory, which is memory, and nobody rotates it while the daemon runs.
    """

    log_level: _Level = None
    idle_exit_s: _Seconds = IDLE_EXIT_S
    data_dir: _Path = None


class CaptureSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[capture]`: what is captured of a workspace. Sizes in bytes; patterns as in gitignore(5). See `model.capture`."""

    max_file_bytes: _Bytes = MAX_FILE_BYTES
    max_files: _Count = MAX_FILES
    max_bytes: _Bytes = MAX_WORKSPACE_BYTES
    exclude: _Patterns = []
    include: _Patterns = []
    watch: _Switch = True


class StoreSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[store]`: how much it may hold, and what stays free on its file system, in bytes; `min_free_bytes` 0: max(2 GiB, 5 %)."""

    max_bytes: _Bytes = MAX_STORE_BYTES
    min_free_bytes: _Bytes = 0


class MetricsSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[metrics]`: the file that the daemon's numbers are written to, and how often; None: to none."""

    textfile: _Path = None
    interval_s: _Interval = TEXTFILE_INTERVAL_S


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of the configuration."""

    daemon: DaemonSection = DaemonSection()
    capture: CaptureSection = CaptureSection()
    store: StoreSection = StoreSection()
    metrics: MetricsSection = MetricsSection()

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


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "daemon": DaemonSection,
    "capture": CaptureSection,
    "store": StoreSection,
    "metrics": MetricsSection,
}
#: What a running daemon cannot change: it would be another daemon's place.
NEEDS_RESTART = frozenset({"daemon.data_dir"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key. `kind` is what its value is converted to, with its bounds; `is_path`: a leading `~/` is the home directory."""

    section: str
    key: str
    kind: object
    unit: str
    default: object

    @property
    def name(self) -> str:
        """Returns `section.key`."""
        return f"{self.section}.{self.key}"

    @property
    def is_path(self) -> bool:
        """True where the value is a path: absolute, or below the home directory by `~/`."""
        return self.unit == "a path"

    @property
    def reloads(self) -> bool:
        """True where SIGHUP is enough."""
        return self.name not in NEEDS_RESTART


@cache
def settings() -> Mapping[str, Setting]:
    """Returns every setting by its name, `section.key`, in the order of the sections."""
    return {one.name: one for section, kind in SECTIONS.items() for one in _of(section, kind)}


def value(config: Config, name: str) -> object:
    """Returns what the configuration says of a setting."""
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def _of(section: str, kind: type[msgspec.Struct]) -> Iterator[Setting]:
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        assert get_origin(hint) is Annotated
        extra = next(one.extra for one in get_args(hint)[1:] if isinstance(one, msgspec.Meta))
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        yield Setting(section=section, key=field.name, kind=hint, unit=str((extra or {})["unit"]), default=default)

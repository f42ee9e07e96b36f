"""Every setting there is: its section, key, unit and default, and whether a reload is enough.

docs/configuration.md is held against this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import msgspec

from rewindd.model.capture import (
    BACKUP_INTERVAL_S,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_STORE_BYTES,
    MAX_WORKSPACE_BYTES,
    RESERVE_BYTES,
    SCRUB_BYTES_PER_S,
    SCRUB_INTERVAL_S,
    CaptureSettings,
    IntegritySettings,
)
from rewindd.model.retention import INTERVAL_S as RETENTION_INTERVAL_S
from rewindd.model.retention import KEEP_DAILY, KEEP_LAST, Retention

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
_Checkpoints = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "checkpoints"})]
_Days = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "days"})]
_Seconds = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "seconds"})]
_Interval = Annotated[int, msgspec.Meta(ge=1, extra={"unit": "seconds"})]
_Rate = Annotated[int, msgspec.Meta(ge=1, extra={"unit": "bytes per second"})]
_Patterns = Annotated[list[str], msgspec.Meta(extra={"unit": "patterns"})]
_Switch = Annotated[bool, msgspec.Meta(extra={"unit": "true or false"})]
_Level = Annotated[LogLevel | None, msgspec.Meta(extra={"unit": "a level"})]
_Path = Annotated[str | None, msgspec.Meta(extra={"unit": "a path"})]
_Paths = Annotated[list[str], msgspec.Meta(extra={"unit": "paths"})]


class DaemonSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[daemon]`. `idle_exit_s`: how long a daemon that a client started stays without work; 0: for ever.

    `log_level`: `info` where it is not set, and `warning` for a daemon that a client started: its log is a file in the
    runtime directory, which is memory, and nobody rotates it while the daemon runs.

    `allow_network_data_dir`: also where the data directory is on another machine's file system, on which a store may be damaged.

    `check_namespaces`: who is in another mount, pid or user namespace than the daemon may not use the main socket. `allow_namespaces_of`:
    pid files; but who is in those of a process that one of them names may, as in the user's own container (docs/security.md).
    """

    log_level: _Level = None
    idle_exit_s: _Seconds = IDLE_EXIT_S
    data_dir: _Path = None
    allow_network_data_dir: _Switch = False
    check_namespaces: _Switch = True
    allow_namespaces_of: _Paths = []


class CaptureSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[capture]`: what is captured of a workspace. Sizes in bytes; patterns as in gitignore(5). See `model.capture`."""

    max_file_bytes: _Bytes = MAX_FILE_BYTES
    max_files: _Count = MAX_FILES
    max_bytes: _Bytes = MAX_WORKSPACE_BYTES
    exclude: _Patterns = []
    include: _Patterns = []
    watch: _Switch = True


class StoreSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[store]`: how much it may hold, and what stays free on its file system, in bytes; `min_free_bytes` 0: max(2 GiB, 5 %).

    `reserve_bytes`: what is held back there, so that rewinds go on when it is full; 0: nothing.
    """

    max_bytes: _Bytes = MAX_STORE_BYTES
    min_free_bytes: _Bytes = 0
    reserve_bytes: _Bytes = RESERVE_BYTES


class ProtectSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[protect]`: what no rewind, restore, undo or redo writes, in any workspace. Patterns as in gitignore(5)."""

    patterns: _Patterns = []


class IntegritySection(msgspec.Struct, frozen=True, kw_only=True):
    """`[integrity]`: how often the store is scrubbed, how fast, and how often its database is backed up; 0: never."""

    scrub_interval_s: _Seconds = SCRUB_INTERVAL_S
    scrub_bytes_per_s: _Rate = SCRUB_BYTES_PER_S
    backup_interval_s: _Seconds = BACKUP_INTERVAL_S


class RetentionSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[retention]`: which checkpoints are kept, how long, and from how many bytes on sessions are told. See `model.retention`."""

    keep_last: _Checkpoints = KEEP_LAST
    keep_daily: _Days = KEEP_DAILY
    keep_labelled: _Switch = True
    max_age_s: _Seconds = 0
    max_store_bytes: _Bytes = 0
    max_workspace_bytes: _Bytes = 0
    interval_s: _Seconds = RETENTION_INTERVAL_S


class MetricsSection(msgspec.Struct, frozen=True, kw_only=True):
    """`[metrics]`: the file that the daemon's numbers are written to, and how often; None: to none."""

    textfile: _Path = None
    interval_s: _Interval = TEXTFILE_INTERVAL_S


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of the configuration."""

    daemon: DaemonSection = DaemonSection()
    capture: CaptureSection = CaptureSection()
    store: StoreSection = StoreSection()
    integrity: IntegritySection = IntegritySection()
    retention: RetentionSection = RetentionSection()
    protect: ProtectSection = ProtectSection()
    metrics: MetricsSection = MetricsSection()

    def capture_settings(self, env: Mapping[str, str]) -> CaptureSettings:
        """Returns what is captured, and what is protected. `REWINDD_WATCH=0` in the environment turns inotify off."""
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
            reserve_bytes=self.store.reserve_bytes,
            integrity=IntegritySettings(
                scrub_interval_s=self.integrity.scrub_interval_s,
                scrub_bytes_per_s=self.integrity.scrub_bytes_per_s,
                backup_interval_s=self.integrity.backup_interval_s,
            ),
            protect=tuple(self.protect.patterns),
            retention=Retention(**msgspec.structs.asdict(self.retention)),
        )


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "daemon": DaemonSection,
    "capture": CaptureSection,
    "store": StoreSection,
    "integrity": IntegritySection,
    "retention": RetentionSection,
    "protect": ProtectSection,
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
        """True where the value is a path, or a list of them: absolute, or below the home directory by `~/`."""
        return self.unit in ("a path", "paths")

    @property
    def words(self) -> tuple[str, ...]:
        """Returns the words that its value is one of; empty where it is no word of a closed set."""
        return tuple(word for hint in get_args(get_args(self.kind)[0]) if get_origin(hint) is Literal for word in get_args(hint))

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

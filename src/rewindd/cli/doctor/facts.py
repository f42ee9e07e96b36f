"""What `doctor` judges by: gathered first, all of it, so that each check is a function of these and of nothing else."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from rewindd.protocol.replies import Health, Status


class State(enum.Enum):
    """How a thing is: as it should be, worth to know, or wrong."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. `remedy`: what to do about it, a command where there is one; None where it is as it should be."""

    check: str
    state: State
    message: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A path as it is. `kind`: `absent`, `socket`, `directory`, `file` or `other`; mode and uid mean nothing for what is absent."""

    path: str
    kind: str = "absent"
    mode: int = 0
    uid: int = 0

    @property
    def is_there(self) -> bool:
        """True where something is at the path."""
        return self.kind != "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock file, and who holds it: None nobody, 0 a process that cannot be seen from here. `command`: its program's name."""

    path: str
    holder: int | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit as the user's systemd has it, in its own words (systemctl(1), show)."""

    load: str
    active: str
    enabled: str
    result: str
    main_pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """The user's systemd. `trouble`: why there is none to ask. `lingers`: whether it outlives the last logout, None: nobody says."""

    trouble: str | None = None
    units: Mapping[str, Unit] = field(default_factory=dict)
    lingers: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inotify:
    """The user's budget of watches and instances, and what all of its processes use of it."""

    max_watches: int
    max_instances: int
    watches: int
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The file system of the data directory: its type, where it is mounted, and its bytes; `free` for us, not for root."""

    kind: str
    mounted_at: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The configuration as this command reads it. `trouble`: why it cannot be used; then the rest is the defaults."""

    path: str
    trouble: str | None = None
    writable: tuple[str, ...] = ()
    max_store_bytes: int = 0
    min_free_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of them. `open_places`: what below the data directory others may use. None: nobody could be asked, or there is none to ask.

    `silent`: why no daemon answered; None when one did. `is_refused`: one did, and speaks with nobody who is here. `is_granted`: one
    did, through a grant, which tells nothing of it. `health` is None for
    a daemon that does not know the question, too. `supported`: of one that speaks another protocol, which.
    """

    uid: int
    version: str
    socket: Place
    listens: bool
    runtime_dir: Place
    socket_lock: Lock
    data_dir: Place
    data_lock: Lock
    open_places: tuple[str, ...]
    room: Room | None
    config: Configured
    manager: Manager
    inotify: Inotify | None
    silent: str | None
    is_refused: bool
    status: Status | None
    health: Health | None
    is_granted: bool = False
    supported: str | None = None

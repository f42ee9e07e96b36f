"""What is captured of a workspace and written to it, and how much the store may hold: the settings, and what they left out."""

from dataclasses import dataclass, field
from typing import NamedTuple

from rewindd.model.retention import Retention
from rewindd.paths import RelPath

#: A larger file is data, not work; who means it names it, or raises the limit.
MAX_FILE_BYTES = 64 << 20
MAX_FILES = 200_000
MAX_WORKSPACE_BYTES = 2 << 30
MAX_STORE_BYTES = 10 << 30
#: What the store leaves free on its file system: this, or 5 % of it if that is more.
MIN_FREE_BYTES = 2 << 30
MIN_FREE_PART = 20
#: What the store holds back on its file system, so that rewinds go on when it is full.
RESERVE_BYTES = 16 << 20
#: How the reasons of a workspace's limits begin: what one of them leaves out is judged again where there may be room.
LIMIT = "limit: "
#: How the reasons begin with which content is not taken in because the store has no room for it.
NO_ROOM = "no room in the store"
#: How the reason begins with which a path is not overwritten whose present content is not in the store.
UNKEPT = "what is there now is not kept"


#: Between two scrubs: a disk's flipped bit shall be found while a workspace or a backup still has what it was.
SCRUB_INTERVAL_S = 7 * 24 * 3600
#: A tenth of what a slow disk reads.
SCRUB_BYTES_PER_S = 16 << 20
BACKUP_INTERVAL_S = 24 * 3600


class Room(NamedTuple):
    """How many bytes of content the store may still take in, and what is said of content that is more."""

    bytes: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegritySettings:
    """The `[integrity]` section, checked: how often the store is compared with what was written, how fast, how often it is backed up."""

    scrub_interval_s: int = SCRUB_INTERVAL_S
    scrub_bytes_per_s: int = SCRUB_BYTES_PER_S
    backup_interval_s: int = BACKUP_INTERVAL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """The `[capture]`, `[store]`, `[integrity]` and `[protect]` sections of the configuration, checked.

    Attributes:
        max_file_bytes: a larger file is left out, unless it is named.
        max_files: files of one workspace; more are left out.
        max_bytes: bytes of content of one workspace; more are left out.
        exclude: patterns (gitignore(5)) that leave out, in every workspace.
        include: patterns that bring back what any rule leaves out, `.env` for one.
        watch: False turns inotify off; the tree is then looked at whole.
        max_store_bytes: what the store may hold; then contents are left out.
        min_free_bytes: what stays free on the store's file system; 0: max(2 GiB, 5 %).
        reserve_bytes: what is held back there for rewinds on a full disk; 0: nothing.
        protect: patterns of what no rewind, restore, undo or redo writes, in every workspace.
        integrity: how the store itself is looked after.
        retention: what of it is kept.
    """

    max_file_bytes: int = MAX_FILE_BYTES
    max_files: int = MAX_FILES
    max_bytes: int = MAX_WORKSPACE_BYTES
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    watch: bool = True
    max_store_bytes: int = MAX_STORE_BYTES
    min_free_bytes: int = 0
    reserve_bytes: int = RESERVE_BYTES
    protect: tuple[str, ...] = ()
    integrity: IntegritySettings = IntegritySettings()
    retention: Retention = field(default_factory=Retention)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A name that the rules or limits leave out, and which of them."""

    path: RelPath
    reason: str


def binary(size_bytes: int) -> str:
    """Returns a size of the settings in units of 1024: `64 MiB`, `1.5 GiB`, `100 bytes`."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size_bytes} bytes"

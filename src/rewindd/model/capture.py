"""What is captured of a workspace, and how much the store may hold: the settings, and what they left out."""

from dataclasses import dataclass

from rewindd.paths import RelPath

#: A larger file is data, not work; who means it names it, or raises the limit.
MAX_FILE_BYTES = 64 << 20
MAX_FILES = 200_000
MAX_WORKSPACE_BYTES = 2 << 30
MAX_STORE_BYTES = 10 << 30
#: What the store leaves free on its file system: this, or 5 % of it if that is more.
MIN_FREE_BYTES = 2 << 30
MIN_FREE_PART = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """The `[capture]` and `[store]` sections of the configuration, checked.

    Attributes:
        max_file_bytes: a larger file is left out, unless it is named.
        max_files: files of one workspace; more are left out.
        max_bytes: bytes of content of one workspace; more are left out.
        exclude: patterns (gitignore(5)) that leave out, in every workspace.
        include: patterns that bring back what any rule leaves out, `.env` for one.
        watch: False turns inotify off; the tree is then looked at whole.
        max_store_bytes: what the store may hold; then contents are left out.
        min_free_bytes: what stays free on the store's file system; 0: max(2 GiB, 5 %).
    """

    max_file_bytes: int = MAX_FILE_BYTES
    max_files: int = MAX_FILES
    max_bytes: int = MAX_WORKSPACE_BYTES
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    watch: bool = True
    max_store_bytes: int = MAX_STORE_BYTES
    min_free_bytes: int = 0


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

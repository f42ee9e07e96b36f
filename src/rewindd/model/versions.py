"""The state of a path at a moment.

`Unknown` is not `Absent`: it says that nobody looked, or that the path was outside the rules then. No operation removes or
reverts a path on the strength of `Unknown`.
"""

import enum

import msgspec

from rewindd.paths import LinkTarget

#: Length of a BLAKE3 digest in bytes (the BLAKE3 paper, section 2.1: 32 is the default output length).
DIGEST_BYTES = 32


class Kind(enum.Enum):
    """What a path is, in the words of the interface."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    FILE = "file"
    SYMLINK = "symlink"
    DIRECTORY = "directory"


class Unknown(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """Never looked at, or outside the rules."""

    @property
    def kind(self) -> Kind:
        """Which of the five it is."""
        return Kind.UNKNOWN


class Absent(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """Looked at, and not there."""

    @property
    def kind(self) -> Kind:
        """Which of the five it is."""
        return Kind.ABSENT


class File(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """A regular file: BLAKE3 `digest` of its bytes, `size` in bytes, `mode` as the low twelve bits of st_mode."""

    digest: bytes
    size: int
    mode: int

    @property
    def kind(self) -> Kind:
        """Which of the five it is."""
        return Kind.FILE


class Symlink(msgspec.Struct, frozen=True, array_like=True, tag="l"):
    """A symbolic link and what it says; never followed."""

    target: LinkTarget

    @property
    def kind(self) -> Kind:
        """Which of the five it is."""
        return Kind.SYMLINK


class Directory(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """A directory and its mode; its entries are paths of their own."""

    mode: int

    @property
    def kind(self) -> Kind:
        """Which of the five it is."""
        return Kind.DIRECTORY


Version = Unknown | Absent | File | Symlink | Directory

UNKNOWN = Unknown()
ABSENT = Absent()

"""Packs: small contents compressed together, as the first capture of a workspace keeps them.

Of 20,000 source files most are smaller than a page. Compressed one by one they take 12 % more room and nearly twice the time than
in groups (85 MB and 0.9 s against 75 and 0.5), and each has a row with room left in its pages. A pack is small enough that one of its
contents is had in a tenth of a millisecond.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rewindd.store.compression import deflated, inflated
from rewindd.store.schema import Connection

#: Bytes of content from which a pack is closed, and those that a content in one has at most.
PACK_BYTES = 64 << 10
MEMBER_BYTES = 32 << 10

_PLACE = struct.Struct(">QQ")


class Pack(NamedTuple):
    """Contents one after the other: digest and size of each, and all of them compressed; `size` in bytes, not compressed."""

    members: tuple[tuple[bytes, int], ...]
    size: int
    data: bytes


def packed(contents: Iterable[tuple[bytes, bytes]]) -> Iterator[Pack]:
    """Yields packs of contents, given with their digests; each has at most `MEMBER_BYTES`. For a worker thread."""
    members: list[tuple[bytes, bytes]] = []
    size = 0
    for digest, content in contents:
        members.append((digest, content))
        size += len(content)
        if size >= PACK_BYTES:
            yield _pack(members, size)
            members, size = [], 0
    if members:
        yield _pack(members, size)


def put(db: Connection, pack: Pack) -> Iterator[tuple[bytes, int, bytes]]:
    """Stores a pack; yields digest, size and place of each of its contents."""
    number = db.execute("INSERT INTO packs (size, data) VALUES (?, ?)", (pack.size, pack.data)).lastrowid
    offset = 0
    for digest, size in pack.members:
        yield digest, size, _PLACE.pack(number, offset)
        offset += size


def place_of(stored: bytes) -> tuple[int, int]:
    """Returns the pack's number and the content's offset in it. Raises ValueError when it is no place."""
    try:
        number, offset = _PLACE.unpack(stored)
    except struct.error as exc:
        raise ValueError(f"a place of {len(stored)} bytes") from exc
    return number, offset


def contents_of(db: Connection, number: int) -> bytes | None:
    """Returns all contents of a pack, unchecked; None when there is no such pack.

    Raises:
        ZstdError, EOFError, ValueError, TypeError, OverflowError: it is not as it was stored.
    """
    found: tuple[int, bytes] | None = db.execute(
        "SELECT CAST(size AS INTEGER), CAST(data AS BLOB) FROM packs WHERE number = ?", (number,)
    ).fetchone()
    if found is None:
        return None
    size, data = found
    return data if len(data) == size else inflated(data, size)


def _pack(members: Sequence[tuple[bytes, bytes]], size: int) -> Pack:
    return Pack(tuple((digest, len(content)) for digest, content in members), size, deflated(b"".join(content for _, content in members)))

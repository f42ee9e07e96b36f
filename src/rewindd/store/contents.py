"""Contents as they lie in the database, a page at a time, to be compared with their digests elsewhere; and put right from a good copy.

The store's thread only fetches: to decompress and hash is for worker threads, which need no connection.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from blake3 import blake3

from rewindd.store import packs, totals
from rewindd.store.blobs import FILE, PACKED, ZSTD, InlineBlob
from rewindd.store.compression import ZstdError, inflated
from rewindd.store.records import decoding_all, in_parts
from rewindd.store.schema import Connection
from rewindd.store.wanted import note

#: What one page takes at most: contents, and bytes as they are stored.
PAGE_BLOBS = 200
PAGE_BYTES = 256 << 10

#: The casts: a flipped bit in a row's header turns a blob into text or a number, and the digest is to judge.
_COLUMNS = "number, CAST(digest AS BLOB), CAST(size AS INTEGER), CAST(encoding AS INTEGER), CAST(data AS BLOB)"
_FOUND = "EXISTS (SELECT 1 FROM blobs AS other INDEXED BY sqlite_autoindex_blobs_1 WHERE other.digest IS blobs.digest)"


@dataclass(frozen=True, slots=True)
class Stored:
    """A content's row. `size`: of the content, in bytes; `data` as `encoding` says. `is_found`: by its digest, too."""

    number: int
    digest: bytes
    size: int
    encoding: int
    data: bytes | None
    is_found: bool

    @property
    def is_in_file(self) -> bool:
        """True where it lies in a file."""
        return self.encoding == FILE


@dataclass(frozen=True, slots=True)
class Contents:
    """A page of contents, and the packs that they are in, by number: size and data of each; None for one that is not there."""

    stored: tuple[Stored, ...]
    packs: Mapping[int, tuple[int, bytes] | None] = field(default_factory=dict)


def page(db: Connection, after: int) -> Contents:
    """Returns the contents whose numbers follow `after`, as many as a page takes, unchecked; none behind the last."""
    stored: list[Stored] = []
    found: dict[int, tuple[int, bytes] | None] = {}
    size = 0
    with decoding_all(db):
        query = f"SELECT {_COLUMNS}, {_FOUND} FROM blobs NOT INDEXED WHERE number > ? ORDER BY number LIMIT {PAGE_BLOBS}"
        for number, digest, bytes_long, encoding, data, is_found in db.execute(query, (after,)):
            stored.append(Stored(number, digest or b"", bytes_long or 0, encoding or 0, data, bool(is_found)))
            size += len(data or b"")
            pack = _pack_of(stored[-1])
            if pack is not None and pack not in found:
                found[pack] = db.execute("SELECT CAST(size AS INTEGER), CAST(data AS BLOB) FROM packs WHERE number = ?", (pack,)).fetchone()
                size += len((found[pack] or (0, b""))[1])
            if size > PAGE_BYTES:
                break
    return Contents(tuple(stored), found)


def numbered(db: Connection) -> int:
    """Returns the highest number of a content: how far there is to go."""
    (highest,) = db.execute("SELECT coalesce(max(number), 0) FROM blobs").fetchone()
    return int(highest)


def damage(contents: Contents, one: Stored, unpacked: dict[int, bytes]) -> str | None:
    """Returns what is wrong with a content that is not in a file; None where it is what was stored. For a worker thread.

    `unpacked`: the packs of the page that were decompressed so far.
    """
    if not one.is_found:
        return "its index does not find it"
    try:
        content = _content(contents, one, unpacked)
        if content is None:
            return "its pack is missing"
        return None if len(content) == one.size and blake3(content).digest() == one.digest else "not what was stored"
    except (ZstdError, EOFError, TypeError, ValueError, OverflowError, MemoryError):
        return "cannot be read"


def absent(db: Connection, digests: Iterable[bytes]) -> set[bytes]:
    """Returns those of the digests that no content has. Unlike `blobs.missing` it is asked by nobody who wants to keep them."""
    left = set(digests)
    for part, marks in in_parts(list(left)):
        left.difference_update(digest for (digest,) in db.execute(f"SELECT digest FROM blobs WHERE digest IN ({marks})", part))
    return left


def is_there(db: Connection, one: Stored) -> bool:
    """Returns whether a content's row is still as it was fetched: what was removed or moved meanwhile is not damaged."""
    query = "SELECT 1 FROM blobs NOT INDEXED WHERE number = ? AND CAST(digest AS BLOB) IS ? AND encoding IS ?"
    return db.execute(query, (one.number, one.digest, one.encoding)).fetchone() is not None


def mend(db: Connection, blob: InlineBlob) -> None:
    """Puts a good content in the place of a damaged or missing one; where it lay in a file or a pack, it is in the database now."""
    note(db, [blob.digest])
    fields = (blob.size, blob.encoding, blob.data, blob.digest)
    if db.execute("UPDATE blobs SET size = ?, encoding = ?, data = ? WHERE digest = ?", fields).rowcount:
        return
    db.execute("INSERT INTO blobs (size, encoding, data, digest) VALUES (?, ?, ?, ?)", fields)
    totals.add(db, "blobs", 1)


def mend_file(db: Connection, digest: bytes, size: int, stored_bytes: int) -> None:
    """As `mend`, for a content whose file was written anew, durably: `size` in bytes, and what the file takes."""
    note(db, [digest])
    before: tuple[int] | None = db.execute("SELECT CAST(encoding AS INTEGER) FROM blobs WHERE digest = ?", (digest,)).fetchone()
    if before is None:
        db.execute("INSERT INTO blobs (digest, size, encoding) VALUES (?, ?, ?)", (digest, size, FILE))
        totals.add(db, "blobs", 1)
    else:
        db.execute("UPDATE blobs SET size = ?, encoding = ?, data = NULL WHERE digest = ?", (size, FILE, digest))
    if before != (FILE,):
        totals.add(db, "blob_file_bytes", stored_bytes)


def _pack_of(one: Stored) -> int | None:
    if one.encoding != PACKED or one.data is None:
        return None
    try:
        return packs.place_of(one.data)[0]
    except ValueError:
        return None


def _content(contents: Contents, one: Stored, unpacked: dict[int, bytes]) -> bytes | None:
    if one.data is None:
        raise ValueError("no data")
    if one.encoding != PACKED:
        return inflated(one.data, one.size) if one.encoding == ZSTD else one.data
    number, offset = packs.place_of(one.data)
    if number not in unpacked:
        found = contents.packs.get(number)
        if found is None:
            return None
        size, data = found
        unpacked[number] = data if len(data) == size else inflated(data, size)
    return unpacked[number][offset : offset + one.size]

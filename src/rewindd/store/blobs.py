"""Content, named by its BLAKE3 digest and stored once: small in the database, large in a file of its own.

Content is durable before anything that names it commits, and never handed out without its digest checked: small content whole,
large content when its last chunk is read. `Blobs` knows the directory and not the connection; the functions are the other way.
"""

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blake3 import blake3

from rewindd import faults
from rewindd.errors import StoreCorrupt
from rewindd.store import packs, totals
from rewindd.store.compression import LEVEL, ZstdCompressor, ZstdDecompressor, ZstdError, deflated, inflated
from rewindd.store.database import sync_directory
from rewindd.store.packs import Pack
from rewindd.store.records import in_parts
from rewindd.store.schema import Connection
from rewindd.store.seam import translated
from rewindd.store.strays import Strays
from rewindd.store.wanted import note

#: Content of at most so many bytes is kept in the database, larger content in a file. Measured, half-compressible content, hash and
#: commit included, ms in the database against a file: 64 KiB 0.7 to 1.6, 256 KiB 1.9 to 2.2, 512 KiB equal, 2 MiB 11.6 to 8.8; one
#: of 256 KiB holds the store's thread for 0.4 ms, of 2 MiB for 2.6 ms.
INLINE_BYTES = 256 << 10
#: Bytes read, hashed and compressed at a time.
CHUNK_BYTES = 1 << 20

#: How a content is stored: as it is, as a frame, in a file, in a pack.
RAW, ZSTD, FILE, PACKED = 0, 1, 2, 3
#: A flipped bit in a row's header turns a blob into text or a number; the casts turn it back, for the digest to judge.
_GET = "SELECT CAST(size AS INTEGER), CAST(encoding AS INTEGER), CAST(data AS BLOB) FROM blobs WHERE digest = ?"
_NEW_PREFIX = ".new-"
#: A blob's file: this, the content's size as 8 bytes, little-endian, then one Zstandard frame.
_MAGIC = b"rwb1"
_HEADER_BYTES = len(_MAGIC) + 8


class InlineBlob(NamedTuple):
    """Small content on its way into the database: `data` is compressed where `encoding` says so."""

    digest: bytes
    size: int
    encoding: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InFile:
    """Says that content is in a file, for `Blobs.open_chunks` to read. `size` in bytes."""

    digest: bytes
    size: int


def missing(db: Connection, digests: Iterable[bytes]) -> set[bytes]:
    """Returns those of the digests whose content is not stored."""
    wanted = set(digests)
    note(db, wanted)
    for part, marks in in_parts(list(wanted)):
        wanted.difference_update(digest for (digest,) in db.execute(f"SELECT digest FROM blobs WHERE digest IN ({marks})", part))
    return wanted


def put_inline(db: Connection, blobs: Iterable[tuple[bytes, int, int, bytes]]) -> None:
    """Stores small contents: digest, size in bytes, encoding and data, as `Blobs.inline` makes them. What is there already stays."""
    rows = list(blobs)
    note(db, (digest for digest, *_ in rows))
    added = db.executemany("INSERT OR IGNORE INTO blobs (digest, size, encoding, data) VALUES (?, ?, ?, ?)", rows)
    totals.add(db, "blobs", added.rowcount)


def put_file(db: Connection, digest: bytes, size: int, stored_bytes: int | None = None) -> None:
    """Records content that `Blobs.stream_in` made durable: `size` in bytes, and what its file takes (`Blobs.stored_bytes`)."""
    note(db, [digest])
    added = db.execute("INSERT OR IGNORE INTO blobs (digest, size, encoding) VALUES (?, ?, ?)", (digest, size, FILE))
    totals.add(db, "blobs", added.rowcount)
    totals.add(db, "blob_file_bytes", added.rowcount * (size if stored_bytes is None else stored_bytes))


def put_pack(db: Connection, pack: Pack) -> None:
    """Stores small contents that were packed together. What is there already stays where it is."""
    if missing(db, (digest for digest, _ in pack.members)):
        put_inline(db, ((digest, size, PACKED, place) for digest, size, place in packs.put(db, pack)))


def get(db: Connection, digest: bytes) -> bytes | InFile:
    """Returns the content, its digest checked, or that it is in a file.

    Raises:
        StoreCorrupt: it is not there, or not what was stored.
    """
    return _get(db, digest, {})


def get_all(db: Connection, digests: Iterable[bytes]) -> dict[bytes, bytes | InFile]:
    """Returns contents as `get` does, each pack that several of them are in read once."""
    unpacked: dict[int, bytes] = {}
    return {digest: _get(db, digest, unpacked) for digest in digests}


def _get(db: Connection, digest: bytes, unpacked: dict[int, bytes]) -> bytes | InFile:
    found: tuple[int, int, bytes] | None = db.execute(_GET, (digest,)).fetchone()
    if found is None:
        raise _corrupt(digest, "missing")
    size, encoding, data = found
    if encoding == FILE:
        return InFile(digest=digest, size=size)
    try:
        content = _from_pack(db, digest, size, data, unpacked) if encoding == PACKED else inflated(data, size) if encoding == ZSTD else data
        right = len(content) == size and blake3(content).digest() == digest
    except (ZstdError, EOFError, TypeError, ValueError, OverflowError) as exc:
        # Also a NULL, and a size that no buffer can have.
        raise _corrupt(digest, "cannot be read") from exc
    if not right:
        raise _corrupt(digest, "not what was stored")
    return content


def _from_pack(db: Connection, digest: bytes, size: int, place: bytes, unpacked: dict[int, bytes]) -> bytes:
    number, offset = packs.place_of(place)
    contents = unpacked.get(number)
    if contents is None:
        contents = packs.contents_of(db, number)
        if contents is None:
            raise _corrupt(digest, "its pack is missing")
        unpacked[number] = contents
    return contents[offset : offset + size]


def in_files(db: Connection, digests: Iterable[bytes]) -> set[bytes]:
    """Returns those of the digests whose content is in a file, as the rows say."""
    found: set[bytes] = set()
    for part, marks in in_parts(list(digests)):
        query = f"SELECT digest FROM blobs WHERE digest IN ({marks}) AND encoding = {FILE}"
        found.update(digest for (digest,) in db.execute(query, part))
    return found


def size_of(db: Connection, digest: bytes) -> int | None:
    """Returns the content's size in bytes, None when it is not stored."""
    found: tuple[int] | None = db.execute("SELECT size FROM blobs WHERE digest = ?", (digest,)).fetchone()
    return found[0] if found else None


def sizes_of(db: Connection, digests: Iterable[bytes]) -> dict[bytes, int]:
    """Returns the sizes in bytes of those contents that are stored."""
    sizes: dict[bytes, int] = {}
    for part, marks in in_parts(set(digests)):
        sizes.update(db.execute(f"SELECT digest, size FROM blobs WHERE digest IN ({marks})", part))
    return sizes


class Blobs:
    """The directory of large contents. Any number of threads may use it at once; the same content may come from several."""

    def __init__(self, directory: str) -> None:
        """Takes the store's directory, and makes `blobs` in it. Raises StoreIO, StoreFull."""
        self._directory = Path(directory) / "blobs"
        self.strays = Strays(Path(directory), self._path)
        self._naming = threading.Lock()
        self._named: set[bytes] | None = None
        try:
            faults.effect("store.blob.mkdir")
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._directory.parent)
        except OSError as exc:
            raise translated(exc, f"making {self._directory}") from exc

    @staticmethod
    def compress(content: bytes) -> bytes:
        """Returns content compressed, or as it is where that is not shorter."""
        return deflated(content)

    @staticmethod
    def inline(content: bytes, digest: bytes | None = None) -> InlineBlob:
        """Returns small content ready for `put_inline`, its digest computed where the caller has none. For a worker thread."""
        data = deflated(content)
        return InlineBlob(digest or blake3(content).digest(), len(content), ZSTD if len(data) < len(content) else RAW, data)

    def stream_in(self, read: Callable[[int], bytes]) -> tuple[bytes, int]:
        """Stores large content in constant memory; returns its digest and size in bytes. Durable on return. Blocks.

        `read(n)` gives at most n bytes and is called until it gives none; what it raises is passed on, and nothing is left behind.

        Raises:
            StoreFull: there is no room.
            StoreIO: writing failed otherwise.
        """
        new = self._directory / f"{_NEW_PREFIX}{secrets.token_hex(8)}"
        self.strays.expect()
        try:
            with _writing(new) as file:
                digest, size = _copy_in(read, file, new)
            self._publish(new, digest)
        except BaseException:
            with contextlib.suppress(OSError):
                faults.effect("store.blob.unlink")
                new.unlink()
            raise
        return digest, size

    def stored_bytes(self, digest: bytes) -> int:
        """Returns the bytes that a content's file takes. Raises StoreCorrupt when it is missing, StoreIO."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError as exc:
            raise _corrupt(digest, "its file is missing") from exc
        except OSError as exc:
            raise translated(exc, f"looking at blob {digest.hex()}") from exc

    def open_chunks(self, digest: bytes) -> Iterator[bytes]:
        """Yields large content in chunks of at most `CHUNK_BYTES`, in constant memory. Blocks.

        Only the end of the iteration says that all chunks were right: until then the caller has them on trial.

        Raises:
            StoreCorrupt: the file is missing, or not what was stored; never later than the first byte beyond its size.
            StoreIO: reading failed.
        """
        hasher = blake3()
        with self._reading(digest) as file:
            size = left = _size_in_header(file, digest)
            for chunk in _inflated_chunks(file, digest):
                left -= len(chunk)
                if left < 0:
                    raise _corrupt(digest, f"longer than its {size} bytes")
                hasher.update(chunk)
                yield chunk
        if left or hasher.digest() != digest:
            raise _corrupt(digest, "not what was stored")

    def note_named(self, *, on: bool) -> None:
        """Begins or ends to note which files are given a name: `remove` spares those."""
        with self._naming:
            self._named = set() if on else None

    def remove(self, digests: Iterable[bytes]) -> None:
        """Removes the files of contents that no row names any more, but for those that were given a name since `note_named`.

        What is left where that fails is removed at the daemon's end, or by its next start. Blocks. Raises StoreIO.
        """
        listed = list(digests)
        self.strays.fresh.update(listed)
        for digest in listed:
            with self._naming:
                if self._named is None or digest in self._named:
                    continue
                try:
                    faults.effect("store.blob.unlink")
                    self._path(digest).unlink(missing_ok=True)
                except OSError as exc:
                    raise translated(exc, f"removing blob {digest.hex()}") from exc
                self.strays.fresh.discard(digest)

    def sweep(self) -> None:
        """Removes what an earlier life left half written; only while nothing is streamed in. Raises StoreIO."""
        try:
            for left in self._directory.glob(f"{_NEW_PREFIX}*"):
                faults.effect("store.blob.unlink")
                left.unlink()
        except OSError as exc:
            raise translated(exc, f"sweeping {self._directory}") from exc

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._directory / name[:2] / name

    def _publish(self, new: Path, digest: bytes) -> None:
        """Gives durable content its name, durably. What has the name already has the same content."""
        path = self._path(digest)
        try:
            faults.effect("store.blob.mkdir")
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with self._naming:
                if self._named is not None:
                    self._named.add(digest)
                faults.effect("store.blob.rename")
                new.replace(path)
            self.strays.fresh.add(digest)
            sync_directory(path.parent)
            sync_directory(self._directory)
        except OSError as exc:
            raise translated(exc, f"naming blob {digest.hex()}") from exc

    @contextlib.contextmanager
    def _reading(self, digest: bytes) -> Iterator[BinaryIO]:
        try:
            file = self._path(digest).open("rb", buffering=0)
        except FileNotFoundError as exc:
            raise _corrupt(digest, "its file is missing") from exc
        except OSError as exc:
            raise translated(exc, f"reading blob {digest.hex()}") from exc
        with file:
            yield file


@contextlib.contextmanager
def _writing(new: Path) -> Iterator[BinaryIO]:
    try:
        faults.effect("store.blob.create")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise translated(exc, f"writing {new}") from exc
    with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
        yield file


def _copy_in(read: Callable[[int], bytes], file: BinaryIO, new: Path) -> tuple[bytes, int]:
    """Returns digest and size of what `read` gave and `file` has now. Errors of `read` and of `file` never meet."""
    hasher, compressor, size = blake3(), ZstdCompressor(level=LEVEL), 0
    _write(file, _header(0), new)
    while chunk := read(CHUNK_BYTES):
        hasher.update(chunk)
        size += len(chunk)
        _write(file, compressor.compress(chunk), new)
    _write(file, compressor.flush(), new)
    try:
        faults.effect("store.blob.write")
        os.pwrite(file.fileno(), _header(size), 0)
        faults.effect("store.blob.sync")
        os.fsync(file.fileno())
    except OSError as exc:
        raise translated(exc, f"syncing {new}") from exc
    return hasher.digest(), size


def _write(file: BinaryIO, part: bytes, new: Path) -> None:
    rest = memoryview(part)
    try:
        while rest:
            faults.effect("store.blob.write")
            rest = rest[file.write(rest) :]
    except OSError as exc:
        raise translated(exc, f"writing {new}") from exc


def _header(size: int) -> bytes:
    return _MAGIC + size.to_bytes(8, "little")


def _size_in_header(file: BinaryIO, digest: bytes) -> int:
    header = _read(file, _HEADER_BYTES, digest)
    if len(header) != _HEADER_BYTES or not header.startswith(_MAGIC):
        raise _corrupt(digest, "its file has no header")
    return int.from_bytes(header[len(_MAGIC) :], "little")


def _inflated_chunks(file: BinaryIO, digest: bytes) -> Iterator[bytes]:
    decompressor = ZstdDecompressor()
    while not decompressor.eof:
        stored = _read(file, CHUNK_BYTES, digest) if decompressor.needs_input else b""
        if decompressor.needs_input and not stored:
            raise _corrupt(digest, "its file is cut off")
        try:
            chunk = decompressor.decompress(stored, CHUNK_BYTES)
        except ZstdError as exc:
            raise _corrupt(digest, "its file cannot be decompressed") from exc
        if chunk:
            yield chunk
    if decompressor.unused_data or _read(file, 1, digest):
        raise _corrupt(digest, "its file has something behind its end")


def _read(file: BinaryIO, count: int, digest: bytes) -> bytes:
    try:
        return file.read(count)
    except OSError as exc:
        raise translated(exc, f"reading blob {digest.hex()}") from exc


def _corrupt(digest: bytes, what: str) -> StoreCorrupt:
    return StoreCorrupt(f"blob {digest.hex()}: {what}; nothing that needs it can be restored from here", blob=digest.hex())

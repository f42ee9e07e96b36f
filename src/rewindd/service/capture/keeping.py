"""Contents into the store: what `tree` read is kept before any row names it.

Small contents go into the database, larger ones became blob files while they were read. All of it is durable before the
transaction that publishes the rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO

from rewindd.model.versions import File, Version
from rewindd.service.bridge import Bridge
from rewindd.store import blobs as blob_rows
from rewindd.store.blobs import INLINE_BYTES, Blobs, InlineBlob
from rewindd.store.database import Connection
from rewindd.store.packs import MEMBER_BYTES, Pack
from rewindd.store.packs import packed as in_packs

#: Bytes of content that go into one transaction of bulk work, so that others' commits wait for a few milliseconds at most.
BATCH_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Content:
    """A version that was just read; `data` is None when it went into a blob file while it was read."""

    version: Version
    data: bytes | None


@dataclass(frozen=True, slots=True)
class InFile:
    """A content that lies in a blob file of `stored_bytes`."""

    digest: bytes
    size: int
    stored_bytes: int


Packed = InlineBlob | InFile | Pack


async def keep(bridge: Bridge, blobs: Blobs, contents: Iterable[Content]) -> None:
    """Keeps each content once; durable on return.

    Raises:
        StoreFull, StoreIO: it cannot be kept; rows that would name it must not be written.
    """
    files = {c.version.digest: (c.version, c.data) for c in contents if isinstance(c.version, File)}
    if not files:
        return
    absent = await bridge.transact(lambda db: blob_rows.missing(db, list(files)))
    wanted = [(version, data) for digest, (version, data) in files.items() if digest in absent]
    if not wanted:
        return
    packed = await bridge.work(pack, blobs, wanted)
    for batch in batches(packed):
        await bridge.transact(partial(put, batch=batch), bulk=len(packed) > len(batch))


def try_pack(blobs: Blobs, contents: Sequence[Content]) -> list[Packed] | None:
    """Packs contents that are few and small enough to go with the rows that name them; None where they are not. For a worker thread.

    Nothing asks whether they are kept already: that would cost another transaction, and putting one twice does nothing.
    """
    files = {c.version.digest: (c.version, c.data) for c in contents if isinstance(c.version, File)}
    sizes = [BATCH_BYTES + 1 if data is None else len(data) for _, data in files.values()]
    return pack(blobs, list(files.values())) if sum(sizes) <= BATCH_BYTES else None


def batches(packed: Sequence[Packed]) -> Iterator[list[Packed]]:
    """Cuts contents into batches of about `BATCH_BYTES`."""
    batch: list[Packed] = []
    size = 0
    for one in packed:
        batch.append(one)
        size += len(one.data) if isinstance(one, InlineBlob) else 0
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def pack(blobs: Blobs, wanted: Sequence[tuple[File, bytes | None]]) -> list[Packed]:
    """Compresses contents for the transaction that keeps them; one above `INLINE_BYTES` becomes a file, durable on return.

    For a worker thread.
    """
    return [_packed(blobs, version, data, INLINE_BYTES) for version, data in wanted]


def pack_together(blobs: Blobs, wanted: Sequence[tuple[File, bytes | None]], *, inline_bytes: int) -> list[Packed]:
    """As `pack`, but small contents are compressed together, and up to `inline_bytes` lie in the database."""
    small = [(version.digest, data) for version, data in wanted if data is not None and len(data) <= MEMBER_BYTES]
    large = [(version, data) for version, data in wanted if data is None or len(data) > MEMBER_BYTES]
    return [*in_packs(small), *(_packed(blobs, version, data, inline_bytes) for version, data in large)]


def _packed(blobs: Blobs, version: File, data: bytes | None, inline_bytes: int) -> Packed:
    if data is not None and len(data) <= inline_bytes:
        return blobs.inline(data, version.digest)
    if data is not None:
        blobs.stream_in(BytesIO(data).read)
    return InFile(version.digest, version.size, blobs.stored_bytes(version.digest))


def put(db: Connection, batch: Sequence[Packed]) -> None:
    """Keeps packed contents; in the transaction of the rows that name them at the latest."""
    blob_rows.put_inline(db, [one for one in batch if isinstance(one, InlineBlob)])
    for one in batch:
        if isinstance(one, InFile):
            blob_rows.put_file(db, one.digest, one.size, one.stored_bytes)
        elif isinstance(one, Pack):
            blob_rows.put_pack(db, one)

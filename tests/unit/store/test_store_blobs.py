"""Contents: small ones in the database, large ones in files, and none handed out unverified."""

import io
import os
import random
import resource
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from rewindd import faults
from rewindd.errors import StoreCorrupt, StoreError, StoreFull, StoreIO
from rewindd.store import blobs as rows
from rewindd.store import totals
from rewindd.store.blobs import CHUNK_BYTES, Blobs, InFile
from rewindd.store.database import Connection

_TEXT = b"the same line again\n" * 200
_NOISE = random.Random(1).randbytes(3 * CHUNK_BYTES + 17)


@pytest.fixture
def blobs(directory: str) -> Iterator[Blobs]:
    yield Blobs(directory)
    faults.arm(None)


def _file(directory: str, digest: bytes) -> Path:
    return Path(directory, "blobs", digest.hex()[:2], digest.hex())


def _left(directory: str) -> list[str]:
    return sorted(path.name for path in Path(directory, "blobs").rglob("*") if path.is_file())


@pytest.mark.parametrize("content", [b"", b"x", _TEXT, _NOISE[:5000]], ids=["empty", "byte", "text", "noise"])
def test_inline(db: Connection, blobs: Blobs, content: bytes) -> None:
    """Small content comes back as it was, whether it shrinks or not; never longer than it is."""
    blob = blobs.inline(content)
    assert blob.digest == blake3(content).digest()
    assert len(blob.data) <= len(content)
    rows.put_inline(db, [blob, blob])
    rows.put_inline(db, [blob])
    assert rows.get(db, blob.digest) == content
    assert rows.size_of(db, blob.digest) == len(content)
    assert totals.totals(db)[1] == 1


def test_compressing(blobs: Blobs) -> None:
    """What shrinks is compressed; what does not is left as it is."""
    assert len(blobs.compress(_TEXT)) < len(_TEXT) / 10
    assert blobs.compress(_NOISE) == _NOISE


def test_missing(db: Connection, blobs: Blobs) -> None:
    """Of many digests, exactly those are missing that are not stored."""
    contents = [str(number).encode() for number in range(1500)]
    digests = {blake3(content).digest() for content in contents}
    rows.put_inline(db, [blobs.inline(content) for content in contents[::3]])
    assert rows.missing(db, digests) == digests - {blake3(content).digest() for content in contents[::3]}
    assert rows.missing(db, []) == set()
    assert rows.size_of(db, blake3(b"1").digest()) is None


@pytest.mark.parametrize("content", [b"", b"x", _TEXT * 3000, _NOISE], ids=["empty", "byte", "text", "noise"])
def test_file(db: Connection, blobs: Blobs, directory: str, content: bytes) -> None:
    """Large content comes back from its file, in bounded chunks; the file is private and counted."""
    digest, size = blobs.stream_in(io.BytesIO(content).read)
    assert (digest, size) == (blake3(content).digest(), len(content))
    rows.put_file(db, digest, size, blobs.stored_bytes(digest))
    assert rows.get(db, digest) == InFile(digest=digest, size=len(content))
    chunks = list(blobs.open_chunks(digest))
    assert b"".join(chunks) == content
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    file = _file(directory, digest)
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (file.parent, file.parent.parent)} == {0o700}
    assert _left(directory) == [digest.hex()]
    with_file = totals.totals(db)
    db.execute("UPDATE totals SET value = 0 WHERE name = 'blob_file_bytes'")
    assert with_file[0] - totals.totals(db)[0] == file.stat().st_size


def test_constant_memory(blobs: Blobs) -> None:
    """64 MiB go in and out in a few MiB of memory."""
    pieces = [bytes([n]) * 1000 + os.urandom(CHUNK_BYTES - 1000) for n in range(4)]
    given = iter(pieces * 16)
    tracemalloc.start()
    tracemalloc.reset_peak()
    held, _ = tracemalloc.get_traced_memory()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    digest, size = blobs.stream_in(lambda _: next(given, b""))
    assert sum(len(chunk) for chunk in blobs.open_chunks(digest)) == size == 64 * CHUNK_BYTES
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - held < 12 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 24 << 10


def test_same_content_from_many_threads(blobs: Blobs, directory: str) -> None:
    """The same content streamed in at once by several is stored once."""
    found: list[tuple[bytes, int]] = []
    threads = [threading.Thread(target=lambda: found.append(blobs.stream_in(io.BytesIO(_NOISE).read))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(blake3(_NOISE).digest(), len(_NOISE))] * 6
    assert _left(directory) == [blake3(_NOISE).digest().hex()]


def test_trouble_of_the_reader_is_passed_on(blobs: Blobs, directory: str) -> None:
    """An error of the user's file is not the store's, and leaves nothing behind."""

    def read(count: int) -> bytes:
        raise PermissionError(13, "not yours")

    with pytest.raises(PermissionError) as caught:
        blobs.stream_in(read)
    assert not isinstance(caught.value, StoreError)
    assert _left(directory) == []


@pytest.mark.parametrize("effect", ["store.blob.write", "store.blob.sync", "store.blob.rename"])
@pytest.mark.parametrize(("name", "expected"), [("ENOSPC", StoreFull), ("EDQUOT", StoreFull), ("EIO", StoreIO)])
def test_trouble_of_the_store(blobs: Blobs, directory: str, effect: str, name: str, expected: type[StoreError]) -> None:
    """A full or failing disk is the store's error, and leaves nothing behind; the next try succeeds."""
    faults.arm(faults.from_spec(f"{name}:1:{effect}"))
    with pytest.raises(expected):
        blobs.stream_in(io.BytesIO(_NOISE).read)
    assert _left(directory) == []
    blobs.stream_in(io.BytesIO(_NOISE).read)


def test_sweep(blobs: Blobs, directory: str) -> None:
    """What an earlier life left half written goes; what was published stays."""
    digest, _ = blobs.stream_in(io.BytesIO(_TEXT).read)
    Path(directory, "blobs", ".new-0123").write_bytes(b"half")
    blobs.sweep()
    assert _left(directory) == [digest.hex()]


@pytest.mark.parametrize(
    "damage",
    [
        "data = zeroblob(length(data))",
        "data = substr(data, 1, length(data) - 1)",
        "data = data || x'00'",
        "data = x''",
        "data = NULL",
        "data = 5",
        "size = size + 1",
        "size = size - 1",
        "size = -5",
        "size = 'x'",
        "encoding = 1 - encoding",
    ],
)
@pytest.mark.parametrize("content", [_TEXT, _NOISE[:5000]], ids=["compressed", "raw"])
def test_damaged_inline(db: Connection, blobs: Blobs, content: bytes, damage: str) -> None:
    """Whatever happens to a blob's row, its content is not handed out."""
    blob = blobs.inline(content)
    rows.put_inline(db, [blob])
    db.execute(f"UPDATE blobs SET {damage}")
    with pytest.raises(StoreCorrupt, match=blob.digest.hex()):
        rows.get(db, blob.digest)


def test_absent_blob(db: Connection, blobs: Blobs, directory: str) -> None:
    """A blob that somebody names and nobody has is damage, named."""
    digest = blake3(b"nobody").digest()
    for ask in (lambda: rows.get(db, digest), lambda: list(blobs.open_chunks(digest)), lambda: blobs.stored_bytes(digest)):
        with pytest.raises(StoreCorrupt, match=digest.hex()):
            ask()


@pytest.mark.parametrize("content", [_TEXT * 3000, _NOISE], ids=["text", "noise"])
def test_damaged_file(blobs: Blobs, directory: str, content: bytes) -> None:
    """A flipped bit anywhere, a cut, or something behind the end of a blob's file is found at the latest with its last chunk."""
    digest, _ = blobs.stream_in(io.BytesIO(content).read)
    file = _file(directory, digest)
    good = file.read_bytes()
    chance = random.Random(2)
    places = [0, 4, 11, 12, 16, len(good) - 1, *(chance.randrange(len(good)) for _ in range(10))]
    flipped = [good[:at] + bytes([good[at] ^ 1 << chance.randrange(8)]) + good[at + 1 :] for at in places]
    cut = [good[:length] for length in (0, 3, 11, 12, 13, len(good) // 2, len(good) - 1)]
    for bad in [*cut, good + b"\0", good + good[12:]]:
        file.write_bytes(bad)
        with pytest.raises(StoreCorrupt, match=digest.hex()):
            list(blobs.open_chunks(digest))
    found = 0
    for bad in flipped:
        file.write_bytes(bad)
        # A frame has bits that say nothing (RFC 8878, the window's size): what then comes out is still the content.
        try:
            assert b"".join(blobs.open_chunks(digest)) == content
        except StoreCorrupt:
            found += 1
    assert found >= len(flipped) - 2
    file.write_bytes(good)
    assert b"".join(blobs.open_chunks(digest)) == content

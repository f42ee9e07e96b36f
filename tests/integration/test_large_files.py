"""Large files are streamed: exact there and back, while the daemon stays small."""

import os
from pathlib import Path

import pytest
from blake3 import blake3

import rewindd
from support.desk import Desk

pytestmark = pytest.mark.anyio

LARGE_BYTES = 64 << 20
#: What is promised for files of any size.
MOST_RESIDENT_BYTES = 200 << 20


def write_large(path: Path, size: int, seed: int) -> bytes:
    """Writes a file that does not compress to nothing, in pieces; returns a digest of it."""
    digest, block = blake3(), bytearray(os.urandom(1 << 20))
    with path.open("wb") as file:
        for number in range(size >> 20):
            block[:16] = (number * 1000 + seed).to_bytes(16, "little")
            file.write(block)
            digest.update(block)
    return digest.digest()


def digest_of(path: Path) -> bytes:
    """Returns the digest of a file, read in pieces."""
    digest = blake3()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


async def large_file_there_and_back(desk: Desk, size: int) -> None:
    """A large file is changed and rewound, and the daemon stays small."""
    path = desk.root / "large"
    first = write_large(path, size, 1)
    async with rewindd.connect(socket=desk.daemon.socket, autostart=False, timeout_s=300) as client:
        async with client.session(desk.root) as session:
            kept = await session.snapshot("large")
            assert kept.snapshots[0].size == size
            start = await session.save()
            await session.snapshot("large")
            second = write_large(path, size, 2)
            await session.save()
            await session.rewind(start.id)
            assert digest_of(path) == first
            await session.undo()
            assert digest_of(path) == second
    assert desk.daemon.resident_bytes(peak=True) < MOST_RESIDENT_BYTES


async def test_a_large_file(desk: Desk) -> None:
    """64 MB are streamed: exact there and back, with the daemon under 200 MB at all times."""
    await large_file_there_and_back(desk, LARGE_BYTES)


@pytest.mark.long
async def test_one_path_of_a_gigabyte(desk: Desk) -> None:
    """1 GB is streamed: exact there and back, with the daemon under 200 MB at all times."""
    await large_file_there_and_back(desk, 1 << 30)


async def test_read_a_large_version_in_pieces(desk: Desk, tmp_path: Path) -> None:
    """`read(version, to=)` writes a content that needs several chunks, whole."""
    path = desk.root / "large"
    digest = write_large(path, 3 << 20, 3)
    async with desk.session() as session:
        await session.snapshot("large")
        path.unlink()
        made = await session.save()
        (diff,) = (await session.load(made.id)).file_diffs
        assert diff.before is not None
        assert diff.after is None
        assert await session.read(diff.before, to=tmp_path / "copy") == 3 << 20
        assert digest_of(tmp_path / "copy") == digest

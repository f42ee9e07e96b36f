"""Checkpoint files on disk: one `ID.json` each, read and written whole, with aiofiles.

A file that is there is never overwritten. A write is atomic: the name shows up with all of its content, or not at all.
"""

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiofiles
import aiofiles.os
from anyio import CancelScope, to_thread

from rewindd.errors import AlreadyExists, BadRequest, RequestError
from rewindd.legacy.format import MAX_FILE_BYTES, SUFFIX, decode, encode, file_name
from rewindd.protocol.portable import PortableCheckpoint

#: What `link` says on a file system without hard links (link(2): EPERM; FUSE and SMB mounts: the others).
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file that holds a checkpoint."""

    file: Path
    id: str
    timestamp_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file of the directory that holds none, and why."""

    file: Path
    reason: str


async def write(directory: Path, checkpoint: PortableCheckpoint) -> Path:
    """Writes the checkpoint's file into `directory`, which is made when it is not there; on return it is durable.

    Returns the file's path. A file of that name with the same bytes is left as it is: writing twice is fine.

    Raises:
        BadRequest: the format cannot say the checkpoint.
        AlreadyExists: a file of that name holds something else; it was not touched.
        OSError: the directory or file cannot be written.
    """
    content = encode(checkpoint)
    file = directory / file_name(checkpoint.id)
    await aiofiles.os.makedirs(directory, exist_ok=True)
    staged = directory / f".{file.name[:200]}.{uuid4().hex}"
    try:
        await _write_durably(staged, content)
        if not await _publish(staged, file) and not await _holds(file, content):
            raise AlreadyExists(f"{file} is there and holds something else; export to another directory", path=str(file))
    finally:
        with CancelScope(shield=True), suppress(FileNotFoundError):
            await aiofiles.os.unlink(staged)
    await to_thread.run_sync(_sync_directory, directory)
    return file


async def read(file: Path) -> PortableCheckpoint:
    """Returns the checkpoint that a file holds.

    Raises:
        BadRequest: it is no regular file, or no checkpoint file.
        TooLarge: it is larger than any checkpoint that could be imported.
        OSError: it cannot be read.
    """
    async with aiofiles.open(file, "rb", opener=_open_without_waiting) as handle:
        if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
            raise BadRequest(f"{file.name} is no regular file")
        content = await handle.read(MAX_FILE_BYTES + 1)
    return decode(content)


async def survey(directory: Path) -> tuple[list[Found], list[Skipped]]:
    """Looks at every `*.json` of the directory. Returns the checkpoints, oldest first, and what is none, by name.

    Of several files with one checkpoint id the first by name counts.

    Raises:
        OSError: the directory cannot be listed.
    """
    found: dict[str, Found] = {}
    skipped: list[Skipped] = []
    for name in sorted(await aiofiles.os.listdir(directory)):
        if not name.endswith(SUFFIX) or name.startswith("."):
            continue
        entry = await _look(directory / name)
        if isinstance(entry, Skipped):
            skipped.append(entry)
        elif entry.id in found:
            skipped.append(Skipped(file=entry.file, reason=f"checkpoint {entry.id} is in {found[entry.id].file.name} too"))
        else:
            found[entry.id] = entry
    return sorted(found.values(), key=lambda entry: (entry.timestamp_ns, entry.id)), skipped


async def _look(file: Path) -> Found | Skipped:
    try:
        checkpoint = await read(file)
    except RequestError as exc:
        return Skipped(file=file, reason=exc.message)
    except OSError as exc:
        return Skipped(file=file, reason=exc.strerror or str(exc))
    return Found(file=file, id=checkpoint.id, timestamp_ns=checkpoint.timestamp_ns)


def _open_without_waiting(path: str, flags: int) -> int:
    """Opens a file; a named pipe without a writer would hold a plain open for ever."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


async def _write_durably(file: Path, content: bytes) -> None:
    async with aiofiles.open(file, "xb") as handle:
        await handle.write(content)
        await handle.flush()
        await to_thread.run_sync(os.fsync, handle.fileno())


async def _publish(staged: Path, file: Path) -> bool:
    """Gives the staged file its name unless something has it; True when it has it now."""
    try:
        await aiofiles.os.link(staged, file)
    except FileExistsError:
        return False
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        return await _publish_without_links(staged, file)
    return True


async def _publish_without_links(staged: Path, file: Path) -> bool:
    """As `_publish`; two exports at the same moment could both see the name free, which such file systems leave us no way to tell."""
    if await to_thread.run_sync(os.path.lexists, file):
        return False
    await aiofiles.os.rename(staged, file)
    return True


async def _holds(file: Path, content: bytes) -> bool:
    """True when the file holds exactly this content."""
    try:
        async with aiofiles.open(file, "rb", opener=_open_without_waiting) as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                return False
            return await handle.read(len(content) + 1) == content
    except OSError:
        return False


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

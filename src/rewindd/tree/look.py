"""Looking at one path: its version, and the signature by which the next look knows that nothing changed.

Reads; never writes, never follows a link, never opens what is not a regular file. What cannot be seen is data (`Unseen`),
not an exception: one bad path must not end the request. Trouble of the store, met while a large file streams into it, is
the store's error and passes.
"""

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from blake3 import blake3

from rewindd.errors import OutsideWorkspace, StoreError
from rewindd.model.log import IndexEntry, Signature
from rewindd.model.versions import ABSENT, Directory, File, Symlink, Version
from rewindd.paths import MAX_PATH_BYTES, LinkTarget, RelPath
from rewindd.tree.root import Root

#: Up to here a file's content comes back as bytes: it is stored in the database's next transaction. Larger ones stream.
SMALL_BYTES = 1 << 20
#: What one read asks for when a file is hashed without being kept; 256 KiB reads at memory speed and stays in the L2 cache.
CHUNK_BYTES = 256 * 1024
#: Kernel time stamps step by a tick, 10 ms at CONFIG_HZ=100 (time(7), "The software clock, HZ, and jiffies"); twice that, to be safe.
TICK_NS = 20_000_000
#: FAT keeps even seconds (mount(8), vfat); ext3, HFS+ and some NFS servers whole ones.
COARSE_NS = 2_000_000_000
#: How often a file that changes under the reader is read before it is given up.
ATTEMPTS = 3

SPECIAL = "special-file"
CHANGING = "changing while read"
TOO_DEEP = "too deep"

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Sink(Protocol):
    """Where large content goes; the store's blobs."""

    def stream_in(self, read: Callable[[int], bytes]) -> tuple[bytes, int]:
        """Takes everything that `read(size_bytes)` gives until it gives nothing; returns BLAKE3 digest and size in bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is at a path. `signature` is None where nothing is; `content` only for small files whose digest was not known."""

    path: RelPath
    version: Version
    signature: Signature | None
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A path that could not be looked at, and why: `SPECIAL`, `CHANGING`, `TOO_DEEP`, or the system's words (`permission denied`).

    `is_limit`: it could be, and is more than the limits of the workspace let in.
    """

    path: RelPath
    reason: str
    is_limit: bool = False


class Refusal(NamedTuple):
    """Why a file's content is not read. `is_limit`: a limit of the workspace, that leaves the file out until it is smaller."""

    reason: str
    is_limit: bool


#: Says from a file's size in bytes whether its content is not to be read; None: it is.
Refuse = Callable[[int], Refusal | None]


class Hasher:
    """A sink that keeps nothing: for looking again at what is already known."""

    def stream_in(self, read: Callable[[int], bytes]) -> tuple[bytes, int]:
        """Returns digest and size of what `read` gives; constant memory."""
        digest, size = blake3(), 0
        while chunk := read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
        return digest.digest(), size


def look(
    root: Root, path: RelPath, known: IndexEntry | None, sink: Sink, *, keep_bytes: int = SMALL_BYTES, refuse: Refuse | None = None
) -> Look | Unseen:
    """Looks at a path; reads content only when the signature does not prove that it is as known.

    Blocks for as long as reading and hashing takes. An absent path, or one whose parent is absent or a file, is a `Look`
    with ABSENT; so is a known path whose parent became a symlink.

    Args:
        root: the open workspace.
        path: what to look at.
        known: what the index says of it; None for a first look.
        sink: takes the content of files over `keep_bytes`; what it got is durable when it returned.
        keep_bytes: files up to here come back in `content`.
        refuse: may say of a file that must be read that it shall not be.

    Raises:
        OutsideWorkspace: a parent is a symlink, and the path is not known.
        StoreError: the sink's.
    """
    if len(path) > MAX_PATH_BYTES // 4 and len(os.fsencode(path)) > MAX_PATH_BYTES:
        return Unseen(path=path, reason=TOO_DEEP)
    try:
        return look_at(root.directory(path.parent), path.name, path, known, sink, keep_bytes=keep_bytes, refuse=refuse)
    except (FileNotFoundError, NotADirectoryError):
        return Look(path=path, version=ABSENT, signature=None, content=None)
    except OutsideWorkspace:
        if known is None:
            raise
        return Look(path=path, version=ABSENT, signature=None, content=None)
    except StoreError:  # some of them are OSErrors, but none is about this path
        raise
    except OSError as exc:
        return Unseen(path=path, reason=reason_of(exc))


def look_at(
    dir_fd: int,
    name: str,
    path: RelPath,
    known: IndexEntry | None,
    sink: Sink,
    *,
    keep_bytes: int = SMALL_BYTES,
    refuse: Refuse | None = None,
) -> Look | Unseen:
    """Looks at `name` in an open directory and says so of `path`; otherwise as `look`.

    Raises:
        FileNotFoundError: nothing is there.
        OSError: it cannot be looked at.
        StoreError: the sink's.
    """
    for _ in range(ATTEMPTS):
        now_ns = time.time_ns()
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if known is not None and known.signature is not None and is_unchanged(known.signature, found):
            return Look(path=path, version=known.version, signature=known.signature, content=None)
        if refuse is not None and stat.S_ISREG(found.st_mode) and (refusal := refuse(found.st_size)) is not None:
            return Unseen(path=path, reason=refusal.reason, is_limit=refusal.is_limit)
        seen = _see(dir_fd, name, found, now_ns, _Reading(path, known, sink, keep_bytes))
        if seen is not None:
            return seen
    return Unseen(path=path, reason=CHANGING)


def is_unchanged(signature: Signature, found: os.stat_result) -> bool:
    """True when `found` proves that what was read then is still there."""
    return (
        not signature.racy
        and found.st_ctime_ns == signature.ctime_ns
        and found.st_mtime_ns == signature.mtime_ns
        and found.st_ino == signature.inode
        and found.st_size == signature.size
        and found.st_mode == signature.mode
        and found.st_nlink == signature.links
        and found.st_dev == signature.device
    )


def is_as_known(dir_fd: int, entry: IndexEntry) -> bool:
    """True when what is in an open directory under the entry's name is proved to be as the entry says."""
    signature = entry.signature
    try:
        found = os.stat(entry.path.rpartition("/")[2], dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return signature is None and entry.version == ABSENT
    return signature is not None and is_unchanged(signature, found)


def signature_of(found: os.stat_result, now_ns: int) -> Signature:
    """Returns the signature for what was found, when reading began at `now_ns` (wall clock).

    Only the ctime decides what is racy: every change moves it, and no program can set it back.
    """
    coarse = found.st_ctime_ns % 1_000_000_000 == 0
    return Signature(
        device=found.st_dev,
        inode=found.st_ino,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
        mode=found.st_mode,
        links=found.st_nlink,
        racy=found.st_ctime_ns > now_ns - (COARSE_NS if coarse else TICK_NS),
    )


def reason_of(error: OSError) -> str:
    """Returns the system's words for an error, in small letters, as a reason reads."""
    return (error.strerror or str(error)).split(" (")[0].lower()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a look is about, handed down."""

    path: RelPath
    known: IndexEntry | None
    sink: Sink
    keep_bytes: int


class _ReadFailed(Exception):
    """Reading the user's file failed while the store was taking it: not the store's trouble."""


def _see(dir_fd: int, name: str, found: os.stat_result, now_ns: int, reading: _Reading) -> Look | Unseen | None:
    """Returns what is there, or None when it changed under the eye."""
    mode = found.st_mode
    if stat.S_ISREG(mode):
        return _see_file(dir_fd, name, now_ns, reading)
    if stat.S_ISDIR(mode):
        version: Version = Directory(stat.S_IMODE(mode))
    elif stat.S_ISLNK(mode):
        target = os.readlink(name, dir_fd=dir_fd)
        if _stamp(os.stat(name, dir_fd=dir_fd, follow_symlinks=False)) != _stamp(found):
            return None
        version = Symlink(LinkTarget(target))
    else:
        return Unseen(path=reading.path, reason=SPECIAL)
    return Look(path=reading.path, version=version, signature=signature_of(found, now_ns), content=None)


def _see_file(dir_fd: int, name: str, now_ns: int, reading: _Reading) -> Look | Unseen | None:
    try:
        fd = os.open(name, _READ, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    try:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            return None
        try:
            digest, size, content = _read(fd, before.st_size, reading)
        except _ReadFailed as exc:
            return Unseen(path=reading.path, reason=str(exc))
        if _stamp(os.fstat(fd)) != _stamp(before) or size != before.st_size:
            return None
    finally:
        os.close(fd)
    version = File(digest, size, stat.S_IMODE(before.st_mode))
    known = reading.known.version if reading.known is not None else None
    if isinstance(known, File) and known.digest == digest:
        content = None
    return Look(path=reading.path, version=version, signature=signature_of(before, now_ns), content=content)


def _stamp(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(fd: int, size: int, reading: _Reading) -> tuple[bytes, int, bytes | None]:
    if size <= reading.keep_bytes:
        content = _read_small(fd, size)
        return blake3(content).digest(), len(content), content
    digest, size = reading.sink.stream_in(lambda wanted: _read_chunk(fd, wanted))
    return digest, size, None


def _read_small(fd: int, size: int) -> bytes:
    """Asks for one byte more than there should be: a file that grew shows by that, or by the look at it afterwards."""
    content = _read_chunk(fd, size + 1)
    while len(content) < size and (more := _read_chunk(fd, size + 1 - len(content))):
        content += more
    return content


def _read_chunk(fd: int, wanted: int) -> bytes:
    try:
        return os.read(fd, wanted)
    except OSError as exc:
        raise _ReadFailed(reason_of(exc)) from exc

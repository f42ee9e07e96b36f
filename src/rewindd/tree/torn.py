"""Files of ours that were cut off: by the end of the process that wrote them, or by a power cut before they were synced.

Nothing is synced before it is put in place (docs/design.md), so recovery may find a file with less in it than was put there: its beginning,
or pages without content where file systems write them in any order. Nobody else makes such a file of just this content.
"""

import os
from contextlib import suppress

from rewindd.errors import StoreError
from rewindd.model.versions import File
from rewindd.tree.stage import CREATED_MODE, Content

#: What a file system writes, or not, as a whole: no smaller page is known.
PAGE_BYTES = 4096

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def is_torn(dir_fd: int, name: str, found: File, whole: File, content: Content) -> bool:
    """True when what is under a name is `whole` with pages missing at its end, or empty within. Blocks for reading both.

    Raises:
        OSError: it cannot be read.
    """
    if found.digest == whole.digest or found.size > whole.size or (found.size % PAGE_BYTES and found.size != whole.size):
        return False
    fd = os.open(name, _READ, dir_fd=dir_fd)
    try:
        with suppress(StoreError):  # then nobody can say, and it stays as somebody else's would
            return _is_part_of(fd, found.size, whole, content)
    finally:
        os.close(fd)
    return False


def is_unfinished(dir_fd: int, name: str, found: File, whole: File, content: Content) -> bool:
    """True for a stage that its process did not come to finish: torn, or not yet given its mode. Raises OSError."""
    if found.digest == whole.digest:
        return found.mode == CREATED_MODE
    return is_torn(dir_fd, name, found, whole, content)


def _is_part_of(fd: int, size: int, whole: File, content: Content) -> bool:
    left = size
    for chunk in content.chunks(whole):
        part = chunk[:left]
        here = _read(fd, len(part))
        if not _are_pages_of(here, part):
            return False
        left -= len(part)
        if not left:
            return True
    return not left


def _are_pages_of(here: bytes, whole: bytes) -> bool:
    """Chunks of contents are whole pages, but for the last."""
    if len(here) != len(whole):
        return False
    if here == whole:
        return True
    pages = ((here[at : at + PAGE_BYTES], whole[at : at + PAGE_BYTES]) for at in range(0, len(whole), PAGE_BYTES))
    return all(one == other or not any(one) for one, other in pages)


def _read(fd: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size and (part := os.read(fd, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)

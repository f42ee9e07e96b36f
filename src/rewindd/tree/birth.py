"""When an inode was made: what tells a directory from the next one that is given its inode number.

Python's `os.stat` does not have it on Linux; statx(2) does, where the file system keeps it.
"""

import ctypes
import os

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
#: struct statx, linux/stat.h: 256 bytes; stx_mask first, stx_btime at 80 as s64 seconds and u32 nanoseconds.
_STATX_BYTES = 256
_BTIME_OFFSET = 80
_NS_PER_S = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


def birth_ns(fd: int) -> int:
    """Returns when the file behind a descriptor was made, in nanoseconds since the epoch; 0 where that is not kept."""
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    try:
        failed = _libc.statx(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer)
    except AttributeError:  # glibc before 2.28
        return 0
    if failed or not int.from_bytes(buffer.raw[:4], "little") & _STATX_BTIME:
        return 0
    seconds = int.from_bytes(buffer.raw[_BTIME_OFFSET : _BTIME_OFFSET + 8], "little", signed=True)
    return seconds * _NS_PER_S + int.from_bytes(buffer.raw[_BTIME_OFFSET + 8 : _BTIME_OFFSET + 12], "little")


def birth_of(path: str) -> int:
    """Returns `birth_ns` of a path; a link is followed. Raises OSError."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return birth_ns(fd)
    finally:
        os.close(fd)

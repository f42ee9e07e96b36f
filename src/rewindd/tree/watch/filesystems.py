"""Which file systems tell of changes: those where every change goes through this kernel.

On a network file system, or one served by a program, others change files and nothing is heard of it here. Asked of each
directory's descriptor, so that what is mounted below the root is judged by itself, also where device numbers say nothing (btrfs).
"""

import ctypes

from rewindd.model.filesystems import REMOTE

#: What is another machine's, or served by a program: virtiofs and what mounts as fuse.NAME or fuseblk are FUSE.
WITHOUT_EVENTS = {**REMOTE, 0x65735546: "fuse"}

#: struct statfs has 120 bytes on 64-bit Linux; its first word is f_type.
_STATFS_BYTES = 256
_TYPE_BITS = 0xFFFFFFFF

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fstatfs.argtypes = (ctypes.c_int, ctypes.c_char_p)


def without_events(fd: int) -> str | None:
    """Returns why the directory behind a descriptor, O_PATH too, gives no events; None where it does.

    Blocks while a server that is mounted there does not answer.
    """
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.fstatfs(fd, buffer) != 0:
        return None  # inotify_add_watch(2) will say what is wrong with it
    name = WITHOUT_EVENTS.get(ctypes.c_long.from_buffer(buffer).value & _TYPE_BITS)
    return f"no change events on {name}" if name else None

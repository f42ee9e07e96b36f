"""openat2(2), which Python lacks: one system call from a directory down to one below it that no link leads away from.

Owns nothing. Where the kernel has no such call (Linux before 5.6), or a sandbox forbids it, callers go one component at a time.
"""

import ctypes
import errno
import os

#: linux/openat2.h
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
#: The number of the call, the same on every architecture (asm-generic/unistd.h).
_OPENAT2 = 437
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: What says that there is no such call: seccomp(2) filters that do not know it answer EPERM, which opening with O_PATH never does.
_MISSING = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG})
#: What says only that the way is none, and not which part of it is a link.
_UNTOLD = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EXDEV, errno.EAGAIN, errno.ENAMETOOLONG})


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_HOW = _How(_DIRECTORY, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
_HOW_BYTES = ctypes.sizeof(_HOW)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_How), ctypes.c_size_t)
_libc.syscall.restype = ctypes.c_long


class Missing:
    """Whether the call was found not to be there; then it is not tried again."""

    is_so = False


def try_open_directory(dir_fd: int, path: str) -> int | None:
    """Returns a new O_PATH descriptor of a directory below `dir_fd`; None where one component at a time must tell.

    Raises:
        FileNotFoundError: it, or a directory on the way, does not exist.
        OSError: permission, or no descriptor left.
    """
    if Missing.is_so:
        return None
    found = int(_libc.syscall(_OPENAT2, dir_fd, os.fsencode(path), ctypes.byref(_HOW), _HOW_BYTES))
    if found >= 0:
        return found
    number = ctypes.get_errno()
    Missing.is_so = number in _MISSING
    if Missing.is_so or number in _UNTOLD:
        return None
    raise OSError(number, os.strerror(number), path)

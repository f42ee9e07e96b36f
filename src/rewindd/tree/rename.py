"""The Linux calls that Python lacks: renameat2(2) and syncfs(2), and what stands in for them where a file system has no flags.

Owns nothing. All names are relative to a directory descriptor; no call follows a link in the last part.
"""

import ctypes
import errno
import os

#: linux/fs.h
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
#: What renameat2 says where the kernel or the file system does not know the flag (renameat2(2), NFS and some FUSE: EINVAL).
UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
#: What linkat says where hard links do not exist or are forbidden (link(2): vfat gives EPERM, exFAT EOPNOTSUPP, AFS EXDEV).
_NO_LINKS = UNSUPPORTED | {errno.EPERM, errno.EXDEV, errno.EMLINK}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_libc.syncfs.argtypes = (ctypes.c_int,)


def exchange(from_fd: int, from_name: str, to_fd: int, to_name: str) -> None:
    """Swaps what two names stand for, atomically; both exist before and after.

    Raises:
        OSError: one does not exist, permission; one of `UNSUPPORTED` where the file system cannot exchange.
    """
    _renameat2(from_fd, from_name, to_fd, to_name, RENAME_EXCHANGE)


def move(from_fd: int, from_name: str, to_fd: int, to_name: str) -> None:
    """Renames to a name that does not exist; never replaces anything.

    Where the file system has no RENAME_NOREPLACE a hard link takes its place (atomic as well), and where it has no hard links
    either, or for directories, a look and a rename: the one case with a moment in which a newcomer could be replaced.

    Raises:
        FileExistsError: the name is taken.
        OSError: the source does not exist, permission, no space for the directory's entry.
    """
    try:
        _renameat2(from_fd, from_name, to_fd, to_name, RENAME_NOREPLACE)
    except OSError as exc:
        if exc.errno not in UNSUPPORTED:
            raise
    else:
        return
    try:
        os.link(from_name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        _look_and_rename(from_fd, from_name, to_fd, to_name)
    else:
        os.unlink(from_name, dir_fd=from_fd)


def sync_file_system(fd: int) -> None:
    """Writes everything of the file system that `fd` (readable, not O_PATH) is on to the disk; blocks until it is there.

    Raises:
        OSError: the disk failed.
    """
    if _libc.syncfs(fd) != 0:
        raise _last_error()


def _renameat2(from_fd: int, from_name: str, to_fd: int, to_name: str, flags: int) -> None:
    if _libc.renameat2(from_fd, os.fsencode(from_name), to_fd, os.fsencode(to_name), flags) != 0:
        raise _last_error(to_name)


def _look_and_rename(from_fd: int, from_name: str, to_fd: int, to_name: str) -> None:
    try:
        os.stat(to_name, dir_fd=to_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(from_name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), to_name)


def _last_error(name: str | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)

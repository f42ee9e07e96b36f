"""Making paths durable after an operation: what is in them, and that they are there or not."""

import os
import stat
from collections.abc import Iterable

from rewindd.errors import OutsideWorkspace
from rewindd.faults import effect
from rewindd.paths import RelPath
from rewindd.tree import rename
from rewindd.tree.root import Root

_GONE = (FileNotFoundError, NotADirectoryError, OutsideWorkspace)
_SYNC = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def sync(root: Root, paths: Iterable[RelPath]) -> None:
    """Makes these paths, and their absence, durable: files and the directories that name them. Blocks for the disk.

    Raises:
        OSError: the disk failed, or a directory may not be reached.
    """
    directories: dict[RelPath, None] = {}
    for path in paths:
        directories[path.parent] = None
        if _sync_path(root, path):
            directories[path] = None
    for directory in directories:
        _sync_directory(root, directory)


def _sync_path(root: Root, path: RelPath) -> bool:
    """Syncs a regular file; returns True for a directory, to be synced with the others."""
    try:
        dir_fd = root.directory(path.parent)
        found = os.stat(path.name, dir_fd=dir_fd, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            return stat.S_ISDIR(found.st_mode)
        fd = os.open(path.name, _SYNC, dir_fd=dir_fd)
    except _GONE:
        return False
    except PermissionError:  # a file that even its owner may not read: its file system syncs it
        _sync_all(root)
        return False
    try:
        effect("tree.sync")
        os.fsync(fd)
    finally:
        os.close(fd)
    return False


def _sync_directory(root: Root, directory: RelPath) -> None:
    """Syncs a directory, or where it is gone the nearest one above: that one says so."""
    try:
        fd = root.listable(directory)
    except _GONE:
        if directory != ".":
            _sync_directory(root, directory.parent)
        return
    except PermissionError:
        _sync_all(root)
        return
    try:
        effect("tree.sync")
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_all(root: Root) -> None:
    fd = root.listable(RelPath("."))
    try:
        effect("tree.sync")
        rename.sync_file_system(fd)
    finally:
        os.close(fd)

"""The workspace's root, held by a descriptor, and the directories below it.

Every file of a workspace is reached from here, and no link is followed: a path that is swapped for a link while we work leads
nowhere. Knows nothing of versions.
"""

import errno
import os
import stat
from collections import OrderedDict
from types import TracebackType
from typing import Self

from rewindd.errors import Busy, OutsideWorkspace, UnknownWorkspace
from rewindd.paths import ROOT, RelPath
from rewindd.tree.beneath import try_open_directory
from rewindd.tree.birth import birth_ns

#: errno values that say nothing of the path (open(2)).
FOR_NOW = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
#: Directory descriptors kept open at once, of the 1,024 that a process may have by default (getrlimit(2)) and 64 sessions share.
#: At least 4: a rename holds two at once.
CACHED_DIRECTORIES = 64

#: Descriptors of removed files that a Root keeps at most until it is closed, of the same 1,024.
LINGERING = 64

#: O_PATH: needs no read permission on the directory, only search permission on the way.
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LISTABLE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Root:
    """An open workspace. Belongs to one thread at a time and to one piece of work: open it, work, close it.

    A directory's descriptor stays the same directory when somebody moves it away meanwhile; hence the short life.
    """

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._cached: OrderedDict[str, int] = OrderedDict()
        self._lingering: list[int] = []

    @classmethod
    def open(cls, path: str, device: int, inode: int, born_ns: int = 0) -> Self:
        """Opens the root, if it still is the directory that was made a workspace. `born_ns` 0 says that its birth is not known.

        Raises:
            UnknownWorkspace: it is gone, cannot be reached, is no directory, or is another directory now.
            Busy: the system has no room for one more descriptor; that passes.
        """
        try:
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            why = (exc.strerror or "cannot be opened").lower()
            if exc.errno in FOR_NOW:
                raise Busy(f"the workspace {path!r} cannot be looked at now: {why}; try again", root=path) from exc
            raise UnknownWorkspace(f"the workspace {path!r} cannot be used: {why}; open a session where it is now", root=path) from exc
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != (device, inode) or (born_ns and birth_ns(fd) != born_ns):
            os.close(fd)
            raise UnknownWorkspace(f"{path!r} is another directory than the workspace was; open a session there again", root=path)
        return cls(path, fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes every descriptor; twice does no harm."""
        self.forget(ROOT)
        while self._lingering:
            os.close(self._lingering.pop())
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def directory(self, path: RelPath) -> int:
        """Returns an O_PATH descriptor of the directory, for `dir_fd`; it belongs to this Root, do not close it.

        It stays valid over the next `CACHED_DIRECTORIES - 1` calls at least.

        Raises:
            FileNotFoundError: it, or a directory on the way, does not exist.
            NotADirectoryError: it, or a part on the way, is a file.
            OutsideWorkspace: it, or a part on the way, is a symlink.
            OSError: permission, or anything else that openat(2) can say.
        """
        if path == ".":
            return self._fd
        cached = self._cached.get(path)
        if cached is not None:
            self._cached.move_to_end(path)
            return cached
        return self._descend(path)

    def listable(self, path: RelPath) -> int:
        """Returns a new descriptor of the directory that can be listed and synced; the caller closes it.

        Raises:
            OSError: as `directory`, and without read permission.
            OutsideWorkspace: as `directory`.
        """
        return os.open(".", _LISTABLE, dir_fd=self.directory(path))

    def linger(self, dir_fd: int, name: str) -> None:
        """Holds a file that is about to be removed until `close`; with its last descriptor the file system frees its blocks.

        That takes ten times as long as to remove the name (0.14 ms against 0.01 for 10 KB on ext4), and nobody need wait for it.
        """
        if len(self._lingering) < LINGERING:
            self._lingering.append(os.open(name, _HOLD, dir_fd=dir_fd))

    def forget(self, path: RelPath) -> None:
        """Closes the descriptors of that directory and of all below: the next `directory` looks again."""
        for name in [name for name in self._cached if RelPath(name).below(path)]:
            os.close(self._cached.pop(name))

    def _descend(self, path: RelPath) -> int:
        """Opens from the nearest cached ancestor downwards; one component at a time where it must, in a loop: there may be 2,000."""
        missing = [path]
        above = path.parent
        while above != "." and above not in self._cached:
            missing.append(above)
            above = above.parent
        fd = self.directory(above)
        # One component alone cannot lead elsewhere, and is a third faster without.
        whole = try_open_directory(fd, path if above == "." else path[len(above) + 1 :]) if len(missing) > 1 else None
        if whole is not None:
            return self._keep(path, whole)
        for step in reversed(missing):
            fd = self._keep(step, _open_directory(step, fd))
        return fd

    def _keep(self, path: RelPath, fd: int) -> int:
        self._cached[path] = fd
        if len(self._cached) > CACHED_DIRECTORIES:
            os.close(self._cached.popitem(last=False)[1])
        return fd


def _open_directory(path: RelPath, parent_fd: int) -> int:
    name = path.name
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent_fd)
    except OSError as exc:
        if exc.errno not in (errno.ENOTDIR, errno.ELOOP) or not _is_link(name, parent_fd):
            raise
        raise OutsideWorkspace(f"{path!r} is a symlink; rewindd does not follow it, name what it points to", path=str(path)) from exc


def _is_link(name: str, parent_fd: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False

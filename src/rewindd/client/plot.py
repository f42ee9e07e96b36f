"""An empty directory in which a tree is written. What the tree's paths say is not trusted: nothing is written outside.

Every path is gone down to from the directory's descriptor, one part at a time, and no link is followed; every file is made new.
Blocks; belongs to one thread at a time.
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import closing
from typing import Final

from rewindd.errors import AlreadyExists, BadRequest, StoreCorrupt
from rewindd.paths import ROOT, RelPath, is_reserved
from rewindd.protocol.replies import FileVersion, PathReason, PathVersion

#: Of directories that have no version of their own: as `mkdir -p` under umask 022.
PARENT_MODE = 0o755
#: Until all is written: so that what is in it can be made, and by nobody else.
_OPEN_MODE = 0o700
_HOLD: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: Descriptors kept open at once, of the 1,024 that a process may have by default (getrlimit(2)).
_HELD = 64
#: What open(2), mkdir(2) and symlink(2) say of one path; anything else is about the file system, and ends the work.
_OF_A_PATH = (errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


class Plot:
    """The directory while it is filled: `open`, then whatever comes, then `finish`, and `close` in any case.

    `files`: files and links written; `size_bytes`: of their contents. `skipped`: what was not written, and why.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._fd = -1
        self._held: OrderedDict[RelPath, int] = OrderedDict()
        self._modes: dict[RelPath, int] = {}
        self.files = 0
        self.size_bytes = 0
        self.skipped: list[PathReason] = []

    def open(self) -> None:
        """Makes the directory, with those above it, or takes it where it is empty.

        Raises:
            BadRequest: it is none.
            AlreadyExists: it is not empty.
            OSError: it cannot be made or listed.
        """
        try:
            os.makedirs(self._directory, exist_ok=True)
            self._fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileExistsError, NotADirectoryError) as exc:
            raise BadRequest(f"{self._directory!r} is no directory; name one that is empty or not there", path=self._directory) from exc
        if os.listdir(self._fd):
            raise AlreadyExists(
                f"{self._directory!r} is not empty, and nothing in it is overwritten; name another directory", path=self._directory
            )

    def close(self) -> None:
        """Closes every descriptor; twice does no harm."""
        while self._held:
            os.close(self._held.popitem()[1])
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def plant(self, entries: Iterable[PathVersion]) -> None:
        """Makes the directories and links among these, and notes what is none of the three kinds."""
        for entry in entries:
            version = entry.version
            if version is None or version.kind == "file" or entry.path == ROOT or not self._is_inside(entry.path):
                continue
            try:
                if version.kind == "directory":
                    self._make(entry.path, PARENT_MODE if version.mode is None else version.mode)
                elif version.target is not None:
                    os.symlink(version.target, entry.path.name, dir_fd=self._hold(entry.path.parent))
                    self.files += 1
                else:
                    self.skip(entry.path, "not known at that point")
            except OSError as exc:
                self._failed(entry.path, exc)

    def write(self, files: Iterable[tuple[RelPath, FileVersion, bytes]]) -> None:
        """Makes files with their whole contents. Raises StoreCorrupt where one is not the version's."""
        for path, version, content in files:
            for growing in self.start(path, version):
                with closing(growing):
                    growing.add(content)
                    growing.finish()

    def start(self, path: RelPath, version: FileVersion) -> "list[Growing]":
        """Returns a new file that is to be written and closed; none where it cannot be made, which is noted."""
        if not self._is_inside(path):
            return []
        try:
            return [Growing(self, version, os.open(path.name, _NEW, 0o600, dir_fd=self._hold(path.parent)))]
        except OSError as exc:
            self._failed(path, exc)
            return []

    def finish(self) -> None:
        """Gives the directories their modes, the deepest first: when one cannot be entered any more, all in it is done."""
        for path in sorted(self._modes, key=lambda path: path.depth, reverse=True):
            fd = os.open(path.name, _LIST, dir_fd=self._hold(path.parent))
            try:
                os.fchmod(fd, self._modes[path])
            finally:
                os.close(fd)

    def skip(self, path: RelPath, reason: str) -> None:
        """Notes a path that is not written."""
        self.skipped.append(PathReason(path=path, reason=reason))

    def _is_inside(self, path: RelPath) -> bool:
        """False for a path that no workspace has, which is noted."""
        if path == ROOT or "\0" in path or any(part in ("", ".", "..") or is_reserved(part) for part in path.split("/")):
            self.skip(path, "no path of a workspace")
            return False
        return True

    def _failed(self, path: RelPath, error: OSError) -> None:
        if error.errno not in _OF_A_PATH:
            raise error
        self.skip(path, (error.strerror or str(error)).lower())

    def _make(self, path: RelPath, mode: int) -> None:
        """Makes a directory; one that was made because something below it came first gets its mode."""
        if path not in self._modes:
            os.mkdir(path.name, _OPEN_MODE, dir_fd=self._hold(path.parent))
        self._modes[path] = mode

    def _hold(self, path: RelPath) -> int:
        """Returns a directory's descriptor, which belongs to the plot; those that are missing on the way are made."""
        missing: list[RelPath] = []
        while path != ROOT and path not in self._held:
            missing.append(path)
            path = path.parent
        fd = self._fd
        if path != ROOT:
            self._held.move_to_end(path)
            fd = self._held[path]
        for below in reversed(missing):
            if below not in self._modes:
                os.mkdir(below.name, _OPEN_MODE, dir_fd=fd)
                self._modes[below] = PARENT_MODE
            fd = self._held[below] = os.open(below.name, _HOLD, dir_fd=fd)
            if len(self._held) > _HELD:
                os.close(self._held.popitem(last=False)[1])
        return fd


class Growing:
    """A file of a plot on its way: `add` its content, `finish`, and `close` in any case."""

    def __init__(self, plot: Plot, version: FileVersion, fd: int) -> None:
        from blake3 import blake3  # not every client writes trees

        self._plot, self._version, self._fd = plot, version, fd
        self._hasher = blake3()
        self._size = 0

    def add(self, content: bytes) -> None:
        """Writes the next piece. Raises OSError: no room, for one."""
        self._hasher.update(content)
        self._size += len(content)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def finish(self) -> None:
        """Gives the file its mode, and counts it. Raises StoreCorrupt when what came is not the version's content."""
        blob = self._version.blob
        if self._size != self._version.size or self._hasher.hexdigest() != blob:
            raise StoreCorrupt(f"blob {blob}: what came is not what was stored; what was written of it is cut off", blob=blob)
        os.fchmod(self._fd, self._version.mode or 0)
        self._plot.files += 1
        self._plot.size_bytes += self._size

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)

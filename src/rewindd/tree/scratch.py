"""A tree written out beside the store, compared with what it should be, and removed: nobody else sees it, nothing is synced."""

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rewindd.errors import OutsideWorkspace, StoreCorrupt, StoreError
from rewindd.model.versions import Directory, File, Symlink, Version
from rewindd.paths import ROOT, RelPath
from rewindd.tree.look import Hasher, Look, look, reason_of
from rewindd.tree.root import Root
from rewindd.tree.stage import Content

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch(top: str) -> Iterator[str]:
    """Makes a directory of that name for the block, and removes it with all in it. Raises OSError where it cannot be made."""
    os.mkdir(top, 0o700)
    try:
        yield top
    finally:
        remove(top)


def remove(top: str) -> None:
    """Removes a tree whatever modes its directories have. What cannot be removed stays."""
    for directory, _, _ in os.walk(top):
        os.chmod(directory, 0o700)
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.chmod(path, 0o700)
    shutil.rmtree(top, ignore_errors=True)


def plant(top: str, entries: Iterable[tuple[RelPath, Version]], content: Content) -> list[tuple[RelPath, str]]:
    """Writes versions below an empty directory, what is above first; returns those that could not be, with the reason.

    Raises:
        StoreIO, StoreFull: the store failed. A content that is damaged is told.
    """
    failed: list[tuple[RelPath, str]] = []
    with _opened(top) as root:
        for path, version in entries:
            try:
                _write(_directory(root, path.parent), path, version, content)
            except StoreCorrupt as exc:
                failed.append((path, exc.message))
            except StoreError:
                raise
            except OutsideWorkspace as exc:
                failed.append((path, exc.message))
            except OSError as exc:
                failed.append((path, reason_of(exc)))
    return failed


def compare(top: str, entries: Iterable[tuple[RelPath, Version]]) -> list[tuple[RelPath, str]]:
    """Returns the paths at which something else is than should be, or that should not be there; directories get their modes here."""
    expected = dict(entries)
    above = {one for path in expected for one in path.ancestors}
    wrong: list[tuple[RelPath, str]] = []
    with _opened(top) as root:
        for path, version in expected.items():
            seen = look(root, path, None, Hasher(), keep_bytes=0)
            there = seen.version if isinstance(seen, Look) else None
            is_same = isinstance(there, Directory) if isinstance(version, Directory) else there == version
            if not is_same:
                wrong.append((path, "not as it was saved"))
    wrong += [(path, "should not be there") for path in _walk(top) if path not in expected and path not in above]
    for path, version in sorted(expected.items(), reverse=True):
        if isinstance(version, Directory):
            wrong += [(path, "its mode is another")] if not _has_mode(os.path.join(top, path), version.mode) else []
    return wrong


def _opened(top: str) -> Root:
    found = os.lstat(top)
    return Root.open(top, found.st_dev, found.st_ino)


def _directory(root: Root, path: RelPath) -> int:
    """Opens a directory below the top, made where nothing is known of it; never through a link."""
    try:
        return root.directory(path)
    except FileNotFoundError:
        os.mkdir(path.name, 0o700, dir_fd=_directory(root, path.parent))
        return root.directory(path)


def _write(above: int, path: RelPath, version: Version, content: Content) -> None:
    if isinstance(version, Directory):
        if path != ROOT:
            os.mkdir(path.name, 0o700, dir_fd=above)
    elif isinstance(version, Symlink):
        os.symlink(version.target, path.name, dir_fd=above)
    elif isinstance(version, File):
        with open(os.open(path.name, _CREATE, 0o600, dir_fd=above), "wb") as file:  # noqa: PTH123 - a descriptor has no path
            for chunk in content.chunks(version):
                file.write(chunk)
            file.flush()
            os.fchmod(file.fileno(), version.mode)


def _walk(top: str) -> Iterator[RelPath]:
    for directory, directories, files in os.walk(top):
        for name in (*directories, *files):
            yield RelPath(os.path.relpath(os.path.join(directory, name), top))


def _has_mode(path: str, mode: int) -> bool:
    try:
        os.chmod(path, mode)
        return stat.S_IMODE(os.lstat(path).st_mode) == mode
    except OSError:
        return False

"""Stages: what an operation is about to put in place, under names that are never captured.

A stage lies in the directory of its path, so that one rename puts it there; where that directory is not there yet, or will
go, or is about to become writable, in the nearest one above. Its name follows from operation and path alone: recovery finds
it without a list. A stage that is made has the content, mode, group and attributes it will have in place. Nothing is synced
here: a power cut may leave less, and the operation's record says how to do it again.
"""

import errno
import os
import stat
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Protocol

from blake3 import blake3

from rewindd.errors import OutsideWorkspace
from rewindd.faults import effect
from rewindd.model.operation import Step
from rewindd.model.versions import Directory, File, Symlink, Version
from rewindd.paths import ROOT, STAGE_PREFIX, RelPath
from rewindd.tree.look import Unseen
from rewindd.tree.need import highest_in
from rewindd.tree.root import Root

#: A second name beside a stage's own, for file systems that cannot exchange: what was in place waits there.
ASIDE_SUFFIX = "-old"
#: acl(5): the attribute that holds a file's access list.
_ACL = "system.posix_acl_access"

#: Of a stage's file until it is whole.
CREATED_MODE = 0o600
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Content(Protocol):
    """Where the bytes of versions come from; the store's blobs."""

    def chunks(self, version: File) -> Iterator[bytes]:
        """Yields the content in order, verified; raises StoreCorrupt, at the end at the latest, when it is not what it should be."""
        ...


class StageFailed(Exception):
    """There was no room or no permission to stage something; the tree is untouched and the stages are removed."""

    def __init__(self, failures: list[Unseen]) -> None:
        super().__init__(f"cannot stage {len(failures)} paths, the first: {failures[0].path!r}: {failures[0].reason}")
        self.failures = failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """One stage that exists. `version` is what is in it, to the mode that the system really gave."""

    directory: RelPath
    name: str
    version: Version
    stamp: tuple[int, int, int]


def stage_prefix(operation: str) -> str:
    """Returns how the names of all stages of an operation begin."""
    return f"{STAGE_PREFIX}{operation}-"


def stage_name(operation: str, path: RelPath) -> str:
    """Returns the name of an operation's stage for a path; different paths never share one in one directory."""
    return f"{stage_prefix(operation)}{blake3(os.fsencode(path)).hexdigest(8)}"


def stage_directory(root: Root, path: RelPath, avoid: Set[RelPath]) -> RelPath:
    """Returns the nearest directory above `path` that exists and is neither in `avoid` nor below one of them; the root at the latest.

    Raises:
        OSError: one on the way cannot be reached.
    """
    highest = highest_in(path, avoid)
    wanted = path.parent if highest is None else highest.parent
    if _is_there(root, wanted):
        return wanted
    directory = ROOT  # from the top: each step is one look, from the bottom each would begin at the top again
    for name in wanted.split("/"):
        below = directory.child(name)
        if not _is_there(root, below):
            break
        directory = below
    return directory


def make_stage(root: Root, operation: str, step: Step, directory: RelPath, content: Content) -> Staged:
    """Makes what the step puts in place: a file with its content, a symlink, or an empty directory.

    A directory is made so that its owner may work in it; one that must not is restricted in place, when all below is there.

    Raises:
        FileExistsError: there is a stage of that name, of an earlier life.
        OSError: no room, no permission.
        StoreError: the content's.
    """
    dir_fd, name = root.directory(directory), stage_name(operation, step.path)
    target = step.target
    effect("tree.stage")
    if isinstance(target, File):
        return _stage_file(root, step, target, (directory, dir_fd, name), content)
    if isinstance(target, Symlink):
        os.symlink(target.target, name, dir_fd=dir_fd)
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        return Staged(directory=directory, name=name, version=target, stamp=stamp_of(found))
    if not isinstance(target, Directory):
        raise AssertionError(f"a step to {target!r} stages nothing")
    os.mkdir(name, 0o700, dir_fd=dir_fd)
    effect("tree.stage.mode")
    mode = set_mode(dir_fd, name, target.mode | stat.S_IRWXU)
    found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    return Staged(directory=directory, name=name, version=Directory(mode), stamp=stamp_of(found))


def remove_stage(root: Root, directory: RelPath, name: str) -> bool:
    """Removes a stage, whatever it is; returns whether there was one.

    Raises:
        OSError: it cannot be removed; a directory that is not empty stays.
    """
    dir_fd = root.directory(directory)
    effect("tree.unstage")
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return False
    except (IsADirectoryError, PermissionError):
        os.rmdir(name, dir_fd=dir_fd)
    return True


def stamp_of(found: os.stat_result) -> tuple[int, int, int]:
    """Returns what a rename leaves as it is and a write does not: inode, size in bytes, mtime in ns."""
    return found.st_ino, found.st_size, found.st_mtime_ns


def hold(dir_fd: int, name: str) -> int:
    """Returns an O_PATH descriptor of what a name stands for, a link itself; its inode is not used again while it is held."""
    return os.open(name, _HOLD, dir_fd=dir_fd)


def set_mode(dir_fd: int, name: str, mode: int) -> int:
    """Sets the mode of a file or directory, never through a link; returns the mode that the system gave.

    Raises:
        OSError: it is gone, or not ours.
    """
    fd = hold(dir_fd, name)
    try:
        return set_held_mode(fd, mode)
    finally:
        os.close(fd)


def set_held_mode(fd: int, mode: int) -> int:
    """Sets the mode of what an O_PATH descriptor holds (fchmod(2) refuses those; proc(5), /proc/pid/fd); returns the mode it got."""
    os.chmod(f"/proc/self/fd/{fd}", mode)
    return stat.S_IMODE(os.fstat(fd).st_mode)


def _stage_file(root: Root, step: Step, target: File, place: tuple[RelPath, int, str], content: Content) -> Staged:
    directory, dir_fd, name = place
    fd = os.open(name, _CREATE, CREATED_MODE, dir_fd=dir_fd)
    try:
        for chunk in content.chunks(target):
            _write_all(fd, chunk)
        if isinstance(step.expect, File):
            _hand_over(root.directory(step.path.parent), step.path.name, fd)
        effect("tree.stage.mode")
        os.fchmod(fd, target.mode)
        found = os.fstat(fd)
    finally:
        os.close(fd)
    version = File(target.digest, target.size, stat.S_IMODE(found.st_mode))
    return Staged(directory=directory, name=name, version=version, stamp=stamp_of(found))


def _write_all(fd: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        effect("tree.stage.write")
        left = left[os.write(fd, left) :]


def _hand_over(dir_fd: int, name: str, fd: int) -> None:
    """Gives the stage the owner, group, access list and user attributes of the file that it will replace, as far as we may.

    Before the mode: chown clears the set-id bits, and an access list has its own idea of the group's bits.
    """
    old = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if not stat.S_ISREG(old.st_mode):
        return
    new = os.fstat(fd)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) and not _try_chown(fd, old.st_uid, old.st_gid):
        _try_chown(fd, -1, old.st_gid)
    source = f"/proc/self/fd/{dir_fd}/{name}"
    names = _attributes(source)
    for attribute in names:
        if attribute == _ACL or attribute.startswith("user."):
            _copy_attribute(source, fd, attribute)
    if _ACL not in names and _ACL in _attributes(fd):
        effect("tree.stage.attribute")
        os.removexattr(fd, _ACL)


def _try_chown(fd: int, uid: int, gid: int) -> bool:
    try:
        effect("tree.stage.attribute")
        os.fchown(fd, uid, gid)
    except PermissionError:
        return False
    return True


def _attributes(source: str | int) -> list[str]:
    try:
        return os.listxattr(source) if isinstance(source, int) else os.listxattr(source, follow_symlinks=False)
    except OSError:  # a file system without attributes, or not ours to read: there is nothing to hand over
        return []


def _copy_attribute(source: str, fd: int, attribute: str) -> None:
    try:
        effect("tree.stage.attribute")
        os.setxattr(fd, attribute, os.getxattr(source, attribute, follow_symlinks=False))
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise


def _is_there(root: Root, directory: RelPath) -> bool:
    try:
        root.directory(directory)
    except (FileNotFoundError, NotADirectoryError, OutsideWorkspace):
        return False
    return True

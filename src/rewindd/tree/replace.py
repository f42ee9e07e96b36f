"""One path brought from what the plan saw to what it wants, or left exactly as somebody else made it meanwhile.

The order is always: change the name atomically, look at what came out, and put it back when it is not what the plan saw. A
look before the change would leave a moment in which an editor's save is lost (docs/design.md, "The path of a rewind").
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rewindd.faults import effect
from rewindd.model.log import Signature
from rewindd.model.operation import Step
from rewindd.model.versions import ABSENT, Directory, File
from rewindd.paths import RelPath
from rewindd.tree import rename
from rewindd.tree.look import Hasher, Look, look_at
from rewindd.tree.root import Root
from rewindd.tree.stage import ASIDE_SUFFIX, Staged, hold, set_held_mode, stamp_of

CHANGED = "changed"
NOT_EMPTY = "not-empty"
#: How often we swap with somebody who saves at each swap. One save between two system calls is rare, this many are hostile.
PUT_BACK_ROUNDS = 1000


class Changed(Exception):
    """What is in place is not what the plan saw; it stays, and the words say why."""


class LeftInStage(Changed):
    """What came out could not be put back: it is under the stage's name, and must not be removed with the stages."""


@dataclass(frozen=True, slots=True)
class TakenOut:
    """What was in place, waiting under a stage's name to be removed at the end; `stamp` shows a late write through an old handle."""

    directory: RelPath
    name: str
    stamp: tuple[int, int, int]
    is_directory: bool


def put(root: Root, step: Step, staged: Staged) -> TakenOut | None:
    """Puts a stage in place; returns what it replaced, None where nothing was.

    Raises:
        Changed: somebody was there first; what they made is in place (or `LeftInStage`).
        OSError: nothing happened.
    """
    dir_fd, name = root.directory(step.path.parent), step.path.name
    stage_fd = root.directory(staged.directory)
    if step.expect == ABSENT:
        effect("tree.mkdir" if isinstance(staged.version, Directory) else "tree.create")
        try:
            rename.move(stage_fd, staged.name, dir_fd, name)
        except FileExistsError as exc:
            raise Changed(CHANGED) from exc
        return None
    if isinstance(step.expect, Directory):
        _check_empty(dir_fd, name)
        root.forget(step.path)
    with _held(stage_fd, staged.name) as ours:
        effect("tree.exchange")
        try:
            rename.exchange(stage_fd, staged.name, dir_fd, name)
        except FileNotFoundError as exc:
            raise Changed(CHANGED) from exc
        except OSError as exc:
            if exc.errno not in rename.UNSUPPORTED:
                raise
            return _put_by_renames(step, staged, stage_fd, dir_fd)
        taken = _examine(stage_fd, staged.directory, staged.name, step)
        if isinstance(taken, str):
            _swap_back(stage_fd, staged.name, dir_fd, name, ours)
            raise Changed(taken)
    return taken


def take_out(root: Root, step: Step, directory: RelPath, stage: str) -> TakenOut:
    """Renames a file or link to a stage's name.

    Raises:
        Changed: it was not what the plan saw; it is back in place (or `LeftInStage`).
        FileNotFoundError: it is gone already.
        OSError: nothing happened.
    """
    dir_fd, stage_fd = root.directory(step.path.parent), root.directory(directory)
    effect("tree.remove")
    rename.move(dir_fd, step.path.name, stage_fd, stage)
    taken = _examine(stage_fd, directory, stage, step)
    if isinstance(taken, str):
        _move_back(stage_fd, stage, dir_fd, step.path.name)
        raise Changed(taken)
    return taken


def give_back(root: Root, step: Step, taken: TakenOut, staged: Staged | None) -> None:
    """Puts back what was taken out and then written to through an old handle, unless somebody put something newer there.

    Raises:
        OSError: it stays under its stage's name.
    """
    dir_fd, stage_fd = root.directory(step.path.parent), root.directory(taken.directory)
    if staged is None:
        _move_back(stage_fd, taken.name, dir_fd, step.path.name)
        return
    found = os.stat(step.path.name, dir_fd=dir_fd, follow_symlinks=False)
    if stamp_of(found) == staged.stamp:
        with _held(dir_fd, step.path.name) as ours:
            _swap_back(stage_fd, taken.name, dir_fd, step.path.name, ours)


def remove_directory(root: Root, step: Step) -> None:
    """Removes an empty directory.

    Raises:
        Changed: it is not that directory any more, or not empty.
        FileNotFoundError: it is gone already.
        OSError: nothing happened.
    """
    dir_fd, name = root.directory(step.path.parent), step.path.name
    found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode) or step.expect != Directory(stat.S_IMODE(found.st_mode)):
        raise Changed(CHANGED)
    root.forget(step.path)
    _check_empty(dir_fd, name)
    effect("tree.rmdir")
    os.rmdir(name, dir_fd=dir_fd)


def change_mode(root: Root, step: Step, mode: int) -> int:
    """Changes only the mode of a directory, or of a file with one link; returns the mode that the system gave.

    Raises:
        Changed: it is not what the plan saw, or was written to meanwhile; its mode is as it was.
        OSError: nothing happened.
    """
    dir_fd, name = root.directory(step.path.parent), step.path.name
    if not is_expected(dir_fd, name, step):
        raise Changed(CHANGED)
    with _held(dir_fd, name) as fd:
        before = os.fstat(fd)
        if isinstance(step.expect, File) and before.st_nlink != 1:
            raise Changed(CHANGED)
        effect("tree.chmod")
        got = set_held_mode(fd, mode)
        if isinstance(step.expect, File) and not _stands(dir_fd, name, before):
            effect("tree.chmod")
            set_held_mode(fd, stat.S_IMODE(before.st_mode))
            raise Changed(CHANGED)
    return got


def is_expected(dir_fd: int, name: str, step: Step) -> bool:
    """True when what `name` stands for is what the step's plan saw: by signature (a rename moves the ctime), else by content."""
    try:
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if step.signature is not None and not isinstance(step.expect, Directory) and _is_same(step.signature, found):
            return True
        seen = look_at(dir_fd, name, step.path, None, Hasher())
    except OSError:
        return False
    return isinstance(seen, Look) and seen.version == step.expect


def _is_same(signature: Signature, found: os.stat_result) -> bool:
    return (
        not signature.racy
        and found.st_mtime_ns == signature.mtime_ns
        and found.st_ino == signature.inode
        and found.st_size == signature.size
        and found.st_mode == signature.mode
        and found.st_nlink == signature.links
        and found.st_dev == signature.device
    )


def _stands(dir_fd: int, name: str, before: os.stat_result) -> bool:
    try:
        return stamp_of(os.stat(name, dir_fd=dir_fd, follow_symlinks=False)) == stamp_of(before)
    except FileNotFoundError:
        return False


def _examine(stage_fd: int, directory: RelPath, name: str, step: Step) -> TakenOut | str:
    """Looks at what came out; returns why it must go back where it is not what the plan saw, or cannot be looked at."""
    try:
        found = os.stat(name, dir_fd=stage_fd, follow_symlinks=False)
        if not is_expected(stage_fd, name, step):
            return CHANGED
        if isinstance(step.expect, Directory) and not is_empty(stage_fd, name):
            return NOT_EMPTY
    except OSError:
        return CHANGED
    return TakenOut(directory, name, stamp_of(found), stat.S_ISDIR(found.st_mode))


def is_empty(dir_fd: int, name: str) -> bool:
    """True when a directory has no entries.

    Raises:
        OSError: it is no directory, or may not be read.
    """
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        with os.scandir(fd) as entries:
            return next(entries, None) is None
    finally:
        os.close(fd)


def _check_empty(dir_fd: int, name: str) -> None:
    """A directory with something in it must not even be taken out for a moment."""
    if not is_empty(dir_fd, name):
        raise Changed(NOT_EMPTY)


def _put_by_renames(step: Step, staged: Staged, stage_fd: int, dir_fd: int) -> TakenOut:
    """Replaces where the file system cannot exchange: for a moment the path is absent."""
    name, aside = step.path.name, staged.name + ASIDE_SUFFIX
    effect("tree.aside")
    rename.move(dir_fd, name, stage_fd, aside)
    taken = _examine(stage_fd, staged.directory, aside, step)
    if isinstance(taken, str):
        _move_back(stage_fd, aside, dir_fd, name)
        raise Changed(taken)
    try:
        effect("tree.create")
        rename.move(stage_fd, staged.name, dir_fd, name)
    except FileExistsError as exc:
        _drop(stage_fd, aside)  # as the plan saw it: in the store; the newcomer stays
        raise Changed(CHANGED) from exc
    except OSError:
        _move_back(stage_fd, aside, dir_fd, name)
        raise
    return taken


def _drop(stage_fd: int, stage: str) -> None:
    effect("tree.unstage")
    try:
        os.unlink(stage, dir_fd=stage_fd)
    except (IsADirectoryError, PermissionError):
        os.rmdir(stage, dir_fd=stage_fd)


def _move_back(stage_fd: int, stage: str, dir_fd: int, name: str) -> None:
    """Puts back what came out; where somebody made the path anew meanwhile, theirs is the newer and stays."""
    try:
        effect("tree.putback")
        try:
            rename.move(stage_fd, stage, dir_fd, name)
        except FileExistsError:
            os.unlink(stage, dir_fd=stage_fd)
    except OSError as exc:
        raise LeftInStage(f"{CHANGED}; what was there is kept as {stage}") from exc


def _swap_back(stage_fd: int, stage: str, dir_fd: int, name: str, ours: int) -> None:
    """Puts back what came out, or something still newer; see `_swap_until_newest`."""
    try:
        _swap_until_newest(stage_fd, stage, dir_fd, name, ours)
    except OSError as exc:
        raise LeftInStage(f"{CHANGED}; what was there is kept as {stage}") from exc


def _swap_until_newest(stage_fd: int, stage: str, dir_fd: int, name: str, ours: int) -> None:
    """Swaps until what comes out is what we had put in: then what is in place is the newest that anybody made.

    Descriptors are held because a file system gives the inode of a replaced file to the next one.
    """
    put_in, came_out = os.dup(ours), hold(stage_fd, stage)
    try:
        for _ in range(PUT_BACK_ROUNDS):
            effect("tree.putback")
            try:
                rename.exchange(stage_fd, stage, dir_fd, name)
            except FileNotFoundError:
                _move_back(stage_fd, stage, dir_fd, name)
                return
            previous, put_in, came_out = put_in, came_out, hold(stage_fd, stage)
            arrived = os.path.samestat(os.fstat(came_out), os.fstat(previous))
            os.close(previous)
            if arrived:
                return
        raise LeftInStage(f"{CHANGED}, again and again; an older save is kept as {stage}")
    finally:
        os.close(put_in)
        os.close(came_out)


@contextmanager
def _held(dir_fd: int, name: str) -> Iterator[int]:
    fd = hold(dir_fd, name)
    try:
        yield fd
    finally:
        os.close(fd)

"""What an operation that was killed left behind: stages, and perhaps somebody's work in one of them.

An operation may die between taking something out and looking at it. So what is in a stage is removed only when the store
has it, being what the step expected or wanted, or when nothing can have been taken out.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from rewindd.errors import OutsideWorkspace
from rewindd.faults import effect
from rewindd.model.operation import Step
from rewindd.model.versions import ABSENT, Directory, File, Version
from rewindd.paths import ROOT, RelPath
from rewindd.tree import rename
from rewindd.tree.look import Hasher, Look, look_at
from rewindd.tree.replace import is_empty
from rewindd.tree.root import Root
from rewindd.tree.stage import ASIDE_SUFFIX, Content, remove_stage, stage_name, stage_prefix
from rewindd.tree.torn import is_unfinished


def rescue(root: Root, operation: str, steps: Sequence[Step], content: Content | None = None) -> list[RelPath]:
    """Removes the stages of these steps, and returns the paths to which it put back what had been taken out unseen.

    For recovery, before it looks at the tree and before `sweep`. Blocks for reading what it finds. `content` tells the stages that were
    never finished; without it there are none.

    Raises:
        OSError: something cannot be moved or removed; doing it again is harmless.
    """
    return [step.path for step in steps if _rescue_step(root, operation, step, content)]


def sweep(root: Root, operation: str, directories: Iterable[RelPath]) -> int:
    """Removes every stage of an operation in these directories and those above; returns how many there were.

    For recovery, when the outcome is known and `rescue` was done. Directories that are not there are passed over.

    Raises:
        OSError: one cannot be removed.
    """
    prefix, removed = stage_prefix(operation), 0
    for directory in sorted({above for given in directories for above in _and_above(given)}):
        for name in _names(root, directory, prefix):
            removed += remove_stage(root, directory, name)
    return removed


def staged(root: Root, operation: str, step: Step) -> Version | None:
    """Returns what lies in a step's stage; None when it has none. Before the step it is the target, after it what was there before.

    For recovery, before `rescue`.
    """
    name = stage_name(operation, step.path)
    for directory in _and_above(step.path.parent):
        for stage in (name + ASIDE_SUFFIX, name):
            with suppress(FileNotFoundError, NotADirectoryError, OutsideWorkspace):
                version = _version(root.directory(directory), stage, step.path)
                if version != ABSENT:
                    return version
    return None


def _rescue_step(root: Root, operation: str, step: Step, content: Content | None) -> bool:
    rescued, name = False, stage_name(operation, step.path)
    for directory in _and_above(step.path.parent):
        for stage in (name, name + ASIDE_SUFFIX):
            with suppress(FileNotFoundError, NotADirectoryError, OutsideWorkspace):
                rescued |= _rescue_stage(root, step, directory, stage, content)
    return rescued


def _rescue_stage(root: Root, step: Step, directory: RelPath, stage: str, content: Content | None) -> bool:
    """Puts one stage's content back or removes it; returns whether it was put back.

    Raises:
        FileNotFoundError: there is no such stage.
    """
    stage_fd = root.directory(directory)
    os.stat(stage, dir_fd=stage_fd, follow_symlinks=False)
    back = step.expect != ABSENT and not _is_ours(stage_fd, stage, step, content) and _put_back(root, step, stage_fd, stage)
    with suppress(FileNotFoundError):
        remove_stage(root, directory, stage)
    return back


def _is_ours(stage_fd: int, stage: str, step: Step, content: Content | None) -> bool:
    """True for what the store has: the content that the step saw or wants, also where it is not whole."""
    version = _version(stage_fd, stage, step.path)
    if isinstance(version, Directory):
        return is_empty(stage_fd, stage)
    if version in (step.expect, step.target):
        return True
    if content is None or not isinstance(version, File):
        return False
    wholes = (whole for whole in (step.expect, step.target) if isinstance(whole, File))
    return any(is_unfinished(stage_fd, stage, version, whole, content) for whole in wholes)


def _put_back(root: Root, step: Step, stage_fd: int, stage: str) -> bool:
    """Puts back what was taken out; False where nothing can have been: then the stage was never finished."""
    dir_fd = root.directory(step.path.parent)
    version = _version(dir_fd, step.path.name, step.path)
    may_be_gap = step.target == ABSENT or stage.endswith(ASIDE_SUFFIX)
    if version == ABSENT and may_be_gap:
        effect("tree.rescue")
        rename.move(stage_fd, stage, dir_fd, step.path.name)
        return True
    if version == step.target and version != ABSENT:
        effect("tree.rescue")
        rename.exchange(stage_fd, stage, dir_fd, step.path.name)
        return True
    return False


def _version(dir_fd: int, name: str, path: RelPath) -> Version | None:
    try:
        seen = look_at(dir_fd, name, path, None, Hasher())
    except FileNotFoundError:
        return ABSENT
    return seen.version if isinstance(seen, Look) else None


def _and_above(directory: RelPath) -> Iterator[RelPath]:
    while directory != ROOT:
        yield directory
        directory = directory.parent
    yield ROOT


def _names(root: Root, directory: RelPath, prefix: str) -> list[str]:
    try:
        fd = root.listable(directory)
    except (FileNotFoundError, NotADirectoryError, OutsideWorkspace):
        return []
    try:
        return sorted(name for name in os.listdir(fd) if name.startswith(prefix))
    finally:
        os.close(fd)

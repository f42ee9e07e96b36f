"""What steps need, seen from the steps alone: which directories go, which must be opened first, which change is a mode only."""

import stat
from collections.abc import Iterable, Set

from rewindd.model.operation import Step
from rewindd.model.versions import ABSENT, Directory, File
from rewindd.paths import RelPath

#: Owner may write and search: what is needed in a directory to work below it.
OWNER_WX = stat.S_IWUSR | stat.S_IXUSR


def is_mode_only(step: Step, links: int) -> bool:
    """True when only the mode changes, of a directory or of a file that has no other name."""
    expect, target = step.expect, step.target
    if isinstance(expect, Directory):
        return isinstance(target, Directory)
    return links == 1 and isinstance(expect, File) and isinstance(target, File) and expect.digest == target.digest


def is_early_mode(step: Step) -> bool:
    """True for a directory's mode that lets its owner work in it: it is set before the steps below, any other after them."""
    expect, target = step.expect, step.target
    return isinstance(expect, Directory) and isinstance(target, Directory) and target.mode & OWNER_WX == OWNER_WX


def leaving(steps: Iterable[Step]) -> frozenset[RelPath]:
    """Returns the directories that will be none: no stage may be in them."""
    return frozenset(step.path for step in steps if isinstance(step.expect, Directory) and not isinstance(step.target, Directory))


def opening(steps: Iterable[Step]) -> frozenset[RelPath]:
    """Returns the directories in which nobody may work now, and into which the steps let us before anything else."""
    return frozenset(
        step.path
        for step in steps
        if isinstance(step.expect, Directory)
        and step.expect.mode & OWNER_WX != OWNER_WX
        and (not isinstance(step.target, Directory) or is_early_mode(step))
    )


def highest_in(path: RelPath, directories: Set[RelPath]) -> RelPath | None:
    """Returns the highest directory above `path` that is one of these, None when none is."""
    highest = None
    while directories and path != ".":
        path = path.parent
        if path in directories:
            highest = path
    return highest


def rank(step: Step) -> tuple[int, int]:
    """Returns what sorts steps as they are done: modes that let us in, removals, directories, files and links, other modes."""
    depth = step.path.depth
    if is_early_mode(step):
        return 0, depth
    if step.target == ABSENT:
        return 1, -depth
    if is_mode_only(step, 1):
        return 4, -depth
    return (2 if isinstance(step.target, Directory) else 3), depth

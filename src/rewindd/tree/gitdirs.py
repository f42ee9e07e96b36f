"""git's own directories, whatever they are called: bare repositories, and those that `--separate-git-dir` or a worktree has elsewhere.

What git takes for one is in its setup.c, `is_git_directory`: a HEAD, and objects and refs, of its own or (`commondir`) of another.
"""

import os
from collections.abc import Collection, Iterable

from rewindd.errors import OutsideWorkspace
from rewindd.paths import ROOT, RelPath
from rewindd.tree.root import Root


def git_directories(root: Root, paths: Iterable[RelPath], coming: Collection[RelPath] = ()) -> set[RelPath]:
    """Returns those of the directories above some paths, the root among them, that are git's own, or will be.

    `coming`: what is about to be there; it counts as what is.
    """
    above = {ROOT}
    for path in paths:
        above.update(path.ancestors)
    return {one for one in above if _is_git(root, one, coming)}


def _is_git(root: Root, directory: RelPath, coming: Collection[RelPath]) -> bool:
    def has(name: str) -> bool:
        return directory.child(name) in coming or _is_there(root, directory, name)

    return has("HEAD") and (has("commondir") or (has("objects") and has("refs")))


def _is_there(root: Root, directory: RelPath, name: str) -> bool:
    try:
        os.stat(name, dir_fd=root.directory(directory), follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError, PermissionError, OutsideWorkspace):
        return False
    return True

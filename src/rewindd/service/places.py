"""Which workspace a directory belongs to: the rules of docs/design.md, "Workspaces". Looks at the file system; blocking."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from rewindd.errors import BadRequest, OutsideWorkspace, RefusedRoot, UnknownWorkspace
from rewindd.model.session import Workspace
from rewindd.paths import GIT_DIRECTORY, RelPath, relative
from rewindd.tree.birth import birth_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory that exists, by its real path."""

    root: str
    device: int
    inode: int
    born_ns: int

    def is_root_of(self, workspace: Workspace) -> bool:
        """True when it is the very directory that the workspace was made of, wherever it is now."""
        return (self.device, self.inode, self.born_ns) == (workspace.device, workspace.inode, workspace.born_ns)


def look(directory: str, device: int | None, inode: int | None) -> Place:
    """Returns the directory as the daemon sees it.

    Raises:
        BadRequest: it is no absolute path, or holds a NUL byte.
        UnknownWorkspace: it does not exist, is no directory, or is another one than the caller sees (`device`, `inode`).
    """
    if not directory.startswith("/") or "\0" in directory:
        raise BadRequest(f"{directory!r} is no absolute path; name the directory by one", field="directory")
    real = os.path.realpath(directory)
    try:
        found = os.stat(real)
        born_ns = birth_of(real)
    except (OSError, ValueError) as exc:
        raise UnknownWorkspace(f"{directory!r} is not there: {exc}", path=directory) from exc
    if not stat.S_ISDIR(found.st_mode):
        raise UnknownWorkspace(f"{directory!r} is no directory; name the directory that holds it", path=directory)
    if inode is not None and (found.st_dev, found.st_ino) != (device, inode):
        raise UnknownWorkspace(
            f"{directory!r} is another directory for the daemon than for you: you are in a container, or it was replaced just now; "
            "start rewindd where that directory is",
            path=directory,
        )
    return Place(root=real, device=found.st_dev, inode=found.st_ino, born_ns=born_ns)


def repository_top(directory: str, home: str) -> str | None:
    """Returns the top of the git work tree that holds a directory; None where there is none below the home directory."""
    for candidate in (Path(directory), *Path(directory).parents):
        if str(candidate) == home:
            return None
        if os.path.lexists(candidate / GIT_DIRECTORY):
            return str(candidate)
    return None


def refuse(root: str, home: str, ours: tuple[str, ...]) -> None:
    """Raises RefusedRoot for `/`, an ancestor of the home directory, and the daemon's own directories."""
    if root == "/" or _holds(root, home, itself=False):
        raise RefusedRoot(f"{root!r} is too much for one workspace; name the project's directory", path=root)
    if any(_holds(place, root) for place in ours):
        raise RefusedRoot(f"{root!r} is rewindd's own; name the project's directory", path=root)


def locate(given: str, root: str) -> RelPath:
    """Returns the path in the workspace that a caller names, also where they name it through a link to the root's outside.

    Raises:
        OutsideWorkspace, NotPermitted, BadRequest: see `paths.relative`.
    """
    try:
        return relative(given, root)
    except OutsideWorkspace:
        if not given.startswith("/"):
            raise
        parent, name = os.path.split(given.rstrip("/"))
        if ".." in parent.split("/") or name in ("..", "."):
            raise
        return relative(f"{os.path.realpath(parent)}/{name}", root)


def _holds(directory: str, path: str, *, itself: bool = True) -> bool:
    return (itself and path == directory) or path.startswith(f"{directory.rstrip('/')}/")

"""Which workspace a directory belongs to: the rules of docs/design.md, "Workspaces". Looks at the file system; blocking."""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rewindd.errors import BadRequest, Busy, OutsideWorkspace, RefusedRoot, UnknownWorkspace
from rewindd.model.session import Capture, Workspace
from rewindd.paths import GIT_DIRECTORY, RelPath, relative
from rewindd.tree.birth import birth_ns, birth_of
from rewindd.tree.root import FOR_NOW


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

    def is_remounted(self, workspace: Workspace) -> bool:
        """True when it is the workspace's own directory, whose file system has another number since it was mounted again.

        Many file systems have no number of their own, and get the next free one with each mount.
        """
        is_same = (self.inode, self.born_ns) == (workspace.inode, workspace.born_ns)
        return self.root == workspace.root and self.born_ns != 0 and is_same


def look(directory: str, device: int | None, inode: int | None) -> Place:
    """Returns the directory as the daemon sees it.

    Raises:
        BadRequest: it is no absolute path, or holds a NUL byte.
        UnknownWorkspace: it does not exist, is no directory, or is another one than the caller sees (`device`, `inode`).
        Busy: the system has no room for one more descriptor; that passes.
    """
    if not directory.startswith("/") or "\0" in directory:
        raise BadRequest(f"{directory!r} is no absolute path; name the directory by one", field="directory")
    real = os.path.realpath(directory)
    try:
        found = os.stat(real)
        born_ns = birth_of(real)
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) and exc.errno in FOR_NOW:  # else a workspace above would not be found, and another one be made in it
            raise Busy(f"{directory!r} cannot be looked at now: {exc}; try again", path=directory) from exc
        why = (exc.strerror or str(exc)).lower() if isinstance(exc, OSError) else str(exc)
        raise UnknownWorkspace(f"{directory!r} is not there: {why}; name a directory that is", path=directory) from exc
    if not stat.S_ISDIR(found.st_mode):
        raise UnknownWorkspace(f"{directory!r} is no directory; name the directory that holds it", path=directory)
    if inode is not None and (found.st_dev, found.st_ino) != (device, inode):
        raise UnknownWorkspace(
            f"{directory!r} is another directory for the daemon than for you: you are in a container, or it was replaced just now; "
            "start rewindd where that directory is",
            path=directory,
        )
    return Place(root=real, device=found.st_dev, inode=found.st_ino, born_ns=born_ns)


def lineage(directory: str) -> list[str]:
    """Returns an absolute path and those of the directories above it, nearest first; not `/`."""
    parts = [part for part in directory.split("/") if part]
    return [f"/{'/'.join(parts[:count])}" for count in range(len(parts), 0, -1)]


def upwards(directory: str) -> dict[str, Place]:
    """Returns the directory and those above it by path, as far as they are there and can be reached."""
    found: dict[str, Place] = {}
    for path in lineage(directory):
        with suppress(UnknownWorkspace):
            place = look(path, None, None)
            if place.root == path:
                found[path] = place
    return found


def is_there(workspace: Workspace) -> bool:
    """True while the workspace's directory has the path that it is known by."""
    place = upwards(workspace.root).get(workspace.root)
    return place is not None and place.is_root_of(workspace)


def stands(workspace: Workspace) -> bool:
    """True while the directory at the workspace's path is its own, and where that cannot be told. Blocks for some microseconds."""
    try:
        fd = os.open(workspace.root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    try:
        found = os.fstat(fd)
        place = Place(root=workspace.root, device=found.st_dev, inode=found.st_ino, born_ns=birth_ns(fd))
    finally:
        os.close(fd)
    return place.is_root_of(workspace) or place.is_remounted(workspace)


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
    if root == "/" or is_below(home, root):
        raise RefusedRoot(f"{root!r} is too much for one workspace; name the project's directory", path=root)
    if any(root == place or is_below(root, place) for place in ours):
        raise RefusedRoot(f"{root!r} is rewindd's own; name the project's directory", path=root)


def refuse_whole_home(root: str, home: str, capture: Capture) -> None:
    """Raises RefusedRoot for the home directory where all of it would be kept."""
    if root == home and capture is not Capture.SNAPSHOTS:
        raise RefusedRoot(
            f"{root!r} is your home directory, too much to keep whole; name the project's directory, "
            "or keep only what is snapshotted with `--capture snapshots`",
            path=root,
        )


def locate(given: str, root: str) -> RelPath:
    """Returns the path in the workspace that a caller names, also through a link to the root's outside, or another mount of it.

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
        path = f"{os.path.realpath(parent).rstrip('/')}/{name}"
        try:
            return relative(path, root)
        except OutsideWorkspace:
            alias = _alias(path, root)
            if alias is None:
                raise
            return relative(f"{root}{path[len(alias) :]}", root)


def is_below(path: str, directory: str) -> bool:
    """True for a path in the tree below a directory, not for the directory itself."""
    return path != directory and path.startswith(f"{directory.rstrip('/')}/")


def _alias(path: str, root: str) -> str | None:
    """The directory at or above a path that is the root under another name, as a bind mount is."""
    try:
        wanted = os.stat(root)  # a link that somebody left where it was, when they moved it, leads to it
        return next((one for one in lineage(path) if os.path.lexists(one) and os.path.samestat(os.lstat(one), wanted)), None)
    except OSError:
        return None

"""Paths inside a workspace, as data: no file is looked at here.

A path is `str` as `os.fsdecode` gives it (bytes that are not UTF-8 become surrogates), relative to the workspace's root,
its parts joined by `/`. On the wire and in the store it is bytes. The root itself is `.`.
"""

import os

from rewindd.errors import BadRequest, NotPermitted, OutsideWorkspace

#: Never captured, never written: git's own data, of the workspace's repository or of one nested in it.
GIT_DIRECTORY = ".git"
#: Names of files being staged by an operation; never captured, swept at start.
STAGE_PREFIX = ".rewindd-"
#: Linux: PATH_MAX, path_resolution(7). We go component by component and could do more, but no other tool could name such a path.
MAX_PATH_BYTES = 4096
#: Linux: NAME_MAX of every file system in common use, limits.h.
MAX_NAME_BYTES = 255


class FsText(str):
    """Text of the file system: `os.fsdecode`d, travelling as bytes."""

    __slots__ = ()


class RelPath(FsText):
    """A normal, relative path below a workspace's root; `.` is the root. Made by `relative` or from the store."""

    __slots__ = ()

    @property
    def parent(self) -> "RelPath":
        """The directory that holds it; the root's parent is the root."""
        head, _, _ = self.rpartition("/")
        return RelPath(head) if head else ROOT

    @property
    def ancestors(self) -> "list[RelPath]":
        """The directories above it, the highest first, without the root."""
        parts = self.split("/")
        return [RelPath("/".join(parts[:count])) for count in range(1, len(parts))]

    @property
    def name(self) -> str:
        """Its last part."""
        return self.rpartition("/")[2]

    @property
    def depth(self) -> int:
        """How many directories it is below the root; the root is 0."""
        return 0 if self == "." else self.count("/") + 1

    def child(self, name: str) -> "RelPath":
        """Returns the path of the entry `name` in this directory."""
        return RelPath(name) if self == "." else RelPath(f"{self}/{name}")

    def below(self, directory: str) -> bool:
        """True when it is `directory` itself or lies in the tree below it."""
        return directory == "." or self == directory or self.startswith(f"{directory}/")


class LinkTarget(FsText):
    """What a symlink says, to the byte."""

    __slots__ = ()


ROOT = RelPath(".")


def relative(given: str | bytes | os.PathLike[str] | os.PathLike[bytes], root: str) -> RelPath:
    """Returns the normal relative path for what a caller named, relative to `root` or absolute below it.

    Purely lexical: symlinks are for `tree` to refuse, when it walks the path.

    Raises:
        BadRequest: it is empty or holds a NUL byte, or a part or the whole is too long to exist.
        OutsideWorkspace: it leaves the root, by `..` or by being elsewhere.
        NotPermitted: it is `.git` or below, or a name that rewindd stages under.
    """
    path = os.fsdecode(os.fspath(given))
    if not path:
        raise BadRequest("an empty path; name a file, or `.` for the whole workspace")
    if "\0" in path:
        raise BadRequest(f"a path with a NUL byte: {path!r}")
    if path.startswith("/"):
        path = _below(path, root)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    _check_parts(parts, path, root)
    return RelPath("/".join(parts)) if parts else ROOT


def encode_path(value: object) -> bytes:
    """Returns a path as the file system has it: what msgspec's encoders call for a type that they do not know.

    Raises:
        NotImplementedError: it is no path; msgspec asks for this error (https://jcristharif.com/msgspec/extending.html).
    """
    if isinstance(value, FsText):
        return os.fsencode(value)
    raise NotImplementedError(f"{type(value).__name__} is neither sent nor stored")


def is_reserved(name: str) -> bool:
    """True for names that are never captured: `.git`, and what an operation is staging.

    Whatever the case of its letters: some file systems make no difference, and `.GIT` there is git's own.
    """
    return (len(name) == len(GIT_DIRECTORY) and name.lower() == GIT_DIRECTORY) or name.startswith(STAGE_PREFIX)


def _below(path: str, root: str) -> str:
    base = root.rstrip("/")
    if path.rstrip("/") == base:
        return "."
    if not path.startswith(f"{base}/"):
        raise OutsideWorkspace(f"{path!r} is outside the workspace {root!r}; open a session there", path=path)
    return path[len(base) + 1 :]


def _check_parts(parts: list[str], path: str, root: str) -> None:
    if ".." in parts:
        raise OutsideWorkspace(f"{path!r} leaves the workspace {root!r} by `..`; name it without", path=path)
    if any(is_reserved(part) for part in parts):
        raise NotPermitted(f"{path!r} is never captured or written by rewindd", path=path)
    if len(os.fsencode(path)) > MAX_PATH_BYTES or any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
        raise BadRequest(f"a path too long to exist: {path[:80]!r}…", path=path[:80])

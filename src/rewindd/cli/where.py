"""Paths as the person types them, to the absolute ones that travel. Works in a directory that was deleted."""

import os
from collections.abc import Mapping

from rewindd.paths import FsText


def base_directory(given: str | None, env: Mapping[str, str]) -> str:
    """Returns the absolute directory that relative paths start from: `-C`, else the current one, else what `$PWD` says it was."""
    if given is None:
        return _current(env)
    return given if os.path.isabs(given) else os.path.join(_current(env), given)


def absolute(path: str, base: str) -> FsText:
    """Returns the physical path of what is named: links in its directory part are resolved, its last part is taken as it is.

    So a symlink that is named is the link itself, and the workspace's own root is found under any of its names.
    """
    joined = os.path.join(base, path).rstrip("/") or "/"
    directory, name = os.path.split(joined)
    if name in ("", ".", ".."):
        return FsText(os.path.realpath(joined))
    return FsText(os.path.join(os.path.realpath(directory), name))


def physical(directory: str) -> FsText:
    """Returns a directory's own path, all links resolved; what of it is not there is taken as it is."""
    return FsText(os.path.realpath(directory))


def identity(directory: str) -> tuple[int | None, int | None]:
    """Returns device and inode of a directory as this process sees it, or None twice when it sees none."""
    try:
        found = os.stat(directory)
    except OSError:
        return None, None
    return found.st_dev, found.st_ino


def _current(env: Mapping[str, str]) -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        said = env.get("PWD", "")
        return said if os.path.isabs(said) else "/"

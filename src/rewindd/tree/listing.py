"""Listing directories: the names in them, without following a link."""

import os
from collections.abc import Container
from typing import NamedTuple

from rewindd.errors import OutsideWorkspace
from rewindd.paths import RelPath, is_reserved
from rewindd.tree.look import Unseen, reason_of
from rewindd.tree.root import Root


class Name(NamedTuple):
    """A name in a directory, as its path, and whether it is a directory itself."""

    path: RelPath
    is_directory: bool


def list_directory(root: Root, directory: RelPath, known: Container[str] = ()) -> list[Name] | Unseen | None:
    """Returns the names in a directory, sorted, without the reserved and the `known` ones; None where it is no directory any more."""
    above = "" if directory == "." else f"{directory}/"
    try:
        fd = root.listable(directory)
    except (FileNotFoundError, NotADirectoryError, OutsideWorkspace):
        return None
    except OSError as exc:
        return Unseen(path=directory, reason=reason_of(exc))
    try:
        with os.scandir(fd) as entries:
            unknown = ((above + entry.name, entry) for entry in entries if above + entry.name not in known and not is_reserved(entry.name))
            return sorted(Name(RelPath(path), entry.is_dir(follow_symlinks=False)) for path, entry in unknown)
    except OSError as exc:
        return Unseen(path=directory, reason=reason_of(exc))
    finally:
        os.close(fd)

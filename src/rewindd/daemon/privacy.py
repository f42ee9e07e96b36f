"""What must be the user's alone, looked at before the daemon listens or opens anything: the way to its places, and the data.

A mode that lets others in is mended where nobody else can have left anything. What is another user's is refused, and left as it is.
"""

import logging
import os
import stat
from collections.abc import Iterator
from itertools import islice

from rewindd import errors

_log = logging.getLogger(__name__)

_OPEN = 0o077
#: Entries of the data directory that are looked at, two levels deep: below a directory that is closed nobody comes to the rest.
MAX_ENTRIES = 10_000
#: Links on the way to a place, path_resolution(7): the kernel follows no more.
MAX_LINKS = 40
#: Who owns what is not mapped in a user namespace, user_namespaces(7): there, the directories above a home.
_UNMAPPED = 65534


def check_way(path: str) -> None:
    """Refuses a place that another user could put something else in: one of the directories on the way is theirs, or open to them.

    A directory with the sticky bit, /tmp for one, is not: in it nobody moves what is another's. What is not there yet is no trouble.

    Raises:
        NotPermitted: the message names the directory.
    """
    trusted = _trusted()
    for place, found in _way(path):
        if found.st_uid not in trusted:
            raise errors.NotPermitted(
                f"{place!r} on the way to {path!r} belongs to another user (uid {found.st_uid}), who could put anything in its place; "
                "name another one",
                path=place,
            )
        if place != path and stat.S_ISDIR(found.st_mode) and _others_may_replace(found):
            raise errors.NotPermitted(
                f"others could put something else at {path!r}: {place!r} has mode {stat.S_IMODE(found.st_mode):04o}; "
                f"run `chmod go-w {place}`, or name another one",
                path=place,
            )


def private_data(directory: str) -> None:
    """Makes the data directory where it is missing, and has it, and what is in it, be the user's alone.

    Raises:
        NotPermitted: it, or something in it, is another user's.
        OSError: it cannot be made, read, or closed to others.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    mended = [path for path in (directory, *islice(_entries(directory), MAX_ENTRIES)) if _mend(path)]
    if mended:
        more = f" and {len(mended) - 1} more" if len(mended) > 1 else ""
        _log.warning("others could use %s%s; closed to them now", mended[0], more)


def _mend(path: str) -> bool:
    """Closes a path to others; returns whether it was open. What a link of ours points to is looked at too. Raises NotPermitted."""
    link, found = os.lstat(path), os.stat(path)
    for one in (link, found):
        if one.st_uid != os.getuid():
            raise errors.NotPermitted(
                f"{path!r} belongs to another user (uid {one.st_uid}), and nobody but you may have a part in rewindd's data; "
                "move it away, or name another --data-dir",
                path=path,
            )
    if not found.st_mode & _OPEN:
        return False
    os.chmod(path, stat.S_IMODE(found.st_mode) & ~_OPEN)
    return True


def _entries(directory: str) -> Iterator[str]:
    """Yields what is in a directory and right below that; by then it is closed to others, so nothing comes in behind."""
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        yield path
        if os.path.isdir(path):
            yield from (os.path.join(path, inner) for inner in sorted(os.listdir(path)))


def _others_may_replace(found: os.stat_result) -> bool:
    """True for a directory in which others may rename. A group that is ours first is ours alone, as most systems make it."""
    open_to_group = found.st_mode & stat.S_IWGRP and found.st_gid != os.getgid()
    return bool(found.st_mode & stat.S_IWOTH or open_to_group) and not found.st_mode & stat.S_ISVTX


def _trusted() -> tuple[int, ...]:
    with open("/proc/self/uid_map", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
        maps_all = file.read().split() == ["0", "0", "4294967295"]
    return (os.getuid(), 0) if maps_all else (os.getuid(), 0, _UNMAPPED)


def _way(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yields every entry that leads to a path, links as themselves, down to what is not there."""
    left, place, links = _parts(os.path.abspath(path)), "/", 0
    yield place, os.lstat(place)
    while left:
        name = left.pop()
        if name == "..":
            place = os.path.dirname(place)
            continue
        below = os.path.join(place, name)
        try:
            found = os.lstat(below)
        except OSError:
            return
        yield below, found
        if not stat.S_ISLNK(found.st_mode):
            place = below
            continue
        links += 1
        if links > MAX_LINKS:
            return
        target = os.readlink(below)
        place = "/" if target.startswith("/") else place
        left += _parts(target)


def _parts(path: str) -> list[str]:
    """The parts of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]

"""What a directory holds, as plain data that can be compared: kinds, modes, contents, link targets."""

import os
import stat
from pathlib import Path

Photograph = dict[str, str]


def photograph(top: Path) -> Photograph:
    """Returns every path below `top` and what it is; stages and all."""
    found: Photograph = {}
    for directory, directories, files in os.walk(top):
        for name in (*directories, *files):
            place = Path(directory, name)
            found[str(place.relative_to(top))] = seen(place)
    return found


def seen(place: Path) -> str:
    """Returns what one path is; "absent" when it is not there."""
    try:
        status = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    mode = f"{stat.S_IMODE(status.st_mode):o}"
    if stat.S_ISLNK(status.st_mode):
        return f"link {place.readlink()}"
    if stat.S_ISDIR(status.st_mode):
        return f"directory {mode}"
    content = place.read_bytes()
    return f"file {mode} " + (content.decode() if len(content) < 2000 else f"{len(content)} bytes, {hash_of(content)}")


def hash_of(content: bytes) -> str:
    """Returns what stands for a long content."""
    import hashlib

    return hashlib.sha256(content).hexdigest()[:16]


def differing(one: Photograph, other: Photograph) -> list[str]:
    """Returns the paths that differ between two photographs, in order."""
    return sorted(path for path in {*one, *other} if one.get(path, "absent") != other.get(path, "absent"))

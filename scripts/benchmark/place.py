"""Where the benchmark works: a directory on a disk, never in memory, where a sync costs nothing and proves nothing."""

import os
import tempfile
from pathlib import Path

#: File systems that keep everything in memory (tmpfs(5), ramfs in the kernel's filesystems documentation).
IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})


class NoPlace(Exception):
    """There is no directory to measure in."""


def file_system(directory: Path) -> str:
    """Returns the type of the file system that a directory is on, as mountinfo names it (proc(5))."""
    real = os.path.realpath(directory)
    found, longest = "unknown", -1
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= longest:
            found, longest = after.split()[0], len(point)
    return found


def choose(given: Path | None) -> Path:
    """Returns the directory that was named, else the first usual one that is on a disk.

    Raises:
        NoPlace: it is in memory, or cannot be written to.
    """
    candidates = [given] if given is not None else [Path(tempfile.gettempdir()), Path("/var/tmp"), Path.home(), Path.cwd()]
    tried = []
    for directory in candidates:
        kind = file_system(directory)
        if kind not in IN_MEMORY and os.access(directory, os.W_OK | os.X_OK):
            return directory
        tried.append(f"{directory} ({kind if kind in IN_MEMORY else 'not writable'})")
    raise NoPlace(f"nothing durable can be measured in {', '.join(tried)}; name a directory on a disk with --dir")

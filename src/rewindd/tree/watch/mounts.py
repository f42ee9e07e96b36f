"""What is mounted where, as this process sees it: a mount over a directory hides what is in it, and inotify tells nobody.

The kernel counts the changes of a mount table, and a poll of /proc/self/mountinfo says at once whether it has changed
(proc_pid_mountinfo(5)); so nothing is read while nothing is mounted or unmounted.
"""

import os
import re
import select
import threading
from collections.abc import Iterable
from typing import NamedTuple

#: proc_pid_mountinfo(5). Of the process, not of a thread: all of its threads see the same mounts.
MOUNTINFO = "/proc/self/mountinfo"
#: Read at once; a line is some 100 bytes, and a machine has some tens of them.
READ_BYTES = 64 * 1024
#: What proc_pid_mountinfo(5) says of a change, "POLLPRI" in poll(2).
_CHANGE = select.POLLPRI | select.POLLERR

#: A space, tab, newline, backslash or `#` in a path, as three octal digits.
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mount. `point`: its absolute path; `root`: which directory of its file system is there.

    A bind mount in another's place has the other's numbers again, so these alone do not say what is there.
    """

    point: str
    mount_id: bytes
    device: bytes
    root: bytes


class Mounts:
    """The mounts, and where they changed. `changed` and `take` are for one thread, `read` for any."""

    def __init__(self) -> None:
        """Opens the table and reads it.

        Raises:
            OSError: there is none (no /proc), or it must not be read.
        """
        self._fd = os.open(MOUNTINFO, os.O_RDONLY)
        self._poll = select.poll()
        self._poll.register(self._fd, _CHANGE)
        self._reading, self._lock = threading.Lock(), threading.Lock()
        self._told = self._read_upto = 0
        self._moved: frozenset[str] = frozenset()
        self._known = self._read()

    def changed(self) -> bool:
        """True when something was mounted or unmounted before the call and `read` has not taken note of it; about 1 us."""
        if self._poll.poll(0):
            # The kernel says it once; the second who asks must still be told until it is read.
            self._told += 1
        return self._told != self._read_upto

    def read(self) -> None:
        """Reads the table anew and takes note of the mount points that are others now."""
        with self._reading:
            told, found = self._told, self._read()
            with self._lock:
                self._moved |= {mount.point for mount in found ^ self._known}
            self._known, self._read_upto = found, told

    def take(self) -> frozenset[str]:
        """Returns the mount points at which something was mounted or unmounted until the last `read`, once."""
        with self._lock:
            moved, self._moved = self._moved, frozenset()
        return moved

    def close(self) -> None:
        """Closes the table; nothing may be asked afterwards."""
        os.close(self._fd)

    def _read(self) -> frozenset[Mount]:
        os.lseek(self._fd, 0, os.SEEK_SET)
        return parsed(b"".join(iter(lambda: os.read(self._fd, READ_BYTES), b"")))


def parsed(table: bytes) -> frozenset[Mount]:
    """Returns the mounts of a table as proc_pid_mountinfo(5) describes it; what is no such line is left out."""
    found: set[Mount] = set()
    for line in table.split(b"\n"):
        fields = line.split(b" ", 5)
        if len(fields) == 6:
            mount_id, _, device, root, point, _ = fields
            found.add(Mount(os.fsdecode(_ESCAPED.sub(_byte, point)), mount_id, device, root))
    return frozenset(found)


def below(points: Iterable[str], root: str) -> list[str]:
    """Returns those of the absolute paths that are the directory `root` or lie below it."""
    inside = root.rstrip("/") + "/"
    return [point for point in points if point == root or point.startswith(inside)]


def _byte(escaped: re.Match[bytes]) -> bytes:
    return bytes((int(escaped[1], 8) & 0xFF,))

"""What the kernel tells in /proc: who holds a lock, what a process is, how much of inotify is used. Read for this user's processes only."""

import os
from collections.abc import Iterator

from rewindd.cli.doctor.facts import Inotify, Lock, Place

_KINDS = {0o140000: "socket", 0o040000: "directory", 0o100000: "file"}
#: `__SO_ACCEPTCON` of the flags column in /proc/net/unix, proc_net(5): the socket listens.
_LISTENS = 0x10000


def look(path: str) -> Place:
    """Returns a path as it is, no link followed; what cannot be looked at is absent."""
    try:
        found = os.lstat(path)
    except OSError:
        return Place(path=path)
    return Place(path=path, kind=_KINDS.get(found.st_mode & 0o170000, "other"), mode=found.st_mode & 0o7777, uid=found.st_uid)


def listens(path: str) -> bool:
    """Returns whether a socket of that path listens, without connecting, which would start a unit."""
    wanted = os.fsencode(path)
    return any(
        len(columns := line.split(maxsplit=7)) == 8 and columns[7] == wanted and int(columns[3], 16) & _LISTENS
        for line in _read("/proc/net/unix").splitlines()[1:]
    )


def lock(path: str) -> Lock:
    """Returns who holds a lock file. Takes no lock for it: a daemon that starts at this moment must not find one."""
    try:
        found = os.stat(path)
    except OSError:
        return Lock(path=path)
    pid = holder(_read("/proc/locks").decode(errors="replace"), found.st_dev, found.st_ino)
    return Lock(path=path, holder=pid, command=command(pid) if pid else None)


def holder(locks: str, device: int, inode: int) -> int | None:
    """Returns the process that holds a flock(2) on a file, by the text of /proc/locks, proc_locks(5); 0 for one that cannot be seen.

    On file systems with several device numbers (btrfs) the kernel tells another one than stat(2); the inode alone must do then.
    """
    by_inode: list[tuple[bool, int]] = []
    for line in locks.splitlines():
        columns = line.split()
        if len(columns) < 8 or columns[1] != "FLOCK" or columns[3] != "WRITE":
            continue
        major, minor, number = columns[5].split(":")
        if int(number) == inode:
            is_same = (int(major, 16), int(minor, 16)) == (os.major(device), os.minor(device))
            by_inode.append((is_same, max(int(columns[4]), 0)))
    return max(by_inode)[1] if by_inode else None


def command(pid: int) -> str | None:
    """Returns the name of a process's program, None where the process cannot be seen."""
    return _read(f"/proc/{pid}/comm").decode(errors="replace").strip() or None


def unit_of(pid: int) -> str | None:
    """Returns the unit of the user's systemd that a process is in, by its cgroup, cgroups(7); None where it is in none."""
    return unit_in(_read(f"/proc/{pid}/cgroup").decode(errors="replace"))


def unit_in(text: str) -> str | None:
    """Returns the unit of a user's systemd by the text of a process's cgroup file; None where it is in none."""
    for line in text.splitlines():
        parts = [part for part in line.rpartition(":")[2].split("/") if part]
        if parts and parts[-1].endswith(".service") and any(part.startswith("user@") for part in parts[:-1]):
            return parts[-1]
    return None


def stderr_of(pid: int) -> str | None:
    """Returns what a process has as its standard error: a path, or `socket:[…]`, `pipe:[…]`; None where that cannot be seen."""
    try:
        return os.readlink(f"/proc/{pid}/fd/2")
    except OSError:
        return None


def inotify() -> Inotify | None:
    """Returns the budget of inotify and what this user's processes have of it; None without /proc/sys."""
    limits = {}
    for name in ("watches", "instances"):
        told = [_number(f"/proc/sys/fs/inotify/max_user_{name}"), _number(f"/proc/sys/user/max_inotify_{name}")]
        known = [one for one in told if one is not None]
        if not known:
            return None
        limits[name] = min(known)
    used = list(_watches())
    return Inotify(max_watches=limits["watches"], max_instances=limits["instances"], watches=sum(used), instances=len(used))


def _watches() -> Iterator[int]:
    """Yields the number of watches of each inotify instance that this user's processes have open, proc_pid_fdinfo(5)."""
    uid = os.getuid()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid != uid:
                continue
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") != "anon_inode:inotify":
                    continue
            except OSError:
                continue
            yield _read(f"/proc/{pid}/fdinfo/{descriptor}").count(b"inotify wd:")


def mount_of(path: str) -> tuple[str, str]:
    """Returns the type of the file system that holds a path, and where it is mounted."""
    return mounted(_read("/proc/self/mountinfo").decode(errors="surrogateescape"), os.path.realpath(path))


def mounted(table: str, path: str) -> tuple[str, str]:
    """Returns type and mount point of the file system that holds an absolute path, by the text of mountinfo, proc_pid_mountinfo(5)."""
    best = ("unknown", "")
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        if len(left.split()) < 5 or not right:
            continue
        point = _unescaped(left.split()[4])
        # The last one of several at one point is on top.
        if f"{path}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(best[1]):
            best = (right.split()[0], point)
    return best


def _unescaped(point: str) -> str:
    for code in ("040", "011", "012", "134"):
        point = point.replace(f"\\{code}", chr(int(code, 8)))
    return point


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _read(path: str) -> bytes:
    """Returns a file of the kernel, nothing where it is not there or not ours to read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a file of the kernel
            return file.read()
    except OSError:
        return b""

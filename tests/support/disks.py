"""Small file systems of a daemon's own, that a test fills to the brim: ext4 on a loop device, or memory where there is none."""

import errno
import os
import subprocess
from pathlib import Path

from support.daemon import RealDaemon
from support.mounting import unshared

#: How often a disk is filled until it is full, and the bytes written at a time.
_ATTEMPTS = 3
_PIECE_BYTES = 1 << 20


class Disk:
    """A file system of some MiB, mounted at `place` in the namespace of the daemon that is started with `prefix`."""

    def __init__(self, place: Path, mebibytes: int) -> None:
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        self._image = place.with_name(f"{place.name}.img")
        with self._image.open("wb") as image:
            image.truncate(mebibytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", "nodiscard", str(self._image)], check=True, capture_output=True)
        self.mounting = f"{{ mount -o loop '{self._image}' '{place}' || mount -t tmpfs -o size={mebibytes}m none '{place}'; }}"

    def remove(self) -> None:
        """Gives back what it takes; when no daemon has it any more."""
        self._image.unlink()

    def seen_by(self, daemon: RealDaemon, path: Path | None = None) -> Path:
        """The place of the disk, or a path in it, as it is reached from outside of the daemon's namespace."""
        return Path(f"/proc/{daemon.pid}/root{path or self.place}")

    def free_bytes(self, daemon: RealDaemon) -> int:
        """What anybody may still write."""
        found = os.statvfs(self.seen_by(daemon))
        return found.f_bavail * found.f_frsize

    def fill(self, daemon: RealDaemon, leave_bytes: int = 0) -> None:
        """Writes until only so many bytes are free, and stay so: what was removed before is free only once the journal is committed."""
        descriptor = os.open(self._filler(daemon), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            for _ in range(_ATTEMPTS):
                self._write(descriptor, daemon, leave_bytes)
                os.utime(descriptor)  # without a change there is nothing to commit
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int, daemon: RealDaemon, leave_bytes: int) -> None:
        try:
            while (more := min(self.free_bytes(daemon) - leave_bytes, _PIECE_BYTES)) > 0:
                os.write(descriptor, b"\1" * more)
                os.fsync(descriptor)
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise

    def empty(self, daemon: RealDaemon) -> None:
        """Takes out what it was filled with."""
        self._filler(daemon).unlink()

    def _filler(self, daemon: RealDaemon) -> Path:
        return self.seen_by(daemon) / "filler"


def prefix(*disks: Disk) -> list[str]:
    """What a daemon is started with that is to see the disks."""
    return unshared(" && ".join(disk.mounting for disk in disks))

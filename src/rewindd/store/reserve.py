"""Room that is held back on the store's file system: from it goes on what takes work back when there is no other room.

A file of nothing, whose blocks are its own (posix_fallocate(3)). Where SQLite finds no room a step of it is given up, and what was
tried is tried again. New content is taken in only while the reserve is whole, so what was given up is there for what goes on.
"""

import errno
import logging
import os
import threading
from pathlib import Path

from rewindd.faults import effect
from rewindd.model.capture import RESERVE_BYTES

#: The reserve takes at most this part of its file system.
MOST_PART = 8
#: Bytes given up at a time: others who fill the disk take what is free, so no more is freed than is needed.
STEP_BYTES = 2 << 20
#: Bytes that must be free beside a whole reserve for the disk to count as not full any more.
MARGIN_BYTES = 1 << 20
FILE_NAME = "reserve"
#: errno values of write(2) that mean "no room": the disk's, the user's quota.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_PROBE_BYTES = 64 << 10

_log = logging.getLogger(__name__)


class Reserve:
    """The reserve of one data directory. Any thread may use it; one daemon has it."""

    def __init__(self, directory: str, size_bytes: int = RESERVE_BYTES) -> None:
        """`size_bytes` 0: there is none. Fills it where there is room; where there is none, it stays as an earlier life left it."""
        self._path = Path(directory, FILE_NAME)
        self._lock = threading.Lock()
        self._is_full, self._is_whole = False, False
        self._wanted_bytes = self._held_bytes = 0
        self.resize(size_bytes)

    @property
    def is_spent(self) -> bool:
        """True from when there was no room until there is again: nothing new is to be taken in."""
        return self._is_full or not self._is_whole

    @property
    def is_half_left(self) -> bool:
        """True while half of it or more is left."""
        return self.held_bytes * 2 >= self._wanted_bytes > 0

    @property
    def held_bytes(self) -> int:
        """Bytes that are left of it, as it was last looked at."""
        return self._held_bytes

    def missed(self) -> None:
        """Notes that something found no room."""
        with self._lock:
            was_full, self._is_full = self._is_full, True
        if not was_full:
            _log.warning("the store's file system is full: nothing new is taken in until there is room; rewinds go on from the reserve")

    def resize(self, size_bytes: int) -> None:
        """Holds back so much from now on, where there is room for it."""
        with self._lock:
            self._wanted_bytes = min(size_bytes, _total_bytes(str(self._path.parent)) // MOST_PART)
            self._is_whole = False
        self.fill()

    def give(self) -> bool:
        """Gives up a step of it; returns False where nothing is left to give."""
        with self._lock:
            held = self._look()
            if held == 0:
                return False
            self._is_whole = False
            try:
                effect("store.reserve.give")
                os.truncate(self._path, max(held - STEP_BYTES, 0))
            except OSError as exc:
                _log.warning("the reserve cannot be given up: %s", exc)
                return False
            self._look()
            return True

    def fill(self) -> bool:
        """Fills it again where there is room for all of it and some more; returns whether there is. Does nothing while it is not spent."""
        with self._lock:
            if self._is_whole and not self._is_full:
                return True
            held = self._look()
            if _free_bytes(self._path.parent) < max(self._wanted_bytes - held, 0) + (MARGIN_BYTES if self._wanted_bytes else 0):
                return False
            is_filled = self._allocate(held)
            self._look()
            if not is_filled:
                return False
            if self._is_full:
                _log.warning("there is room on the store's file system again")
            self._is_whole, self._is_full = True, False
            return True

    def has_no_room(self) -> bool:
        """Tries to write a little; returns True where that fails for want of room. SQLite calls a quota an I/O error, and says no more."""
        probe = self._path.with_name(f"{FILE_NAME}.probe")
        try:
            descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                effect("store.reserve.probe")
                written = os.write(descriptor, b"\0" * _PROBE_BYTES)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                probe.unlink()
        except OSError as exc:
            return exc.errno in _NO_ROOM
        return written < _PROBE_BYTES

    def _look(self) -> int:
        try:
            self._held_bytes = self._path.stat().st_size
        except OSError:
            self._held_bytes = 0
        return self._held_bytes

    def _allocate(self, held: int) -> bool:
        """Brings the file to its size; where that fails it keeps what was held of it."""
        if self._wanted_bytes == 0 and not self._path.exists():
            return True
        try:
            effect("store.reserve.fill")
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            _log.warning("no reserve can be held back: %s", exc)
            return False
        try:
            # Also what seems to be there: a copy of the data directory may have holes where the reserve was.
            if self._wanted_bytes:
                os.posix_fallocate(descriptor, 0, self._wanted_bytes)
            os.ftruncate(descriptor, self._wanted_bytes)
        except OSError as exc:
            if exc.errno not in _NO_ROOM:
                _log.warning("no reserve can be held back: %s", exc)
            os.ftruncate(descriptor, held)
            return False
        finally:
            os.close(descriptor)
        return True


def _total_bytes(directory: str) -> int:
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    return found.f_blocks * found.f_frsize


def _free_bytes(directory: Path) -> int:
    """What one that does not say how much is free has is found out by trying."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 1 << 62
    return found.f_bavail * found.f_frsize

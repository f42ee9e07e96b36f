"""A lock file held for the life of the process: one daemon per socket, and one per data directory.

The lock is the kernel's (flock(2)), so it ends with its holder, however that ends. The file stays: removing it would let two
daemons lock two files of one name. Its text, the holder's process id, is for people only.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from rewindd import errors


@contextmanager
def held(path: str, what: str) -> Iterator[None]:
    """Holds the lock file at `path` while inside. `what` is what it guards, for the message.

    Raises:
        Busy: another process holds it; `pid` is what the file says of who.
        OSError: the file cannot be made.
    """
    descriptor = _locked(path, what)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(path: str) -> int | None:
    """Returns the process id that the lock file names, None where it names none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - paths are `str` throughout
            text = file.read(32).strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _locked(path: str, what: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(descriptor)
            raise _busy(path, what) from exc
        except BaseException:
            os.close(descriptor)
            raise
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # somebody removed or replaced the file between open and lock: this lock excludes nobody


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _busy(path: str, what: str) -> errors.Busy:
    pid = holder(path)
    who = f"process {pid}" if pid else "another process"
    return errors.Busy(
        f"{who} already is the daemon for the {what} (it holds the lock {path}); end it with `rewindctl daemon stop`", pid=pid, path=path
    )

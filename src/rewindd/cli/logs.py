"""Where the daemon's log is, and its lines: the journal where systemd runs the daemon, else a file.

A daemon that runs is asked for nothing: what its standard error is, the kernel tells. Of one that does not run it is known where its log
would be.
"""

import os
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from rewindd import errors
from rewindd.cli.doctor import kernel
from rewindd.cli.doctor.manager import SERVICE, is_installed
from rewindd.client.autostart import log_beside

#: Seconds between two looks at a file that is followed.
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of a unit of the user's systemd."""

    unit: str


@dataclass(frozen=True, slots=True)
class File:
    """A file."""

    path: str


def find(socket: str, env: Mapping[str, str]) -> Journal | File:
    """Returns where the log is of the daemon on an absolute socket path.

    Raises:
        Unavailable: the daemon that runs writes neither to the journal nor to a file.
    """
    pid = kernel.lock(f"{socket}.lock").holder
    if pid:
        unit = kernel.unit_of(pid)
        if unit is not None:
            return Journal(unit)
        stderr = kernel.stderr_of(pid)
        if stderr is not None:
            if kernel.look(stderr).kind == "file":
                return File(stderr)
            raise errors.Unavailable(f"the daemon, process {pid}, was started by hand, and its log goes to {stderr}")
    return Journal(SERVICE) if is_installed(env) else File(log_beside(socket))


def lines(place: Journal | File, *, last: int, follow: bool) -> Iterator[str]:
    """Yields the last lines of the log, oldest first; with `follow` those that come too, for ever.

    Raises:
        OSError: it cannot be read.
        Unavailable: there is no `journalctl`, or it failed.
    """
    return _journal_lines(place, last, follow) if isinstance(place, Journal) else _file_lines(place.path, last, follow)


def _journal_lines(place: Journal, last: int, follow: bool) -> Iterator[str]:
    command = ["journalctl", "--user", f"--unit={place.unit}", f"--lines={last}", "--output=short-iso", "--no-pager", "--quiet"]
    try:
        process = subprocess.Popen([*command, *(["--follow"] if follow else [])], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except FileNotFoundError as exc:
        raise errors.Unavailable(f"the log is in the journal of {place.unit}, and there is no journalctl") from exc
    assert process.stdout is not None
    try:
        for line in process.stdout:
            yield _text(line)
        if process.wait() != 0:
            raise errors.Unavailable(f"journalctl ended with {process.returncode}: `{' '.join(command)}`")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _file_lines(path: str, last: int, follow: bool) -> Iterator[str]:
    with open(path, "rb") as file:  # noqa: PTH123 - paths are `str` throughout
        yield from map(_text, deque(file, maxlen=last))
        if follow:
            yield from _coming(path, file)


def _coming(path: str, file: BinaryIO) -> Iterator[str]:
    """Yields what is written to a file from now on, and to the one that takes its place: a large log is put aside at a start."""
    unfinished = b""
    while True:
        unfinished += file.read()
        *whole, unfinished = unfinished.split(b"\n")
        yield from map(_text, whole)
        if not whole and _is_another(path, file):
            with open(path, "rb") as next_one:  # noqa: PTH123 - paths are `str` throughout
                yield from _coming(path, next_one)
        time.sleep(_POLL_S)


def _is_another(path: str, file: BinaryIO) -> bool:
    try:
        return not os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _text(line: bytes) -> str:
    return line.rstrip(b"\n").decode(errors="replace")

"""What a process really did to its files, in order: the C side (`recorder.c`) built and spoken to, and its record read.

`begin`, `end` and `note` are for a process that was started with the library preloaded; the others for anybody.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("recorder.c")
#: Which calls are counted: those that change something, those that open something, or both.
CHANGES, OPENS = 1, 2


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was made, and did not fail. `a` and `b`: what the C side says of it (offset, size, mode, flags; inode)."""

    operation: str
    path: str
    other: str
    a: int
    b: int
    data: bytes
    thread: int


def build(directory: Path) -> Path:
    """Returns the library, compiled into the directory."""
    library = directory / "recorder.so"
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-lpthread"]
    subprocess.run(command, check=True)
    return library


def begin(top: str, record: str | None = None, *, nth: int = 0, error: int = 0, kinds: int = CHANGES, pool: str | None = None) -> None:
    """Begins to record what is done below `top`; the nth call fails with the error number, or with 0 kills the process.

    `pool`: a directory in which each file stays, under the number of its inode, that is removed.
    """
    names = [os.fsencode(name) if name is not None else None for name in (top, record, pool)]
    assert _library().recorder_begin(names[0], names[1], ctypes.c_long(nth), error, kinds, names[2]) == 0


def end() -> int:
    """Ends it; returns how many calls there were."""
    library = _library()
    library.recorder_end.restype = ctypes.c_long
    return int(library.recorder_end())


@contextmanager
def muted() -> Iterator[None]:
    """What this thread does in the block is not looked at: it is the test's."""
    _library().recorder_mute(1)
    try:
        yield
    finally:
        _library().recorder_mute(0)


def note(word: str) -> None:
    """Puts a word into the record; does nothing where none is made."""
    _library().recorder_note(os.fsencode(word))


def read(record: Path) -> Iterator[Call]:
    """Yields the calls of a record; one that its process did not finish to write ends it."""
    with record.open("rb") as file:
        while head := file.readline():
            operation, a, b, one, other, size, thread = head.decode().split()
            path, target, data = (file.read(int(length)) for length in (one, other, size))
            file.read(1)
            yield Call(operation, os.fsdecode(path), os.fsdecode(target), int(a), int(b), data, int(thread))


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)

"""The bare floors: the least that a figure can cost here, done without rewindd, in the same run."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import zmq
from blake3 import blake3

from rewindd.tree import rename

PATIENCE_MS = 10_000
#: Bytes that the store's log grows by at the two commits of a rewind of ten files, as strace shows: 8 and 28 pages.
STEPS_BYTES, OUTCOME_BYTES = 8 * 8192, 28 * 8192
#: A ROUTER that sends back what it gets, in a process of its own, blocking: nothing on ZeroMQ answers sooner from Python.
_ECHO = """
import sys, zmq
socket = zmq.Context().socket(zmq.ROUTER)
socket.bind("ipc://" + sys.argv[1])
while True:
    socket.send_multipart(socket.recv_multipart())
"""


class Echo:
    """A blocking DEALER to the echo."""

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket = socket

    def ask(self) -> None:
        """One round trip of some hundred bytes, as a request for the status has."""
        self._socket.send(b"x" * 100)
        self._socket.recv()


@contextmanager
def echo(path: Path) -> Iterator[Echo]:
    """A running echo for the block."""
    process = subprocess.Popen([sys.executable, "-c", _ECHO, str(path)], stdin=subprocess.DEVNULL)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
    try:
        socket.connect(f"ipc://{path}")
        yield Echo(socket)
    finally:
        socket.close()
        context.term()
        process.kill()
        process.wait()


class Bare:
    """A database of our settings and a directory, for the writes that a snapshot, a save and a rewind cannot do without."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._number = 0
        self._db = sqlite3.connect(directory / "floor.db", isolation_level=None)
        for statement in (
            "PRAGMA page_size = 8192",
            "PRAGMA locking_mode = EXCLUSIVE",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
        ):
            self._db.execute(statement)
        self._db.execute("CREATE TABLE rows (digest BLOB, data BLOB)")
        self._db.execute("CREATE TABLE records (name TEXT PRIMARY KEY, data BLOB)")

    def close(self) -> None:
        """Closes the database."""
        self._db.close()

    def write_and_sync(self, content: bytes) -> None:
        """A new file, written and synced."""
        self._number += 1
        fd = os.open(self._directory / f"file{self._number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)

    def read_hash_commit(self, paths: Sequence[Path]) -> None:
        """Files read and hashed, and their contents committed durably in one transaction."""
        contents = [path.read_bytes() for path in paths]
        self._commit([(blake3(content).digest(), content) for content in contents])

    def replace(self, paths: Sequence[Path], contents: Sequence[bytes]) -> None:
        """Files replaced as a rewind does: the steps recorded, all staged, exchanged, the old ones removed, the outcome recorded."""
        directory = os.open(paths[0].parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self._record("steps", STEPS_BYTES)
            for number, content in enumerate(contents):
                _write(directory, f".stage{number}", content)
            for number, path in enumerate(paths):
                rename.exchange(directory, f".stage{number}", directory, path.name)
            for number in range(len(paths)):
                os.unlink(f".stage{number}", dir_fd=directory)
            self._record("outcome", OUTCOME_BYTES)
        finally:
            os.close(directory)

    @staticmethod
    def sync(paths: Sequence[Path]) -> None:
        """Files synced, as after a rewind's reply."""
        for path in paths:
            with path.open("rb") as file:
                os.fsync(file.fileno())

    def _record(self, name: str, size_bytes: int) -> None:
        """Commits so many bytes durably, in place of those of the last time: as many pages as the store writes anew."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("REPLACE INTO records VALUES (?, ?)", (name, bytes(size_bytes)))
        self._db.execute("COMMIT")

    def _commit(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO rows VALUES (?, ?)", rows)
        self._db.execute("COMMIT")


def _write(directory: int, name: str, content: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
    try:
        os.write(fd, content)
        os.fchmod(fd, 0o644)
    finally:
        os.close(fd)


def pass_program() -> list[str]:
    """The command line of the least that a Python program can be."""
    return [sys.executable, "-c", "pass"]

"""Damage done to a store whose daemon does not run: single bits, whole pages, contents and rows of which one knows what they are."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from support.daemon import RealDaemon

PAGE_BYTES = 8192


def change(data_dir: Path, statement: str, *parameters: object) -> int:
    """Changes rows behind the daemon's back; returns how many."""
    with closing(sqlite3.connect(data_dir / "store.db", isolation_level=None)) as db:
        return db.execute(statement, parameters).rowcount


def ask(data_dir: Path, query: str, *parameters: object) -> list[tuple[object, ...]]:
    """Returns rows of the store."""
    with closing(sqlite3.connect(data_dir / "store.db", isolation_level=None)) as db:
        return db.execute(query, parameters).fetchall()


def flip_content(data_dir: Path, digest: str) -> None:
    """Flips a bit of a stored content, wherever it lies."""
    file = data_dir / "blobs" / digest[:2] / digest
    if file.exists():
        flip(file, file.stat().st_size // 2)
        return
    rows = ask(data_dir, "SELECT encoding, data FROM blobs WHERE digest = ?", bytes.fromhex(digest))
    ((encoding, data),) = rows
    assert isinstance(data, bytes)
    if encoding == 3:
        number = int.from_bytes(data[:8], "big")
        ((packed,),) = ask(data_dir, "SELECT data FROM packs WHERE number = ?", number)
        assert isinstance(packed, bytes)
        change(data_dir, "UPDATE packs SET data = ? WHERE number = ?", _flipped(packed), number)
    else:
        change(data_dir, "UPDATE blobs SET data = ? WHERE digest = ?", _flipped(data), bytes.fromhex(digest))


def flip(file: Path, at: int, bit: int = 4) -> None:
    """Flips a bit of a file."""
    with file.open("r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ bit]))


def spoil(file: Path, page: int) -> None:
    """Overwrites a page of a database, from 1, with what is none."""
    with file.open("r+b") as opened:
        opened.seek((page - 1) * PAGE_BYTES)
        opened.write(b"\xa5" * PAGE_BYTES)


def root_page(data_dir: Path, table: str) -> int:
    """Returns the page that a table begins with."""
    ((page,),) = ask(data_dir, "SELECT rootpage FROM sqlite_schema WHERE name = ?", table)
    assert isinstance(page, int)
    return page


def configure(daemon: RealDaemon, text: str) -> None:
    """Writes the configuration that the daemon's next start reads."""
    file = daemon.directory / "config" / "rewindd" / "config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def rewindctl(daemon: RealDaemon, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command line against a daemon."""
    command = [sys.executable, "-c", "from rewindd.cli.main import main; main()", "--socket", daemon.socket, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

"""A program: an agent with large work, in a process of its own, so that what others wait for is the daemon's doing and not the test's.

`heavy.py SOCKET DIRECTORY WHAT SIZE`. Says `ready` when it is connected, begins when it is told anything, and ends with status 0 when the
work was done and is as it should be.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import rewindd.blocking
from rewindd.protocol import replies, requests

#: Seconds of silence.
SILENCE_S = 120.0


def large_snapshot(client: rewindd.blocking.Client, session: rewindd.blocking.Session, root: Path, size_bytes: int) -> None:
    """Snapshots a directory of so many bytes: half of them in files of 16 MiB, half in files of 1 MiB; nothing that compresses."""
    place = root / "large"
    place.mkdir()
    chunk = os.urandom(1 << 20)
    for number in range(size_bytes // 2 >> 24):
        (place / f"large{number}").write_bytes(b"".join(bytes([number & 255, part]) + chunk[2:] for part in range(16)))
    for number in range(size_bytes // 2 >> 20):
        (place / f"part{number}").write_bytes(number.to_bytes(4, "big") + chunk[4:])
    kept = session.snapshot("large")
    assert sum(one.size or 0 for one in kept.snapshots) == size_bytes


def save(client: rewindd.blocking.Client, session: rewindd.blocking.Session, root: Path, files: int) -> None:
    """Makes so many new files, and saves; all of them are in the checkpoint."""
    _write_files(root / "many", files)
    assert session.save().incomplete.count == 0
    found, after = 0, None
    while True:
        page = client.ask(requests.ListTree(session=session.id, position="@", after=after), replies.TreePage)
        found += sum(one.path.startswith("many/") and one.path.endswith(".txt") for one in page.entries)
        if not page.more:
            break
        after = page.entries[-1].path
    assert found == files


def capture(client: rewindd.blocking.Client, session: rewindd.blocking.Session, root: Path, files: int) -> None:
    """Waits for the first capture of so many files."""
    assert session.save().incomplete.count == 0


def _write_files(place: Path, count: int) -> None:
    for number in range(count):
        directory = place / f"d{number // 100}"
        if number % 100 == 0:
            directory.mkdir(parents=True)
        (directory / f"{number}.txt").write_text(f"{place.name} {number}\n" * 40)


WORKS: dict[str, Callable[[rewindd.blocking.Client, rewindd.blocking.Session, Path, int], None]] = {
    "a large snapshot": large_snapshot,
    "a first capture": capture,
    "a large save": save,
}


def main() -> None:
    """Works as the command line says."""
    socket, directory, what, size = sys.argv[1:]
    root = Path(directory)
    if what == "a first capture":
        _write_files(root, int(size))
    with rewindd.blocking.connect(socket=socket, autostart=False, timeout_s=SILENCE_S) as client:
        client.status()
        print("ready", flush=True)
        sys.stdin.readline()
        with client.session(root, agent="busy") as session:
            WORKS[what](client, session, root, int(size))


if __name__ == "__main__":
    main()

"""A symlink that is swapped in for a parent, at any moment of anything, leads nowhere: nothing outside is read or written."""

import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd import errors
from rewindd.client.blocking_session import Session
from rewindd.paths import RelPath
from rewindd.store import blobs
from rewindd.tree.root import Root
from support.daemon import PATIENCE_S, RealDaemon
from support.swapping import LEAF, MARK, NAMES, PAIRS, furnish, swapping, traces, untouched

#: What is asked of the daemon, all the while.
DEEDS = ("snapshot", "save", "rewind", "workspace", "restore", "undo", "redo", "pending")


class Race:
    """One workspace whose parents are swapped, a session of each kind of capture on it, and what came of each deed."""

    def __init__(self, daemon: RealDaemon, tree: Path, seed: int) -> None:
        self.daemon, self.tree, self.dice = daemon, tree, random.Random(seed)
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.saves: list[str] = []

    def run(self, lasts_s: float) -> None:
        """Does one thing after the other until the time is over."""
        end_s = time.monotonic() + lasts_s
        with rewindd.blocking.connect(socket=self.daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
            with client.session(self.tree, agent="racer", exact=True) as session:
                self.saves.append(session.save("first").id)
                while time.monotonic() < end_s:
                    self.edit()
                    self.do(self.dice.choice(DEEDS), session)

    def edit(self) -> None:
        """Changes a file that is really in the workspace: reached without a link, or not at all."""
        directory, link = self.dice.choice(PAIRS)
        name = self.dice.choice([name for name, size in NAMES.items() if size < 1000])
        found = self.tree.stat()
        with suppress(OSError, errors.RewinddError), Root.open(str(self.tree), found.st_dev, found.st_ino) as root:
            path = RelPath(f"{self.dice.choice([directory, link])}/{name}")
            fd = os.open(path.name, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, dir_fd=root.directory(path.parent))
            with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(b"edit %d\n" % self.dice.randrange(10))

    def do(self, deed: str, session: Session) -> None:
        """Asks for one thing; that it is refused is no harm."""
        position = self.dice.choice(self.saves)
        deeds: dict[str, Callable[[], object]] = {
            "snapshot": lambda: session.snapshot(*self.some()),
            "save": lambda: self.saves.append(session.save().id),
            "rewind": lambda: session.rewind(position, also=["external"], on_conflict=self.dice.choice(["merge", "overwrite", "keep"])),
            "workspace": lambda: session.rewind(position, scope="workspace"),
            "restore": lambda: session.restore(*self.some(), position=position),
            "undo": lambda: session.undo(on_conflict="overwrite"),
            "redo": lambda: session.redo(on_conflict="overwrite"),
            "pending": lambda: session.pending(),
        }
        try:
            deeds[deed]()
        except (errors.RequestError, errors.ConflictError, errors.BusyError) as error:
            self.refused[f"{deed}: {error.code}"] += 1
        else:
            self.done[deed] += 1

    def some(self) -> list[str]:
        """Paths through what is swapped, whole directories too."""
        if self.dice.random() < 0.2:
            return list(LEAF)
        directory = self.dice.choice([name for pair in PAIRS for name in pair])
        return [directory if self.dice.random() < 0.2 else f"{directory}/{self.dice.choice(list(NAMES))}"]


def all_stored(data_dir: Path) -> Iterator[bytes]:
    """Every content in the store."""
    files = blobs.Blobs(str(data_dir))
    with closing(sqlite3.connect(data_dir / "store.db")) as db:
        for (digest,) in db.execute("SELECT digest FROM blobs").fetchall():
            found = blobs.get(db, digest)
            yield found if isinstance(found, bytes) else b"".join(files.open_chunks(digest))


def race(directory: Path, seed: int, lasts_s: float) -> Race:
    """Runs one race from a fresh tree to a stopped daemon; returns what was done, after nothing outside was."""
    tree, outside = directory / "tree", directory / "outside"
    furnish(tree, outside)
    before, wanted = untouched(outside), traces(outside)
    daemon = RealDaemon(directory)
    found = Race(daemon, tree, seed)
    try:
        daemon.start()
        with swapping(tree, outside, seed):
            found.run(lasts_s)
        daemon.stop()
    finally:
        daemon.kill()
    assert untouched(outside) == before
    contents = list(all_stored(daemon.data_dir))
    assert contents
    assert [content[:40] for content in contents if MARK in content] == []
    held = b"".join(path.read_bytes() for path in daemon.data_dir.glob("store.db*"))
    assert [trace for trace in wanted if trace in held] == []
    assert "Traceback" not in daemon.said()
    return found


def test_nothing_outside_is_read_or_written(tmp_path: Path) -> None:
    """Some seconds of everything at once."""
    found = race(tmp_path.resolve(), 1, 6)
    assert all(found.done[deed] for deed in ("snapshot", "save", "pending")), (found.done, found.refused)
    assert found.done["rewind"] + found.done["workspace"] + found.done["restore"], (found.done, found.refused)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 8))
def test_the_same_for_minutes(tmp_path: Path, seed: int) -> None:
    """Half a minute each, by other dice."""
    found = race(tmp_path.resolve(), seed, 30)
    assert all(found.done[deed] for deed in DEEDS), (found.done, found.refused)

"""A use case done from one start over and over, cut off wherever a test likes: by a fault, or by a power cut after any of its calls."""

import os
import random
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import matrix, recorder
from support.cases import CASES, COPY
from support.photograph import photograph
from support.powerloss import Disk, Found
from support.recorder import Call
from support.stage import FAST
from support.zygote import Ended, Zygote, zygote

State = dict[str, Any]
#: What a use case writes.
WRITTEN = ("data/", "tree/", f"{COPY}/")
#: Characters of a fact in a message.
LENGTH = 150


class Scene:
    """Where one use case is done. `states[n]`: what is there once n of its requests were answered; `names`: its effects.

    `uncut`: what was there before the request that is recovered from, where the use case is the recovery of one that was not answered.
    """

    def __init__(self, children: Zygote, top: Path, name: str) -> None:
        self._children, self.top, self.name = children, top / "here", name
        self._kept, self.pool = top / "kept", top / "pool"
        (self.top / "run").mkdir(parents=True)
        self.pool.mkdir()
        self._run(matrix.set_out)
        self.uncut: State | None = None
        if CASES[name].cut_at is not None:
            self.uncut = self.look()["state"]
            assert self._run(matrix.cut_off).was_killed, f"{name}: no {CASES[name].cut_at}"
            if self.answered:
                self.uncut = None
        shutil.copytree(self.top, self._kept, symlinks=True)
        self.tree = photograph(self.root)
        self.states: list[State] = [self.look()["state"]]
        for count in range(1, len(CASES[name].asks)):
            self.do(count=count)
            self.states.append(self.look()["state"])
        done = self.do().result
        self.names: list[str] = done["names"]
        self.answers: list[list[Any]] = done["answers"]
        self.states.append(self.look()["state"])

    @property
    def root(self) -> Path:
        return self.top / "tree"

    @property
    def answered(self) -> int:
        """How many requests the life that was cut off had answered."""
        place = self.top / "answered"
        return int(place.read_text()) if place.exists() else 0

    def is_uncut(self, state: State) -> bool:
        """True for what was there before the request that is recovered from; the automatic checkpoints of what it left may stay."""
        return self.uncut is not None and _without_automatic(state) == _without_automatic(self.uncut)

    def do(self, fault: str | None = None, **how: Any) -> Ended:
        """Puts everything back, and lives through it; see `matrix.live_through`."""
        self.put_back()
        return self.go_on(fault, **how)

    def go_on(self, fault: str | None = None, **how: Any) -> Ended:
        """The same from where everything is."""
        return self._run(matrix.live_through, fault=fault, **how)

    def look(self, *, again: bool = False, pool: bool = False) -> dict[str, Any]:
        """The next life: what is there; with `again` each request is asked twice again."""
        found: dict[str, Any] = self._run(matrix.look, asked=int(again), pool=str(self.pool) if pool else None).result
        return found

    def put_back(self) -> None:
        """Puts store and tree back as they were before."""
        (self.top / "answered").unlink(missing_ok=True)
        self.clear()
        shutil.copytree(self._kept / "data", self.top / "data")
        shutil.copytree(self._kept / "tree", self.root, symlinks=True, dirs_exist_ok=True)

    def clear(self) -> None:
        """Empties the tree, whose root stays (its inode is the workspace's), and removes the data."""
        for name in ("data", COPY):
            shutil.rmtree(self.top / name, ignore_errors=True)
        for place in self.root.iterdir():
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()

    # ---- power cuts

    def record(self) -> list[Call]:
        """Lives through it, and returns all that was done to files meanwhile."""
        self.put_back()
        if CASES[self.name].cut_at is not None:  # what is to be recovered goes by inodes, which are others after putting back
            self.clear()
            self._run(matrix.set_out)
            assert self._run(matrix.cut_off).was_killed
        self.before = Disk(self.top)
        place = self.top.parent / "record"
        place.unlink(missing_ok=True)
        with_what = {"top": str(self.top), "record": str(place), "pool": str(self.pool)}
        self._run(matrix.live_through, record=with_what)
        self._times = {entry.st_ino: entry.st_mtime_ns for entry in self._inodes()}
        return list(recorder.read(place))

    def cut_power(self, disk: Disk, chance: random.Random, loss: str) -> None:
        """Makes the files what a power cut left of a disk. What is the same file as in the recorded life is the same inode, and time."""
        self._gather()
        self.clear()
        found = disk.crash(chance, loss)
        (self.top / "data").mkdir(mode=0o700, exist_ok=True)
        if COPY in found.paths:
            (self.top / COPY).mkdir(mode=0o700)
        for path, (kind, mode, content, number) in sorted(found.paths.items()):
            if path.startswith(WRITTEN):
                self._make(self.top / path, kind, mode, content, number)
        self._restrict(found)

    def _make(self, place: Path, kind: int, mode: int, content: bytes, number: int) -> None:
        if kind == stat.S_IFDIR:
            place.mkdir(exist_ok=True)
            return
        pooled = self.pool / str(number)
        if os.path.lexists(pooled):
            pooled.rename(place)
        elif kind == stat.S_IFLNK:
            place.symlink_to(os.fsdecode(content))
        if kind == stat.S_IFREG:
            if not place.exists() or place.read_bytes() != content:
                place.write_bytes(content)
            place.chmod(mode)
            if number in self._times:
                os.utime(place, ns=(self._times[number], self._times[number]))

    def _restrict(self, found: Found) -> None:
        for path, (kind, mode, _, _) in sorted(found.paths.items(), reverse=True):
            if kind == stat.S_IFDIR and path.startswith(WRITTEN):
                (self.top / path).chmod(mode)

    def _gather(self) -> None:
        """Takes every file of the recorded life out of the tree, into the pool."""
        for entry in self._inodes():
            if entry.st_ino in self._times:
                place = self._places[entry.st_ino]
                pooled = self.pool / str(entry.st_ino)
                if place != pooled:
                    place.replace(pooled)

    def _inodes(self) -> list[os.stat_result]:
        found: list[os.stat_result] = []
        self._places: dict[int, Path] = {}
        for top in (self.root, self.pool):
            for directory, _, files in os.walk(top):
                for name in (*files, *(name for name in os.listdir(directory) if os.path.islink(os.path.join(directory, name)))):
                    place = Path(directory, name)
                    about = place.lstat()
                    if about.st_ino not in self._places:
                        self._places[about.st_ino] = place
                        found.append(about)
        return found

    def _run(self, function: Any, **arguments: Any) -> Ended:
        return self._children.run(function, top=str(self.top), name=self.name, **arguments)


def expect_whole(scene: Scene, answered: int, found: dict[str, Any], told: str) -> None:
    """What was answered is there; what was asked then is there or not; asked again, all of it is there, once."""
    state = found["state"]
    possible = scene.states[answered : answered + 2]
    # A directory is known as a workspace one commit before the session that is opened in it.
    possible.append(possible[0] | {"roots": possible[-1]["roots"]})
    assert state in possible or scene.is_uncut(state) or CASES[scene.name].in_parts, f"{told}: {differences(state, possible[-2])}"
    assert found["wrong"] == [], told
    for first, second in found["answers"] if CASES[scene.name].has_key else ():
        assert first == second, told
        assert "error" not in first, f"{told}: {first}"
    last = scene.states[-1]
    assert found["state_then"] == last, f"{told}: {differences(found['state_then'], last)}"
    assert found["strays"] == [], told


def _without_automatic(state: State) -> State:
    return {
        name: [one for one in fact if not one.startswith("automatic")] if name.startswith("checkpoints of ") else fact
        for name, fact in state.items()
    }


def differences(one: State, other: State) -> list[str]:
    """In which facts, and paths of the tree, two states differ, for a message."""
    found: list[str] = []
    for name in sorted({*one, *other}):
        mine, theirs = one.get(name), other.get(name)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found += [f"{name}: {line}" for line in differences(mine, theirs)]
        elif mine != theirs:
            found.append(f"{name}: {str(mine)[:LENGTH]!r}, not {str(theirs)[:LENGTH]!r}")
    return found


@contextmanager
def a_scene(children: Zygote, name: str) -> Iterator[Scene]:
    """A scene of its own for the block."""
    with tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as top:
        yield Scene(children, Path(top).resolve(), name)


@contextmanager
def children() -> Iterator[Zygote]:
    """A process whose children can be recorded."""
    with tempfile.TemporaryDirectory() as place, zygote(recorder.build(Path(place))) as found:
        yield found

"""The same act, again and again from the same start: a store and a tree that are put back before each time."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import dying
from support.photograph import Photograph, photograph
from support.zygote import Ended, Zygote, zygote

#: Memory, where there is some: a death by SIGKILL loses nothing that was written, and a sync costs nothing there.
FAST = Path("/dev/shm")


def share(count: int, most: int) -> list[int]:
    """A share of the numbers from 1 to `count`, always the same: the first, the last, and some in between, evenly."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(step * (count - 1) / (most - 1)) for step in range(most)})


class Stage:
    """Where a save or rewind is done from one start over and over. `names`: its effects; `before` and `after`: the tree."""

    def __init__(self, children: Zygote, top: Path, act: str) -> None:
        self._children, self._top, self.act = children, top / "here", act
        self._kept = top / "kept"
        (self._top / "run").mkdir(parents=True)
        self._run(dying.set_out)
        shutil.copytree(self._top, self._kept, symlinks=True)
        self.before = self.tree
        done = self.do().result
        self.names: list[str] = done["names"]
        self.after: Photograph = done["end"]
        self.answer: dict[str, Any] = done["answers"][0]
        self.checkpoints: dict[str, Any] = done["checkpoints"]
        self.heads: dict[str, list[Any]] = done["heads"]

    @property
    def tree(self) -> Photograph:
        return photograph(self.root)

    @property
    def root(self) -> Path:
        return self._top / "tree"

    @property
    def answered(self) -> dict[str, Any] | None:
        """The answer that the last life gave; None where it died before."""
        place = self._top / "answered"
        return json.loads(place.read_text()) if place.exists() else None

    @property
    def leftovers(self) -> list[str]:
        """Stages in the tree, and half-written blob files."""
        below = [path for path in self.tree if os.path.basename(path).startswith(".rewindd-")]
        return below + [name for name in os.listdir(self._top / "data" / "blobs") if name.startswith(".new-")]

    def do(self, fault: str | None = None, times: int = 1, lasting: int = 0, meddling: int = 0) -> Ended:
        """Puts everything back as it was, then does the act with a fault armed; see `dying.do`."""
        self.put_back()
        return self.go_on(fault, times, lasting, meddling)

    def go_on(self, fault: str | None = None, times: int = 1, lasting: int = 0, meddling: int = 0) -> Ended:
        """Does the act from where everything is."""
        return self._run(dying.do, act=self.act, fault=fault, times=times, lasting=lasting, meddling=meddling)

    def put_back(self) -> None:
        """Puts store and tree back as they were before the act."""
        (self._top / "answered").unlink(missing_ok=True)
        shutil.rmtree(self._top / "data")
        shutil.copytree(self._kept / "data", self._top / "data")
        for place in self.root.iterdir():  # the root itself stays: its inode is the workspace's
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()
        shutil.copytree(self._kept / "tree", self.root, symlinks=True, dirs_exist_ok=True)

    def recover(self, fault: str | None = None) -> Ended:
        """A life that recovers, with a fault armed."""
        return self._run(dying.recover, fault=fault)

    def look_back(self, *, power_cut: bool = False) -> dict[str, Any]:
        """What the next life finds, answers and undoes; `power_cut`: the machine has booted since."""
        found: dict[str, Any] = self._run(dying.look_back, power_cut=power_cut).result
        return found

    def _run(self, function: Callable[..., object], **arguments: object) -> Ended:
        if function is not dying.recover:
            arguments["act"] = self.act
        return self._children.run(function, top=str(self._top), **arguments)


@contextmanager
def a_stage(act: str) -> Iterator[Stage]:
    """A stage of its own for the block; removed afterwards, with the process behind it."""
    with zygote() as children, tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as top:
        yield Stage(children, Path(top).resolve(), act)

"""What is done to a workspace at random, by a program that knows nothing of rewindd: the base of plays against a referee."""

import os
import random
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from support.yard import Picture, Yard

#: Files that say what is left out: no act writes anything else into one.
RULE_FILES = (".gitignore", ".rewindignore")


class Acts(ABC):
    """A workspace, and what can be done to it. Everything follows from the seed.

    `done`: what was done, for the one who reads of a failure.
    """

    def __init__(self, yard: Yard, seed: int) -> None:
        self.yard, self.root, self.done = yard, yard.root, list[str]()
        self._random = random.Random(seed)
        self._number = 0

    def act(self) -> None:
        """Does something. What is not possible just now is not done."""
        act = self._random.choice(self.acts())
        self.done.append(act.__name__)
        act()

    @abstractmethod
    def acts(self) -> list[Callable[[], None]]:
        """What may be done, each as often as it is likely."""

    @abstractmethod
    def disk(self) -> Picture:
        """What is to be captured, as the referee says, without the root."""

    def may_stay(self, path: str) -> bool:  # what others say of it
        """True of what was captured, and stays so although the referee says no more that it is to be."""
        return False

    # ---- what there is

    def _directories(self) -> list[Path]:
        found: list[Path] = []
        for directory, inside, _ in os.walk(self.root):
            inside[:] = sorted(name for name in inside if name != ".git")
            found.append(Path(directory))
        return found

    def _directory(self) -> Path:
        return self._random.choice(self._directories())

    def _below(self) -> Path | None:
        return self._random.choice(self._directories()[1:] or [None])

    def _files(self) -> list[Path]:
        return [
            one
            for at in self._directories()
            for one in sorted(at.iterdir())
            if one.name != ".git" and one.is_file() and not one.is_symlink()
        ]

    def _file(self) -> Path | None:
        return self._random.choice([one for one in self._files() if one.name not in RULE_FILES] or [None])

    def _name(self) -> str:
        self._number += 1
        number = self._random.choice(["", str(self._number)])
        return self._random.choice(["a", "b", "keep", "x", "y"]) + number + self._random.choice([".o", ".c", ".log", "", ".tmp"])

    # ---- the acts

    def _write(self) -> None:
        for _ in range(self._random.randint(1, 4)):
            path = self._directory() / self._name()
            if not path.is_dir():
                path.write_text(str(self._random.random()))

    def _edit(self) -> None:
        if (path := self._file()) is not None:
            path.write_text(str(self._random.random()))

    def _make_directory(self) -> None:
        path = self._directory() / self._random.choice(["sub", "build", "out", "lib"])
        if not os.path.lexists(path):
            path.mkdir()
            (path / self._name()).write_text("1")

    def _remove(self) -> None:
        if files := self._files():
            self._random.choice(files).unlink()

    def _remove_tree(self) -> None:
        if (path := self._below()) is not None:
            shutil.rmtree(path)

    def _move_tree(self) -> None:
        source, target = self._below(), self._directory() / self._random.choice(["sub", "build", "moved", "lib"])
        if source is not None and not os.path.lexists(target) and source not in target.parents:
            source.rename(target)

    def _link(self) -> None:
        path = self._directory() / self._name()
        if not os.path.lexists(path):
            path.symlink_to(self._random.choice(["/etc", "..", "nowhere"]))

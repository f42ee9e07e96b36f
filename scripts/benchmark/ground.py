"""The ground of a contest: one tree of real files in two copies, so that neither side sees what the other one does to its own."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

from benchmark import trees
from benchmark.measures import CHANGED_FILES, edit

#: Texts of these kinds and sizes (bytes) are changed, as an agent changes sources.
TEXTS = (".py", ".pyi", ".h", ".hpp", ".js", ".ts", ".cmake", ".rst", ".md", ".txt", ".json", ".yaml", ".html", ".pm", ".vim")
TEXT_BYTES = range(1_000, 100_000)


class Wrong(RuntimeError):
    """A side did not do what it said: its figures are worth nothing."""


class Ground:
    """Two copies of a tree, changed alike."""

    def __init__(self, tree: trees.Tree, directory: Path) -> None:
        directory.mkdir()
        self.files = tree.files
        self.directory = directory
        self.ours, self.theirs = directory / "ours", directory / "theirs"
        for side in (self.ours, self.theirs):
            trees.copy(tree, side)
        self.paths = trees.paths_of(self.ours)
        if len(self.paths) != tree.files:
            raise Wrong(f"{tree.directory} has {len(self.paths)} files and should have {tree.files}; remove it")
        self._texts = [path for path in self.paths if path.endswith(TEXTS) and (self.ours / path).stat().st_size in TEXT_BYTES]
        self._chance = random.Random(tree.files)
        self._warm()

    def choose(self, count: int = CHANGED_FILES) -> list[str]:
        """Returns so many texts of the tree, others each time."""
        return self._chance.sample(self._texts, count)

    def any(self, count: int) -> list[str]:
        """Returns so many files of any kind."""
        return self._chance.sample(self.paths, count)

    def edit(self, side: Path, paths: Sequence[str], seed: int) -> None:
        """Changes a line of each file in one copy; the same seed changes the other one alike."""
        edit([side / path for path in paths], random.Random(seed))

    def contents(self, side: Path, paths: Sequence[str]) -> list[bytes]:
        """Returns what the files of a copy hold."""
        return [(side / path).read_bytes() for path in paths]

    def check_alike(self, paths: Sequence[str], expected: Sequence[bytes]) -> None:
        """Checks that both copies hold this. Raises Wrong when they do not."""
        for side in (self.ours, self.theirs):
            for path, content in zip(paths, expected, strict=True):
                if (side / path).read_bytes() != content:
                    raise Wrong(f"{side / path} does not hold what it was restored to")

    def _warm(self) -> None:
        """Reads everything once: nobody pays for a disk that the other one found in memory."""
        for side in (self.ours, self.theirs):
            for path in self.paths:
                (side / path).read_bytes()


def rest() -> None:
    """Lets the disk come to rest: neither side pays for what was written before its turn."""
    os.sync()

"""What the configuration leaves out and brings back: `exclude` and `include`, patterns relative to the workspace's root."""

import enum
from collections.abc import Iterator, Sequence

from rewindd.paths import RelPath
from rewindd.tree.rules.patterns import Patterns, text_of


class Brought(enum.IntEnum):
    """Whether `include` brings a name back: not, unless it lies in a directory that is itself left out, or wherever it is."""

    NO = 0
    HERE = 1
    ANYWHERE = 2


class Include:
    """The patterns that bring back what any other rule leaves out.

    A pattern with a slash before its end says where the name is, so the directories on the way are passed through, though they be
    left out. One without would have every directory looked into that is left out, and so would one that begins with `**`: these
    bring back what lies in directories that are not left out.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._all = Patterns(lines)
        self._reaching = Patterns(line for line in lines if line.startswith("!") or _reaches(line))
        self._ways = Patterns(way for line in lines if _reaches(line) for way in _ways(line))

    def __bool__(self) -> bool:
        return bool(self._all)

    def brings(self, path: RelPath, is_directory: bool, above: Brought) -> Brought:
        """Returns how a name is brought back; `above`: how the directory that holds it is."""
        if self._reaching.verdict(path, is_directory):
            return Brought.ANYWHERE
        verdict = self._all.verdict(path, is_directory)
        if verdict is None:
            return above
        return max(above, Brought.HERE) if verdict else Brought.NO

    def passes(self, directory: RelPath) -> bool:
        """True when something below the directory may be brought back wherever it is."""
        return bool(self._ways.verdict(directory, True))


def _reaches(line: str) -> bool:
    text = text_of(line)
    return bool(text) and not text.startswith(("!", "**/", "/**")) and "/" in text.removesuffix("/")


def _ways(line: str) -> Iterator[str]:
    """Returns patterns for the directories above what a pattern may match."""
    parts = text_of(line).strip("/").split("/")
    for depth in range(1, len(parts)):
        way = "/".join(parts[:depth])
        if parts[depth] == "**":
            yield f"/{way}"
            yield f"/{way}/**"
            return
        yield f"/{way}"

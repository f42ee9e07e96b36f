"""Rule files inside the tree, read below the root's descriptor and kept as long as their signatures prove that they are the same."""

import os
import stat
import time
from collections.abc import Iterable
from typing import NamedTuple

from rewindd.model.log import Signature
from rewindd.paths import RelPath
from rewindd.tree.look import is_unchanged, signature_of
from rewindd.tree.rules.patterns import NO_PATTERNS, Patterns, lines_of

#: A larger file holds no rules that anybody wrote. The number of patterns bounds what a name costs: some 20 us for so many.
MAX_RULE_FILE_BYTES = 1 << 20
MAX_PATTERNS = 10_000

TOO_LARGE = "{} is over 1 MiB and no rule file"
TOO_MANY = "{} has more than 10,000 lines and is no rule file"

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class _Kept(NamedTuple):
    signature: Signature
    patterns: Patterns


class RuleTexts:
    """The rule files read so far. `problems`: those that do not count, and why."""

    def __init__(self) -> None:
        self.problems: dict[RelPath, str] = {}
        self._kept: dict[RelPath, _Kept] = {}

    def forget(self, paths: Iterable[RelPath]) -> None:
        """Reads these again when they are next asked for."""
        for path in paths:
            self._drop(path)

    def patterns(self, dir_fd: int, path: RelPath) -> Patterns:
        """Returns what the rule file says; nothing where there is none, or a link, or what cannot be read.

        Args:
            dir_fd: its directory.
            path: the file, its name the last part.
        """
        now_ns = time.time_ns()
        try:
            found = os.stat(path.name, dir_fd=dir_fd, follow_symlinks=False)
        except OSError:
            self._drop(path)
            return NO_PATTERNS
        kept = self._kept.get(path)
        if kept is not None and is_unchanged(kept.signature, found):
            return kept.patterns
        self._drop(path)
        if not stat.S_ISREG(found.st_mode):
            return NO_PATTERNS
        patterns = self._read(dir_fd, path)
        self._kept[path] = _Kept(signature_of(found, now_ns), patterns)
        return patterns

    def _drop(self, path: RelPath) -> None:
        self._kept.pop(path, None)
        self.problems.pop(path, None)

    def _read(self, dir_fd: int, path: RelPath) -> Patterns:
        try:
            fd = os.open(path.name, _READ, dir_fd=dir_fd)
        except OSError:
            return NO_PATTERNS
        with os.fdopen(fd, "rb") as file:
            try:
                content = file.read(MAX_RULE_FILE_BYTES + 1)
            except OSError:
                return NO_PATTERNS
        patterns, problem = patterns_of(content)
        if problem is not None:
            self.problems[path] = problem.format(path)
        return patterns


def patterns_of(content: bytes) -> tuple[Patterns, str | None]:
    """Returns the patterns of a rule file, or none and why it does not count, `{}` for its path."""
    if len(content) > MAX_RULE_FILE_BYTES:
        return NO_PATTERNS, TOO_LARGE
    lines = lines_of(content)
    if len(lines) > MAX_PATTERNS:
        return NO_PATTERNS, TOO_MANY
    return Patterns(lines), None

"""What holds for the names in one directory, worked out from the root downwards: rule files on the way, repositories, built-in rules.

A place belongs to one question about many names, and is worked out once for all names in its directory.
"""

import os
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from rewindd.errors import OutsideWorkspace
from rewindd.model.log import Signature
from rewindd.paths import GIT_DIRECTORY, ROOT, RelPath
from rewindd.tree.look import signature_of
from rewindd.tree.root import Root
from rewindd.tree.rules import builtin
from rewindd.tree.rules.configured import Brought, Include
from rewindd.tree.rules.marks import Marks
from rewindd.tree.rules.patterns import Patterns
from rewindd.tree.rules.texts import RuleTexts

GITIGNORE = ".gitignore"
REWINDIGNORE = ".rewindignore"

EXCLUDED = "excluded by the configuration"
BY_REWINDIGNORE = "ignored by .rewindignore"
BY_GITIGNORE = "ignored by .gitignore"


class Layer(NamedTuple):
    """The patterns of one rule file, and how much of a path to cut off to have it relative to the file's directory."""

    cut: int
    patterns: Patterns


@dataclass(frozen=True, slots=True)
class Place:
    """What holds for the names in a directory.

    Attributes:
        top: the top of the repository that answers for them; None without one.
        everywhere: why the directory itself is left out by the configuration or a .rewindignore, where it is only passed through.
        untracked: the same of built-in rules, which leave what is tracked in it.
        unversioned: the same of .gitignore, where git is not asked.
        rewindignore: what the .rewindignore files on the way say, nearest first.
        gitignore: the same of .gitignore, where git is not asked.
        brought: whether `include` brings the directory back with all that is in it.
        passed: directories on the way, it included, that may be left out and only passed through for `include`.
    """

    top: RelPath | None
    everywhere: str | None = None
    untracked: str | None = None
    unversioned: str | None = None
    rewindignore: tuple[Layer, ...] = ()
    gitignore: tuple[Layer, ...] = ()
    brought: Brought = Brought.NO
    passed: tuple[RelPath, ...] = ()


@dataclass(slots=True)
class Places:
    """Works places out, for one question.

    Attributes:
        root: the open workspace.
        texts: the rule files read so far.
        exclude: patterns of the configuration that leave out.
        include: patterns of the configuration that bring back.
        is_versioned: the root lies in a repository.
        asks_git: git is there to be asked; without it .gitignore files are read here.
        marks: notes by what in them directories are judged.
        signatures: of the .gitignore of every directory met that git answers for; None where nobody wants them.
    """

    root: Root
    texts: RuleTexts
    exclude: Patterns
    include: Include
    is_versioned: bool
    asks_git: bool
    marks: Marks
    signatures: dict[str, Signature | None] | None
    _known: dict[str, Place] = field(default_factory=dict)

    def of(self, directory: str) -> Place:
        """Returns what holds in a directory; one that is gone is as if there was nothing in it."""
        known = self._known.get(directory)
        if known is not None:
            return known
        missing = [RelPath(directory)]
        while missing[-1] != ROOT and missing[-1].parent not in self._known:
            missing.append(missing[-1].parent)
        for path in reversed(missing):
            self._known[path] = self._inside(path, self._known[path.parent]) if path != ROOT else self._at_root()
        return self._known[directory]

    def everywhere(self, place: Place, path: RelPath, is_directory: bool) -> str | None:
        """Returns why the configuration or a .rewindignore leaves a name out, tracked or not."""
        if place.everywhere is not None:
            return place.everywhere
        if self.exclude and self.exclude.verdict(path, is_directory):
            return EXCLUDED
        return BY_REWINDIGNORE if place.rewindignore and _judge(place.rewindignore, path, is_directory) else None

    def untracked(self, place: Place, path: RelPath, is_directory: bool) -> str | None:
        """Returns why a built-in rule leaves a name out, if it is not tracked."""
        if place.untracked is not None or not is_directory:
            return place.untracked
        by_name = builtin.reason_by_name(path.name)
        if by_name is not None:
            return by_name
        fd = self._open(path)
        mark = None if fd is None else builtin.mark_in(fd, path.name)
        if mark is None:
            return None
        self.marks.left_out(path, mark)
        return builtin.reason_by_mark(mark)

    def unversioned(self, place: Place, path: RelPath, is_directory: bool) -> str | None:
        """Returns why .gitignore files leave a name out, where git is not asked."""
        if place.unversioned is not None:
            return place.unversioned
        return BY_GITIGNORE if place.gitignore and _judge(place.gitignore, path, is_directory) else None

    def _at_root(self) -> Place:
        top = ROOT if self.is_versioned else None
        rewindignore, gitignore = self._layers(ROOT, top)
        return Place(top, rewindignore=rewindignore, gitignore=gitignore)

    def _inside(self, path: RelPath, above: Place) -> Place:
        """Returns the place of a directory in that of the one above. A repository in it answers for its own tracked files."""
        is_top = self._holds_repository(path)
        self.marks.judged(path, is_top=is_top)
        top = path if is_top else above.top
        rewindignore, gitignore = self._layers(path, top)
        brought = self.include.brings(path, True, above.brought) if self.include else Brought.NO
        passes = bool(self.include) and not brought and self.include.passes(path)
        return Place(
            top=top,
            everywhere=self.everywhere(above, path, True),
            untracked=None if is_top else self.untracked(above, path, True),
            unversioned=None if is_top else self.unversioned(above, path, True),
            rewindignore=rewindignore + above.rewindignore,
            gitignore=gitignore if is_top else gitignore + above.gitignore,
            brought=brought,
            passed=(*above.passed, path) if passes else above.passed,
        )

    def _holds_repository(self, path: RelPath) -> bool:
        fd = self._open(path)
        return fd is not None and _stat(fd, GIT_DIRECTORY) is not None

    def _layers(self, directory: RelPath, top: RelPath | None) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
        """Returns what the directory's own two rule files say; of a .gitignore that git reads only notes how it looks."""
        fd = self._open(directory)
        if fd is None:
            return (), ()
        rewindignore = self._layer(fd, directory, REWINDIGNORE)
        if top is None or not self.asks_git:
            return rewindignore, self._layer(fd, directory, GITIGNORE)
        if self.signatures is not None:
            now_ns = time.time_ns()
            found = _stat(fd, GITIGNORE)
            self.signatures[directory] = None if found is None else signature_of(found, now_ns)
        return rewindignore, ()

    def _layer(self, fd: int, directory: RelPath, name: str) -> tuple[Layer, ...]:
        patterns = self.texts.patterns(fd, directory.child(name))
        return (Layer(cut_of(directory), patterns),) if patterns else ()

    def _open(self, directory: RelPath) -> int | None:
        try:
            return self.root.directory(directory)
        except (OSError, OutsideWorkspace):
            return None


def cut_of(directory: RelPath) -> int:
    """Returns how much of the path of a name below a directory says the directory."""
    return 0 if directory == ROOT else len(directory) + 1


def _judge(layers: tuple[Layer, ...], path: RelPath, is_directory: bool) -> bool | None:
    for layer in layers:
        verdict = layer.patterns.verdict(path[layer.cut :], is_directory)
        if verdict is not None:
            return verdict
    return None


def _stat(dir_fd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return None

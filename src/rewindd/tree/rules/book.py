"""The rules of a workspace: which names are left out, and why. docs/capture.md, "What is left out", tells it to users.

A rule leaves out names that nobody named; a file that was named is taken whatever the rules say (that is the caller's). In this order:
names that are never captured; what `include` of the configuration brings back; its `exclude`; .rewindignore files; git's rules, in a
repository, or .gitignore files read here where there is none; and built-in rules, for what git does not track.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from rewindd.model.capture import CaptureSettings
from rewindd.model.log import Signature
from rewindd.paths import ROOT, RelPath, is_reserved
from rewindd.tree.root import Root
from rewindd.tree.rules.configured import Brought, Include
from rewindd.tree.rules.marks import Marks
from rewindd.tree.rules.patterns import Patterns
from rewindd.tree.rules.places import GITIGNORE, REWINDIGNORE, Place, Places, cut_of
from rewindd.tree.rules.repository import Question, Repository
from rewindd.tree.rules.sources import Sources, find_top
from rewindd.tree.rules.texts import RuleTexts, patterns_of

#: Files inside the tree that say what is left out; whoever captures such a file changed says so (`RuleBook.changed`).
RULE_FILES = (GITIGNORE, REWINDIGNORE)

RESERVED = "never captured"

GIT_MISSING = "git is not installed: .gitignore files are read without it, and nobody knows what is tracked"
GIT_FAILED = "git cannot say what is ignored in {}; what it did not say is captured"

Names = Sequence[tuple[RelPath, bool]]


class Rules(Protocol):
    """Says what is left out."""

    @property
    def reason(self) -> str | None:
        """Why rules do not count, or not everywhere; None where nothing is wrong."""
        ...

    def leaves_out(self, names: Names) -> dict[RelPath, str]:
        """Returns the reason of each of `names` that is left out.

        Args:
            names: paths and whether each is a directory. The directories above are not left out themselves, or only passed
                through. To ask for many directories at once costs one process instead of one each.
        """
        ...


class NoRules:
    """No rules but the names that are never captured: what `--no-ignore` asks for."""

    reason: str | None = None

    def leaves_out(self, names: Names) -> dict[RelPath, str]:
        """Returns `.git` and what is being staged."""
        return {path: RESERVED for path, _ in names if is_reserved(path.rpartition("/")[2])}


class _Asked(NamedTuple):
    """A name that is asked about, and the place that it is in."""

    path: RelPath
    is_directory: bool
    place: Place


class RuleBook:
    """All rules of one workspace, for as long as it is in memory; used by one thread at a time.

    Nothing that it remembers is believed without a look at the signature of the file that says it.
    """

    def __init__(self, root_path: str, settings: CaptureSettings) -> None:
        self._root_path = root_path
        self._exclude = Patterns(settings.exclude)
        self._include = Include(settings.include)
        self._texts = RuleTexts()
        self._marks = Marks(root_path)
        self._top_path: str | None = None
        self._repositories: dict[RelPath, Repository] = {}
        self._sources: dict[RelPath, Sources] = {}
        self._is_known = False
        self._lists_all = False
        self._git_is_missing = False
        self._git: str | None = None
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why rules did not count, or not everywhere, in the last answer; None where nothing was wrong. Any thread may ask."""
        return self._reason

    def leaves_out(self, names: Names) -> dict[RelPath, str]:
        """Returns the reason of each of `names` that is left out; see `Rules`. Where git fails its rules leave nothing out."""
        left = {path: RESERVED for path, _ in names if (path[0] == "." or "/." in path) and is_reserved(path.rpartition("/")[2])}
        with self._places() as places:
            asked, depending = self._choose(places, self._unsettled(places, [name for name in names if name[0] not in left]))
            above = {directory for passed in depending.values() for directory in passed}
            reasons = self._judge(places, [*asked, *(_Asked(path, True, places.of(path.parent)) for path in above)])
        left |= {path: reasons[path] for path, _, _ in asked if path in reasons and path not in depending}
        for path, passed in depending.items():
            why = next((reasons[above] for above in passed if above in reasons), None)
            if why is not None:
                left[path] = reasons.get(path, why)
        for path in left:
            if path.endswith(RULE_FILES) and path.name in RULE_FILES:
                self._marks.rules_left_out(path.parent, path.name)
        self._reason = self._why_not()
        return left

    def moved(self) -> bool:
        """Returns whether a rule source that is no captured file says something else than at the last call; drops what was remembered.

        The first call remembers. Costs some stats, and processes only where something was written.
        """
        was_known, before = self._is_known, (self._top_path, self._git_is_missing)
        self._look_for_git()
        gone = [top for top in self._repositories if top != ROOT and not os.path.lexists(f"{self._root_path}/{top}/.git")]
        moved = [top for top, sources in self._sources.items() if sources.moved()]
        for top in gone:
            self._drop(top)
        is_other = was_known and (self._top_path, self._git_is_missing) != before
        if is_other:
            self._drop(ROOT)
        if gone or moved or is_other:
            for repository in self._repositories.values():
                repository.forget()
        return bool(gone or moved or is_other)

    def index_moved(self) -> bool:
        """Returns whether git may track something else than at the last call: what is left out may be tracked now."""
        moved = [sources.index_moved() for sources in self._sources.values()]
        return any(moved)

    def turned(self, directories: Iterable[RelPath]) -> set[RelPath]:
        """Returns directories that are judged by something else than the last time: a repository of their own, a mark in them.

        Args:
            directories: those in which something came or went.
        """
        return self._marks.turned(directories)

    def changed(self, rule_files: Iterable[RelPath]) -> None:
        """Takes notice that these captured rule files are different now, came or went."""
        paths = list(rule_files)
        self._texts.forget(paths)
        if any(path.name == GITIGNORE for path in paths):
            for repository in self._repositories.values():
                repository.forget()

    def let_in(self, names: Names, old: Mapping[RelPath, bytes]) -> set[RelPath]:
        """Returns those of `names` that rule files, as they were before they changed, had left out.

        Since when such a file has been there nobody knows, so no rewind may remove it.

        Args:
            names: paths that turned up, and whether each is a directory.
            old: what the changed rule files held before, by path; one that was not there is not among them.
        """
        layers = [(path.parent, cut_of(path.parent), patterns_of(content)[0]) for path, content in old.items()]
        return {
            path
            for path, is_directory in names
            if any(path.below(directory) and _had_left_out(patterns, path[cut:], is_directory) for directory, cut, patterns in layers)
        }

    def prepare(self) -> None:
        """Gets ready for questions about the whole tree: lists what git tracks and what it does not ignore. Blocks while git runs.

        Until `finish`, the answers for what is listed are those of this moment, unless `moved` or `changed` said otherwise.
        """
        self._look_for_git()
        self._lists_all = True
        if self._top_path is not None and not self._git_is_missing:
            self._repository(ROOT).list_all()

    def finish(self) -> None:
        """Drops what `prepare` read; without it does nothing."""
        self._lists_all = False
        self._marks.settle()
        for repository in self._repositories.values():
            repository.forget()

    def _why_not(self) -> str | None:
        failed = [GIT_FAILED.format(repr(str(top))) for top, repository in self._repositories.items() if repository.failed]
        missing = [GIT_MISSING] if self._git_is_missing else []
        return "; ".join([*missing, *failed, *self._texts.problems.values()]) or None

    def _look_for_git(self) -> None:
        if self._git is None or not os.access(self._git, os.X_OK):
            self._git = shutil.which("git")
        self._git_is_missing = self._git is None
        self._top_path = find_top(self._root_path)
        if self._top_path is not None and not self._git_is_missing:
            self._repository(ROOT)
        self._is_known = True

    def _drop(self, top: RelPath) -> None:
        self._repositories.pop(top, None)
        self._sources.pop(top, None)

    @contextmanager
    def _places(self) -> Iterator[Places]:
        """Opens the root; one that cannot be opened is as if it were empty."""
        self._look_for_git()
        try:
            fd = os.open(self._root_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            fd = -1
        signatures: dict[str, Signature | None] | None = None if self._lists_all else {}
        with Root(self._root_path, fd) as root:
            yield Places(
                root=root,
                texts=self._texts,
                exclude=self._exclude,
                include=self._include,
                is_versioned=self._top_path is not None,
                asks_git=not self._git_is_missing,
                marks=self._marks,
                signatures=signatures,
            )

    def _unsettled(self, places: Places, names: Names) -> Names:
        """Returns the names to which the listing of everything is no answer at once; to most files of a large tree it is.

        A file that git lists, tracked or not ignored, stays where nothing but git has a say.
        """
        if not self._lists_all or self._include or self._exclude:
            return names
        found: list[tuple[RelPath, bool]] = []
        directory, cut, listed = "/", 0, frozenset[str]()
        for name in names:
            path, is_directory = name
            head = path.rpartition("/")[0]
            if head != directory:
                directory = head
                cut, listed = self._listed(places.of(head or ROOT))
            if is_directory or path[cut:] not in listed:
                found.append(name)
        return found

    def _listed(self, place: Place) -> tuple[int, frozenset[str]]:
        """Returns what git lists of a place's repository where nothing else has a say, and how much of a path to cut off for it."""
        if place.top is None or self._git_is_missing or place.everywhere or place.untracked or place.rewindignore:
            return 0, frozenset()
        repository = self._repository(place.top)
        repository.list_all()
        return cut_of(place.top), repository.listed

    def _choose(self, places: Places, names: Names) -> tuple[list[_Asked], dict[RelPath, tuple[RelPath, ...]]]:
        """Returns what must be judged, and names that `include` brings back only if none of some directories above is left out."""
        asked: list[_Asked] = []
        depending: dict[RelPath, tuple[RelPath, ...]] = {}
        includes = bool(self._include)
        for path, is_directory in names:
            place = places.of(path.rpartition("/")[0] or ROOT)
            if includes:
                brought = self._include.brings(path, is_directory, place.brought)
                if brought is Brought.ANYWHERE or (is_directory and self._include.passes(path)):
                    continue
                if brought is Brought.HERE and not place.passed:
                    continue
                if brought is Brought.HERE:
                    depending[path] = place.passed
            asked.append(_Asked(path, is_directory, place))
        return asked, depending

    def _judge(self, places: Places, asked: Iterable[_Asked]) -> dict[RelPath, str]:
        """Returns why names are left out, those that are; `include` does not count."""
        reasons: dict[RelPath, str] = {}
        for_git: dict[RelPath, list[Question]] = defaultdict(list)
        for path, is_directory, place in asked:
            reason = places.everywhere(place, path, is_directory)
            if reason is None:
                built_in = places.untracked(place, path, is_directory)
                if place.top is not None and not self._git_is_missing:
                    for_git[place.top].append(Question(path, is_directory, built_in))
                    continue
                reason = places.unversioned(place, path, is_directory) or built_in
            if reason is not None:
                reasons[path] = reason
        for top, questions in for_git.items():
            reasons |= self._ask(top, questions, places.signatures)
        return reasons

    def _ask(self, top: RelPath, questions: Sequence[Question], signatures: Mapping[str, Signature | None] | None) -> dict[RelPath, str]:
        repository = self._repository(top)
        if signatures is None:
            repository.list_all()
            return repository.left_out(questions, remember=False)
        is_sure = repository.trust({**signatures, **self._sources[top].signatures()})
        return repository.left_out(questions, remember=is_sure)

    def _repository(self, top: RelPath) -> Repository:
        """Returns the repository; one that is met for the first time has its sources looked at before it is asked."""
        if top not in self._repositories:
            top_path = self._top_path if top == ROOT else f"{self._root_path}/{top}"
            self._sources[top] = Sources(self._root_path, top_path or self._root_path)
            self._repositories[top] = Repository(self._root_path, top)
        return self._repositories[top]


def _had_left_out(patterns: Patterns, path: str, is_directory: bool) -> bool:
    """Says whether patterns leave out a name or a directory above it."""
    parts = path.split("/")
    above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
    return any(patterns.verdict(directory, True) for directory in above) or bool(patterns.verdict(path, is_directory))

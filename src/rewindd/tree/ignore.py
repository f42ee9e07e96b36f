"""Which names are left out: git's rules where git knows the directory, and always the names that are never captured.

A rule leaves out names that nobody named; a file that was named is taken whatever the rules say (that is the caller's).
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from rewindd.paths import ROOT, RelPath, is_reserved
from rewindd.tree.gitrun import GitRun, run_git

#: One question about a whole level of a tree of 100,000 names takes git under a second.
TIMEOUT_S = 30.0

GIT_MISSING = "git is not installed: its ignore rules do not count"
GIT_FAILED = "git cannot say what is ignored here"

Names = Sequence[tuple[str, bool]]


class Rules(Protocol):
    """Says what is left out."""

    @property
    def reason(self) -> str | None:
        """Why git's rules do not count, or not everywhere; None where nothing is wrong."""
        ...

    def leaves_out(self, directory: RelPath, names: Names) -> set[str]:
        """Returns those of `names` that are left out.

        Args:
            directory: the directory that they are relative to.
            names: a name, or a path of several parts below `directory`, and whether it is a directory. Asking for many
                directories at once costs one git process instead of one each. No part but the last may be left out itself.
        """
        ...


class BuiltIn:
    """No rules but the names that are never captured."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason

    def leaves_out(self, directory: RelPath, names: Names) -> set[str]:
        """Returns `.git` and what is being staged."""
        return {name for name, _ in names if is_reserved(name.rpartition("/")[2])}


class NoRules(BuiltIn):
    """What `--no-ignore` asks for; the names that are never captured stay out."""


class GitRules:
    """What `git check-ignore` says, repository by repository; a directory outside any repository has no rules.

    Tracked files are never left out, and a nested repository (a submodule, a clone) answers for its own files.
    """

    def __init__(self, root_path: str) -> None:
        self.reason: str | None = None
        self._root = root_path
        self._tops: dict[RelPath, RelPath | None] = {}

    def leaves_out(self, directory: RelPath, names: Names) -> set[str]:
        """Returns what is reserved, and what git ignores. Where git fails nothing is ignored, and `reason` says so."""
        left = {name for name, _ in names if is_reserved(name.rpartition("/")[2])}
        asked: dict[RelPath, dict[RelPath, str]] = defaultdict(dict)
        for name, _ in names:
            if name in left:
                continue
            path = _join(directory, name)
            top = self._top_of(path.parent)
            if top is not None:
                asked[top][path] = name
        for top, paths in asked.items():
            left.update(paths[path] for path in self._ignored(top, list(paths)))
        return left

    def _ignored(self, top: RelPath, paths: Sequence[RelPath]) -> set[RelPath]:
        """Asks one repository; where it fails, once more directory by directory: one bad path must not let the others in."""
        found = self._ask(top, paths)
        if found is not None:
            return found
        ignored: set[RelPath] = set()
        for group in _by_parent(paths):
            answer = self._ask(top, group) if len(group) < len(paths) else None
            if answer is None:
                self.reason = GIT_FAILED
            else:
                ignored |= answer
        return ignored

    def _ask(self, top: RelPath, paths: Sequence[RelPath]) -> set[RelPath] | None:
        """Asks with `./` before each path: `check-ignore` takes no --literal-pathspecs, and `:(top)x` is a name, not magic."""
        cut = 0 if top == "." else len(top) + 1
        asked = b"".join(b"./" + os.fsencode(path[cut:]) + b"\0" for path in paths)
        done = _check_ignore(self._root if top == "." else f"{self._root}/{top}", asked)
        if done.returncode not in (0, 1):
            return None
        return {_join(top, os.fsdecode(answer[2:])) for answer in done.stdout.split(b"\0") if answer}

    def _top_of(self, directory: RelPath) -> RelPath | None:
        """Returns the top of the nearest repository that holds a directory, ROOT for one that holds the workspace too."""
        passed = []
        while directory not in self._tops:
            passed.append(directory)
            if directory == "." or os.path.lexists(f"{self._root}/{directory}/.git"):
                self._tops[directory] = directory if directory != "." or _in_repository(self._root) else None
                break
            directory = directory.parent
        for below in passed:
            self._tops[below] = self._tops[directory]
        return self._tops[directory]


def choose_rules(root_path: str) -> Rules:
    """Returns the rules for a workspace: git's, or without git only the built-in ones, with the reason. Starts no process."""
    return GitRules(root_path) if shutil.which("git") else BuiltIn(GIT_MISSING)


def _check_ignore(cwd: str, asked: bytes) -> GitRun:
    return run_git(["check-ignore", "-z", "--stdin"], cwd=cwd, stdin=asked, timeout_s=TIMEOUT_S, user_config=True)


def _in_repository(path: str) -> bool:
    while True:
        if os.path.lexists(f"{path}/.git"):
            return True
        above = os.path.dirname(path)
        if above == path:
            return False
        path = above


def _join(directory: RelPath, name: str) -> RelPath:
    return RelPath(name) if directory == ROOT else RelPath(f"{directory}/{name}")


def _by_parent(paths: Iterable[RelPath]) -> list[list[RelPath]]:
    groups: dict[RelPath, list[RelPath]] = defaultdict(list)
    for path in paths:
        groups[path.parent].append(path)
    return list(groups.values())

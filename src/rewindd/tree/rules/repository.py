"""What git says of one repository: which names it ignores, and which it tracks. The answers are git's own, from few processes.

Ignored: a rule of git's matches the name or a directory above it. Left out: ignored and not tracked. `check-ignore` can look at the
index too, but compares every name with every tracked path (5,000 names, 100,000 tracked paths: 4.9 s, without 0.03 s), so the two
are asked apart.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from rewindd.model.log import Signature
from rewindd.paths import RelPath
from rewindd.tree.gitrun import MISSING, TIMED_OUT, GitRun, run_git
from rewindd.tree.rules.places import cut_of

IGNORED = "ignored by git"

#: git lists a tree of 100,000 files in a tenth of a second; a cold disk takes its time.
TIMEOUT_S = 30.0
#: A git that did not end in time (it waits for a FIFO that is called .gitignore) is not asked again for so long: whoever asks holds
#: the workspace meanwhile.
PAUSE_S = 600.0
#: check-ignore ends at a path that it refuses (beyond a link that came to be meanwhile). So many are passed over, then it is given up.
MAX_REFUSED = 8
#: Up to so many paths are named when it is asked what is tracked; for more all that is tracked is read, which costs less.
MAX_NAMED = 20
#: Names that are left out and remembered as that; a directory's names are asked about each time something changes in it.
MAX_REMEMBERED = 20_000


class Question(NamedTuple):
    """A name, and why a built-in rule would leave it out were it not tracked."""

    path: RelPath
    is_directory: bool
    built_in: str | None


class _Listing(NamedTuple):
    """All names at one moment, directories that hold some included: those that are tracked, those neither tracked nor ignored."""

    tracked: frozenset[str]
    others: frozenset[str]


class Repository:
    """One repository. `failed`: git could not say everything when it was last asked; what it did not say is not left out.

    `listed`: of `list_all`, what is tracked or not ignored, as paths from the repository's top; empty before.
    """

    def __init__(self, root_path: str, top: RelPath) -> None:
        self.failed = False
        self._directory = root_path if top == "." else f"{root_path}/{top}"
        self._top = top
        self._cut = cut_of(top)
        self._listing: _Listing | None = None
        self.listed: frozenset[str] = frozenset()
        self._is_listed = False
        self._remembered: dict[RelPath, tuple[bool, str]] = {}
        self._signatures: dict[str, Signature | None] = {}
        self._silent_until_s = 0.0

    def list_all(self) -> None:
        """Lists the whole work tree with two processes, so that the questions that follow need none for most names."""
        if self._is_listed:
            return
        self._is_listed = True
        self.failed = False
        tracked = self._names("-c")
        others = self._names("-o", "--exclude-standard")
        if tracked is not None and others is not None:
            self._listing = _Listing(tracked, others)
            self.listed = tracked | others

    def forget(self) -> None:
        """Drops what was read and remembered."""
        self._listing = None
        self.listed = frozenset()
        self._is_listed = False
        self._remembered.clear()
        self._signatures.clear()

    def trust(self, signatures: Mapping[str, Signature | None]) -> bool:
        """Compares the files that decide with how they looked when the answers came that are remembered, and forgets these if they moved.

        Returns False when answers must not be remembered, because a change could hide behind the time stamp of one of the files.
        """
        if any(file in self._signatures and self._signatures[file] != seen for file, seen in signatures.items()):
            self._remembered.clear()
            self._signatures.clear()
        self._signatures.update(signatures)
        if any(signature is not None and signature.racy for signature in signatures.values()):
            self._remembered.clear()
            return False
        return True

    def left_out(self, questions: Sequence[Question], *, remember: bool) -> dict[RelPath, str]:
        """Returns why names are left out, those that are; what git cannot say is not left out.

        Args:
            questions: names in this repository, none of them in a repository inside it.
            remember: the answers may be remembered, as `trust` said.
        """
        if self._listing is not None:
            return self._by_listing(self._listing, questions)
        left = self._from_memory(questions) if remember else {}
        new = [question for question in questions if question.path not in left]
        if not new:
            return left
        self.failed = False
        candidates = dict.fromkeys(self._ignored([path for path, _, built_in in new if built_in is None]), IGNORED)
        candidates |= {path: built_in for path, _, built_in in new if built_in is not None}
        tracked = self._tracked_of(list(candidates))
        found = {} if tracked is None else {path: reason for path, reason in candidates.items() if path[self._cut :] not in tracked}
        if remember and not self.failed:
            self._remember(new, found)
        return left | found

    def _by_listing(self, listing: _Listing, questions: Sequence[Question]) -> dict[RelPath, str]:
        left: dict[RelPath, str] = {}
        unlisted: list[RelPath] = []
        for path, _, built_in in questions:
            name = path[self._cut :]
            if name in listing.tracked:
                continue
            if built_in is not None:
                left[path] = built_in
            elif name not in listing.others:
                unlisted.append(path)
        return left | dict.fromkeys(self._ignored(unlisted), IGNORED)

    def _from_memory(self, questions: Sequence[Question]) -> dict[RelPath, str]:
        found: dict[RelPath, str] = {}
        for path, is_directory, built_in in questions:
            was_directory, reason = self._remembered.get(path, (None, None))
            if reason is not None and was_directory == is_directory and reason in (IGNORED, built_in):
                found[path] = reason
        return found

    def _remember(self, questions: Sequence[Question], left: Mapping[RelPath, str]) -> None:
        if len(self._remembered) + len(left) > MAX_REMEMBERED:
            self._remembered.clear()
        if len(left) <= MAX_REMEMBERED:
            self._remembered |= {path: (is_directory, left[path]) for path, is_directory, _ in questions if path in left}

    def _ignored(self, paths: Sequence[RelPath]) -> list[RelPath]:
        """Asks about names, tracked or not. Where git ends at one that it refuses it is asked again about those after it."""
        ignored: list[RelPath] = []
        start, silent = 0, 0
        for _ in range(MAX_REFUSED + 1):
            if start >= len(paths) or silent == 2:
                break
            returncode, answers = self._check_ignore(paths[start:])
            ignored += [path for path, answer in zip(paths[start:], answers, strict=False) if answer]
            start += len(answers)
            if returncode in (0, 1):
                return ignored
            if returncode in (MISSING, TIMED_OUT):
                break
            silent = 0 if answers else silent + 1
            start += 1
        self.failed = self.failed or bool(paths)
        return ignored

    def _check_ignore(self, paths: Sequence[RelPath]) -> tuple[int, list[bool]]:
        """Returns how git ended, and its answers in order, as many as came.

        `./` before each path, as check-ignore takes no --literal-pathspecs: `:(top)x` is a name, not magic. An answer is four fields:
        source, line, pattern, path (git-check-ignore(1), OUTPUT); no pattern, or one with `!`: not ignored.
        """
        asked = b"".join(b"./" + os.fsencode(path[self._cut :]) + b"\0" for path in paths)
        done = self._run(["check-ignore", "--no-index", "-v", "-n", "-z", "--stdin"], asked)
        patterns = done.stdout.split(b"\0")[2::4]
        return done.returncode, [bool(pattern) and not pattern.startswith(b"!") for pattern in patterns]

    def _tracked_of(self, paths: Sequence[RelPath]) -> frozenset[str] | None:
        """Returns names that hold all of `paths` that are tracked or hold something tracked; None where git fails."""
        if not paths:
            return frozenset()
        named = [path[self._cut :] for path in paths] if len(paths) <= MAX_NAMED else []
        return self._names("-c", "--", *named)

    def _names(self, *args: str) -> frozenset[str] | None:
        """Returns what `ls-files` lists, and the directories above; never with -m or -d, which read what is in the tree."""
        done = self._run(["--literal-pathspecs", "ls-files", "-z", *args], b"")
        if done.returncode != 0:
            self.failed = True
            return None
        return with_directories(os.fsdecode(done.stdout).split("\0"))

    def _run(self, args: Sequence[str], stdin: bytes) -> GitRun:
        if monotonic() < self._silent_until_s:
            return GitRun(TIMED_OUT, b"")
        done = run_git(args, cwd=self._directory, stdin=stdin, timeout_s=TIMEOUT_S, user_config=True)
        if done.returncode == TIMED_OUT:
            self._silent_until_s = monotonic() + PAUSE_S
        return done


def with_directories(names: Iterable[str]) -> frozenset[str]:
    """Returns names and the directories above them; a `/` at the end, that says a repository inside, is no part of the name."""
    found = {name.removesuffix("/") for name in names}
    found.discard("")
    for name in list(found):
        above = name.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return frozenset(found)

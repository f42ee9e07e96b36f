"""Git repositories for tests of the rules, and how often the code under test runs git."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from rewindd.model.capture import CaptureSettings
from rewindd.paths import RelPath
from rewindd.tree.gitrun import GitRun, run_git
from rewindd.tree.rules import repository, sources
from rewindd.tree.rules.book import RuleBook


def git(top: Path, *args: str) -> bytes:
    """Runs git without the user's or the system's configuration; raises where it fails."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(top), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    return subprocess.run(["git", *identity, *args], cwd=top, env=environment, check=True, capture_output=True).stdout


def grow(top: Path, files: Mapping[str, str]) -> None:
    """Writes files with their directories; a name with `/` at its end is a directory."""
    for name, text in files.items():
        path = top / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def book_of(top: Path, *, exclude: tuple[str, ...] = (), include: tuple[str, ...] = ()) -> RuleBook:
    """Returns the rules of a workspace."""
    return RuleBook(str(top), CaptureSettings(exclude=exclude, include=include))


def left_out(book: RuleBook, top: Path) -> dict[str, str]:
    """Asks about the whole tree level by level, as a scan does, and returns what is left out."""
    left: dict[str, str] = {}
    level = [RelPath(".")]
    while level:
        names = [
            (directory.child(entry.name), entry.is_dir(follow_symlinks=False))
            for directory in level
            for entry in sorted(os.scandir(top / directory), key=lambda entry: entry.name)
        ]
        answer = book.leaves_out(names)
        left |= {str(path): reason for path, reason in answer.items()}
        level = [path for path, is_directory in names if is_directory and path not in answer]
    return left


def asks(book: RuleBook, *names: str) -> dict[str, str]:
    """Asks about names, with `/` at its end a directory."""
    answer = book.leaves_out([(RelPath(name.rstrip("/")), name.endswith("/")) for name in names])
    return {str(path): reason for path, reason in answer.items()}


@contextmanager
def counted_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Gives the list that the git commands come into that are run meanwhile."""
    runs: list[str] = []

    def run(*given: object, **options: object) -> GitRun:
        command = given[0]
        assert isinstance(command, list)
        runs.append(next(word for word in command if not word.startswith("-")))
        return run_git(*given, **options)  # type: ignore[arg-type] # passes on what it was given

    with monkeypatch.context() as patched:
        for module in (repository, sources):
            patched.setattr(module, "run_git", run)
        yield runs

"""Patterns, held against git's own answers, and against the clock."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from rewindd.tree.rules.patterns import Patterns, lines_of, text_of
from support.repository import git

NAMES = [
    "a",
    "b",
    "ab",
    "aab",
    "x.c",
    "a/b",
    "a/ab",
    "a/b/c",
    "a/b/x.c",
    "b/a/b",
    "c/d/a/x.c",
    "]",
    "[a]",
    "a b",
    "b ",
    "!a",
    "#a",
    "éé",
    "-",
    "new\nline",
]

LISTS = [
    "a\n",
    "a/\n",
    "/a\n",
    "a/b\n",
    "a/*\n!a/b\n",
    "a/**\n!a/b/\n",
    "**/b\n",
    "a/**/c\n",
    "a/**/x.c\n",
    "**/a/**/x.c\n",
    "*\n!*/\n!*.c\n",
    "*/\n",
    "**/\n",
    "/*\n!/a\n",
    "/*/\n",
    "*.c\n!x.c\n",
    "a*b\n*a*b*\n",
    "?\n",
    "[ab]\n",
    "[!a]\n",
    "[^a]\n",
    "[]a]\n",
    "[[:alpha:]]\n",
    "[[:punct:]]\n",
    "[[]a]\n",
    "[[:graph:]]\n",
    "a[!x]b\na[--0]b\n",
    "[a\n",
    "[z-a]\nb\n",
    "a&&b\n[a&&b]\n",
    "\\!a\n\\#a\n",
    "!a\n",
    "#a\n",
    "a b\nb \n",
    "b\\ \n",
    "\n\n/\n//\n",
    "x.c\r\n",
    "éé\n",
    "\ufeffa\n",
    "\\a\n",
    "a\\\n",
    "new*\n",
    "a/b/c/\n",
    "a\n!a\n",
    "!a\na\n",
]


def ignored(patterns: Patterns, names: dict[str, bool]) -> set[str]:
    """Judges directory by directory: what is below what is left out is left out."""
    out: set[str] = set()
    for name in sorted(names):
        if name.rpartition("/")[0] in out or patterns.verdict(name, names[name]):
            out.add(name)
    return out


@pytest.mark.parametrize("text", LISTS)
def test_patterns_are_git_s(top: Path, text: str) -> None:
    """Every name of the tree is judged as `git check-ignore` judges it."""
    git(top, "init", "-q")
    for name in NAMES:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            path.touch() if not any(other.startswith(f"{name}/") for other in NAMES) else path.mkdir()
    (top / ".gitignore").write_bytes(text.encode())
    names = {
        os.path.relpath(f"{directory}/{name}", top): name in directories
        for directory, directories, files in os.walk(top)
        if not directory.startswith(f"{top}/.git")
        for name in (*directories, *files)
        if not name.startswith(".git")
    }
    asked = b"".join(b"./" + os.fsencode(name) + b"\0" for name in names)
    done = subprocess.run(["git", "check-ignore", "--no-index", "-z", "--stdin"], cwd=top, input=asked, capture_output=True, check=False)
    expected = {os.fsdecode(line[2:]) for line in done.stdout.split(b"\0") if line}
    assert ignored(Patterns(lines_of(text.encode())), names) == expected


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 60 + "*b", "a" * 255),
        ("**/" + "*a*a*/**/" * 20 + "b", "/".join(["aaaa"] * 400)),
        ("a/**" * 40 + "/b", "/".join(["a"] * 1000)),
        ("?*" * 60 + "b", "a" * 255),
    ],
)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    """A pattern that was made to be tried in every way is judged at once."""
    patterns = Patterns([pattern])
    began = time.process_time()
    assert not patterns.verdict(path, False)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("line", "text"), [("a  ", "a"), ("a\\ ", "a\\ "), ("a\\  ", "a\\ "), ("a\\\\ ", "a\\\\"), ("#a", ""), ("\\#a", "\\#a"), ("", "")]
)
def test_spaces_at_the_end(line: str, text: str) -> None:
    """Spaces at the end do not count, but one after a backslash does; a comment says nothing."""
    assert text_of(line) == text

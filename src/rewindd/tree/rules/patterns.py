"""Patterns as gitignore(5) has them, judged name by name as git does: a pattern is held against the name itself, never against
the directories above it, because what is below a directory that is left out is not asked about.

pathspec translates the patterns. Its own matching is made for lists of files, where a pattern for a directory takes the files
in it along; for a directory it gives other answers than git (`*`, then `!*/`). What it translates is also made such that no
pattern takes more than a moment: a rule file may come from anywhere. One difference is left: `?` and sets are for a character, git's
for a byte.
"""

import os
import re
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

#: What pathspec 1.x writes for the end of a path, for leading and inner `**`, and for `*` in a name.
_END = "(?:(?P<ps_d>/)|$)"
_ANY_ABOVE = "(?:.+/)?"
_ANY_BETWEEN = "(?:/.+)?"
_ANY_IN_NAME = "[^/]*"

#: A bracket expression; an escaped character before it is passed over.
_BRACKET = re.compile(r"\\.|\[[!^]?\]?(?:\[:[a-z]+:\]|[^\]/])*\]", re.DOTALL)
#: The same in what pathspec writes, where `[^/]` is its own.
_SET = re.compile(r"\\.|\[\^/\]|\[\^?\]?[^\]]*\]", re.DOTALL)
#: The classes of fnmatch(3) in the C locale, which is git's: none begins with a character that means something at the start of a set.
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \t",
    "cntrl": "\x01-\x1f\x7f",
    "digit": "0-9",
    "graph": '"-~!',
    "lower": "a-z",
    "print": " -~",
    "punct": '"-.:-@[-`{-~!',
    "space": " \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


class _Pattern(NamedTuple):
    """One line: what it does, whether it is for directories only, and the expression that a whole path must match."""

    leaves_out: bool
    directories_only: bool
    expression: str


class _Run(NamedTuple):
    """Consecutive patterns that do the same, as one expression for directories and one for everything else."""

    leaves_out: bool
    directories: re.Pattern[str] | None
    others: re.Pattern[str] | None


class Patterns:
    """The patterns of one list, in order; the last one that matches decides. Immutable."""

    def __init__(self, lines: Iterable[str]) -> None:
        found = [pattern for line in lines if (pattern := _read(line)) is not None]
        runs = [_run(leaves_out, list(group)) for leaves_out, group in groupby(found, key=lambda pattern: pattern.leaves_out)]
        self._runs = runs[::-1]

    def __bool__(self) -> bool:
        return bool(self._runs)

    def verdict(self, path: str, is_directory: bool) -> bool | None:
        """Returns True when a path is left out, False when a `!` pattern lets it in, None when no pattern matches.

        Args:
            path: relative to the directory of the patterns.
            is_directory: a symlink to a directory is none.
        """
        for run in self._runs:
            expression = run.directories if is_directory else run.others
            if expression is not None and expression.fullmatch(path):
                return run.leaves_out
        return None


NO_PATTERNS = Patterns(())


def lines_of(content: bytes) -> list[str]:
    """Returns the lines of a rule file; bytes that are not UTF-8 as they are in paths, a byte order mark is no part of it."""
    return [line.removesuffix("\r") for line in os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).split("\n")]


def text_of(line: str) -> str:
    """Returns a line without the spaces at its end that do not count, empty for a comment."""
    if line.startswith("#"):
        return ""
    text = line.rstrip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return f"{text} " if len(text) < len(line) and backslashes % 2 else text


def _read(line: str) -> _Pattern | None:
    text = text_of(line)
    negated = text.startswith("!")
    body = text[1:] if negated else text
    directories_only = body.endswith("/")
    expression = _expression(body[:-1] if directories_only else body)
    return None if expression is None else _Pattern(not negated, directories_only, expression)


def _expression(body: str) -> str | None:
    """Returns what a whole path must match, None for a line without meaning; git too passes over what it cannot read."""
    if not body.strip("/"):
        return None
    if body.endswith("/**"):  # all below, but not the directory itself
        body += "/*"
    if body[0] in "!#":
        body = f"\\{body}"
    if body[-1].isspace() and not body.endswith("\\ "):
        body = f"{body[:-1]}[{body[-1]}]"
    try:
        translated, _ = GitIgnoreSpecPattern.pattern_to_regex(_BRACKET.sub(_plain_set, body))
    except ValueError:
        return None
    return None if translated is None else _bounded(translated)


def _plain_set(found: re.Match[str]) -> str:
    """Returns a bracket expression without what `re` would read as something else."""
    text = found.group()
    if text.startswith("\\"):
        return text
    text = re.sub(r"\[:([a-z]+):\]", lambda name: _CLASSES.get(name.group(1), ""), text)
    text = re.sub(r"([&~|])\1+", r"\1", text)
    start = 2 if text[1:2] in ("!", "^") else 1
    return f"{text[:start]}\\{text[start:]}" if text[start : start + 1] == "[" else text


def _bounded(translated: str) -> str:
    """Returns the expression in a form that is matched in time proportional to the path.

    What lies between two `*`, or between two `**`, may be taken at the first place where it fits: if any fits, this does. So
    nothing is tried twice (`(?>…)`), as in `fnmatch.translate`.
    """
    if translated == ".":
        return ".*"
    body = _SET.sub(_without_slash, translated.removeprefix("^").removesuffix(_END))
    anywhere = body.startswith(_ANY_ABOVE)
    first, *more = map(_bounded_in_name, body.removeprefix(_ANY_ABOVE).split(_ANY_BETWEEN))
    if not more:
        return f"{_ANY_ABOVE}{first}" if anywhere else first
    start = f"(?>(?:.+?/)??{first}(?=/))" if anywhere else first
    *between, last = more
    return start + "".join(f"(?>(?:/.+?)??{part}(?=/))" for part in between) + f"{_ANY_BETWEEN}{last}"


def _without_slash(found: re.Match[str]) -> str:
    """Returns a set that does not match the `/` between two names, `[!a]` for one."""
    text = found.group()
    return text if text.startswith("\\") or text == "[^/]" else f"(?!/){text}"


def _bounded_in_name(part: str) -> str:
    first, *more = part.split(_ANY_IN_NAME)
    if not more:
        return first
    *between, last = more
    return first + "".join(f"(?>[^/]*?{middle})" for middle in between) + f"{_ANY_IN_NAME}{last}"


def _run(leaves_out: bool, patterns: list[_Pattern]) -> _Run:
    others = [pattern.expression for pattern in patterns if not pattern.directories_only]
    return _Run(leaves_out, _any_of([pattern.expression for pattern in patterns]), _any_of(others))


def _any_of(expressions: list[str]) -> re.Pattern[str] | None:
    try:
        return _compiled(expressions)
    except re.error:  # a set such as `[z-a]`: it matches nothing
        return _compiled([expression for expression in expressions if _compiles(expression)])


def _compiled(expressions: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{expression})" for expression in expressions), re.DOTALL) if expressions else None


def _compiles(expression: str) -> bool:
    try:
        re.compile(expression)
    except re.error:
        return False
    return True

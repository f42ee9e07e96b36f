"""Prints a man page, made of the pages in docs/: `scripts/man.py rewindctl.1`. Standard library only; scripts/install runs it.

It knows the markdown that those pages are written in, and fails at what it does not know, so that nothing is lost quietly. A table
becomes a list of terms, as the width of a terminal is for text. Of the examples those that show JSON are left out: their lines are long.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: For each page: what it is, how it is used, and the parts of docs/ that it is made of: a file and the headings of its sections; none: all.
PAGES: dict[str, tuple[str, str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "rewindctl.1": (
        "take the work of coding agents back to any checkpoint",
        "rewindctl [--socket PATH] [-C DIR] [--session ID] [--json] [-q] [-v] COMMAND [ARGUMENT...]",
        (("rewindctl.md", ()),),
    ),
    "rewindd.1": (
        "the daemon that keeps the work of coding agents safe",
        "rewindd [--socket PATH] [--data-dir DIR] [--config FILE] [--log-level LEVEL]",
        (
            ("service.md", ("The daemon", "Under systemd", "What it may do", "Upgrades")),
            ("configuration.md", ("Where it is", "Settings", "What is refused", "Reload", "Log", "Metrics")),
        ),
    ),
}
#: Headings of columns that need no saying.
_PLAIN = ("", "means", "does", "is", "why", "when")
#: What a terminal without UTF-8 cannot show, and what it shows instead.
_ASCII = {"…": "...", "○": "o", "●": "*", "→": "->", "├": "+", "└": "+", "│": "+", "─": "-"}
#: roff's own characters, groff_char(7): so that what is copied from the page is what was meant.
_ROFF = {"\\": "\\e", "-": "\\-", "~": "\\(ti", "^": "\\(ha", "`": "\\(ga", "'": "\\(aq"}


def page(name: str) -> str:
    """Returns a man page's source. Raises ValueError at markdown that it does not know."""
    what, synopsis, parts = PAGES[name]
    title, _, number = name.partition(".")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    lines = [
        f'.TH {title.upper()} {number} "" "rewindd {version}" "User Commands"',
        *(".nh", ".ad l", ".SH NAME", f"{title} \\- {text(what)}", ".SH SYNOPSIS", ".nf", f"{code(synopsis)}", ".fi"),
    ]
    for file, wanted in parts:
        lines += blocks(sections((ROOT / "docs" / file).read_text(), wanted, file))
    see = ["rewindd" if title == "rewindctl" else "rewindctl", "systemctl"]
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{other}\\fR(1)" for other in see)]
    return "\n".join(lines) + "\n"


def sections(source: str, wanted: tuple[str, ...], file: str) -> list[str]:
    """Returns the lines of the sections of those names, in that order; all but the page's title where none is named."""
    lines = source.splitlines()
    if not wanted:
        return ["## Description", *(line for line in lines if not line.startswith("# "))]
    found: dict[str, list[str]] = {}
    current: list[str] = []
    is_code = False
    for line in lines:
        is_code ^= line.startswith("```")
        if line.startswith("## ") and not is_code:
            current = found.setdefault(line[3:], [])
        current.append(line)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"docs/{file} has no section {missing[0]!r}")
    return [line for name in wanted for line in found[name]]


def blocks(lines: list[str]) -> Iterator[str]:
    """Turns markdown, block by block, into roff."""
    rest = iter(lines)
    in_commands = False
    paragraph: list[str] = []
    table: list[list[str]] = []
    in_block = False
    for line in rest:
        in_block, was_block = line.startswith("    "), in_block
        if table and not line.startswith("|"):
            yield from terms(table)
            table = []
        if paragraph and (not line.strip() or line.startswith(("```", "#", "|", "    ", "- "))):
            yield from (".PP", text(" ".join(paragraph)))
            paragraph = []
        if line.startswith("```"):
            yield from example(list(iter(lambda: next(rest), "```")), is_console=line == "```console")
        elif line.startswith("## `"):
            if not in_commands:
                in_commands = True
                yield ".SH COMMANDS"
            yield f".SS {text(line[3:])}"
        elif line.startswith("## "):
            in_commands = False
            yield f".SH {text(line[3:].upper())}"
        elif line.startswith("### "):
            yield f".SS {text(line[4:])}"
        elif line.startswith("|"):
            table.append([cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif line.startswith("    "):
            yield from ((".PP", ".nf") if not was_block else (".nf",))
            yield from (code(line[4:]), ".fi")
        elif line.startswith("- "):
            yield from (".IP \\(bu 2", text(line[2:]))
        elif line.startswith("  ") and not paragraph:
            yield text(line.strip())  # goes on with the point above
        elif line.startswith(("#", ">", "* ", "1. ")):
            raise ValueError(f"markdown that is not known here: {line!r}")
        elif line.strip():
            paragraph.append(line.strip())
    if table:
        yield from terms(table)
    if paragraph:
        yield from (".PP", text(" ".join(paragraph)))


def terms(table: list[list[str]]) -> Iterator[str]:
    """Turns a table into a list: its first column the terms, the others what is said of each."""
    header, _, *rows = table
    for term, *cells in rows:
        said = [(name, cell) for name, cell in zip(header[1:], cells, strict=True) if cell]
        said.sort(key=lambda pair: pair[0] not in _PLAIN)  # what it means comes first
        words = [cell if name in _PLAIN else f"{name.capitalize()}: {cell}" for name, cell in said]
        yield from (".TP", text(term) or "\\&", text(". ".join(word.rstrip(".") for word in words)) or "\\&")


def example(lines: list[str], *, is_console: bool) -> Iterator[str]:
    """Turns a block of code into one; of a console's, only commands without JSON and what they printed."""
    kept: list[str] = []
    shown = True
    for line in lines:
        if is_console and line.startswith("$ "):
            shown = "--json" not in line
        if shown:
            kept.append(line)
    if kept:
        yield from (".PP", ".RS 4", ".nf", *(code(line, bold=is_console and line.startswith("$ ")) for line in kept), ".fi", ".RE")


def text(source: str) -> str:
    """Turns a run of markdown into roff's words and fonts."""
    parts = re.split(r"(``.+?``|`[^`]+`)", re.sub(r"\[((?:`[^`]*`|[^\]`])*)\]\([^)\s]*\)", r"\1", source))  # a link is its words
    return guarded("".join(f"\\fB{escaped(part.strip('`'))}\\fR" if n % 2 else prose(part) for n, part in enumerate(parts)))


def prose(source: str) -> str:
    """Turns what is between code into roff, with its emphasis."""
    found = re.split(r"(\*\*[^*]+\*\*|(?<!\w)\*[^*\s][^*]*\*(?!\w))", source)
    return "".join(_emphasis(part) if n % 2 else escaped(part) for n, part in enumerate(found))


def _emphasis(part: str) -> str:
    font = "B" if part.startswith("**") else "I"
    return f"\\f{font}{escaped(part.strip('*'))}\\fR"


def code(line: str, *, bold: bool = False) -> str:
    """Returns a line that stands as it is."""
    found = guarded(escaped(line))
    return f"\\fB{found}\\fR" if bold and found else found


def escaped(source: str) -> str:
    """Returns the characters such that roff prints them."""
    return "".join(_ROFF.get(letter, letter) for letter in "".join(_ASCII.get(letter, letter) for letter in source))


def guarded(line: str) -> str:
    """Keeps a line from being taken for a request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PAGES:
        sys.exit(f"usage: scripts/man.py {'|'.join(PAGES)}")
    sys.stdout.write(page(sys.argv[1]))

"""docs/rewindctl.md: its examples run as they stand and print what it says, and it names every command, option and exit status."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from rewindd import errors
from rewindd.cli.exits import Exit, status_of
from rewindd.cli.options import GLOBAL
from rewindd.cli.root import root

PAGE = Path(__file__).parents[2] / "docs" / "rewindctl.md"
#: Far above what a command takes.
PATIENCE_S = 60.0


@dataclass
class Example:
    """A command of the page, and what it prints there."""

    line: int
    command: str
    expected: list[str]


def examples() -> list[Example]:
    """Returns the commands of the page's console blocks, in order."""
    found: list[Example] = []
    is_console = False
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        if line.startswith("```"):
            is_console = line == "```console"
        elif is_console and line.startswith("$ "):
            found.append(Example(number, line[2:], []))
        elif is_console:
            found[-1].expected.append(line)
    return found


def pattern(expected: list[str]) -> str:
    """Returns what matches the output: `…` is anything in its line, and alone in a line any number of lines."""
    lines = ["(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + "\n" for line in expected]
    return "".join(lines)


def section(command: str) -> str:
    """Returns the page's section about a command."""
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE):
        if f"`{command}`" in part.partition("\n")[0] or f"`{command.partition(' ')[0]}`" == part.partition("\n")[0]:
            return part
    raise AssertionError(f"no section about {command}")


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yields every command of the tree by its full name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with places of its own; a daemon that was left there is stopped."""
    for name in ("run", "project", "config"):
        (tmp_path / name).mkdir(mode=0o700)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("REWINDD_", "XDG_"))}
    places = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "REWINDD_SOCKET": str(tmp_path / "run" / "s"),
        "REWINDD_DATA_DIR": str(tmp_path / "data"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }
    yield {**clean, **places}
    subprocess.run(["rewindctl", "daemon", "stop"], env={**clean, **places}, capture_output=True, timeout=PATIENCE_S, check=True)


def test_the_examples(environment: dict[str, str], tmp_path: Path) -> None:
    """Each example of the page runs, in order, in one directory, and prints what the page says."""
    for one in examples():
        done = subprocess.run(
            ["bash", "-c", one.command],
            cwd=tmp_path / "project",
            env=environment,
            umask=0o022,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, (one.line, one.command, done.stdout)
        assert re.fullmatch(pattern(one.expected), done.stdout), (one.line, one.command, done.stdout)


@pytest.mark.parametrize(("name", "command"), list(commands(root)), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command(name: str, command: click.Command) -> None:
    """Each command has a section with its synopsis, every option of its own, and every one of an option's words."""
    text = section(name)
    assert f"    rewindctl {name}" in text
    for param in command.params:
        if isinstance(param, click.Option):
            assert all(f"`{option}" in text or f"[{option}" in text for option in param.opts), param.opts
            words = param.type.choices if isinstance(param.type, click.Choice) else []
            assert all(str(word) in text for word in words), param.opts
    assert "--json" in text or name == "completions"


def test_every_option_in_the_synopsis_exists() -> None:
    """No synopsis names an option that the command does not take."""
    known = dict(commands(root))
    for found in re.finditer(r"^    rewindctl .*(?:\n {20,}.*)*", PAGE.read_text(), re.MULTILINE):
        words = found[0].split()
        name = next(name for name in (" ".join(words[1:3]), words[1]) if name in known)
        taken = {option for param in known[name].params for option in param.opts}
        assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", found[0])) <= taken, name


def test_the_global_options() -> None:
    """Each option that every command takes is named, with its metavar."""
    text = PAGE.read_text().split("\n## ")[1]
    for param in GLOBAL:
        assert isinstance(param, click.Option)
        shown = [f"`{option} {param.metavar}`" if param.metavar and not param.is_flag else f"`{option}`" for option in param.opts]
        assert all(one in text for one in shown), shown


def test_the_exit_statuses() -> None:
    """The table of exit statuses has every status and every code, each where the program puts it."""
    rows = re.findall(r"^\| (\d+) \| .* \| (.*)\|$", PAGE.read_text(), re.MULTILINE)
    assert [int(status) for status, _ in rows] == sorted(Exit)
    listed = {code: int(status) for status, codes in rows for code in re.findall(r"`([\w-]+)`", codes)}
    assert listed == {code: status_of(code) for code in errors.BY_CODE}

"""The man pages are made of docs/, whole, and man(1) has nothing against them."""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rewindd.cli.root import root
from rewindd.configuration.schema import SECTIONS
from rewindd.daemon import start

SCRIPT = Path(__file__).parents[2] / "scripts" / "man.py"
PAGES = ("rewindctl.1", "rewindd.1")


@pytest.fixture(scope="module", params=PAGES)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(str(request.param), tmp_path_factory.mktemp("man"))


def made(name: str, directory: Path) -> Path:
    """Makes a page, as scripts/install does."""
    done = subprocess.run([sys.executable, "-I", str(SCRIPT), name], capture_output=True, check=True)
    (directory / name).write_bytes(done.stdout)
    return directory / name


def shown(page: Path) -> str:
    """What a person reads, without what makes letters bold."""
    env = {"PATH": "/usr/bin:/bin", "MANWIDTH": "200", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["man", "--warnings=all", "-l", str(page)], capture_output=True, text=True, check=True, env=env)
    assert done.stderr == ""
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout)


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        elif not command.hidden:
            yield f"{prefix}{name}", command


needs_man = pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")


@needs_man
def test_rendered_without_a_word(source: Path) -> None:
    """roff warns of nothing, no markdown is left, and any terminal can show it."""
    text = shown(source)
    assert source.read_text().isascii(), "scripts/man.py has a plain form for each character of the pages"
    assert text.split()[0] == f"{source.stem.upper()}(1)"
    assert not re.search(r"^\s*(#|\|)|\*\*|\]\(", text, re.MULTILINE)


@needs_man
def test_every_command_is_there(tmp_path: Path) -> None:
    """rewindctl(1) has each command with each of its own options, under COMMANDS."""
    text = shown(made("rewindctl.1", tmp_path)).partition("\nCOMMANDS\n")[2]
    words = set(re.findall(r"[\w-]+", text))
    for name, command in commands(root):
        assert f"rewindctl {name}" in text, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.expose_value and not parameter.hidden:
                assert any(option in words for option in parameter.opts), (name, parameter.opts)


@needs_man
def test_every_option_of_the_daemon_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rewindd(1) has each option, and each setting."""
    found: list[argparse.ArgumentParser] = []
    whole = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, *given: object) -> object:
        found.append(self)
        return whole(self, [])

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    start._parse([])
    text = shown(made("rewindd.1", tmp_path))
    options = [option for action in found[0]._actions for option in action.option_strings if option not in ("-h", "--help")]
    assert options
    assert [option for option in options if option not in text] == []
    settings = [f"{section}.{key}" for section, kind in SECTIONS.items() for key in kind.__struct_fields__]
    assert settings
    assert [name for name in settings if name not in text] == []


def test_what_it_does_not_know_it_refuses(tmp_path: Path) -> None:
    """A page that is not one of them is named; nothing is printed."""
    done = subprocess.run([sys.executable, "-I", str(SCRIPT), "other.1"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "rewindctl.1" in done.stderr

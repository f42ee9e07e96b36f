"""docs/configuration.md says what the code says: every key, unit, default and reload; its example can be used."""

import re
from pathlib import Path

import pytest

from rewindd.configuration.parsing import parse
from rewindd.configuration.schema import Setting, settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def table(heading: str) -> dict[str, list[str]]:
    """The first table under a heading: the other cells by the name in the first."""
    part = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def default(setting: Setting) -> str:
    """A default in the page's words: as TOML has it."""
    if setting.default is None:
        return "not set"
    return f"`{str(setting.default).lower()}`"


def test_every_setting_is_there() -> None:
    """The page names every key and no other, in the code's order."""
    assert list(table("Settings")) == list(settings())


@pytest.mark.parametrize("name", settings())
def test_a_setting(name: str) -> None:
    """Unit, default and whether a reload is enough are the code's."""
    unit, told, reloads, means = table("Settings")[name]
    setting = settings()[name]
    assert (unit, told.partition(" (")[0], reloads) == (setting.unit, default(setting), "yes" if setting.reloads else "no")
    assert means


def test_sizes_in_words() -> None:
    """A size that is told in larger units too is that many bytes."""
    units = {"MiB": 1 << 20, "GiB": 1 << 30}
    told = re.findall(r"`(\d+)` \((\d+) (\w+)\)", PAGE.read_text())
    assert told
    assert all(int(size) == int(count) * units[unit] for size, count, unit in told)


def test_the_examples() -> None:
    """What the page shows as a file is one."""
    shown = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [parse(text.encode(), "page").values != {} for text in shown] == [True]

"""docs/capture.md lists the built-in rules as the code has them."""

import re
from pathlib import Path

from rewindd.tree.rules import book, builtin, places, repository

PAGE = (Path(__file__).parents[3] / "docs" / "capture.md").read_text()


def test_the_tables() -> None:
    """Every built-in directory is on the page with its reason, and no other."""
    section = PAGE.partition("### Built-in rules")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE))
    environments = ", ".join(f"`{name}`" for name in builtin.ENVIRONMENTS)
    expected = {f"`{name}`": why for name, why in builtin.NAMES.items()}
    expected |= {environments: builtin.ENVIRONMENT_WHY, "any": builtin.CACHE_WHY}
    assert {name: why for name, why in rows.items() if name not in ("name", "directory", "---")} == expected


def test_the_reasons() -> None:
    """Each reason that a rule gives is on the page."""
    for reason in (places.EXCLUDED, places.BY_REWINDIGNORE, places.BY_GITIGNORE, repository.IGNORED, "built-in: "):
        assert f"`{reason}`" in PAGE
    assert all(f"`{name}`" in PAGE for name in book.RULE_FILES)

"""docs/store.md as data: the columns of its tables."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "store.md"


def columns_of_the_store() -> dict[str, list[str]]:
    """Returns the page's columns, table by table, in its order."""
    parts = re.split(r"^### `(\w+)`$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    tables = {name: text.split("\n## ")[0] for name, text in zip(parts[::2], parts[1::2], strict=True)}
    return {name: re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) for name, text in tables.items()}

"""docs/python.md: its examples run as they stand against a running daemon, and it names everything that is public."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

import rewindd
import rewindd.blocking
from rewindd.client import blocking as blocking_client
from rewindd.client import blocking_session
from rewindd.client.history import SessionHistory
from support.daemon import RealDaemon

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
#: What the handles do with a history and its statistics, in the client's own rooms.
_INTERNAL = {"batch", "sent", "took", "show", "stand_at", "since", "become", "copy", "of"}


def examples() -> Iterator[tuple[int, str]]:
    """The page's examples, each with the number of its first line."""
    text = PAGE.read_text()
    for found in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start(1)), found[1]


async def _play() -> None:
    """Runs the examples in one namespace, as the interactive interpreter does; a failure is at its line of the page."""
    names: dict[str, object] = {}
    for line, source in examples():
        code = compile("\n" * line + source, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)
        if inspect.iscoroutine(running):
            await running


def test_the_examples(running: RealDaemon, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example of the page runs, in order, in an empty directory; what it asserts is so."""
    monkeypatch.chdir(tree)
    monkeypatch.setenv("REWINDD_SOCKET", running.socket)
    monkeypatch.setenv("REWINDD_AUTOSTART", "0")
    anyio.run(_play)


@pytest.mark.parametrize(
    "kind",
    [
        rewindd.Client,
        rewindd.Session,
        rewindd.SessionStats,
        SessionHistory,
        blocking_client.Client,
        blocking_session.Session,
    ],
    ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}",
)
def test_every_method(kind: type) -> None:
    """Each public method and property is named, and each parameter of those of client and session is in the method's row."""
    text = PAGE.read_text()
    listed = text[text.index("## All of it") :]
    for name, member in inspect.getmembers(kind):
        if name.startswith("_") or name in _INTERNAL:
            continue
        assert re.search(rf"\b{name}\b", text), name
        owner = kind.__name__.lower()
        if owner in ("client", "session") and inspect.isfunction(member) and name != "aclose":
            row = re.search(rf"`{owner}\.{name}\((.*?)\)`", listed)
            assert row is not None, name
            named = [one.strip().lstrip("*") for one in row[1].split(",") if one.strip() not in ("", "*")]
            assert named == [one for one in inspect.signature(member).parameters if one != "self"], name


def test_every_public_name() -> None:
    """Everything that `rewindd` offers is on the page."""
    text = PAGE.read_text()
    assert [name for name in dir(rewindd) if not name.startswith("_") and f"rewindd.{name}" not in text] == []
    for function in (rewindd.connect, rewindd.open, rewindd.blocking.connect):
        assert all(f"| `{name}` |" in text for name in inspect.signature(function).parameters)

"""Who may import whom: the floors of docs/design.md, read off the imports of every module."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "rewindd"
MAX_LINES = 400

PURE = {"errors", "paths", "faults", "model"}
CORE = {"timeline", "plan", "protocol"}
#: For each room: the other rooms of ours it may import, and the foreign packages it must not.
ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(PURE, PURE),
    **dict.fromkeys(CORE, PURE | CORE),
    "store": PURE | CORE | {"store"},
    "tree": PURE | CORE | {"tree"},
    "service": PURE | CORE | {"store", "tree", "service"},
    "daemon": PURE | {"protocol", "service", "daemon", "places", "configuration"},
    "client": PURE | {"protocol", "client", "places"},
    "cli": PURE | {"protocol", "client", "cli", "legacy", "places", "configuration"},
    "legacy": PURE | {"protocol", "client", "legacy"},
    "places": PURE,
    "configuration": PURE | {"places", "configuration"},
    "blocking": {"client"},
}
BANNED: dict[str, set[str]] = {
    **{
        room: {"anyio", "asyncio", "zmq", "sqlite3", "socket", "subprocess", "time", "click"}
        for room in {*PURE, *CORE, "places", "configuration"}
    },
    "store": {"anyio", "asyncio", "zmq", "click"},
    "tree": {"anyio", "asyncio", "zmq", "sqlite3", "click"},
    "service": {"zmq", "sqlite3", "click"},
    "daemon": {"sqlite3"},
    "cli": {"sqlite3", "asyncio"},
}
#: zmq at the daemon's end of the wire and in the client only.
ZMQ = ("daemon/server.py", "daemon/binding.py", "daemon/pulse.py", "daemon/connections.py", "daemon/envelopes.py", "client/")


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name != "__init__.py")


def imports(path: Path) -> set[str]:
    """The full names of what a module imports, also inside functions; not what is only for the type checker."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, "imports are absolute"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "rewindd"}
    return found


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_module_keeps_its_floor(path: Path) -> None:
    """A module imports only rooms it may see and no foreign package banned on its floor, and has at most 400 lines."""
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("rewindd.")} - {"__version__"}
    foreign = {name.split(".")[0] for name in imports(path)}
    where = str(path.relative_to(SOURCE))

    assert ours <= ALLOWED[room(path)]
    assert not foreign & BANNED.get(room(path), set())
    assert "zmq" not in foreign or where.startswith(ZMQ)
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_rooms_are_empty_at_their_door() -> None:
    """Importing a room imports nothing: its `__init__` is empty."""
    assert [str(path) for path in SOURCE.glob("*/__init__.py") if path.read_text().strip()] == []

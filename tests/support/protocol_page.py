"""docs/protocol.md as data: the tables under its headings, and what the code says in their place."""

import dataclasses
import re
import types
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Union, get_args, get_origin, get_type_hints

import msgspec

from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.protocol.portable import PortableCheckpoint

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
_SCALARS: dict[object, str] = {str: "str", int: "int", float: "float", bool: "bool", bytes: "bin", datetime: "time"}
_REPLY = re.compile(r"Reply:\s+\[`(\w+)`\]")


@dataclass
class Section:
    """What is under one heading: its text, and its first table without the heading row."""

    text: str = ""
    rows: list[list[str]] = field(default_factory=list)

    @property
    def fields(self) -> dict[str, list[str]]:
        """The table's rows by the name in their first column."""
        return {row[0].strip("`"): row[1:] for row in self.rows}

    @property
    def reply(self) -> str:
        """The name of the structure that answers the operation of this section."""
        found = _REPLY.search(self.text)
        assert found is not None, self.text
        return found[1]


def sections() -> dict[str, Section]:
    """Returns the page's sections by heading, an operation's with its backticks."""
    found: dict[str, Section] = {}
    current = Section()
    is_code = is_over = False
    for line in PAGE.read_text().splitlines():
        is_code = is_code != line.startswith("```")
        if is_code:
            continue
        if line.startswith("#"):
            current, is_over = found.setdefault(line.lstrip("# "), Section()), False
        elif line.startswith("|---"):
            current.rows = current.rows if is_over else []
        elif line.startswith("|") and not is_over:
            current.rows.append([cell.strip() for cell in line.strip("|").split("|")])
        is_over = is_over or bool(current.rows and not line)
        current.text += f"{line}\n"
    return found


def shown(kind: object) -> str:
    """Returns a type in the page's words."""
    if isinstance(kind, type) and issubclass(kind, FsText):
        return "path"
    if kind in _SCALARS:
        return _SCALARS[kind]
    if get_origin(kind) is Annotated:
        return shown(get_args(kind)[0])
    if get_origin(kind) is list:
        return f"[{shown(get_args(kind)[0])}]"
    if get_origin(kind) in (Union, types.UnionType):
        (inner,) = (one for one in get_args(kind) if one is not type(None))
        return f"{shown(inner)} or nil"
    assert isinstance(kind, type), kind
    return kind.__name__


def default(one: msgspec.structs.FieldInfo) -> str:
    """Returns a field's default in the page's words."""
    if one.default_factory is not msgspec.NODEFAULT:
        return str(one.default_factory())
    if one.default is msgspec.NODEFAULT:
        return "required"
    words = {None: "nil", True: "true", False: "false"}
    if isinstance(one.default, bool | None):
        return words[one.default]
    return f'"{one.default}"' if isinstance(one.default, str) else str(one.default)


def requested(kind: type[msgspec.Struct]) -> dict[str, tuple[str, str]]:
    """Returns type and default of each field that a structure has in a request; not what every request may have."""
    common = {one.name for one in msgspec.structs.fields(requests.Request)} if issubclass(kind, requests.Request) else set()
    return {name: pair for name, pair in fields_of(kind).items() if name not in common}


def fields_of(kind: type[msgspec.Struct]) -> dict[str, tuple[str, str]]:
    """Returns type and default of each field of a structure."""
    return {one.encode_name: (shown(one.type), default(one)) for one in msgspec.structs.fields(kind)}


def replied(kind: type) -> dict[str, str]:
    """Returns the type of each field that a structure has in a reply."""
    hints = get_type_hints(kind)
    if dataclasses.is_dataclass(kind):
        return {one.name: shown(hints[one.name]) for one in dataclasses.fields(kind)}
    return {one.encode_name: shown(one.type) for one in msgspec.structs.fields(kind)}


def structures(*roots: type) -> dict[str, type]:
    """Returns the structures that these are made of, themselves too, by name."""
    found: dict[str, type] = {}
    todo = list(roots)
    while todo:
        kind = todo.pop()
        if kind.__name__ in found:
            continue
        found[kind.__name__] = kind
        todo += [inner for hint in get_type_hints(kind).values() for inner in _inner(hint)]
    return found


def in_requests() -> dict[str, type]:
    """Returns the structures that requests are made of; not the requests, and not what replies have too."""
    found = structures(*requests.REQUESTS.values())
    both = structures(PortableCheckpoint)
    return {name: kind for name, kind in found.items() if not issubclass(kind, requests.Request) and name not in both}


def in_replies() -> dict[str, type]:
    """Returns the structures that replies are made of."""
    return structures(*get_args(replies.Reply))


def _inner(hint: object) -> list[type]:
    if isinstance(hint, type) and get_origin(hint) is None:
        return [hint] if issubclass(hint, msgspec.Struct) or dataclasses.is_dataclass(hint) else []
    return [kind for one in get_args(hint) for kind in _inner(one)]

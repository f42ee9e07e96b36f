"""Replies as JSON: what `--json` prints. Fields are the reply's; times RFC 3339 in UTC; a path that is not UTF-8 is there twice."""

import base64
import json
import os
from datetime import UTC, datetime

import msgspec

from rewindd.model.conversation import ToolCallRecord
from rewindd.paths import FsText

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def line(value: Json) -> str:
    """Returns one line of JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def plain(value: object) -> Json:
    """Returns what a reply, or a part of one, is in JSON.

    A path that is not UTF-8 is lossy in its own field, and exact in a sibling `<field>_b64`; for a list of paths the
    sibling is a list as long, null where the path is exact already.
    """
    if isinstance(value, msgspec.Struct):
        return _fields({name: getattr(value, name) for name in value.__struct_fields__})
    if isinstance(value, ToolCallRecord):
        return _fields({"tool_name": value.tool_name, "arguments": value.arguments, "result": value.result, "success": value.success})
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return _fields(value)
    return _scalar(value)


def without(value: Json, *fields: str) -> Json:
    """Returns an object without these fields where they are null: they were not asked for."""
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if name not in fields or item is not None}


def _fields(fields: dict[str, object]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in fields.items():
        found[name] = plain(value)
        exact = _exact(value)
        if exact is not None:
            found[f"{name}_b64"] = exact
    return found


def _scalar(value: object) -> Json:
    if isinstance(value, str):
        return _lossy(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON")


def _exact(value: object) -> Json:
    """Returns what is to stand beside a path, or a list of paths, that JSON cannot say; None when it can."""
    if isinstance(value, FsText):
        return None if _lossy(value) == value else base64.b64encode(os.fsencode(value)).decode()
    if isinstance(value, list) and any(isinstance(item, FsText) for item in value):
        exact = [_exact(item) for item in value]
        return exact if any(item is not None for item in exact) else None
    return None


def _lossy(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if _has_surrogates(text) else str(text)


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False

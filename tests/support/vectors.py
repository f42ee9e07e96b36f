"""Test vectors of the wire: frames in hex with what they mean, and a MessagePack decoder that is not the one we use."""

import json
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

FILE = Path(__file__).parents[1] / "data" / "protocol" / "vectors.json"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
#: Formats of text, bytes and extensions: how many bytes their length takes.
_LENGTHS = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1}
_FIXED_EXT = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}


@dataclass(frozen=True)
class Vector:
    """One frame. `kind`: request, answer, error or progress; `op` of a request or answer."""

    name: str
    kind: str
    op: str
    body: bytes
    meaning: dict[str, object]


class _Entry(msgspec.Struct):
    name: str
    kind: str
    op: str
    hex: str
    meaning: dict[str, object]


def vectors() -> list[Vector]:
    """Returns all vectors, with their meaning as Python values."""
    entries = msgspec.convert(json.loads(FILE.read_text()), list[_Entry])
    return [
        Vector(one.name, one.kind, one.op, bytes.fromhex(one.hex), msgspec.convert(untag(one.meaning), dict[str, object]))
        for one in entries
    ]


def tag(value: object) -> object:
    """Returns a value as JSON has it: bytes and times under a name of their own."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, datetime):
        return {"$time": value.isoformat().replace("+00:00", "Z")}
    if isinstance(value, dict):
        return {name: tag(item) for name, item in value.items()}
    return [tag(item) for item in value] if isinstance(value, list) else value


def untag(value: object) -> object:
    """The inverse of `tag`."""
    if isinstance(value, list):
        return [untag(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$bin"}:
        return bytes.fromhex(value["$bin"])
    return datetime.fromisoformat(value["$time"]) if value.keys() == {"$time"} else {name: untag(item) for name, item in value.items()}


def plainly(body: bytes) -> object:
    """Returns what MessagePack says, by the specification's tables alone; of extensions timestamps only."""
    value, end = _value(body, 0)
    assert end == len(body), "something is behind the value"
    return value


def _value(body: bytes, at: int) -> tuple[object, int]:
    first = body[at]
    if first < 0x80 or first >= 0xE0:
        return (first if first < 0x80 else first - 256), at + 1
    if first in _CONSTANTS:
        return _CONSTANTS[first], at + 1
    if first in _NUMBERS:
        end = at + 1 + struct.calcsize(_NUMBERS[first])
        return struct.unpack(_NUMBERS[first], body[at + 1 : end])[0], end
    if first < 0xA0 or 0xDC <= first <= 0xDF:
        return _many(body, at)
    return _run(body, at)


def _many(body: bytes, at: int) -> tuple[object, int]:
    first = body[at]
    wide = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}.get(first, 0)
    count, at = int.from_bytes(body[at + 1 : at + 1 + wide], "big") if wide else first & 0x0F, at + 1 + wide
    is_map = first in (0xDE, 0xDF) or first < 0x90
    found: list[object] = []
    for _ in range(2 * count if is_map else count):
        value, at = _value(body, at)
        found.append(value)
    return (dict(zip(found[::2], found[1::2], strict=True)) if is_map else found), at


def _run(body: bytes, at: int) -> tuple[object, int]:
    first = body[at]
    wide = _LENGTHS.get(first, 0)
    length = first & 0x1F if first < 0xC0 else _FIXED_EXT.get(first) or int.from_bytes(body[at + 1 : at + 1 + wide], "big")
    start = at + 1 + wide
    if first == 0xC7 or first in _FIXED_EXT:
        assert body[start] == 0xFF, "an extension that is no timestamp"
        return _time(body[start + 1 : start + 1 + length]), start + 1 + length
    content = body[start : start + length]
    return (content if 0xC4 <= first <= 0xC6 else content.decode()), start + length


def _time(stored: bytes) -> datetime:
    if len(stored) == 4:
        seconds, ns = int.from_bytes(stored, "big"), 0
    elif len(stored) == 8:
        both = int.from_bytes(stored, "big")
        seconds, ns = both & 0x3FFFFFFFF, both >> 34
    else:
        ns, seconds = struct.unpack(">Iq", stored)
    return _EPOCH + timedelta(seconds=seconds, microseconds=ns // 1000)

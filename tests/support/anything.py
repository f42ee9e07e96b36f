"""Any value of a type of the wire, for property tests."""

import dataclasses
from datetime import UTC, datetime
from types import UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from rewindd.paths import FsText, LinkTarget, RelPath

FS_TEXT = st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", "surrogateescape"))

SCALARS: "dict[object, st.SearchStrategy[object]]" = {
    **{kind: FS_TEXT.map(kind) for kind in (FsText, RelPath, LinkTarget)},
    type(None): st.none(),
    bool: st.booleans(),
    str: st.text(max_size=20),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    bytes: st.binary(max_size=20),
    datetime: st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC)),
}


def any_of(kind: object) -> "st.SearchStrategy[object]":
    """Any value of a field's type; of a structure with anything in its fields."""
    if kind in SCALARS:
        return SCALARS[kind]
    if get_origin(kind) is Annotated:
        inner, *bounds = get_args(kind)
        return _within(inner, [one for one in bounds if isinstance(one, msgspec.Meta)])
    if get_origin(kind) is list:
        return st.lists(any_of(get_args(kind)[0]), max_size=3)
    if get_origin(kind) is dict:
        return st.dictionaries(*(any_of(one) for one in get_args(kind)), max_size=3)
    if get_origin(kind) in (Union, UnionType):
        return st.one_of([any_of(one) for one in get_args(kind)])
    assert isinstance(kind, type), kind
    return st.builds(kind, **{name: any_of(hint) for name, hint in hints_of(kind).items()})


def _within(kind: object, bounds: list[msgspec.Meta]) -> "st.SearchStrategy[object]":
    """Any value of a type, and a number within its bounds; a list is short anyway."""
    for one in bounds:
        lowest = one.ge if one.ge is not None else one.gt
        highest = one.le if one.le is not None else one.lt
        if kind is float:
            return st.floats(lowest, highest, exclude_min=one.gt is not None, exclude_max=one.lt is not None, allow_nan=False)
        if kind is int:
            least = None if lowest is None else int(lowest) + (one.gt is not None)
            return st.integers(least, None if highest is None else int(highest) - (one.lt is not None))
    return any_of(kind)


def hints_of(kind: type) -> dict[str, object]:
    """The types of a structure's fields."""
    if dataclasses.is_dataclass(kind):
        return dict(get_type_hints(kind))
    return {one.name: one.type for one in msgspec.structs.fields(kind)}

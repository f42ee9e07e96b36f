"""Valid messages, spoilt: fields of a wrong type, huge, nested, missing, twice, other requests' own; bytes that were flipped."""

import msgspec
from hypothesis import strategies as st

from support.vectors import Vector, vectors

#: Text that is no text: a surrogate, and bytes that are not UTF-8, as MessagePack has them.
NO_TEXT = (msgspec.Raw(b"\xa3\xed\xa0\x80"), msgspec.Raw(b"\xa2\xff\xfe"), msgspec.Raw(b"\xd9\x01\xc0"))
#: Values that are wrong nearly everywhere.
ODD: tuple[object, ...] = (
    *(None, True, -1, 0, 2**31, 2**63 - 1, 2**64 - 1, -(2**63), 0.5, float("nan"), float("inf"), float("-inf"), 1e308),
    *("", "\0", " ", "@", "@~99999999999999999999", "#-1", "#99999999999999999999", "@{", "@{99999999999999h}", "@{25:61}", "barrier:"),
    *("x" * 2_000, "../outside/secret", "a/../../outside/secret", "/proc/self/mem", ".git/config", "%s%n", "'; DROP TABLE edits; --"),
    *(b"", b"\xff\xfe", b"a\0b", b"../outside/secret", b"/", b"x" * 5_000, b".rewindd-1-1"),
    *([], [None], [[]] * 50, [b"\xff"] * 1_000, {}, {"": None}, {"a": {"a": {}}}),
    msgspec.Raw(b"\x91" * 3_000 + b"\xc0"),
    *NO_TEXT,
)


def requests_kept(without: frozenset[str]) -> list[Vector]:
    """The vectors of requests, but for those of these operations."""
    return [one for one in vectors() if one.kind == "request" and one.op not in without]


def spoilt(valid: list[Vector], known: dict[str, object]) -> "st.SearchStrategy[bytes]":
    """Bodies that were valid. `known`: values of fields that mean something to who is asked, which keep most of them meaningful."""
    others = sorted({(name, repr(value)): value for one in valid for name, value in one.meaning.items()}.items())
    values = st.one_of(st.sampled_from(ODD), st.sampled_from([value for _, value in others]))

    @st.composite
    def body(draw: st.DrawFn) -> bytes:
        fields = dict(draw(st.sampled_from(valid)).meaning)
        fields |= {name: value for name, value in known.items() if name in fields}
        names = sorted(fields.keys() - {"v", "op"}) or ["id"]
        for name, value in draw(st.lists(st.tuples(st.sampled_from([*names, "more"]), values | st.just(...)), max_size=3)):
            if value is ...:
                fields.pop(name, None)
            else:
                fields[name] = value
        pairs = list(fields.items())
        if draw(st.integers(0, 5)) == 0:
            pairs.append((draw(st.sampled_from(names)), draw(values)))
        made = bytearray(_map(pairs))
        for at, flipped in (
            draw(st.lists(st.tuples(st.integers(0, len(made) - 1), st.integers(1, 255)), max_size=3)) if _seldom(draw) else ()
        ):
            made[at] ^= flipped
        return bytes(made)

    return body()


def _seldom(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 3)) == 0


def _map(pairs: list[tuple[str, object]]) -> bytes:
    """A map of these pairs, also where a name comes twice."""
    packed = b"".join(msgspec.msgpack.encode(name) + msgspec.msgpack.encode(value) for name, value in pairs)
    return b"\xde" + len(pairs).to_bytes(2, "big") + packed

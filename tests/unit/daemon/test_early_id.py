"""The id of a request that cannot be taken: found at the start of its body."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewindd.protocol import requests, wire

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(max_size=40), st.binary(max_size=40)
)


@given(st.one_of(st.integers(-(2**63), 2**64 - 1), st.text(max_size=60)), SCALARS, SCALARS, st.binary(max_size=30))
def test_found_among_the_first(request_id: int | str, one: object, two: object, rest: bytes) -> None:
    """After any two scalar fields the id is found, however the body goes on."""
    body = msgspec.msgpack.encode({"a": one, "b": two, "id": request_id})
    assert wire.decode_id(body[:1] + body[1:]) == request_id
    assert wire.decode_id(bytes([0x80 | 9]) + body[1:] + rest) == request_id


@given(st.binary(max_size=80))
def test_any_bytes(body: bytes) -> None:
    """No bytes make it raise."""
    wire.decode_id(body)


def test_every_cut() -> None:
    """A request cut anywhere gives its id, once that is whole, or none."""
    body = wire.encode_request(requests.Ping(), 300)
    whole = body.index(b"\xa2id") + 3 + 3
    assert [wire.decode_id(body[:cut]) for cut in range(len(body))] == [300 if cut >= whole else None for cut in range(len(body))]


@pytest.mark.parametrize("request_id", [5, "x" * 128])
def test_of_a_body_too_large(request_id: int | str) -> None:
    """A body that is over the limit gives its id without being decoded."""
    body = msgspec.msgpack.encode({"v": 1, "id": request_id, "op": "record", "z": bytes(wire.MAX_REQUEST_BYTES)})
    assert wire.decode_id(body) == request_id
    assert wire.decode_id(body[:1024]) == request_id

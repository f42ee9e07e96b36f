"""Messages that were valid, spoilt, against the whole service: each is answered, none by a bug, and nothing outside is touched."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewindd import errors
from rewindd.legacy import format as layout
from rewindd.protocol import requests, wire
from support import dying
from support.hostile import ODD, requests_kept, spoilt
from support.siege import KNOWN, WITHOUT, Besieged, siege

ORIGINALS = sorted((Path(__file__).parents[1] / "data" / "checkpoint-json").glob("*.json"))


@pytest.fixture(scope="module")
def besieged() -> "Iterator[Besieged]":
    """One service for all that comes."""
    with siege() as made:
        yield made


def besiege(besieged: Besieged, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(requests_kept(WITHOUT), KNOWN))
    def send(body: bytes) -> None:
        besieged.portal.call(besieged.begin)
        besieged.check(body)

    send()


def test_spoilt_messages(besieged: Besieged) -> None:
    """Each is answered, with an answer or an error of the protocol's."""
    besiege(besieged, 300)
    assert besieged.answer(wire.encode_request(requests.Save(session=dying.SESSION), 1)) in ("-", errors.UnknownSession.code)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_spoilt_messages_for_long(besieged: Besieged) -> None:
    """The same, ten thousand times."""
    besiege(besieged, 10_000)


def _spoil(fields: dict[str, object], chosen: list[tuple[str, object]]) -> bytes:
    return json.dumps({**fields, **dict(chosen)}).encode()


_IN_JSON = [value for value in ODD if isinstance(value, (str, int, float, type(None), list, dict)) and "b'" not in repr(value)]


@given(
    st.sampled_from(ORIGINALS),
    st.lists(st.tuples(st.sampled_from(["id", "timestamp", "stats", "user_prompts", "file_diffs"]), st.sampled_from(_IN_JSON)), max_size=2),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=4),
)
def test_spoilt_checkpoint_files(file: Path, chosen: list[tuple[str, object]], flips: list[tuple[int, int]]) -> None:
    """A checkpoint file of the reference that was spoilt is a checkpoint that can be written again, or refused as what it is."""
    content = bytearray(_spoil(json.loads(file.read_bytes()), chosen))
    for at, flipped in flips:
        content[at % len(content)] ^= flipped
    try:
        found = layout.decode(bytes(content))
    except errors.BadRequest:
        return
    assert layout.decode(layout.encode(found)) == found

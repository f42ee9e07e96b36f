"""docs/protocol.md says what the code says: operations, fields, types, defaults, errors, limits."""

import msgspec
import pytest

from rewindd import errors
from rewindd.daemon import binding, peers, server
from rewindd.model import ids
from rewindd.protocol import requests, wire
from rewindd.protocol.requests import REQUESTS
from rewindd.service import turn
from rewindd.service.asking import positions, query
from support.protocol_page import PAGE, fields_of, in_replies, in_requests, replied, requested, sections
from support.vectors import Vector, tag, vectors

SECTIONS = sections()


@pytest.mark.parametrize("op", REQUESTS)
def test_every_operation(op: str) -> None:
    """Each operation has a section, whose table has exactly its own fields with their types and defaults, and names its reply."""
    section = SECTIONS[f"`{op}`"]
    assert {name: (row[0], row[1]) for name, row in section.fields.items()} == requested(REQUESTS[op])
    assert section.reply in in_replies()


def test_the_list_of_operations() -> None:
    """The list names every operation and no other, and says of each whether it changes something."""
    listed = {row[0].split("`")[1]: row[1] == "yes" for row in SECTIONS["Operations"].rows}
    assert listed == {op: kind.mutates for op, kind in REQUESTS.items()}


@pytest.mark.parametrize("name", in_requests())
def test_every_structure_in_requests(name: str) -> None:
    """Each structure that requests are made of has a section with exactly its fields, their types and defaults."""
    assert {field: (row[0], row[1]) for field, row in SECTIONS[name].fields.items()} == requested(in_requests()[name])


@pytest.mark.parametrize("name", in_replies())
def test_every_structure_in_replies(name: str) -> None:
    """Each structure that replies are made of has a section with exactly its fields and their types."""
    assert {field: row[0] for field, row in SECTIONS[name].fields.items()} == replied(in_replies()[name])


def test_the_envelope() -> None:
    """The page's table of common fields is the envelope and what every request may carry."""
    common = {name: row[:2] for name, row in SECTIONS["Envelope"].fields.items()}
    expected = {name: list(pair) for name, pair in fields_of(requests.Request).items()}
    assert common.pop("v") == ["int", "required"]
    assert common.pop("id") == ["int or str", "required"]
    assert common.pop("op") == ["str", "required"]
    assert common == expected


def test_every_error() -> None:
    """The table of errors has exactly the codes there are, and says truly which are worth another try."""
    listed = {row[0].strip("`"): row[1] == "yes" for row in SECTIONS["Errors"].rows}
    assert listed == {code: kind.retryable for code, kind in errors.BY_CODE.items()}


def test_the_limits() -> None:
    """The limits are those of the codec, the server and the service."""
    values = {row[0]: row[1] for row in SECTIONS["Limits"].rows}
    assert values["body of a request"] == f"16 MiB ({wire.MAX_REQUEST_BYTES} bytes)"
    assert values["body of a reply"] == f"64 MiB ({wire.MAX_REPLY_BYTES} bytes)"
    assert values["elements of a list of paths or events"] == str(requests.MAX_ELEMENTS)
    assert values["requests in hand of one connection"] == str(peers.MAX_OF_CONNECTION)
    assert values["requests in hand of one process"] == str(peers.MAX_OF_PROCESS)
    assert values["requests in hand of all"] == f"{peers.MAX_OF_ALL}, and {peers.MAX_BYTES >> 20} MiB of bodies"
    unread = f"{peers.MAX_UNREAD_BYTES >> 20} MiB of replies over 1 MiB"
    assert values["messages that wait for one connection to read"] == f"{binding.SEND_MESSAGES}, and {unread}"
    assert (
        values["one frame that the daemon reads"] == f"{binding.MAX_FRAME_BYTES >> 20} MiB and {(binding.MAX_FRAME_BYTES >> 10) % 1024} KiB"
    )
    assert values["a piece of a blob"] == f"{query.MAX_CHUNK_BYTES >> 20} MiB"
    assert values["a `key`"] == f"1 to {turn.MAX_KEY_CHARS} characters"
    assert values["a label"] == f"{ids.MAX_LABEL_CHARS} characters"
    assert f"handshake in {binding.HANDSHAKE_MS // 1000} s" in PAGE.read_text()
    assert f"({server.DRAIN_S:g} s at most)" in PAGE.read_text()
    assert f"at least {positions.MIN_PREFIX_CHARS} characters" in PAGE.read_text()
    assert values["a request's `id`"].startswith(f"{wire.MAX_ID_BYTES} characters")


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.name)
def test_every_vector(vector: Vector) -> None:
    """Each vector of the data file is on the page, with its meaning."""
    page = PAGE.read_text()
    start = page.index(f"**{vector.name}** ({vector.kind})")
    code = page[start:].split("```")
    assert bytes.fromhex(code[1].removeprefix("hex\n")) == vector.body
    assert msgspec.json.decode(code[3].removeprefix("json\n")) == tag(vector.meaning)

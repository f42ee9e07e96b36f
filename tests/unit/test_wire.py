"""The codec: what is right goes round, what is wrong is an error with the caller's id, and nothing else ever comes out."""

import string
from typing import cast, get_args

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewindd import errors
from rewindd.protocol import replies, requests, wire
from rewindd.protocol.requests import REQUESTS, Request
from support.anything import FS_TEXT, any_of, hints_of
from support.vectors import Vector, plainly, vectors

REQUEST_BODIES = [vector for vector in vectors() if vector.kind == "request"]
REPLY_BODIES = [vector for vector in vectors() if vector.kind != "request"]
#: Any bytes at all, and bytes that begin like a map.
GARBAGE = st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: b"\x84\xa1v\x01\xa2id\x07\xa2op\xa4ping" + tail)
IDS = st.integers(-(2**63), 2**64 - 1) | st.text(max_size=wire.MAX_ID_BYTES)
ANY_REQUEST = cast("st.SearchStrategy[Request]", st.one_of([any_of(kind) for kind in REQUESTS.values()]))
ANY_REPLY = cast("st.SearchStrategy[replies.Reply]", st.one_of([any_of(kind) for kind in get_args(replies.Reply)]))


def refused(body: bytes) -> errors.RewinddError | None:
    """The error that a body gets, None where it is a request."""
    try:
        wire.decode_request(body, wire.decode_envelope(body).op)
    except errors.RewinddError as error:
        return error
    return None


@pytest.mark.parametrize("vector", REQUEST_BODIES, ids=lambda vector: vector.name)
def test_a_request_cut_anywhere(vector: Vector) -> None:
    """A request cut off at any length is `bad-request`, and its id is told as soon as it is there whole."""
    body = vector.body
    known_from = body.index(b"\xa2op")
    whole = wire.decode_id(body)
    for length in range(len(body)):
        error = refused(body[:length])
        assert isinstance(error, errors.BadRequest), length
        assert wire.decode_id(body[:length]) == (whole if length >= known_from else None), length
    assert refused(body) is None


@pytest.mark.parametrize("vector", REPLY_BODIES, ids=lambda vector: vector.name)
def test_a_reply_cut_anywhere(vector: Vector) -> None:
    """A reply cut off at any length is refused by the client's side too."""
    for length in range(len(vector.body)):
        with pytest.raises(errors.BadRequest):
            wire.decode_reply_head(vector.body[:length])


@given(GARBAGE)
def test_garbage(body: bytes) -> None:
    """Whatever bytes come: a request, or an error of ours; and reading the id raises nothing."""
    error = refused(body)
    assert error is None or isinstance(error, errors.RequestError)
    found = wire.decode_id(body)
    assert found is None or isinstance(found, int | str)
    try:
        wire.decode_reply_head(body)
    except errors.BadRequest:
        return


@given(GARBAGE, st.sampled_from(list(REQUESTS)))
def test_garbage_in_an_operation(body: bytes, op: str) -> None:
    """A body that is no such request is `bad-request` whatever the operation."""
    try:
        assert isinstance(wire.decode_request(body, op), REQUESTS[op])
    except errors.BadRequest:
        return


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01"])
@pytest.mark.parametrize("place", ["whole", "unknown field", "field"])
def test_deep_nesting(opening: bytes, place: str) -> None:
    """A body nested a hundred thousand deep is `bad-request`, wherever the depth is: no crash, no exhausted stack."""
    deep = opening * 100_000 + b"\xc0"
    named = {"whole": deep, "unknown field": b"\x84\xa1z" + deep, "field": b"\x84\xa5paths" + deep}[place]
    body = named if place == "whole" else named + b"\xa1v\x01\xa2id\x07\xa2op\xa8snapshot"
    assert isinstance(refused(body), errors.BadRequest)
    assert wire.decode_id(body) is None


@pytest.mark.parametrize(
    "claim",
    [
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x85\xa1v\x01\xa2id\x07\xa2op\xa8snapshot\xa7session\xa1s\xa5paths\xdd\xff\xff\xff\xff",
        b"\x85\xa1v\x01\xa2id\x07\xa2op\xa8snapshot\xa7session\xa1s\xa5paths\x91\xc6\xff\xff\xff\xff",
        b"\x84\xa1v\x01\xa2id\x07\xa2op\xa4ping\xa1z\xdf\xff\xff\xff\xff",
        b"\x84\xa2id\xdb\xff\xff\xff\xffabc",
        b"\xdf\xff\xff\xff\xff\xa1v\x01\xa2id\x07\xa2op\xa4ping",
    ],
)
def test_huge_declared_lengths(claim: bytes) -> None:
    """A length of four billion in a few bytes is `bad-request`; nothing is allocated for it, and the id is told where it stands."""
    assert isinstance(refused(claim), errors.BadRequest)
    assert wire.decode_id(claim) == (7 if b"\xa2id\x07" in claim else None)


def test_too_many_elements() -> None:
    """A list of more elements than one request may have is refused."""
    paths = [b"p"] * (requests.MAX_ELEMENTS + 1)
    body = msgspec.msgpack.encode({"v": 1, "id": 7, "op": "snapshot", "session": "s", "paths": paths})
    assert isinstance(refused(body), errors.BadRequest)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"v": 2}, "unsupported-version"),
        ({"v": 0}, "unsupported-version"),
        ({"v": "1"}, "bad-request"),
        ({"v": None}, "bad-request"),
        ({"op": "dance"}, "unknown-op"),
        ({"op": 1}, "bad-request"),
        ({"op": b"ping"}, "bad-request"),
        ({"id": None}, "bad-request"),
        ({"id": 1.5}, "bad-request"),
        ({"id": b"x"}, "bad-request"),
        ({"id": True}, "bad-request"),
        ({"id": [7]}, "bad-request"),
        ({"id": "x" * 129}, "bad-request"),
        ({"key": 1}, "bad-request"),
        ({"session": b"s"}, "bad-request"),
        ({"deadline_ms": "soon"}, "bad-request"),
        ({"progress": 1}, "bad-request"),
        ({"op": "snapshot"}, "bad-request"),
        ({"op": "snapshot", "paths": b"x"}, "bad-request"),
        ({"op": "snapshot", "paths": ["text"]}, "bad-request"),
        ({"op": "snapshot", "paths": [None]}, "bad-request"),
        ({"op": "rewind", "position": "@", "restore": ["files"] * 9}, "bad-request"),
        ({"op": "save", "events": [{}]}, "bad-request"),
        ({"op": "save", "base": 3}, "bad-request"),
        ({"op": "read", "blob": "00", "offset": 1.5}, "bad-request"),
    ],
)
def test_wrong_types(fields: dict[str, object], code: str) -> None:
    """A field of a wrong type or value is refused with the code for it."""
    error = refused(msgspec.msgpack.encode({"v": 1, "id": 7, "op": "ping", **fields}))
    assert error is not None
    assert error.code == code


@pytest.mark.parametrize("name", ["v", "id", "op"])
def test_what_an_envelope_needs(name: str) -> None:
    """Version, id and operation are required."""
    fields = {"v": 1, "id": 7, "op": "ping"}
    del fields[name]
    assert isinstance(refused(msgspec.msgpack.encode(fields)), errors.BadRequest)


def test_wrong_utf8() -> None:
    """Text that is not UTF-8 is refused, in the envelope and in a field."""
    assert isinstance(refused(b"\x83\xa1v\x01\xa2id\xa1\xff\xa2op\xa4ping"), errors.BadRequest)
    assert isinstance(refused(b"\x84\xa1v\x01\xa2id\x07\xa2op\xa4ping\xa7session\xa1\xff"), errors.BadRequest)


def test_too_large() -> None:
    """A request above the limit is `too-large` on both sides, and one at the limit is taken."""
    fits = wire.MAX_REQUEST_BYTES - len(msgspec.msgpack.encode({"v": 1, "id": 7, "op": "ping", "z": b"x" * (1 << 20)})) + (1 << 20)
    body = msgspec.msgpack.encode({"v": 1, "id": 7, "op": "ping", "z": bytes(fits)})
    assert len(body) == wire.MAX_REQUEST_BYTES
    assert refused(body) is None
    with pytest.raises(errors.TooLarge):
        wire.decode_envelope(body + b"\0")
    with pytest.raises(errors.TooLarge):
        wire.encode_request(requests.Save(session="s", label="x" * wire.MAX_REQUEST_BYTES), 1)


@given(st.lists(st.binary(max_size=5), max_size=6))
def test_routes(frames: list[bytes]) -> None:
    """A DEALER's frames are [peer, body], a REQ's [peer, "", body]; any others are unroutable, and the route leads back."""
    if len(frames) == 2:
        assert wire.split_route(frames) == ((frames[0],), frames[1])
    elif len(frames) == 3 and frames[1] == b"":
        assert wire.split_route(frames) == ((frames[0], b""), frames[2])
    else:
        with pytest.raises(wire.Unroutable):
            wire.split_route(frames)


@settings(max_examples=300)
@given(ANY_REQUEST, IDS)
def test_requests_go_round(request: Request, request_id: wire.RequestId) -> None:
    """Every request, with any values in its fields, decodes to itself, and its id is found without decoding the rest."""
    body = wire.encode_request(request, request_id)
    envelope = wire.decode_envelope(body)
    assert (envelope.id, envelope.op, envelope.key) == (request_id, request.op, request.key)
    assert wire.decode_request(body, envelope.op) == request
    assert wire.decode_id(body) == request_id


@settings(max_examples=300)
@given(ANY_REPLY, IDS)
def test_replies_go_round(reply: replies.Reply, request_id: wire.RequestId) -> None:
    """Every reply, with any values in its fields, decodes to itself, sealed and as it is kept."""
    fields = wire.encode_reply(reply)
    body = wire.seal(request_id, fields)
    head = wire.decode_reply_head(body)
    assert (head.v, head.id, head.ok) == (1, request_id, True)
    assert wire.decode_reply(body, type(reply)) == reply
    assert wire.decode_fields(fields, type(reply)) == reply


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=8), st.integers() | st.text(max_size=5), max_size=40), IDS)
def test_seal_is_the_whole_map(fields: dict[str, object], request_id: wire.RequestId) -> None:
    """Sealing encoded fields gives the bytes of the whole map, whatever the size of its header before and after."""
    assume(not fields.keys() & {"v", "id", "ok"})
    assume(all(not isinstance(value, int) or -(2**63) <= value < 2**64 for value in fields.values()))
    whole = msgspec.msgpack.encode({"v": 1, "id": request_id, "ok": True, **fields})
    assert wire.seal(request_id, msgspec.msgpack.encode(fields)) == whole


@given(ANY_REPLY)
def test_plain_messagepack(reply: replies.Reply) -> None:
    """A reply is MessagePack with timestamps and nothing else of its own: another decoder reads every one."""
    body = wire.seal(1, wire.encode_reply(reply))
    read = plainly(body)
    assert isinstance(read, dict)
    assert list(read)[:3] == ["v", "id", "ok"]
    assert read == msgspec.msgpack.decode(body)


_FIELDS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.lists(st.text(max_size=5), max_size=3)


@given(
    st.sampled_from(list(errors.BY_CODE)), st.text(), st.dictionaries(st.sampled_from(["path", "field", "plan"]), _FIELDS), IDS | st.none()
)
def test_errors_go_round(code: str, message: str, fields: dict[str, errors.FieldValue], request_id: wire.RequestId | None) -> None:
    """Every error arrives as an exception of its class, with message, fields and whether to try again."""
    body = wire.encode_error(request_id, errors.from_wire(code, message, fields))
    head = wire.decode_reply_head(body)
    error = wire.error_of(head)
    assert (head.id, head.ok) == (request_id, False)
    assert type(error) is errors.BY_CODE[code]
    assert (error.message, dict(error.fields)) == (message, fields)
    assert head.error is not None
    assert head.error["retryable"] is error.retryable


@given(FS_TEXT)
def test_errors_name_any_path(path: str) -> None:
    """An error about a path of any bytes can be sent; what of it is UTF-8 reads as it is."""
    head = wire.decode_reply_head(wire.encode_error(1, errors.OutsideWorkspace(f"{path} is outside", path=path)))
    assert head.error is not None
    assert head.error["path"] == path.encode("utf-8", "backslashreplace").decode()


def test_an_error_of_a_later_daemon() -> None:
    """A code that this version does not know is an `internal` error that names it, with its fields of any shape."""
    body = msgspec.msgpack.encode(
        {"v": 1, "id": 1, "ok": False, "error": {"code": "too-late", "message": "m", "retryable": True, "more": {"a": [1]}}}
    )
    error = wire.error_of(wire.decode_reply_head(body))
    assert isinstance(error, errors.InternalError)
    assert "too-late" in error.message


ANY_NOTICES = cast("st.SearchStrategy[replies.Notices]", any_of(replies.Notices))


@given(ANY_REPLY, ANY_NOTICES, IDS)
def test_notices_ride_on_answers(reply: replies.Reply, notices: replies.Notices, request_id: wire.RequestId) -> None:
    """Notices arrive beside an answer, whose fields are what they would be without; so would they be to who does not know of notices."""
    body = wire.seal(request_id, wire.encode_reply(reply), wire.encode_notices(notices))
    head = wire.decode_reply_head(body)
    assert (head.id, head.ok, head.notices) == (request_id, True, notices)
    assert wire.decode_reply(body, type(reply)) == reply
    read = plainly(body)
    assert isinstance(read, dict)
    del read["notices"]
    assert read == plainly(wire.seal(request_id, wire.encode_reply(reply)))


@given(ANY_NOTICES)
def test_notices_ride_on_errors(notices: replies.Notices) -> None:
    """Notices arrive beside an error too."""
    head = wire.decode_reply_head(wire.encode_error(1, errors.Busy("later"), wire.encode_notices(notices)))
    assert (head.ok, head.notices, wire.error_of(head).code) == (False, notices, "busy")


def test_the_envelope_s_names_are_its_own() -> None:
    """No reply has a field that the envelope has."""
    taken = {one.name for one in msgspec.structs.fields(wire.ReplyHead)}
    assert [kind.__name__ for kind in get_args(replies.Reply) if taken & hints_of(kind).keys()] == []


def test_a_later_reply() -> None:
    """Fields that a later daemon adds to a reply are ignored; fields that are missing are noticed."""
    body = msgspec.msgpack.encode({"v": 1, "id": 1, "ok": True, "pid": 3, "later": {"x": 1}})
    assert wire.decode_reply(body, replies.Pong) == replies.Pong(pid=3)
    with pytest.raises(errors.BadRequest):
        wire.decode_reply(body, replies.Released)

"""The test vectors: what other clients build on decodes to what it says, and we still send the same bytes."""

from collections.abc import Mapping
from typing import cast

import msgspec
import pytest

from rewindd import errors
from rewindd.protocol import replies, wire
from support.protocol_page import in_replies, sections
from support.vectors import Vector, plainly, tag, vectors

VECTORS = vectors()
_SECTIONS = sections()


def of(*kinds: str) -> "pytest.MarkDecorator":
    """Parametrizes a test with the vectors of these kinds."""
    chosen = [vector for vector in VECTORS if vector.kind in kinds]
    return pytest.mark.parametrize("vector", chosen, ids=lambda vector: vector.name)


def only(fields: object, like: object) -> object:
    """Returns `fields` without what `like` does not have: a later version adds fields, and the vectors stay."""
    if isinstance(like, Mapping) and isinstance(fields, Mapping):
        return {name: only(fields[name], value) for name, value in like.items()}
    if isinstance(like, list) and isinstance(fields, list):
        return [only(one, value) for one, value in zip(fields, like, strict=True)]
    return fields


@of("request", "answer", "error", "progress")
def test_the_meaning_is_the_frame(vector: Vector) -> None:
    """Two MessagePack decoders read each frame as its meaning says, and the meaning encodes to the frame's bytes."""
    assert tag(plainly(vector.body)) == tag(vector.meaning)
    assert tag(msgspec.msgpack.decode(vector.body)) == tag(vector.meaning)
    assert msgspec.msgpack.encode(vector.meaning) == vector.body


@of("request")
def test_requests(vector: Vector) -> None:
    """Each request is one we take, and what we make of it goes out as the same bytes, but for fields added since."""
    envelope = wire.decode_envelope(vector.body)
    request = wire.decode_request(vector.body, envelope.op)
    again = wire.encode_request(request, envelope.id)
    assert (envelope.v, envelope.id, envelope.op) == (1, vector.meaning["id"], vector.op)
    assert msgspec.msgpack.encode(only(msgspec.msgpack.decode(again), vector.meaning)) == vector.body
    assert wire.decode_request(again, envelope.op) == request


@of("answer")
def test_answers(vector: Vector) -> None:
    """Each answer is the documented structure of its operation; we send the same bytes and what rides on it, but for fields added since."""
    head = wire.decode_reply_head(vector.body)
    kind = in_replies()[_SECTIONS[f"`{vector.op}`"].reply]
    reply = wire.decode_reply(vector.body, cast("type[replies.Pong]", kind))
    assert head.id is not None
    riding = wire.encode_notices(head.notices) if head.notices is not None else None
    again = wire.seal(head.id, wire.encode_reply(reply), riding)
    assert (head.v, head.ok, head.error, head.progress) == (1, True, None, None)
    assert msgspec.msgpack.encode(only(msgspec.msgpack.decode(again), vector.meaning)) == vector.body


@of("error")
def test_errors(vector: Vector) -> None:
    """Each error reply becomes the exception of its code with its fields, and that goes out as the same bytes."""
    head = wire.decode_reply_head(vector.body)
    assert head.ok is False
    assert head.error is not None
    error = wire.error_of(head)
    assert type(error) is errors.BY_CODE[str(head.error["code"])]
    assert {"code": error.code, "message": error.message, "retryable": error.retryable, **error.fields} == head.error
    assert wire.encode_error(head.id, error) == vector.body


@of("progress")
def test_progress(vector: Vector) -> None:
    """A progress frame is no answer, and goes out as the same bytes."""
    head = wire.decode_reply_head(vector.body)
    assert head.ok is None
    assert head.progress == wire.Progress(done=200, total=0, what="snapshot")
    assert head.id is not None
    assert wire.encode_progress(head.id, head.progress) == vector.body


def test_a_path_that_is_not_utf8() -> None:
    """The path of the vectors is the bytes of the file system on the wire, and `os.fsdecode`d in our hands."""
    (vector,) = (one for one in VECTORS if one.name == "snapshot, answered")
    assert wire.decode_reply(vector.body, replies.Snapshots).snapshots[0].path == "caf\udce9.txt"

"""Frames to requests and back, without a socket: both ends of the wire, as pure functions.

A request is one msgpack map `{v, id, op, session?, key?, deadline_ms?, progress?, …}`; a reply `{v, id, ok, …}`. The
envelope is decoded first, so that even a request whose body is wrong gets its error reply with its own id.
"""

import os
from collections.abc import Sequence
from typing import TypeVar, cast

import msgspec

from rewindd import __version__, errors
from rewindd.paths import FsText, encode_path
from rewindd.protocol.replies import Notices, Reply
from rewindd.protocol.requests import REQUESTS, ReadEvents, Request

PROTOCOL_VERSION = 1
#: A request's body in bytes. Longer conversations are sent in several `record`s; this holds any tool result a model could have read.
MAX_REQUEST_BYTES = 16 << 20
#: A reply's body in bytes; larger contents are read in chunks.
MAX_REPLY_BYTES = 64 << 20
#: One route frame and an empty delimiter before the body is all that DEALER and REQ peers send; a longer route is not from us.
MAX_FRAMES = 3
#: Characters of a caller's request id that an error reply repeats.
MAX_ID_BYTES = 128
#: As much of a body as is searched for an id field by field: four short fields and a long id.
_LEADING_BYTES = 512
_LEADING_FIELDS = 4
#: Lengths of the scalar formats that are not in the first byte (the MessagePack specification, Formats): whole, or of the length after it.
_FIXED_BYTES = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
_LENGTH_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}

#: The envelope's field for what rides on a reply, encoded.
_NOTICES = b"\xa7notices"

#: msgspec tells apart no more than one text-like type in a union, so ids are numbers or text.
RequestId = int | str
#: Operations that wait until there is something to answer, and take no time but that.
LONG_POLLS = frozenset({ReadEvents.op})
T = TypeVar("T")
R = TypeVar("R", bound=Reply)


class Envelope(msgspec.Struct, frozen=True):
    """What every request starts with."""

    v: int
    id: RequestId
    op: str
    key: str | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a long request is: `done` of `total` (0: not known) of `what`."""

    done: int
    total: int
    what: str


class ReplyHead(msgspec.Struct, frozen=True):
    """What every reply starts with: `ok` and the body's fields, or `error`, or `progress`; `notices` ride on the first two.

    `id` is None where the request's could not be read. An error's fields may be of any shape: later daemons have more of them.
    """

    v: int
    id: RequestId | None
    ok: bool | None = None
    error: dict[str, object] | None = None
    progress: Progress | None = None
    notices: Notices | None = None


class Unroutable(Exception):
    """Frames that no reply can be sent to; counted and dropped."""


def split_route(frames: Sequence[bytes]) -> tuple[tuple[bytes, ...], bytes]:
    """Returns the route to reply along, and the body, of what a ROUTER received.

    Raises:
        Unroutable: it is neither `[peer, body]` (DEALER) nor `[peer, b"", body]` (REQ).
    """
    if len(frames) == 2:
        return (frames[0],), frames[1]
    if len(frames) == MAX_FRAMES and frames[1] == b"":
        return (frames[0], b""), frames[2]
    raise Unroutable(f"{len(frames)} frames")


def too_large(size: int) -> errors.TooLarge:
    """Returns the error for a request of `size` bytes, for who knows the size without the body."""
    return errors.TooLarge(f"a request of {size} bytes; at most {MAX_REQUEST_BYTES} are taken, send it in parts", limit=MAX_REQUEST_BYTES)


def decode_envelope(body: bytes) -> Envelope:
    """Returns a request's envelope.

    Raises:
        TooLarge: the body exceeds `MAX_REQUEST_BYTES`.
        BadRequest: it is no msgpack map with `v`, `id` and `op`.
        UnsupportedVersion: `v` is not ours.
        UnknownOp: there is no such operation.
    """
    if len(body) > MAX_REQUEST_BYTES:
        raise too_large(len(body))
    envelope = _decode(body, Envelope)
    if isinstance(envelope.id, str) and len(envelope.id) > MAX_ID_BYTES:
        raise errors.BadRequest(f"a request id of over {MAX_ID_BYTES} bytes")
    if envelope.v != PROTOCOL_VERSION:
        raise errors.UnsupportedVersion(
            f"protocol version {envelope.v}; this daemon, rewindd {__version__}, speaks {PROTOCOL_VERSION}", supported=str(PROTOCOL_VERSION)
        )
    if envelope.op not in REQUESTS:
        raise errors.UnknownOp(
            f"rewindd {__version__} has no operation {envelope.op[:80]!r}; see docs/protocol.md for those there are", op=envelope.op[:80]
        )
    return envelope


def decode_id(body: bytes) -> RequestId | None:
    """Returns the request's id if that much can be read of a body that is otherwise wrong, so that the error finds its caller.

    Where the id is among the first fields (our clients send it second) this costs nothing, and works on the start of a body too.
    """
    found = _leading_id(body[:_LEADING_BYTES])
    if found is None and len(body) <= MAX_REQUEST_BYTES:
        try:
            found = msgspec.msgpack.decode(body, type=_OnlyId).id
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError):
            return None
    return None if isinstance(found, str) and len(found) > MAX_ID_BYTES else found


def decode_request(body: bytes, op: str) -> Request:
    """Returns the request whose envelope said `op`.

    Raises:
        BadRequest: a field is missing or of a wrong type; the message names it.
    """
    return _decode(body, REQUESTS[op])


def encode_request(request: Request, request_id: RequestId) -> bytes:
    """Returns the body of a request.

    Raises:
        TooLarge: it would exceed `MAX_REQUEST_BYTES`.
    """
    names = zip(request.__struct_encode_fields__, request.__struct_fields__, strict=True)
    given = {sent_as: value for sent_as, name in names if (value := getattr(request, name)) is not None}
    body = msgspec.msgpack.encode({"v": PROTOCOL_VERSION, "id": request_id, "op": request.op, **given}, enc_hook=encode_path)
    if len(body) > MAX_REQUEST_BYTES:
        raise errors.TooLarge(
            f"{request.op}: {len(body)} bytes; at most {MAX_REQUEST_BYTES} fit into one request, send it in parts", limit=MAX_REQUEST_BYTES
        )
    return body


def encode_reply(reply: Reply) -> bytes:
    """Returns a reply's fields, encoded: what is kept under the request's key. `seal` makes a body of it."""
    return msgspec.msgpack.encode(reply, enc_hook=encode_path)


def encode_notices(notices: Notices) -> bytes:
    """Returns notices as `seal` and `encode_error` take them."""
    return msgspec.msgpack.encode(notices, enc_hook=encode_path)


def seal(request_id: RequestId, fields: bytes, notices: bytes | None = None) -> bytes:
    """Returns the body of a reply with these encoded fields, and notices riding on it: they are no part of what is kept.

    The map's header is rewritten and `v`, `id`, `ok` put before the fields, so an answer kept for years is sent without decoding it.
    """
    count, start = _map_header(fields)
    head = msgspec.msgpack.encode([PROTOCOL_VERSION, request_id])[1:]
    split = len(msgspec.msgpack.encode(PROTOCOL_VERSION))
    said = b"" if notices is None else _NOTICES + notices
    size = _encode_map_header(count + (3 if notices is None else 4))
    return b"".join((size, b"\xa1v", head[:split], b"\xa2id", head[split:], b"\xa2ok\xc3", said, fields[start:]))


def encode_error(request_id: RequestId | None, error: errors.RewinddError, notices: bytes | None = None) -> bytes:
    """Returns the body of an error reply; `id` is nil when the request's could not be read."""
    body = {**{name: _printable(value) for name, value in error.fields.items()}, "code": error.code, "message": _printable(error.message)}
    body["retryable"] = error.retryable
    said = {} if notices is None else {"notices": msgspec.Raw(notices)}
    return msgspec.msgpack.encode({"v": PROTOCOL_VERSION, "id": request_id, "ok": False, "error": body, **said}, enc_hook=encode_path)


def encode_progress(request_id: RequestId, progress: Progress) -> bytes:
    """Returns the body of a progress frame."""
    return msgspec.msgpack.encode({"v": PROTOCOL_VERSION, "id": request_id, "progress": progress})


def decode_reply_head(body: bytes) -> ReplyHead:
    """Returns what a reply is: its id, and whether it is progress, an error or the answer.

    Raises:
        BadRequest: it is no reply.
    """
    return _decode(body, ReplyHead)


def decode_reply(body: bytes, expected: type[R]) -> R:
    """Returns the answer's fields. Raises BadRequest when they are not those of `expected`."""
    return _decode(body, expected)


def decode_fields(fields: bytes, expected: type[R]) -> R:
    """Returns what `encode_reply` encoded."""
    return _decode(fields, expected)


def error_of(head: ReplyHead) -> errors.RewinddError:
    """Returns the exception that an error reply stands for."""
    fields = cast("dict[str, errors.FieldValue]", dict(head.error or {}))
    code, message = str(fields.pop("code", "internal")), str(fields.pop("message", "an error without a message"))
    fields.pop("retryable", None)
    return errors.from_wire(code, message, fields)


def _leading_id(start: bytes) -> RequestId | None:
    """Returns the value of `id` when it is one of the first fields and only scalars are before it."""
    at = 1 if start[:1] and start[0] & 0xF0 == 0x80 else {0xDE: 3, 0xDF: 5}.get(start[0] if start else 0, len(start))
    for _ in range(_LEADING_FIELDS):
        middle = _scalar_end(start, at)
        end = _scalar_end(start, middle)
        if end > len(start):
            return None
        if start[at:middle] == b"\xa2id":
            return _scalar_id(start[middle:end])
        at = end
    return None


def _scalar_id(value: bytes) -> RequestId | None:
    try:
        found: RequestId = msgspec.msgpack.decode(value, type=RequestId)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found


def _scalar_end(start: bytes, at: int) -> int:
    """Returns where the scalar at `at` ends; beyond the end of `start` where it is cut off or no scalar."""
    if at >= len(start):
        return len(start) + 1
    first = start[at]
    if first < 0x80 or first >= 0xE0:
        return at + 1
    if 0xA0 <= first < 0xC0:
        return at + 1 + (first & 0x1F)
    if first in _LENGTH_BYTES:
        after = at + 1 + _LENGTH_BYTES[first]
        return after + int.from_bytes(start[at + 1 : after], "big")
    return at + _FIXED_BYTES.get(first, len(start) + 1)


class _OnlyId(msgspec.Struct, frozen=True):
    id: RequestId | None = None


def _decode(body: bytes, kind: type[T]) -> T:
    """Decodes hostile bytes. msgspec checks lengths before it allocates; depth shows as RecursionError."""
    try:
        return msgspec.msgpack.decode(body, type=kind, dec_hook=_from_wire)
    except RecursionError as exc:
        raise errors.BadRequest("a message nested too deeply") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as exc:
        raise errors.BadRequest(f"a malformed message: {exc}") from exc


def _printable(value: object) -> object:
    """An error's text is for reading: a path that is not UTF-8 is escaped in it, and must not keep the error from being sent."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {name: _printable(item) for name, item in value.items()}
    return value


def _from_wire(kind: type, value: object) -> object:
    if issubclass(kind, FsText) and isinstance(value, bytes):
        return kind(os.fsdecode(value))
    if kind is object:
        return value  # an error's field: msgspec asks about `object` too
    raise ValueError(f"expected bin for a path, got {type(value).__name__}")


def _map_header(fields: bytes) -> tuple[int, int]:
    """Returns the number of entries and the header's length (the MessagePack specification, map format family)."""
    first = fields[0]
    if first & 0xF0 == 0x80:
        return first & 0x0F, 1
    if first == 0xDE:
        return int.from_bytes(fields[1:3], "big"), 3
    raise errors.InternalError("a stored answer that is no map")


def _encode_map_header(count: int) -> bytes:
    return bytes((0x80 | count,)) if count < 16 else b"\xde" + count.to_bytes(2, "big")

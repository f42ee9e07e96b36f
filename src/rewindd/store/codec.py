"""Values of the model as columns: MessagePack arrays, as short as can be, because some of them are in every row.

Paths are the bytes that the file system has. Nothing here checks anything: `records` did, before a column comes here.
"""

import os
from collections.abc import Iterable

import msgspec

from rewindd.model.conversation import Event, EventKind, Stats, ToolCallRecord
from rewindd.model.ids import CheckpointId, EventId, SessionId
from rewindd.model.log import Owner, Signature
from rewindd.model.session import Head, Missing
from rewindd.model.versions import ABSENT, DIGEST_BYTES, UNKNOWN, Absent, Unknown, Version
from rewindd.paths import LinkTarget, RelPath, encode_path
from rewindd.store.compression import pack, unpack


def _from_stored(kind: type, value: object) -> object:
    if kind is LinkTarget and isinstance(value, bytes):
        return LinkTarget(os.fsdecode(value))
    raise ValueError(f"expected bytes for {kind.__name__}, got {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_path)
_versions: msgspec.msgpack.Decoder[Version] = msgspec.msgpack.Decoder(Version, dec_hook=_from_stored)
_owners = msgspec.msgpack.Decoder(tuple[str, ...])
_heads = msgspec.msgpack.Decoder(tuple[str | None, int | None])
_numbers = msgspec.msgpack.Decoder(tuple[int, int, int, int, int])
_signatures = msgspec.msgpack.Decoder(tuple[int, int, int, int, int, int, int, bool])
_places = msgspec.msgpack.Decoder(tuple[int, int, int])
_paths = msgspec.msgpack.Decoder(list[bytes])
_missing = msgspec.msgpack.Decoder(list[tuple[bytes, str]])
_switched = msgspec.msgpack.Decoder(tuple[tuple[int, ...], tuple[int, ...]])
_calls = msgspec.msgpack.Decoder(tuple[str, str, str, bool])

_NOBODY = _encoder.encode(())
#: What a file's version begins with: an array of four, "f", a bin of 32 bytes.
_FILE = b"\x94\xa1f\xc4\x20"
_UNKNOWN, _ABSENT = _encoder.encode(UNKNOWN), _encoder.encode(ABSENT)


def path_to_bytes(path: str) -> bytes:
    """Returns the path as the file system has it."""
    return os.fsencode(path)


def path_of(stored: bytes) -> RelPath:
    """Returns the path from its bytes."""
    return RelPath(os.fsdecode(stored))


def version_to_bytes(version: Version) -> bytes:
    """Returns a version's column."""
    if isinstance(version, Unknown | Absent):
        return _ABSENT if isinstance(version, Absent) else _UNKNOWN
    return _encoder.encode(version)


def version_of(stored: bytes) -> Version:
    """Returns the version of a column."""
    return _versions.decode(stored)


def digest_in(stored: bytes) -> bytes | None:
    """Returns the digest that a version's column names, None where it is no file's. Looks at the bytes: whole logs are asked."""
    return stored[5 : 5 + DIGEST_BYTES] if stored.startswith(_FILE) else None


def owner_to_bytes(owner: Owner) -> bytes:
    """Returns an owner's column."""
    return _encoder.encode(owner) if owner else _NOBODY


def owner_of(stored: bytes) -> Owner:
    """Returns the owner of a column."""
    return () if stored == _NOBODY else tuple(SessionId(session) for session in _owners.decode(stored))


def head_to_bytes(head: Head) -> bytes:
    """Returns a head's column."""
    return _encoder.encode((head.checkpoint, head.event))


def head_of(stored: bytes) -> Head:
    """Returns the head of a column."""
    checkpoint, event = _heads.decode(stored)
    return Head(
        checkpoint=CheckpointId(checkpoint) if checkpoint is not None else None, event=EventId(event) if event is not None else None
    )


def stats_to_bytes(stats: Stats) -> bytes:
    """Returns statistics' column."""
    return _encoder.encode(
        (stats.start_time_ns, stats.total_messages, stats.total_tool_calls, stats.total_duration_ns, stats.estimated_tokens)
    )


def stats_of(stored: bytes) -> Stats:
    """Returns the statistics of a column."""
    start, messages, calls, duration, tokens = _numbers.decode(stored)
    return Stats(start_time_ns=start, total_messages=messages, total_tool_calls=calls, total_duration_ns=duration, estimated_tokens=tokens)


def signature_to_bytes(signature: Signature | None) -> bytes | None:
    """Returns a signature's column."""
    if signature is None:
        return None
    s = signature
    return _encoder.encode((s.device, s.inode, s.size, s.mtime_ns, s.ctime_ns, s.mode, s.links, s.racy))


def signature_of(stored: bytes | None) -> Signature | None:
    """Returns the signature of a column."""
    if stored is None:
        return None
    device, inode, size, mtime_ns, ctime_ns, mode, links, racy = _signatures.decode(stored)
    return Signature(device=device, inode=inode, size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, mode=mode, links=links, racy=racy)


def place_to_bytes(device: int, inode: int, born_ns: int) -> bytes:
    """Returns the column that tells a directory; inode numbers use all 64 bits, SQLite's integers have a sign."""
    return _encoder.encode((device, inode, born_ns))


def place_of(stored: bytes) -> tuple[int, int, int]:
    """Returns device, inode and time of birth of a column."""
    return _places.decode(stored)


def paths_to_bytes(paths: Iterable[RelPath] | None) -> bytes | None:
    """Returns the column of several paths; None stays None."""
    return None if paths is None else pack(_encoder.encode([os.fsencode(path) for path in paths]))


def paths_of(stored: bytes | None) -> tuple[RelPath, ...] | None:
    """Returns the paths of a column."""
    return None if stored is None else tuple(path_of(path) for path in _paths.decode(unpack(stored)))


def rows_to_bytes(off: tuple[int, ...], on: tuple[int, ...]) -> bytes:
    """Returns the column of the rows that a step switches off and on."""
    return _encoder.encode((off, on))


def rows_of(stored: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the rows of a column: those switched off, those switched on."""
    return _switched.decode(stored)


def missing_to_bytes(missing: tuple[Missing, ...]) -> bytes | None:
    """Returns the column of what could not be captured; NULL for nothing, as in most rows."""
    return pack(_encoder.encode([(os.fsencode(one.path), one.reason) for one in missing])) if missing else None


def missing_of(stored: bytes | None) -> tuple[Missing, ...]:
    """Returns what could not be captured."""
    return () if stored is None else tuple(Missing(path=path_of(path), reason=reason) for path, reason in _missing.decode(unpack(stored)))


def event_to_bytes(event: Event) -> bytes:
    """Returns the column of an event's text or tool call, compressed where that shrinks it."""
    if event.tool_call is None:
        return pack(event.text.encode())
    call = event.tool_call
    return pack(_encoder.encode((call.tool_name, call.arguments, call.result, call.success)))


def event_of(kind: str, stored: bytes) -> Event:
    """Returns the event of its kind's and its body's column."""
    body = unpack(stored)
    if kind != EventKind.TOOL_CALL.value:
        return Event(kind=EventKind(kind), text=body.decode())
    name, arguments, result, success = _calls.decode(body)
    return Event(kind=EventKind.TOOL_CALL, tool_call=ToolCallRecord(tool_name=name, arguments=arguments, result=result, success=success))

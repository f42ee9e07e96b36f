"""The JSON checkpoint files of the reference implementation: bytes to a checkpoint and back, without a file.

The reference writes them with Rust's serde_json, pretty-printed: two spaces, non-ASCII unescaped, fields in the order of the
structs below, no newline at the end. `encode(decode(file))` gives the file's bytes again. What is read may be hostile: every
number is bounded, every id is safe as a file name, and a field that we would lose is an error.
"""

import json
from typing import Annotated, TypeVar

import msgspec

from rewindd.errors import BadRequest, TooLarge
from rewindd.model.conversation import ToolCallRecord
from rewindd.model.ids import check_chosen
from rewindd.paths import FsText
from rewindd.protocol.portable import PortableCheckpoint, PortableDiff

#: Bytes of one file. A checkpoint travels in one request, whose limit this is (protocol.wire.MAX_REQUEST_BYTES).
MAX_FILE_BYTES = 16 << 20
NS_PER_S = 1_000_000_000
#: The last second of which every nanosecond fits into 64 signed bits (in the year 2262): the store and msgpack take no more.
MAX_SECS = (2**63 - 1) // NS_PER_S - 1
SUFFIX = ".json"

_Secs = Annotated[int, msgspec.Meta(ge=0, le=MAX_SECS)]
_Nanos = Annotated[int, msgspec.Meta(ge=0, lt=NS_PER_S)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
T = TypeVar("T")


class _Time(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rust's SystemTime."""

    secs_since_epoch: _Secs
    nanos_since_epoch: _Nanos


class _Duration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rust's Duration."""

    secs: _Secs
    nanos: _Nanos


class _Stats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start_time: _Time
    total_messages: _Count
    total_tool_calls: _Count
    total_duration: _Duration
    estimated_tokens: _Count


class _ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tool_name: str
    arguments: str
    result: str
    success: bool


class _Diff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    before: str
    after: str
    timestamp: _Time


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    timestamp: _Time
    stats: _Stats
    user_prompts: list[str]
    assistant_responses: list[str]
    tool_calls: list[_ToolCall]
    file_diffs: list[_Diff]


def file_name(checkpoint_id: str) -> str:
    """Returns the name of the file that holds this checkpoint.

    Raises:
        BadRequest: the id is not safe as a file name.
    """
    return check_chosen("checkpoint id", checkpoint_id) + SUFFIX


def decode(content: bytes) -> PortableCheckpoint:
    """Returns the checkpoint that a file's bytes hold.

    Raises:
        TooLarge: it has more than `MAX_FILE_BYTES`.
        BadRequest: it is not such a file: no JSON, a field missing, unknown or of a wrong type, a number out of its range,
            an id that is not safe as a file name, a path that is not absolute. The message names the field.
    """
    if len(content) > MAX_FILE_BYTES:
        raise TooLarge(f"a checkpoint file of {len(content)} bytes; at most {MAX_FILE_BYTES} can be imported", limit=MAX_FILE_BYTES)
    try:
        found = msgspec.json.decode(content, type=_File)
    except RecursionError as exc:
        raise BadRequest("not a checkpoint file: nested too deeply") from exc
    except (msgspec.MsgspecError, ValueError) as exc:
        raise BadRequest(f"not a checkpoint file: {exc}") from exc
    return _to_portable(found)


def encode(checkpoint: PortableCheckpoint) -> bytes:
    """Returns the bytes of the file, as the reference would have written it.

    Raises:
        BadRequest: the format cannot say it: an id that is not safe as a file name, a path or text that is not UTF-8, a time
            or number out of its range.
    """
    file_name(checkpoint.id)
    # Through the same check as a file that is read: whatever is written can be read again.
    checked = _convert(_from_portable(checkpoint))
    try:
        return json.dumps(msgspec.to_builtins(checked), ensure_ascii=False, indent=2).encode()
    except UnicodeEncodeError as exc:
        raise BadRequest(f"checkpoint {checkpoint.id}: {_unspeakable(checkpoint)} is not UTF-8; the format cannot say it") from exc


def _to_portable(found: _File) -> PortableCheckpoint:
    check_chosen("checkpoint id", found.id)
    stats = found.stats
    return PortableCheckpoint(
        id=found.id,
        timestamp_ns=_time_ns(found.timestamp),
        start_time_ns=_time_ns(stats.start_time),
        total_messages=stats.total_messages,
        total_tool_calls=stats.total_tool_calls,
        total_duration_ns=stats.total_duration.secs * NS_PER_S + stats.total_duration.nanos,
        estimated_tokens=stats.estimated_tokens,
        user_prompts=found.user_prompts,
        assistant_responses=found.assistant_responses,
        tool_calls=[ToolCallRecord(call.tool_name, call.arguments, call.result, call.success) for call in found.tool_calls],
        file_diffs=[_diff_to_portable(diff) for diff in found.file_diffs],
    )


def _diff_to_portable(diff: _Diff) -> PortableDiff:
    if not diff.path.startswith("/") or "\0" in diff.path:
        raise BadRequest(f"not a checkpoint file: {diff.path[:200]!r} is no absolute path", field="file_diffs.path")
    return PortableDiff(path=FsText(diff.path), before=diff.before, after=diff.after, timestamp_ns=_time_ns(diff.timestamp))


def _from_portable(checkpoint: PortableCheckpoint) -> dict[str, object]:
    """Returns the file's fields, in the file's order."""
    return {
        "id": checkpoint.id,
        "timestamp": _time(checkpoint.timestamp_ns),
        "stats": {
            "start_time": _time(checkpoint.start_time_ns),
            "total_messages": checkpoint.total_messages,
            "total_tool_calls": checkpoint.total_tool_calls,
            "total_duration": dict(zip(("secs", "nanos"), divmod(checkpoint.total_duration_ns, NS_PER_S), strict=True)),
            "estimated_tokens": checkpoint.estimated_tokens,
        },
        "user_prompts": checkpoint.user_prompts,
        "assistant_responses": checkpoint.assistant_responses,
        "tool_calls": [
            {"tool_name": call.tool_name, "arguments": call.arguments, "result": call.result, "success": call.success}
            for call in checkpoint.tool_calls
        ],
        "file_diffs": [
            {"path": str(diff.path), "before": diff.before, "after": diff.after, "timestamp": _time(diff.timestamp_ns)}
            for diff in checkpoint.file_diffs
        ],
    }


def _convert(fields: dict[str, object]) -> _File:
    try:
        return msgspec.convert(fields, type=_File)
    except msgspec.ValidationError as exc:
        raise BadRequest(f"checkpoint {fields['id']}: the checkpoint file format cannot say it: {exc}") from exc


def _time_ns(time: _Time) -> int:
    return time.secs_since_epoch * NS_PER_S + time.nanos_since_epoch


def _time(at_ns: int) -> dict[str, int]:
    secs, nanos = divmod(at_ns, NS_PER_S)
    return {"secs_since_epoch": secs, "nanos_since_epoch": nanos}


def _unspeakable(checkpoint: PortableCheckpoint) -> str:
    """Returns what in the checkpoint is not UTF-8, for the message: the path, where it is one."""
    for diff in checkpoint.file_diffs:
        if any("\ud800" <= char <= "\udfff" for char in diff.path):
            return f"the path {str(diff.path)!r}"
    return "its text"

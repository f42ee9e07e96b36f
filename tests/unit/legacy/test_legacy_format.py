"""The reference's checkpoint files, as bytes."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewindd.errors import BadRequest, RequestError
from rewindd.legacy import format as layout
from rewindd.model.conversation import ToolCallRecord
from rewindd.paths import FsText
from rewindd.protocol.portable import PortableCheckpoint, PortableDiff

DATA = Path(__file__).parents[2] / "data" / "checkpoint-json"
ORIGINALS = sorted(DATA.glob("*.json"))
NS = st.integers(min_value=0, max_value=layout.MAX_SECS * layout.NS_PER_S)
COUNT = st.integers(min_value=0, max_value=2**63 - 1)
TEXT = st.text()

portable = st.builds(
    PortableCheckpoint,
    id=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
    timestamp_ns=NS,
    start_time_ns=NS,
    total_messages=COUNT,
    total_tool_calls=COUNT,
    total_duration_ns=NS,
    estimated_tokens=COUNT,
    user_prompts=st.lists(TEXT, max_size=3),
    assistant_responses=st.lists(TEXT, max_size=3),
    tool_calls=st.lists(st.builds(ToolCallRecord, TEXT, TEXT, TEXT, st.booleans()), max_size=3),
    file_diffs=st.lists(
        st.builds(PortableDiff, path=TEXT.map(lambda t: FsText("/" + t.replace("\0", ""))), before=TEXT, after=TEXT, timestamp_ns=NS),
        max_size=3,
    ),
)


def some(**changes: object) -> bytes:
    """A good file with some of its fields changed; None takes the field away."""
    fields = json.loads(ORIGINALS[0].read_bytes())
    fields.update(changes)
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


@pytest.mark.parametrize("file", ORIGINALS, ids=lambda file: file.name)
def test_the_references_own_files_come_back_byte_for_byte(file: Path) -> None:
    """What the reference wrote is decoded and encoded to the same bytes."""
    assert layout.encode(layout.decode(file.read_bytes())) == file.read_bytes()


def test_there_are_originals() -> None:
    """The test above ran on something."""
    assert [file.name for file in ORIGINALS] == ["20261122-100000.json", "20261122-110000.json"]


def test_exact_times_are_kept() -> None:
    """Nanoseconds survive: no time goes through a float."""
    found = layout.decode(ORIGINALS[0].read_bytes())
    assert (found.timestamp_ns, found.total_duration_ns) == (1795346478606474421, 62_500_000_005)
    assert found.user_prompts == ["add a line — ünïcode ✓"]
    assert found.file_diffs[1] == PortableDiff(
        path=FsText("/home/user/project/new.txt"), before="", after="new\n", timestamp_ns=1795346478606474152
    )


@given(portable)
def test_every_checkpoint_survives_the_file(checkpoint: PortableCheckpoint) -> None:
    """decode(encode(c)) is c, and the bytes are stable."""
    content = layout.encode(checkpoint)
    assert layout.decode(content) == checkpoint
    assert layout.encode(layout.decode(content)) == content


def test_control_characters_are_escaped_as_serde_json_does() -> None:
    """Short escapes for five of them, lower-case four-digit ones for the rest, DEL and non-ASCII as they are."""
    content = layout.encode(
        msgspec.structs.replace(layout.decode(ORIGINALS[0].read_bytes()), user_prompts=['\x00\x1f\b\t\n\f\r"\\/\x7f\u2028é'])
    )
    assert '"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\/\x7f\u2028é"'.encode() in content


def test_every_truncation_is_refused() -> None:
    """No prefix of a file is a file."""
    content = ORIGINALS[0].read_bytes()
    for length in range(len(content)):
        with pytest.raises(BadRequest):
            layout.decode(content[:length])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"\xff" * 10,
        b"[" * 200_000,
        ORIGINALS[0].read_bytes() + b"x",
        some(id="../evil"),
        some(id=".hidden"),
        some(id=""),
        some(id="a/b"),
        some(id="a" * 129),
        some(id=7),
        some(timestamp={"secs_since_epoch": -1, "nanos_since_epoch": 0}),
        some(timestamp={"secs_since_epoch": 1, "nanos_since_epoch": 1_000_000_000}),
        some(timestamp={"secs_since_epoch": 2**64, "nanos_since_epoch": 0}),
        some(timestamp={"secs_since_epoch": 1.5, "nanos_since_epoch": 0}),
        some(timestamp={"secs_since_epoch": layout.MAX_SECS + 1, "nanos_since_epoch": 0}),
        some(stats=None),
        some(unheard_of=1),
        some(user_prompts=[None]),
        some(tool_calls=[{"tool_name": "x"}]),
        some(file_diffs=[{"path": "relative", "before": "", "after": "", "timestamp": {"secs_since_epoch": 1, "nanos_since_epoch": 1}}]),
        some(file_diffs=[{"path": "/a\0b", "before": "", "after": "", "timestamp": {"secs_since_epoch": 1, "nanos_since_epoch": 1}}]),
        some(user_prompts=["X"]).replace(b'"X"', b'"\\ud800"'),
        some().replace(b'"total_messages": 2', b'"total_messages": -2'),
        some().replace(b'"total_messages": 2', b'"total_messages": NaN'),
        some().replace(b'"total_messages": 2', b'"total_messages": 1e400'),
        some().replace(b'"total_messages": 2', b'"total_messages": 99999999999999999999999999'),
    ],
)
def test_hostile_files_are_refused(content: bytes) -> None:
    """Whatever is no checkpoint file is `bad-request`, and nothing else is raised."""
    with pytest.raises(BadRequest):
        layout.decode(content)


def test_a_file_too_large_to_send_is_refused_unread() -> None:
    """The size is checked before the content is parsed."""
    with pytest.raises(RequestError, match="bytes"):
        layout.decode(b" " * (layout.MAX_FILE_BYTES + 1))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id": "../x"}, "checkpoint id"),
        ({"timestamp_ns": -1}, "timestamp"),
        ({"total_messages": -1}, "total_messages"),
        ({"file_diffs": [PortableDiff(path=FsText("/a\udcff"), before="", after="", timestamp_ns=1)]}, r"/a\\udcff"),
    ],
)
def test_what_the_format_cannot_say_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    """Encoding refuses what could not be read again, and names it."""
    good = layout.decode(ORIGINALS[0].read_bytes())
    with pytest.raises(BadRequest, match=named):
        layout.encode(msgspec.structs.replace(good, **changes))

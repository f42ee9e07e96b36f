"""Whatever the model's types can hold comes back from the store as it was."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewindd.model.conversation import Event, EventKind, Stats, ToolCallRecord
from rewindd.model.ids import CheckpointId, EventId, OperationId, SessionId, WorkspaceId
from rewindd.model.log import IndexEntry, Row, Signature, Source
from rewindd.model.session import Attribution, Capture, Head, Missing, Session, Workspace
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File, Symlink, Version
from rewindd.paths import LinkTarget, RelPath
from rewindd.store import codec, edits, events, index, sessions, workspaces
from rewindd.store.compression import deflated, inflated, pack, unpack
from rewindd.store.database import Connection, open_database

_WORKSPACE = WorkspaceId("w")
_SESSION = SessionId("s")

_positions = st.integers(0, 2**63 - 1)
_unsigned = st.integers(0, 2**64 - 1)
_times = st.integers(-(2**63), 2**63 - 1)
_modes = st.integers(0, 0o7777)
_text = st.text()  # without surrogates, as the wire gives it
_fs_text = st.binary(min_size=1, max_size=40).map(os.fsdecode)
_paths = _fs_text.map(RelPath)
_versions: st.SearchStrategy[Version] = st.one_of(
    st.just(UNKNOWN),
    st.just(ABSENT),
    st.builds(File, st.binary(min_size=32, max_size=32), _unsigned, _modes),
    st.builds(Symlink, _fs_text.map(LinkTarget)),
    st.builds(Directory, _modes),
)
_signatures = st.builds(
    Signature,
    device=_unsigned,
    inode=_unsigned,
    size=_unsigned,
    mtime_ns=_times,
    ctime_ns=_times,
    mode=_unsigned,
    links=_unsigned,
    racy=st.booleans(),
)
_stats = st.builds(
    Stats,
    start_time_ns=_times,
    total_messages=_unsigned,
    total_tool_calls=_unsigned,
    total_duration_ns=_unsigned,
    estimated_tokens=_unsigned,
)
_ids = st.text("abcXYZ019._-", min_size=1)
_rows = st.builds(
    Row,
    seq=_positions,
    path=_paths,
    before=_versions,
    after=_versions,
    owner=st.lists(_ids.map(SessionId), max_size=3).map(tuple),
    source=st.sampled_from(Source),
    operation=st.none() | _ids.map(OperationId),
    since=_positions,
    at_ns=_times,
)
_entries = st.builds(
    IndexEntry, path=_paths, version=_versions, signature=st.none() | _signatures, since=_positions, covered=st.none() | _positions
)
_events = st.one_of(
    st.builds(Event, kind=st.sampled_from([EventKind.USER_PROMPT, EventKind.ASSISTANT_RESPONSE]), text=_text),
    st.builds(
        Event,
        kind=st.just(EventKind.TOOL_CALL),
        tool_call=st.builds(ToolCallRecord, _text, _text, _text.map(lambda t: t * 50), st.booleans()),
    ),
    st.just(Event(kind=EventKind.CLEAR)),
)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    connection = open_database(str(tmp_path_factory.mktemp("store")))
    workspaces.add(connection, Workspace(id=_WORKSPACE, root="/", device=1, inode=1), 1)
    sessions.add(
        connection,
        Session(
            id=_SESSION,
            workspace=_WORKSPACE,
            agent="a",
            parent=None,
            capture=Capture.WORKSPACE,
            attribution=Attribution.SOLE,
            imported=False,
            start_seq=0,
            opened_at_ns=0,
            last_seen_at_ns=0,
            closed_at_ns=None,
            head=Head(checkpoint=None, event=None),
            stats=Stats(start_time_ns=0),
        ),
    )
    yield connection
    connection.close()


_quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_quick
@given(rows=st.lists(_rows, unique_by=lambda row: row.seq, max_size=5))
def test_rows(db: Connection, rows: list[Row]) -> None:
    """Rows come back by position, and by path each path's."""
    db.execute("BEGIN")
    edits.append(db, _WORKSPACE, rows)
    ordered = sorted(rows, key=lambda row: row.seq)
    assert edits.since(db, _WORKSPACE, -1) == ordered
    for row in rows:
        assert edits.of_paths(db, _WORKSPACE, [row.path]) == [other for other in ordered if other.path == row.path]
        below = edits.newest(db, _WORKSPACE, row.path, None)
        assert below == [other for other in ordered if row.path == "." or other.path.below(row.path)]
    db.execute("ROLLBACK")


@_quick
@given(entries=st.lists(_entries, unique_by=lambda entry: entry.path, max_size=5))
def test_index(db: Connection, entries: list[IndexEntry]) -> None:
    """The index comes back."""
    db.execute("BEGIN")
    index.put(db, _WORKSPACE, entries)
    assert index.load(db, _WORKSPACE) == sorted(entries, key=lambda entry: os.fsencode(entry.path))
    db.execute("ROLLBACK")


@_quick
@given(conversation=st.lists(_events, min_size=1, max_size=6), cut=st.integers(0, 6))
def test_events(db: Connection, conversation: list[Event], cut: int) -> None:
    """A conversation comes back, however it was sent."""
    db.execute("BEGIN")
    middle = events.append(db, _SESSION, None, conversation[:cut], 1)
    last = events.append(db, _SESSION, middle, conversation[cut:], 2)
    assert [stored.event for stored in events.chain(db, last)] == conversation
    db.execute("ROLLBACK")


@given(head=st.builds(Head, checkpoint=st.none() | _ids.map(CheckpointId), event=st.none() | _positions.map(EventId)), stats=_stats)
def test_heads_and_statistics(head: Head, stats: Stats) -> None:
    """Where a session stands comes back."""
    assert codec.head_of(codec.head_to_bytes(head)) == head
    assert codec.stats_of(codec.stats_to_bytes(stats)) == stats


@given(missing=st.lists(st.builds(Missing, path=_paths, reason=_text)).map(tuple), paths=st.none() | st.lists(_paths).map(tuple))
def test_lists_of_paths(missing: tuple[Missing, ...], paths: tuple[RelPath, ...] | None) -> None:
    """Lists of paths come back, and none is not an empty one."""
    assert codec.missing_of(codec.missing_to_bytes(missing)) == missing
    assert codec.paths_of(codec.paths_to_bytes(paths)) == paths


@given(content=st.binary() | st.binary(min_size=1, max_size=20).map(lambda part: part * 100))
def test_compression(content: bytes) -> None:
    """Content comes back from a column, and is never longer than it was but for its one byte."""
    assert unpack(pack(content)) == content
    assert len(pack(content)) <= len(content) + 1
    smaller = deflated(content)
    if len(smaller) < len(content):
        assert inflated(smaller, len(content)) == content

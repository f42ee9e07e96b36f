"""Sessions, their events and checkpoints, and the answers to their requests."""

import random
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import msgspec
import pytest

from rewindd.errors import StoreCorrupt, UnknownSession
from rewindd.model.conversation import Event, EventKind, Stats, ToolCallRecord
from rewindd.model.ids import CheckpointId, EventId, SessionId, WorkspaceId
from rewindd.model.session import Attribution, Capture, Checkpoint, Head, Missing, Session, Workspace
from rewindd.paths import RelPath
from rewindd.store import answers, checkpoints, events, pruning, sessions, totals, workspaces
from rewindd.store.database import Connection


def _prompt(text: str) -> Event:
    return Event(kind=EventKind.USER_PROMPT, text=text)


def _texts(db: Connection, last: EventId | None) -> list[str]:
    return [stored.event.text for stored in events.chain(db, last)]


def test_conversations_without_what_they_say(db: Connection, session: Session) -> None:
    """Many branches are walked at once, each event told once, with its parent, time and kind; some are found with what they say."""
    first = events.append(db, session.id, None, [_prompt("root"), Event(kind=EventKind.CLEAR)], 5)
    ends = [events.append(db, session.id, first, [_prompt(f"branch {n}")], 6 + n) for n in range(1200)]
    lasts = [end for end in ends if end is not None]
    told = events.told(db, [*lasts, *lasts[:3]])
    assert len(told) == 1202
    assert [told[last].parent for last in lasts[:2]] == [first, first]
    assert (told[lasts[-1]].at_ns, told[EventId(2)].kind, told[EventId(1)].parent) == (1205, EventKind.CLEAR, None)
    assert events.told(db, []) == {}
    assert [one.event.text for one in events.find(db, [lasts[1], EventId(1), EventId(10**6)])] == ["root", "branch 1"]


def test_a_line_of_sessions(db: Connection, workspace: Workspace, session: Session, make_checkpoint: Callable[..., Checkpoint]) -> None:
    """Checkpoints of several sessions in order of creation, of each up to a number; the first at a position."""
    other = replace(session, id=SessionId("other"), parent=session.id, origin=CheckpointId("c1"))
    sessions.add(db, other)
    assert sessions.find(db, other.id) == other
    for number, (owner, seq) in enumerate([(session, 1), (session, 1), (other, 2), (session, 3), (other, 4)]):
        made = make_checkpoint(uid=f"{number}", id=CheckpointId(f"c{number}"), label=None)
        checkpoints.add(db, workspace.id, replace(made, session=owner.id, seq=seq))
    last = checkpoints.number_of(db, session.id, CheckpointId("c1"))
    assert checkpoints.number_of(db, other.id, CheckpointId("c1")) is None
    line = [(other.id, None), (session.id, last)]
    assert [one.id for one in checkpoints.of_line(db, line)] == ["c0", "c1", "c2", "c4"]
    assert [one.id for one in checkpoints.of_line(db, line, 3)] == ["c1", "c2", "c4"]
    assert [one.id for one in checkpoints.of_line(db, [(session.id, None)])] == ["c0", "c1", "c3"]
    found = [checkpoints.first_at(db, session.id, seq) for seq in (0, 1, 2, 3, 4)]
    assert [one.id if one is not None else None for one in found] == ["c0", "c0", "c3", "c3", None]


def test_session_lives(db: Connection, session: Session) -> None:
    """A session is found as it stands, through closing and opening again."""
    head = Head(checkpoint=CheckpointId("c1"), event=EventId(2**40))
    stats = Stats(start_time_ns=1, total_messages=2, total_tool_calls=3, total_duration_ns=2**62, estimated_tokens=5)
    sessions.stand(db, session.id, head, stats)
    sessions.seen(db, session.id, 77)
    sessions.close(db, session.id, 78)
    expected = replace(session, head=head, stats=stats, last_seen_at_ns=77, closed_at_ns=78)
    assert sessions.find(db, session.id) == expected
    assert sessions.count_open(db) == 0
    asked = replace(session, capture=Capture.WORKSPACE, attribution=Attribution.SOLE)
    sessions.reopen(db, asked)
    assert sessions.find(db, session.id) == replace(expected, closed_at_ns=None, capture=asked.capture, attribution=asked.attribution)
    assert sessions.count_open(db) == 1
    assert sessions.find(db, SessionId("none")) is None


def test_sessions_of_a_workspace(db: Connection, workspace: Workspace, session: Session) -> None:
    """Open ones, or all; of one workspace, or of all; oldest first."""
    workspaces.add(db, replace(workspace, id=WorkspaceId("w2")), 2)
    fork = replace(session, id=SessionId("fork"), parent=session.id, closed_at_ns=5, imported=True)
    other = replace(session, id=SessionId("other"), workspace=WorkspaceId("w2"))
    sessions.add(db, fork)
    sessions.add(db, other)
    assert sessions.of_workspace(db, workspace.id, closed=False) == [session]
    assert sessions.of_workspace(db, workspace.id, closed=True) == [session, fork]
    assert sessions.of_workspace(db, None, closed=False) == [session, other]
    assert sessions.of_workspace(db, None, closed=True) == [session, fork, other]


@pytest.mark.parametrize(
    "ask",
    [
        lambda db: sessions.stand(db, SessionId("none"), Head(checkpoint=None, event=None), Stats(start_time_ns=1)),
        lambda db: sessions.seen(db, SessionId("none"), 1),
        lambda db: sessions.close(db, SessionId("none"), 1),
        lambda db: events.append(db, SessionId("none"), None, [_prompt("hi")], 1),
        lambda db: checkpoints.of_session(db, SessionId("none")),
    ],
)
def test_unknown_session(db: Connection, ask: Callable[[Connection], object]) -> None:
    """A session that is not there is an error."""
    with pytest.raises(UnknownSession):
        ask(db)


def test_events_come_back(db: Connection, session: Session) -> None:
    """Every kind of event, short and long, comes back as it was, in order, with its parent and time."""
    given = [
        _prompt("make it faster"),
        Event(kind=EventKind.ASSISTANT_RESPONSE, text="é" * 5000),
        Event(kind=EventKind.TOOL_CALL, tool_call=ToolCallRecord("edit", '{"path": "a"}', "x" * 9999, False)),
        Event(kind=EventKind.CLEAR),
    ]
    last = events.append(db, session.id, None, given, 42)
    chain = events.chain(db, last)
    assert [stored.event for stored in chain] == given
    assert {stored.at_ns for stored in chain} == {42}
    assert [stored.parent for stored in chain] == [None, *(stored.id for stored in chain[:-1])]
    assert chain[-1].id == last


def test_no_events(db: Connection, session: Session) -> None:
    """Nothing said is no conversation, and nothing more said is the same conversation."""
    assert events.chain(db, None) == []
    assert events.append(db, session.id, None, [], 1) is None
    last = events.append(db, session.id, None, [_prompt("a")], 1)
    assert events.append(db, session.id, last, [], 1) == last


def test_forks_share_their_past(db: Connection, session: Session) -> None:
    """Two conversations may go on from one event; its past is stored once, and is in both."""
    root = events.append(db, session.id, None, [_prompt("a"), _prompt("b")], 1)
    left = events.append(db, session.id, root, [_prompt("left")], 2)
    right = events.append(db, session.id, root, [_prompt("right 1"), _prompt("right 2")], 3)
    left = events.append(db, session.id, left, [_prompt("left 2")], 4)
    assert _texts(db, left) == ["a", "b", "left", "left 2"]
    assert _texts(db, right) == ["a", "b", "right 1", "right 2"]
    assert _texts(db, root) == ["a", "b"]
    assert db.execute("SELECT count(*) FROM events").fetchone() == (6,)


def test_broken_chain_is_found(db: Connection, session: Session) -> None:
    """An event that is gone from the middle of a chain, or that a head names, is damage and not a shorter conversation."""
    last = events.append(db, session.id, None, [_prompt(str(n)) for n in range(5)], 1)
    with pytest.raises(StoreCorrupt, match="id 99"):
        events.chain(db, EventId(99))
    with pytest.raises(StoreCorrupt, match="id 99"):
        events.append(db, session.id, EventId(99), [_prompt("a")], 1)
    db.execute("DELETE FROM events WHERE id = 3")
    with pytest.raises(StoreCorrupt, match="id 3"):
        events.chain(db, last)


def test_long_conversation(db: Connection, session: Session) -> None:
    """10,000 events, said in turns with another session's, are read in well under a second."""
    db.execute("BEGIN")
    mine: EventId | None = None
    theirs: EventId | None = None
    for number in range(5000):
        mine = events.append(db, session.id, mine, [_prompt(f"{number}"), _prompt("and")], number)
        theirs = events.append(db, session.id, theirs, [_prompt("theirs")], number)
    db.execute("COMMIT")
    start = perf_counter()
    chain = events.chain(db, mine)
    elapsed_s = perf_counter() - start
    assert [stored.event.text for stored in chain[::2]] == [str(number) for number in range(5000)]
    # Measured: 0.17 s on two busy cores.
    assert elapsed_s < 1


def test_checkpoints(db: Connection, workspace: Workspace, session: Session, make_checkpoint: Callable[..., Checkpoint]) -> None:
    """A checkpoint comes back as it was, by id, by label and by prefix, in its session alone."""
    other = replace(session, id=SessionId("other"))
    sessions.add(db, other)
    first = make_checkpoint(id=CheckpointId("ab-1"), label="faster", event=EventId(4))
    second = make_checkpoint(
        id=CheckpointId("ab-2"),
        label="faster",
        parent=first.id,
        automatic=True,
        incomplete=(Missing(path=RelPath("\udcff"), reason="gone"),),
    )
    third = make_checkpoint(id=CheckpointId("zz"), session=other.id, label="faster")
    for checkpoint in (second, third, first):
        checkpoints.add(db, workspace.id, checkpoint)
    assert checkpoints.find(db, session.id, second.id) == second
    assert checkpoints.find(db, other.id, second.id) is None
    assert checkpoints.with_label(db, session.id, "faster") == [second, first]
    assert checkpoints.with_prefix(db, session.id, "ab") == [first, second]
    assert checkpoints.with_prefix(db, session.id, "ab", limit=1) == [first]
    assert checkpoints.with_prefix(db, session.id, "ab-1") == [first]
    assert checkpoints.with_prefix(db, session.id, "b") == []
    assert checkpoints.of_session(db, session.id, None) == [second, first]
    assert checkpoints.of_session(db, session.id, 1) == [first]
    assert checkpoints.of_workspace(db, workspace.id, None) == [second, third, first]
    assert checkpoints.of_workspace(db, workspace.id, 2) == [third, first]
    assert checkpoints.count(db) == 3


def test_checkpoint_without_changes_is_small(
    db: Connection, workspace: Workspace, session: Session, make_checkpoint: Callable[..., Checkpoint]
) -> None:
    """Each further checkpoint without changes adds at most 1 KiB to the store, the answer kept for its key included."""
    count = 400
    chance = random.Random(3)

    def answer(id_: str) -> bytes:
        stats = {"start_time": 1.8e9, "total_messages": 5, "total_tool_calls": 9, "total_duration_s": 1.5, "estimated_tokens": 777}
        ids = {"id": id_, "session_id": session.id, "parent_id": id_, "label": f"step {id_}", "created_at": chance.random()}
        counts = {"is_head": True, "automatic": False, "files": 0, "insertions": 0, "deletions": 0, "uid": chance.randbytes(16).hex()}
        return msgspec.msgpack.encode({**ids, **counts, "stats": stats, "incomplete": {"count": 0, "first": []}})

    def save(number: int) -> None:
        id_ = CheckpointId(f"20261122-1000{number:06}")
        head = Head(checkpoint=id_, event=None)
        parent = CheckpointId(f"20261122-1000{number - 1:06}")
        checkpoints.add(db, workspace.id, make_checkpoint(uid=chance.randbytes(16).hex(), id=id_, label=f"step {number}", parent=parent))
        sessions.stand(db, session.id, head, replace(session.stats, total_messages=number))
        answers.put(db, session.id, chance.randbytes(16).hex(), chance.randbytes(32), answer(id_), number)

    save(0)
    before = totals.totals(db)[0]
    for number in range(1, count + 1):
        save(number)
    # Measured: 574 bytes.
    assert (totals.totals(db)[0] - before) / count <= 1024


def test_answers(db: Connection, session: Session) -> None:
    """An answer is found under its session's key alone, until it is freed or too old."""
    answers.put(db, "", "k", b"digest", b"answer" * 100, 5)
    answers.put(db, session.id, "k", b"other", b"", 6)
    assert answers.find(db, "", "k") == (b"digest", b"answer" * 100)
    assert answers.find(db, session.id, "k") == (b"other", b"")
    assert answers.find(db, session.id, "x") is None
    answers.put(db, session.id, "k", b"again", b"new", 7)
    assert answers.find(db, session.id, "k") == (b"again", b"new")
    assert answers.prune(db, 5) == 0
    assert answers.prune(db, 6) == 1
    assert answers.find(db, "", "k") is None
    answers.drop(db, session.id, "k")
    answers.drop(db, session.id, "k")
    assert answers.find(db, session.id, "k") is None


def test_pruning_in_parts(db: Connection) -> None:
    """Old answers can be forgotten a few at a time, the oldest first."""
    for number in range(10):
        answers.put(db, "s", str(number), b"", b"", number)
    assert [answers.prune(db, 8, limit=5) for _ in range(3)] == [5, 3, 0]
    assert [answers.find(db, "s", str(number)) is not None for number in range(10)] == [False] * 8 + [True] * 2


def test_a_name_that_is_none_any_more(db: Connection, session: Session, workspace: Workspace) -> None:
    """An id that is no UTF-8 any more keeps no other session from being named; what every session needs is not told without it."""
    sessions.add(db, replace(session, id=SessionId("other")))
    db.execute("UPDATE sessions SET id = CAST(? AS TEXT) WHERE id = 'other'", (b"othe\xf2",))
    assert list(sessions.ids_of(db, workspace.id).values()) == [session.id, "othe\\xf2"]
    assert sessions.find(db, session.id) == session
    with pytest.raises(StoreCorrupt):
        pruning.stands(db, workspace.id, 0)

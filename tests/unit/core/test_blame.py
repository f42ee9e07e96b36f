"""Blame: each line is attributed to the row that made it, through whatever came after; and the turn a row was made in."""

from collections.abc import Mapping

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from rewindd.model.conversation import EventKind
from rewindd.model.ids import EventId, OperationId, SessionId
from rewindd.model.log import NOBODY, IndexEntry, Owner, Row, Source, Toggle
from rewindd.model.versions import ABSENT, UNKNOWN, File, Version
from rewindd.paths import RelPath
from rewindd.timeline import blame as module
from rewindd.timeline import lines
from rewindd.timeline.blame import Span, blame
from rewindd.timeline.history import Timeline
from rewindd.timeline.prompts import Prompts, Stretch, Told

PATH = RelPath("it")
A, B = SessionId("a"), SessionId("b")


class Past:
    """A path's history as it is made, and its contents."""

    def __init__(self, first: bytes | None = b"") -> None:
        self.contents: dict[bytes, bytes] = {}
        self.rows: list[Row] = []
        self.toggles: list[Toggle] = []
        self.operations: dict[OperationId, int] = {}
        self.seq = 0
        self.now: Version = UNKNOWN if first is None else self.version(first)

    def version(self, content: bytes) -> File:
        """A version of that content."""
        digest = blake3(content).digest()
        self.contents[digest] = content
        return File(digest, len(content), 0o644)

    def row(self, after: Version | bytes, owner: Owner = (A,), source: Source = Source.TOOL, operation: OperationId | None = None) -> int:
        """The path becomes that."""
        self.seq += 1
        made = self.version(after) if isinstance(after, bytes) else after
        since = self.rows[-1].seq if self.rows else 0
        self.rows.append(
            Row(
                seq=self.seq,
                path=PATH,
                before=self.now,
                after=made,
                owner=owner,
                source=source,
                operation=operation,
                since=since,
                at_ns=self.seq,
            )
        )
        self.now = made
        return self.seq

    def operate(self, after: bytes, off: tuple[int, ...] = (), on: tuple[int, ...] = ()) -> int:
        """An operation switches rows, and writes what comes of it."""
        self.seq += 1
        at, operation = self.seq, OperationId(f"op{self.seq}")
        self.operations[operation] = at
        self.toggles += [Toggle(row, at, False) for row in off] + [Toggle(row, at, True) for row in on]
        return self.row(after, NOBODY, Source.EFFECT, operation) if self.version(after) != self.now else at

    def spans(self, *, last: int | None = None) -> list[Span]:
        """Runs `blame` over the history, or its `last` rows."""
        rows = self.rows if last is None else self.rows[-last:]
        entry = IndexEntry(path=PATH, version=self.now, signature=None, since=0)
        timeline = Timeline(rows, self.toggles, self.operations, {PATH: entry}, self.seq)
        count = lines.count_of(self.contents[self.now.digest]) if isinstance(self.now, File) else 0
        walk = blame(timeline, PATH, count, cut={PATH} if last is not None else ())
        contents: Mapping[bytes, bytes] | None = None
        try:
            while True:
                wanted = next(walk) if contents is None else walk.send(contents)
                contents = {one.digest: self.contents[one.digest] for one in wanted}
        except StopIteration as end:
            spans: list[Span] = end.value
            return spans

    def told(self, *, last: int | None = None) -> list[int | None]:
        """Each line's row, None for those that were there before."""
        return [span.row.seq if span.row is not None else None for span in self.spans(last=last) for _ in range(span.count)]


def text(*words: object) -> bytes:
    """A line for each word."""
    return b"".join(f"{word}\n".encode() for word in words)


def test_edits_one_after_the_other() -> None:
    """Lines that stay keep their row; those that came have the row that brought them; what was there before has none."""
    past = Past(text("x", "y"))
    first = past.row(text("x", 1, "y"))
    second = past.row(text("x", 1, 2, "y"), (B,))
    third = past.row(text("x", 1, 3, "y"), (A, B), Source.COMMAND)
    person = past.row(text("x", 1, 3, "y", "z"), NOBODY, Source.EXTERNAL)
    assert past.told() == [None, first, third, None, person]
    assert [span.row.owner for span in past.spans() if span.row is not None] == [(A,), (A, B), NOBODY]
    assert second not in past.told()


def test_a_new_file_and_one_that_was_first_seen() -> None:
    """All of a new file is its first row's; of one that was first seen by a row, that row's, which is no change."""
    new = Past()
    new.now = ABSENT
    assert [new.row(text(1, 2))] * 2 == new.told()
    seen = Past(None)
    first = seen.row(text(1, 2), NOBODY, Source.FIRST_SEEN)
    second = seen.row(text(1, 2, 3))
    assert seen.told() == [first, first, second]


def test_nothing_is_known_from_before_a_change_of_rules() -> None:
    """What was left out for a while is first seen again: nobody knows what happened to it meanwhile."""
    past = Past(text(0))
    past.row(text(0, 1))
    past.row(UNKNOWN, NOBODY, Source.RULES_CHANGED)
    again = past.row(text(0, 1, 2), NOBODY, Source.FIRST_SEEN)
    last = past.row(text(0, 1, 2, 3))
    assert past.told() == [again, again, again, last]


def test_what_a_rewind_brought_back() -> None:
    """Lines that came back by a rewind are their first maker's, not the rewind's; what it left in place stays whose it was."""
    past = Past(text("a", "b", "c", "d", "e"))
    mine = past.row(text("a", "mine", "b", "c", "d", "e"))
    gone = past.row(text("a", "b", "c", "d", "e"), (B,))
    theirs = past.row(text("a", "b", "c", "d", "theirs", "e"), (B,))
    past.operate(text("a", "mine", "b", "c", "d", "theirs", "e"), off=(gone,))
    assert past.told() == [None, mine, None, None, None, theirs, None]
    past.operate(text("a", "b", "c", "d", "theirs", "e"), on=(gone,))
    assert past.told() == [None, None, None, None, theirs, None]


def test_an_undo_to_an_earlier_version() -> None:
    """A version that is just as it was before has the lines as they were then, also where a row came to the same content meanwhile."""
    past = Past(text("a"))
    first = past.row(text("a", "b"))
    second = past.row(text("a"), (B,))
    third = past.row(text("a", "b"), NOBODY, Source.EXTERNAL)
    fourth = past.row(text("new"))
    past.operate(text("a", "b"), off=(second, third, fourth))
    assert past.told() == [None, first]
    past.operate(text("new"), on=(second, third, fourth))
    assert past.told() == [fourth]
    past.operate(text("a", "b"), off=(fourth,))
    assert past.told() == [None, third]


def test_what_no_earlier_version_had() -> None:
    """A line that an operation wrote and nothing before it had is the operation's row."""
    past = Past(text("a"))
    row = past.row(text("a", "b"))
    made = past.operate(text("a", "made up"), off=(row,))
    assert past.told() == [None, made]


def test_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the rows that were read, and beyond the versions that are gone through, lines are older than a position that is told."""
    past = Past(text("a"))
    rows = [past.row(text("a", *range(number + 1))) for number in range(10)]
    assert past.told() == [None, *rows]
    (first, *rest) = past.spans(last=3)
    assert (first.count, first.row, first.older) == (8, None, rows[-3])
    assert [span.row.seq for span in rest if span.row is not None] == rows[-3:]
    monkeypatch.setattr(module, "MAX_VERSIONS", 2)
    (first, *rest) = past.spans()
    assert (first.row, first.older, first.count, len(rest)) == (None, rows[-2], 9, 2)


def test_binary_and_missing_contents_have_no_lines() -> None:
    """Nothing comes from a version that was binary, or was too large to be read."""
    past = Past(text("a"))
    past.row(b"\0binary\n")
    back = past.row(text("a", "b"))
    assert past.told() == [back, back]


def test_a_large_file_is_compared_at_its_landmarks() -> None:
    """Edits at both ends of a file too large to compare line by line leave all between them as it was."""
    size = 6000
    past = Past(text(*range(size)))
    row = past.row(text("top", *range(size), "end"))
    other = past.row(text("new top", *range(size // 2), "middle", *range(size // 2, size), "new end"), (B,))
    told = past.told()
    assert size * size > lines.MAX_COMPARED
    assert (told.count(None), told.count(other), told.count(row)) == (size, 3, 0)


@given(st.lists(st.sampled_from(range(40)), max_size=60), st.lists(st.sampled_from(range(40)), max_size=60), st.booleans())
def test_what_stays_is_a_common_subsequence(one: list[int], other: list[int], ends: bool) -> None:
    """The lines that stay are equal, and in order in both; as many as can be, unless that is too much to compare."""
    before, after = text(*one), text(*other)[: None if ends else -1]
    a, b = before.splitlines(keepends=True), after.splitlines(keepends=True)
    blocks, _ = lines.stays(before, after)
    pairs = [(i + n, j + n) for i, j, many in blocks for n in range(many)]
    assert all(a[i] == b[j] for i, j in pairs)
    assert pairs == sorted(pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, line in enumerate(a):
        for j, there in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if line == there else max(table[i][j + 1], table[i + 1][j])
    assert len(pairs) == table[-1][-1]


@given(st.data())
def test_whatever_happens(data: st.DataObject) -> None:
    """Unique lines, edited by several and taken back and put back by operations: each is always told to be of the row that made it."""
    past = Past(text("x0", "x1", "x2", "x3"))
    maker: dict[str, int | None] = {f"x{n}": None for n in range(4)}
    content = list(maker)
    before: dict[int, tuple[list[str], list[str]]] = {}
    live: set[int] = set()
    for number in range(data.draw(st.integers(1, 12))):
        newest = max(live, default=None)
        taken = data.draw(st.sampled_from(["edit", "edit", "edit", "back"])) if newest is not None else "edit"
        if taken == "back" and newest is not None:
            # What the newest live row did is taken back; later operations may put it back.
            was, became = before[newest]
            gone, back = set(became) - set(was), set(was) - set(became)
            content = _merged(content, was, gone, back)
            past.operate(text(*content), off=(newest,))
            live.discard(newest)
        else:
            was = list(content)
            for _ in range(data.draw(st.integers(0, 2))):
                if content:
                    content.pop(data.draw(st.integers(0, len(content) - 1)))
            content.insert(data.draw(st.integers(0, len(content))), f"n{number}")
            row = past.row(text(*content), (data.draw(st.sampled_from([A, B])),))
            maker[f"n{number}"] = row
            before[row] = (was, list(content))
            live.add(row)
        assert past.told() == [maker[line] for line in content], content


def _merged(content: list[str], was: list[str], gone: set[str], back: set[str]) -> list[str]:
    """A content without what one change brought, and with what it took where it was: after the nearest line before it that is there."""
    merged = [line for line in content if line not in gone]
    for line in was:
        if line in back:
            above = [one for one in was[: was.index(line)] if one in merged]
            merged.insert(merged.index(above[-1]) + 1 if above else 0, line)
    return merged


def told(parent: int | None, at_ns: int, kind: EventKind = EventKind.USER_PROMPT) -> Told:
    """An event of a conversation."""
    return Told(EventId(parent) if parent is not None else None, at_ns, kind)


def test_the_turn_of_a_change() -> None:
    """A prompt that was told before the change; else the first that came with its checkpoint; else the last before that."""
    talk = Prompts(
        {
            EventId(1): told(None, 10),
            EventId(2): told(1, 11, EventKind.ASSISTANT_RESPONSE),
            EventId(3): told(2, 20),
            EventId(4): told(3, 30),
            EventId(5): told(2, 40),
        }
    )
    whole = Stretch(start=None, end=EventId(4))
    assert [talk.of(whole, at_ns) for at_ns in (5, 10, 19, 20, 29, 30, 99)] == [1, 1, 1, 3, 3, 4, 4]
    assert talk.of(Stretch(start=EventId(2), end=EventId(4)), 5) == 3, "told with the save"
    assert talk.of(Stretch(start=EventId(2), end=EventId(2)), 99) == 1, "a checkpoint in the middle of a turn"
    assert talk.of(Stretch(start=EventId(2), end=EventId(2), is_open=True), 99) is None, "what comes is not told yet"
    assert talk.of(Stretch(start=EventId(2), end=EventId(5)), 99) == 5, "another branch"
    assert talk.of(Stretch(start=None, end=None), 99) is None
    assert [talk.number(EventId(n)) for n in (1, 3, 4, 5)] == [1, 2, 3, 2]


def test_a_cleared_conversation_counts_anew() -> None:
    """After a clearing the first prompt is number 1, and no change belongs to what was said before."""
    talk = Prompts({EventId(1): told(None, 1), EventId(2): told(1, 2, EventKind.CLEAR), EventId(3): told(2, 3)})
    assert talk.number(EventId(3)) == 1
    assert talk.of(Stretch(start=None, end=EventId(2)), 9) is None
    assert talk.of(Stretch(start=None, end=EventId(3)), 9) == 3

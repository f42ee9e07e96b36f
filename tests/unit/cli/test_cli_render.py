"""What people and programs read: the tree, the table, colours, harmless text, JSON."""

import base64
import json
import os
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewindd.cli.render import edits, families, human, patch, table, tree, words
from rewindd.cli.render.json import line, plain
from rewindd.paths import RelPath
from rewindd.protocol import replies
from support.cli import NOON, session, summary


def plain_paint(text: str, _style: str) -> str:
    return text


def marked_paint(text: str, style: str) -> str:
    return f"<{style}>{text}</>" if text else text


def drawn(*nodes: str) -> list[str]:
    """Draws nodes said as `name<parent`, the head with a `*`; each line ends in its node's name."""
    found = []
    for said in nodes:
        name, _, parent = said.rstrip("*").partition("<")
        found.append(tree.Node(name, parent or None, said.endswith("*")))
    lines = []
    for node, row in zip(found, tree.draw(found, tree.ASCII), strict=True):
        lines.append(f"{row.before} {node.key}")
        lines += [row.below] if row.below is not None else []
    return lines


def test_one_line_of_work_is_one_line() -> None:
    """Without branches there is nothing but the marks."""
    assert drawn("a", "b<a", "c<b*") == ["o a", "o b", "* c"]


def test_a_side_branch_turns_off() -> None:
    """An automatic checkpoint beside the line to the head: the line goes on."""
    assert drawn("a", "auto<a", "b<a", "c<b*") == ["o a", "|-o auto", "o b", "* c"]


def test_the_line_to_the_head_stays_left() -> None:
    """Where the head's line comes before its sibling, the sibling's lane splits off below the parent."""
    assert drawn("a", "b<a", "c<b*", "aside<a") == ["o a", "|-\\", "o | b", "* | c", "  o aside"]


def test_branches_of_branches() -> None:
    """Lanes are crossed where one reaches over another, and used again when they are free."""
    assert drawn("a", "b<a", "x<a", "c<b*", "y<a", "z<x") == [
        "o a",
        "|-\\",
        "o | b",
        "| |-o x",
        "* | | c",
        "  o | y",
        "    o z",
    ]


def test_a_parent_that_is_not_shown_makes_a_root() -> None:
    """The newest N: what the first of them was made from is not there."""
    assert drawn("y<gone", "z<y*", "w<gone") == ["o y", "* z", "o w"]


@given(st.data())
def test_every_tree_is_drawn(data: st.DataObject) -> None:
    """A row a node, one mark a row, whatever the shape; never wider than the nodes are many."""
    count = data.draw(st.integers(0, 25))
    nodes = [
        tree.Node(number, data.draw(st.one_of(st.none(), st.integers(-1, number - 1))), data.draw(st.booleans())) for number in range(count)
    ]
    rows = tree.draw(nodes, tree.ASCII)
    assert len(rows) == count
    for node, row in zip(nodes, rows, strict=True):
        assert row.before.count("*" if node.is_head else "o") == 1
        assert len(row.before) < 2 * count


def test_the_table_cuts_labels_to_the_terminal_only() -> None:
    """In a pipe nothing is cut; on a terminal no line is wider than it, and the head's mark stays."""
    found = [summary("c1", label="x" * 200), summary("c2", parent_id="c1", is_head=True, label="漢字" * 50)]
    full = table.checkpoints(found, plain_paint, width=None, now=NOON).splitlines()
    assert "x" * 200 in full[0]
    cut = table.checkpoints(found, plain_paint, width=80, now=NOON).splitlines()
    assert all(words.cells(line) <= 80 for line in cut)
    assert cut[1].endswith("… (head)")
    assert "…" in cut[0]


def test_the_table_says_what_is_special() -> None:
    """Automatic, incomplete, and whose it is."""
    missing = replies.Incomplete(count=4, first=[])
    found = [summary("c1", automatic=True), summary("c2", incomplete=missing, session_id="other", label=None)]
    lines = table.checkpoints(found, plain_paint, width=None, unicode=False, sessions=[], now=NOON + timedelta(minutes=5)).splitlines()
    assert lines == ["o  s1     c1  5m ago  2 files  +3 -1  a label (automatic)", "o  other  c2  5m ago  2 files  +3 -1  (4 not captured)"]
    assert table.checkpoints([], plain_paint, width=80) == ""


def child(session_id: str, parent_id: str, minute: int, **changes: object) -> replies.SessionInfo:
    """A sub-agent, or with `from_id` a fork, that was opened some minutes after noon."""
    opened = NOON + timedelta(minutes=minute)
    return msgspec.structs.replace(session(session_id, agent="helper"), parent_id=parent_id, opened_at=opened, **changes)


def test_sessions_stand_below_their_parents() -> None:
    """Sub-agents and forks are indented below the session that they are of; a fork says where it began; who has no parent stands alone."""
    family = [
        session("s1"),
        child("sub", "s1", 1),
        session("s2"),
        child("fork", "s1", 2, from_id="c1"),
        child("deep", "sub", 3),
        child("lone", "gone", 4),
    ]
    drawn = [(before, one.id) for before, one in families.grown(family)]
    assert drawn == [("", "s1"), ("├─ ", "sub"), ("│  └─ ", "deep"), ("└─ ", "fork"), ("", "s2"), ("", "lone")]
    lines = human.sessions(family, plain_paint, unicode=False).splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["s1", "|- sub"]
    assert lines[2].startswith("|  `- deep  helper    open")
    assert lines[3].endswith("/w  (from c1)")


def test_the_table_of_all_hangs_families_together() -> None:
    """A fork branches off at its origin, a sub-agent where its parent was when it was opened; sessions are named by generation."""

    def made(id_: str, session_id: str, minute: int, parent_id: str | None = None) -> replies.Summary:
        return summary(id_, session_id=session_id, parent_id=parent_id, created_at=NOON + timedelta(minutes=minute), label=None)

    found = [
        made("c1", "s1", 1),
        made("c2", "s1", 3, "c1"),
        made("x1", "sub", 4),
        made("f1", "fork", 5, "c2"),
        made("c3", "s1", 6, "c2"),
        made("l1", "lone", 7, "lost"),
    ]
    family = [session("s1"), child("sub", "s1", 2), child("fork", "s1", 4, from_id="c2"), child("lone", "gone", 4)]
    lines = table.checkpoints(found, plain_paint, width=None, unicode=False, sessions=family, now=NOON + timedelta(minutes=9)).splitlines()
    assert [line[:13].rstrip() for line in lines] == [
        "o      s1",
        "|-o    s1",
        "o |      sub",
        "  |-o    fork",
        "  o    s1",
        "o      lone",
    ]


def test_what_a_fork_shares_is_marked() -> None:
    """In a session's own list the checkpoints that are another one's say whose, and the session's own follow them."""
    found = [summary("c1", label=None, is_head=False), summary("f1", session_id="fork", parent_id="c1", label=None, is_head=True)]
    lines = table.checkpoints(found, plain_paint, width=None, unicode=False, own="fork", now=NOON).splitlines()
    assert lines == ["o  c1  just now  2 files  +3 -1  (of s1)", "*  f1  just now  2 files  +3 -1  (head)"]


def test_the_log_says_who_and_why() -> None:
    """A row has its owner, all candidates where it is contested, its turn with what was asked; what an operation wrote says which kind."""

    def row(**changes: object) -> replies.EditInfo:
        plain = replies.EditInfo(
            seq=7, path=RelPath("a"), change="modified", session_id="s1", agent="bot", source="tool", operation_id=None, at=NOON
        )
        return msgspec.structs.replace(plain, **changes)

    rows = [
        row(turn=2, prompt="make it\x1b so " + "x" * 80),
        row(source="effect", operation_id="op1", operation="undo"),
        row(session_id=None, agent=None, contested=["s1", "s2"], source="command"),
        row(session_id=None, agent=None, source="external"),
    ]
    told = [line.split("  ", 2)[2] for line in edits.log(rows, plain_paint).splitlines()]
    assert told[0].startswith("bot (s1)           modified  a  (tool, turn 2: make it\\x1b so xxx")
    assert told[0].endswith("x…)")
    assert told[1:] == [
        "bot (s1)           modified  a  (undo op1)",
        "contested: s1, s2  modified  a  (command)",
        "nobody             modified  a  (external)",
    ]


def test_blame_stands_beside_the_lines() -> None:
    """Each line has its row, who made it, when and in which turn; what was there before, and what is older than was looked at, says so."""

    def span(first: int, count: int, **changes: object) -> replies.LineSpan:
        plain = replies.LineSpan(first_line=first, count=count, seq=None, session_id=None, agent=None, source="first-seen", at=None)
        return msgspec.structs.replace(plain, **changes)

    spans = [
        span(1, 2),
        span(3, 1, seq=12, session_id="s1", agent="bot", source="tool", at=NOON, turn=3, prompt="do it"),
        span(4, 1, source="older", older_than=5),
        span(5, 1, seq=13, source="external", at=NOON),
    ]
    found = replies.Blamed(path=RelPath("a"), position="#13", content=b"one\n\ttwo\n\x1b[2J\nfour\n\xff", spans=spans)
    lines = edits.blame(found, plain_paint).splitlines()
    at = words.when(NOON)
    assert lines[0].split() == ["-", "before", "rewindd", "knew", "it", "1)", "one"]
    assert lines[1].endswith("  2)         two")
    assert lines[2] == f"12  bot (s1)                {at}  turn 3: do it  3) \\x1b[2J"
    assert lines[3].split() == ["<5", "older", "4)", "four"]
    assert lines[4] == f"13  nobody                  {at}                 5) \ufffd"


def test_diffs_are_coloured_line_by_line() -> None:
    """For a terminal; for a pipe they are byte for byte what was made."""
    text = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\x1b[2J\n\\ No newline at end of file"
    change = replies.FileDiff(RelPath("x"), None, None, NOON, "modified", patch=text)
    assert patch.patches([change], plain_paint, for_terminal=False) == text + "\n"
    assert patch.patches([change], marked_paint, for_terminal=True).splitlines() == [
        "<bold>--- a/x</>",
        "<bold>+++ b/x</>",
        "<cyan>@@ -1 +1 @@</>",
        "<red>-old</>",
        "<green>+new\\x1b[2J</>",
        "<dim>\\ No newline at end of file</>",
    ]


def test_binary_files_have_a_line_of_their_own() -> None:
    """No patch: it is said."""
    change = replies.FileDiff(RelPath("x"), None, None, NOON, "modified", binary=True)
    assert patch.patches([change], plain_paint, for_terminal=True) == "Binary file: x\n"


@given(st.text())
def test_visible_text_moves_no_cursor(text: str) -> None:
    """No control character, line end or unpaired surrogate is left."""
    shown = words.visible(text)
    assert all(ord(char) >= 0x20 and not 0x7F <= ord(char) < 0xA0 for char in shown)
    shown.encode()


def test_bytes_that_are_no_utf8_are_spelled() -> None:
    """A person can tell such names apart."""
    assert words.visible(os.fsdecode(b"a\xff\n")) == "a\\xff\\x0a"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0s"), (59.9, "59s"), (60, "1m 0s"), (3599, "59m 59s"), (3600, "1h 0m"), (3662.5, "1h 1m"), (90000, "25h 0m")]
)
def test_durations_are_the_references(seconds: float, said: str) -> None:
    """As `SessionStats.format_duration` has them."""
    assert words.duration(seconds) == said


def test_sizes_and_times() -> None:
    """Units of 1024; recent times are relative."""
    assert [words.size(number) for number in (0, 1023, 1024, 5 << 20, 3 << 50)] == ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3072.0 TiB"]
    assert [words.ago(NOON, NOON + timedelta(seconds=past)) for past in (-5, 59, 60, 7200)] == ["just now", "just now", "1m ago", "2h ago"]
    assert words.ago(NOON, NOON + timedelta(days=2)).startswith("2026-11-22")


@given(st.text(max_size=30), st.integers(1, 20))
def test_fitted_text_fits(text: str, width: int) -> None:
    """Never wider than it may be."""
    assert words.cells(words.fit(text, width)) <= width or words.cells(text) <= width


def test_json_of_times_is_utc() -> None:
    """RFC 3339, with a Z, always to the microsecond."""
    there = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert plain(there) == "2026-01-02T01:04:05.000000Z"
    assert plain(datetime(2026, 1, 2, 3, 4, 5, 7, tzinfo=UTC)) == "2026-01-02T03:04:05.000007Z"


def test_json_of_odd_paths_is_exact_beside() -> None:
    """In lists of paths the sibling is as long as the list."""
    odd = RelPath(os.fsdecode(b"\xff"))
    left = replies.Left(rows=1, paths=[RelPath("a"), odd], command="x")
    fields = json.loads(line(plain(left)))
    assert fields["paths"] == ["a", "\ufffd"]
    assert fields["paths_b64"] == [None, base64.b64encode(b"\xff").decode()]
    assert "path_b64" not in json.loads(line(plain(replies.PathReason(path=RelPath("é"), reason="r"))))

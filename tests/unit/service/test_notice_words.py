"""Notices in words: what a model reads, to the letter."""

import pytest

from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import Owner
from rewindd.model.notice import Notice, NoticeKind
from rewindd.paths import RelPath
from rewindd.service.notices.notice_words import overlap, words

A, B, C = SessionId("a"), SessionId("b"), SessionId("c")
#: 2026-01-02 20:15:42 UTC.
AT_NS = 1_767_384_942_000_000_000
AGENTS = {B: "claude", C: "codex"}


def said(kind: NoticeKind, change: str, by: Owner, path: str = "src/app.py") -> str:
    notice = Notice(seq=9, path=RelPath(path), kind=kind, change=change, by=by, operation=OperationId("o"), at_ns=AT_NS)
    return words(notice, AGENTS, A)


@pytest.mark.parametrize(
    ("kind", "change", "by", "text"),
    [
        (
            NoticeKind.CHANGED,
            "modified",
            (B,),
            "src/app.py, which you work on, was changed by session b (agent claude) at 20:15 UTC; read it again before you edit it",
        ),
        (
            NoticeKind.CHANGED,
            "added",
            (SessionId("gone"),),
            "src/app.py, which you work on, was made by session gone at 20:15 UTC; read it again before you edit it",
        ),
        (
            NoticeKind.CHANGED,
            "deleted",
            (),
            "src/app.py, which you work on, was deleted by somebody who announced nothing (a person or another program) at 20:15 UTC; "
            "it is not there any more",
        ),
        (
            NoticeKind.CHANGED,
            "type",
            (B, C),
            "src/app.py, which you work on, was replaced by something of another kind by one of session b (agent claude) and "
            "session c (agent codex) (which one cannot be told) at 20:15 UTC; read it again before you edit it",
        ),
        (
            NoticeKind.CHANGED,
            "mode",
            (B, A),
            "src/app.py, which you work on, got another mode by one of you and session b (agent claude) (which one cannot be told) "
            "at 20:15 UTC; read it again before you edit it",
        ),
        (
            NoticeKind.REWOUND,
            "modified",
            (B,),
            "src/app.py, which you work on, was changed by a rewind of session b (agent claude) at 20:15 UTC; "
            "read it again before you edit it",
        ),
        (
            NoticeKind.UNDONE,
            "deleted",
            (B,),
            "src/app.py, which you work on, was deleted by an undo of session b (agent claude) at 20:15 UTC; it is not there any more",
        ),
        (
            NoticeKind.CLAIM_TAKEN,
            "",
            (C,),
            "src/app.py was claimed by session c (agent codex) at 20:15 UTC, who is about to change it; your claim on it ended: "
            "read it and snapshot it again before you edit it",
        ),
    ],
)
def test_a_notice(kind: NoticeKind, change: str, by: Owner, text: str) -> None:
    """Path, what was done, who, when, and what to do."""
    assert said(kind, change, by) == text


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if kind is not NoticeKind.GAP])
def test_every_kind_has_words(kind: NoticeKind) -> None:
    """Each kind names the path and who."""
    assert said(kind, "modified", (B,)).startswith("src/app.py")
    assert "session b (agent claude)" in said(kind, "modified", (B,))


def test_a_name_cannot_pass_for_words_of_ours() -> None:
    """Line ends, escapes and bytes that are no text are spelled out, in paths and in agents' names."""
    path = "a\nb, which you work on\x1b[2J\udcff\u202e"
    assert said(NoticeKind.CHANGED, "modified", (B,), path).startswith(r"a\nb, which you work on\x1b[2J\udcff\u202e, which")
    assert words(Notice(seq=1, path=RelPath("f"), kind=NoticeKind.CHANGED, by=(B,), at_ns=0), {B: "x\ny"}, A).isprintable()


def test_an_overlap() -> None:
    """The warning before the clobber."""
    assert overlap("f", B, "claude", AT_NS, "modified") == (
        "f was changed by session b (agent claude) at 20:15 UTC and is not saved by it yet: "
        "it may still be at work on it; read it before you change it, and change no more than you must"
    )

"""`rewind`, `undo`, `redo`: when they ask, what they send, what they say."""

import sys
from collections.abc import Iterator

import pytest

from rewindd.cli.render import plan
from rewindd.cli.screen import Screen
from rewindd.errors import Conflict, HeadMoved
from rewindd.model.capture import UNKEPT
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests
from support.cli import FakeDaemon, Rewindctl, one_session, rewindctl, rewound, session

ALL = ["files", "conversation", "stats"]


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    one_session(fake)
    fake.tell(requests.ShowSession, replies.SessionReply(session=session()))
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A person at a terminal who gives these answers."""
    answers: list[str] = []
    monkeypatch.setattr(Screen, "is_interactive", True)

    class Keyboard:
        def readline(self) -> str:
            return answers.pop(0) if answers else ""

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Keyboard())
    yield answers
    assert not answers, "the person was not asked"


def asked(daemon: FakeDaemon) -> list[requests.Rewind]:
    return [request for request in daemon.asked if isinstance(request, requests.Rewind)]


def test_without_a_terminal_it_wants_yes_or_dry_run(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A usage error, before anything is asked of the daemon; JSON has it too."""
    said = run("rewind", "c1", "--json")
    assert said.status == 2
    assert said.error["code"] == "bad-request"
    assert "--dry-run" in said.err
    assert daemon.asked == []


def test_yes_does_it_at_once(daemon: FakeDaemon, run: Rewindctl) -> None:
    """One request, everything restored, no plan."""
    daemon.tell(requests.Rewind, rewound())
    said = run("rewind", "c1", "--yes", "--json")
    assert asked(daemon) == [requests.Rewind(session="s1", position="c1", restore=ALL)]
    interface = "operation_id plan_id checkpoint_id dry_run head stats restored removed merged kept conflicts steps left not_quiet"
    assert set(interface.split()) <= set(said.json)


def test_every_option_travels(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Options and paths are in the request as they were typed."""
    daemon.tell(requests.Rewind, rewound(dry_run=True))
    run(
        *("rewind", "@~2", "--before", "--scope", "workspace", "--restore", "stats", "--restore", "files", "--also", "external"),
        *("--on-conflict", "keep", "--across-head", "--lose-unsaved", "--plan", "p7", "--dry-run", "-C", "/w", "--", "a", "b/../c"),
    )
    assert asked(daemon) == [
        requests.Rewind(
            session="s1",
            position="@~2",
            before=True,
            scope="workspace",
            restore=["files", "stats"],
            also=["external"],
            on_conflict="keep",
            paths=[FsText("/w/a"), FsText("/w/c")],
            plan="p7",
            dry_run=True,
            across_head=True,
            lose_unsaved=True,
        )
    ]


def test_what_would_be_lost(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """What the full store could not keep is not asked about: it takes the option, and then the plan names it."""
    reason = f"{UNKEPT} (no room in the store: its file system is full)"
    conflicts = [replies.PathReason(path=RelPath("a.txt"), reason=reason)]
    daemon.tell(requests.Rewind, rewound(dry_run=True, operation_id=None, conflicts=conflicts, steps=[], restored=[]))
    said = run("rewind", "c1", "--on-conflict", "overwrite")
    assert said.status == 1
    assert "--lose-unsaved" in said.err
    assert [request.dry_run for request in asked(daemon)] == [True]
    daemon.tell(requests.Rewind, rewound(dry_run=True, lost=[RelPath("a.txt")]))
    assert "not in the store, and lost: a.txt" in run("rewind", "c1", "--lose-unsaved", "--dry-run").out


def test_with_paths_only_files_come_back(daemon: FakeDaemon, run: Rewindctl) -> None:
    """`--restore` defaults to files then; `--restore all` still means all."""
    daemon.tell(requests.Rewind, rewound())
    run("rewind", "c1", "--yes", "-C", "/w", "--", "a")
    run("rewind", "c1", "--yes", "-C", "/w", "--restore", "all", "--", "a")
    assert [request.restore for request in asked(daemon)] == [["files"], ALL]


def test_on_a_terminal_the_shown_plan_is_what_is_done(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """After a yes the request carries the id of the plan that was shown."""
    terminal.append("y\n")
    daemon.tell(requests.Rewind, rewound(dry_run=True, plan_id="p1", operation_id=None), rewound(plan_id="p1"))
    said = run("rewind", "c1")
    assert said.status == 0
    assert [(request.dry_run, request.plan) for request in asked(daemon)] == [(True, None), (False, "p1")]
    assert {request.base for request in asked(daemon)} == {requests.Base()}, "what is said meanwhile is not taken back unseen"
    assert "would rewind to c1:\n  restore   a.txt  +1 -2  (yours)\nGo on? [y/N] " in said.err
    assert said.out.startswith("rewound to c1: 1 restored\n")
    assert "undo" in said.err


@pytest.mark.parametrize("answer", ["\n", "n\n", "yeah\n", ""])
def test_whatever_is_no_yes_is_a_no(daemon: FakeDaemon, run: Rewindctl, terminal: list[str], answer: str) -> None:
    """The default is no, the end of input is no; nothing was done, and the status says that it was not."""
    terminal.extend([answer] if answer else [])
    daemon.tell(requests.Rewind, rewound(dry_run=True))
    said = run("rewind", "c1")
    assert (said.status, len(asked(daemon)), said.out) == (1, 1, "")
    assert "nothing was changed" in said.err


def test_a_conflict_in_the_plan_ends_before_the_question(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """What would fail is not asked about; the next step is named."""
    del terminal
    conflict = replies.PathReason(path=RelPath("x"), reason="changed by s2")
    planned = rewound(dry_run=True, plan_id="p1", conflicts=[conflict])
    daemon.tell(requests.Rewind, planned, Conflict("1 path in conflict; `--on-conflict keep` leaves it"))
    said = run("rewind", "c1")
    assert said.status == 4
    assert [(one.dry_run, one.plan) for one in asked(daemon)] == [(True, None), (False, "p1")]
    assert "conflict  x  (changed by s2)" in said.err
    assert "--on-conflict" in said.err


def test_another_git_head_is_not_asked_about(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """The plan names both, and ends there; with `--across-head` the question is the usual one."""
    then, now = "1" * 40, "2" * 40
    planned = rewound(dry_run=True, plan_id="p1", git_heads=replies.GitHeads(then=then, now=now))
    daemon.tell(requests.Rewind, planned)
    said = run("rewind", "c1", "--json")
    assert (said.status, len(asked(daemon))) == (4, 1)
    assert (said.error["code"], said.error["then"], said.error["now"]) == ("git-head-moved", then, now)
    assert f"git's HEAD: {then[:12]} then, {now[:12]} now" in said.err
    assert "--across-head" in said.err
    terminal.append("y\n")
    daemon.tell(requests.Rewind, planned, rewound(plan_id="p1"))
    assert run("rewind", "c1", "--across-head").status == 0
    assert [(request.across_head, request.plan) for request in asked(daemon)][-1] == (True, "p1")


def test_not_quiet_is_a_question_of_its_own(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """A no to it is `not-quiet`; a yes is the yes that it wants."""
    terminal.extend(["n\n", "y\n"])
    busy = rewound(dry_run=True, not_quiet=[RelPath("x")])
    daemon.tell(requests.Rewind, busy, busy, rewound())
    assert run("rewind", "c1").status == 4
    said = run("rewind", "c1")
    assert said.status == 0
    assert "changed just now: x" in said.err


def test_the_tree_moved_while_the_person_thought(daemon: FakeDaemon, run: Rewindctl, terminal: list[str]) -> None:
    """The daemon refuses the plan that is no longer so: status 4."""
    terminal.append("y\n")
    daemon.tell(requests.Rewind, rewound(dry_run=True), HeadMoved("it is another plan now; look again"))
    assert run("rewind", "c1").status == 4


def test_undo_and_redo_do_not_ask(daemon: FakeDaemon, run: Rewindctl) -> None:
    """They need neither a terminal nor a yes."""
    daemon.tell(requests.Undo, rewound(restored=[], removed=[RelPath("n")]))
    daemon.tell(requests.Redo, rewound())
    assert run("undo", "--operation", "op7").out.startswith("undone to c1: 1 removed")
    assert run("redo", "--lose-unsaved").out.startswith("redone")
    changing = [request for request in daemon.asked if request.mutates]
    assert changing == [requests.Undo(session="s1", operation="op7"), requests.Redo(session="s1", lose_unsaved=True)]


def test_what_is_left_is_named_with_its_command() -> None:
    """Nobody's changes, and how to take them too."""
    left = replies.Left(rows=3, paths=[RelPath(f"f{number}") for number in range(12)], command="rewindctl rewind c1 --also external")
    said = plan.outcome(rewound(left=left, restored=[], steps=[]), lambda text, _: text)
    assert said.startswith("rewound to c1: no file changed\nleft alone: 3 changes by nobody to f0, ")
    assert "and 2 more" in said
    assert said.endswith("to take them too: rewindctl rewind c1 --also external")

"""What `rewind` says of other sessions: whose work stays or goes, what sub-agents did, which checkpoints are on top of it."""

import pytest

from rewindd.cli.exits import Exit
from rewindd.cli.render import plan
from rewindd.cli.screen import Screen
from rewindd.errors import Busy
from rewindd.paths import RelPath
from rewindd.protocol import replies, requests
from support.cli import FakeDaemon, one_session, rewindctl, rewound


def unpainted(text: str, *styles: str) -> str:
    """No colours."""
    del styles
    return text


LEFT = replies.ChildrenLeft(
    rows=3, paths=[RelPath("a"), RelPath("b")], sessions=["s2", "s3"], command="rewindctl rewind c1 --with-children"
)
ON_IT = replies.Dependent(
    session_id="s4", agent="claude", checkpoint_id="c9", label="on top", paths=[RelPath(f"p{n:02}") for n in range(20)], count=31
)


def test_the_options_travel(capsys: pytest.CaptureFixture[str]) -> None:
    """`--with-shared` and `--with-children` are asked for; neither by default."""
    daemon = FakeDaemon()
    one_session(daemon)
    daemon.tell(requests.Rewind, rewound())
    run = rewindctl(daemon, capsys)
    for options, asked in ((["--with-shared"], (True, False)), (["--with-children"], (False, True)), ([], (False, False))):
        assert run("rewind", "c1", "--yes", *options).status == 0
        request = daemon.last
        assert isinstance(request, requests.Rewind)
        assert (request.with_shared, request.with_children) == asked


def test_what_children_did_is_offered() -> None:
    """The plan and the outcome name how much it is, whose, where, and the command that takes it too."""
    for told in (plan.plan(rewound(children=LEFT), unpainted), plan.outcome(rewound(children=LEFT), unpainted)):
        assert "left alone: 3 changes by sub-agents (s2, s3) to a, b\n  to take them too: rewindctl rewind c1 --with-children" in told


def test_dependents_are_listed() -> None:
    """One line a checkpoint: its id and label, whose it is, the first paths, and how many more."""
    told = plan.plan(rewound(dependents=[ON_IT]), unpainted)
    shown = ", ".join(f"p{number:02}" for number in range(10))
    assert f"later checkpoints of others on what is taken back:\n  c9 on top  of session s4 (claude): {shown} and 21 more" in told
    few = replies.Dependent(session_id="s4", agent="claude", checkpoint_id="c9", label=None, paths=[RelPath("a")], count=1)
    assert plan.plan(rewound(dependents=[few]), unpainted).endswith("  c9  of session s4 (claude): a")


def test_a_path_that_is_being_edited_exits_75(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`busy`: the same command may do in a moment."""
    monkeypatch.setattr(Screen, "is_interactive", False)
    daemon = FakeDaemon()
    one_session(daemon)
    daemon.tell(requests.Rewind, Busy("'a' is being edited by session s2 (claude)", path="a", session="s2"))
    ran = rewindctl(daemon, capsys)("rewind", "c1", "--yes", "--json")
    assert (ran.status, ran.error["code"], ran.error["path"], ran.error["session"]) == (Exit.TRY_AGAIN, "busy", "a", "s2")

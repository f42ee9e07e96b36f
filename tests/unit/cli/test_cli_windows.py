"""A rewind while a command or turn is under way: what the plan says of it, and what is asked."""

import sys

import pytest

from rewindd.cli.render import plan
from rewindd.cli.screen import Screen
from rewindd.paths import ROOT, RelPath
from rewindd.protocol import replies, requests
from support.cli import FakeDaemon, one_session, rewindctl, rewound, session

WORDS = "a command or a turn is under way in the workspace"


def plain(text: str, style: str) -> str:
    """No colours."""
    del style
    return text


@pytest.mark.parametrize(
    ("not_quiet", "says_window", "says_changed"),
    [([], False, False), ([ROOT], True, False), ([RelPath("x")], False, True), ([ROOT, RelPath("x")], True, True)],
)
def test_the_plan(not_quiet: list[RelPath], says_window: bool, says_changed: bool) -> None:
    """An open window has a line of its own; it is no path that changed."""
    shown = plan.plan(rewound(dry_run=True, not_quiet=not_quiet), plain).splitlines()
    assert (WORDS in shown, "changed just now: x" in shown) == (says_window, says_changed)


@pytest.mark.parametrize("answer", ["y\n", "n\n"])
def test_it_asks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str) -> None:
    """It is a question of its own; a no is exit 4, and nothing is done."""
    daemon = FakeDaemon()
    one_session(daemon)
    daemon.tell(requests.ShowSession, replies.SessionReply(session=session()))
    daemon.tell(requests.Rewind, rewound(dry_run=True, not_quiet=[ROOT]), rewound())

    class Keyboard:
        def readline(self) -> str:
            return answer

        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(Screen, "is_interactive", True)
    monkeypatch.setattr(sys, "stdin", Keyboard())
    ran = rewindctl(daemon, capsys)("rewind", "c1")
    assert "A command or a turn is under way. Go on all the same?" in ran.err
    asked = [request.dry_run for request in daemon.asked if isinstance(request, requests.Rewind)]
    assert (ran.status, asked) == ((0, [True, False]) if answer == "y\n" else (4, [True]))

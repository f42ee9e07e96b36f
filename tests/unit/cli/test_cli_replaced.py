"""`session open` where another directory has the place of a workspace's: a flag, a question, or an error."""

import sys

import pytest

from rewindd.cli.screen import Screen
from rewindd.errors import AlreadyExists
from rewindd.protocol import replies, requests
from support.cli import FakeDaemon, Rewindctl, rewindctl, session

OPENED = replies.SessionReply(session=session(), created=True)


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    replaced = AlreadyExists("'/w' is another directory now; `--adopt` or `--new`", workspace="w1", path="/w")
    fake.tell(requests.OpenSession, replaced, OPENED)
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A person at a terminal who gives these answers."""
    given: list[str] = []
    monkeypatch.setattr(Screen, "is_interactive", True)

    class Keyboard:
        def readline(self) -> str:
            return given.pop(0) if given else ""

    monkeypatch.setattr(sys, "stdin", Keyboard())
    return given


def told(daemon: FakeDaemon) -> list[str | None]:
    """What each request said of a replaced directory."""
    return [request.replaced for request in daemon.asked if isinstance(request, requests.OpenSession)]


@pytest.mark.parametrize(("flag", "word"), [("--adopt", "adopt"), ("--new", "new")])
def test_a_flag_travels(daemon: FakeDaemon, run: Rewindctl, flag: str, word: str) -> None:
    """Each flag is its word in the request."""
    daemon.tell(requests.OpenSession, OPENED)
    assert run("session", "open", flag).status == 0
    assert told(daemon) == [word]


def test_both_flags_are_a_usage_error(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Status 2, the message names both, and nothing is asked of the daemon."""
    said = run("session", "open", "--adopt", "--new")
    assert (said.status, said.out, told(daemon)) == (2, "", [])
    assert "--adopt and --new exclude each other" in said.err


def test_without_a_terminal_it_is_an_error(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Status 4, and the message names both flags."""
    said = run("session", "open")
    assert (said.status, told(daemon)) == (4, [None])
    assert "--adopt" in said.err


@pytest.mark.parametrize(("answer", "word"), [("adopt\n", "adopt"), ("new\n", "new"), ("n\n", "new")])
def test_a_person_is_asked(daemon: FakeDaemon, run: Rewindctl, answers: list[str], answer: str, word: str) -> None:
    """The answer goes with a second request."""
    answers.append(answer)
    said = run("session", "open")
    assert (said.status, said.out, told(daemon)) == (0, "s1\n", [None, word])
    assert "Which? [adopt/new/abort] " in said.err


@pytest.mark.parametrize("answer", ["abort\n", "a\n", "\n", "yes\n", ""])
def test_any_other_answer_opens_nothing(daemon: FakeDaemon, run: Rewindctl, answers: list[str], answer: str) -> None:
    """Neither word, or one that could be two: nothing is opened, and the status says so."""
    answers.append(answer)
    said = run("session", "open")
    assert (said.status, said.out, told(daemon)) == (1, "", [None])


def test_an_id_that_is_taken_is_not_asked_about(daemon: FakeDaemon, run: Rewindctl, answers: list[str]) -> None:
    """Another reason for the same code is an error on a terminal too."""
    daemon.tell(requests.OpenSession, AlreadyExists("session 'x' is of another workspace", session="x"))
    assert run("session", "open", "--id", "x").status == 4
    assert answers == []

"""Which session a command is about, and how errors end."""

import io
from pathlib import Path

import pytest

from rewindd import errors
from rewindd.cli.exits import Exit, status_of
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.cli import FakeDaemon, Rewindctl, one_session, rewindctl, session, summary


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


def opened(daemon: FakeDaemon, *found: replies.SessionInfo) -> None:
    daemon.tell(requests.ListSessions, replies.Sessions(sessions=list(found), root=FsText("/w")))


def test_named_wins_over_environment_wins_over_directory(daemon: FakeDaemon, run: Rewindctl) -> None:
    """`--session`, then `$REWINDD_SESSION`, then the one open here."""
    opened(daemon, session("here"))
    daemon.tell(requests.ListPending, replies.Changes(changes=[]))
    chosen = []
    for args, env in ((("--session", "a"), {"REWINDD_SESSION": "b"}), ((), {"REWINDD_SESSION": "b"}), ((), {"REWINDD_SESSION": ""})):
        run("pending", *args, env=env)
        chosen.append(daemon.asked[-1].session)
    assert chosen == ["a", "b", "here"]


def test_an_empty_session_is_a_mistake(daemon: FakeDaemon, run: Rewindctl) -> None:
    """`--session ''` is `bad-request`, not absent."""
    said = run("pending", "--session", "", "--json")
    assert (said.status, said.error["code"]) == (2, "bad-request")
    assert daemon.asked == []


def test_several_are_fine_for_reading(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The one seen last is chosen and named on stderr, unless `-q`."""
    opened(daemon, session("old"), session("new", seen_s=9), session("mid", seen_s=5))
    daemon.tell(requests.ListPending, replies.Changes(changes=[]))
    assert "session new (an-agent), the last seen of 3" in run("pending").err
    assert daemon.asked[-1].session == "new"
    assert run("-q", "pending").err == ""


CHANGING = [("save",), ("release",), ("snapshot", "f"), ("undo",), ("rewind", "c1", "--yes"), ("session", "close"), ("record",)]


@pytest.mark.parametrize("args", CHANGING)
def test_several_are_too_many_for_changing(
    daemon: FakeDaemon, run: Rewindctl, args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are listed, and the status is 3."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    opened(daemon, session("s-a"), session("s-b"))
    said = run(*args, "--json")
    assert said.status == 3
    assert (said.error["code"], said.error["candidates"]) == ("ambiguous-session", ["s-a", "s-b"])
    assert said.err.count("s-a") == 1


@pytest.mark.parametrize("args", [("pending",), ("release",), ("list",), ("log",), ("undo",), ("diff",), ("session", "show")])
def test_none_is_unknown_and_says_how_to_open_one(daemon: FakeDaemon, run: Rewindctl, args: tuple[str, ...]) -> None:
    """Status 3 and the next step."""
    opened(daemon)
    said = run(*args)
    assert said.status == 3
    assert "rewindctl session open" in said.err


def test_save_and_snapshot_open_a_persons_own(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """Where none is open: agent `you`, attribution sole, on the directory."""
    opened(daemon)
    daemon.tell(requests.OpenSession, replies.SessionReply(session=session("mine"), created=True))
    daemon.tell(requests.Save, replies.Saved(checkpoint=summary(), event=None))
    daemon.tell(requests.TakeSnapshot, replies.Snapshots(snapshots=[], skipped=[]))
    here = tmp_path.stat()
    for args in (("save",), ("snapshot", "f")):
        assert run("-C", str(tmp_path), *args).status == 0
        assert daemon.asked[-1].session == "mine"
        assert daemon.asked[-2] == requests.OpenSession(
            directory=FsText(tmp_path), device=here.st_dev, inode=here.st_ino, agent="you", attribution="sole"
        )


def test_the_log_is_read_through_a_closed_session_too(daemon: FakeDaemon, run: Rewindctl) -> None:
    """It is the workspace's: any of its sessions will do."""
    daemon.tell(
        requests.ListSessions, replies.Sessions(sessions=[]), replies.Sessions(sessions=[session("gone"), session("later", seen_s=3)])
    )
    daemon.tell(requests.ReadLog, replies.Edits(edits=[]))
    assert run("log").status == 0
    assert daemon.asked[-1].session == "later"


def test_a_deleted_directory_is_where_pwd_says(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands work in it: relative paths start at `$PWD`."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    one_session(daemon)
    daemon.tell(requests.Release, replies.Released(released=0))
    assert run("release", "--", "f", env={"PWD": str(gone)}).status == 0
    assert daemon.asked == [
        requests.ListSessions(directory=FsText(gone)),
        requests.Release(session="s1", paths=[FsText(gone / "f")]),
    ]


def test_every_code_has_its_status() -> None:
    """The table of the interface, code by code."""
    table = {
        1: "store-corrupt store-full store-newer io-error internal outcome-unknown",
        2: "bad-request unknown-op too-large unsupported-version",
        3: "unknown-checkpoint unknown-session unknown-workspace unknown-path ambiguous-checkpoint ambiguous-session nothing-to-undo",
        4: "conflict head-moved git-head-moved already-exists not-quiet",
        69: "unavailable timeout",
        75: "busy expired shutting-down over-quota",
        77: "outside-workspace refused-root not-permitted",
        78: "bad-config",
    }
    expected = {code: status for status, codes in table.items() for code in codes.split()}
    assert {code: int(status_of(code)) for code in errors.BY_CODE} == expected
    assert status_of("of-a-later-version") is Exit.FAILED


def test_an_error_is_said_twice_with_json(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The object on stdout, the message on stderr; fields stand beside the code, paths in them made harmless for terminals."""
    one_session(daemon)
    failure = errors.Conflict("in the way", conflicts=[{"path": "a\x1b", "reason": "changed"}])
    daemon.tell(requests.Undo, failure)
    said = run("undo", "--json")
    assert said.status == 4
    assert said.json == {"error": {"code": "conflict", "message": "in the way", "conflicts": [{"path": "a\x1b", "reason": "changed"}]}}
    assert said.out.startswith('{"error": {"code": "conflict", "message": ')
    assert said.err == "rewindctl: in the way\n  a\\x1b: changed\n"


@pytest.mark.parametrize("args", [("nonsense",), ("rewind",), ("list", "-n", "x"), ("list", "-n", "0"), ("daemon",), ("export", "c1"), ()])
def test_usage_errors_are_two(run: Rewindctl, args: tuple[str, ...]) -> None:
    """Whatever click does not understand; with `--json` it is an object too."""
    assert run(*args).status == 2
    said = run(*args, "--json")
    assert said.status == 2
    assert said.error["code"] == "bad-request"


def test_an_empty_path_is_a_mistake(daemon: FakeDaemon, run: Rewindctl) -> None:
    """It names nothing, and is not the current directory."""
    one_session(daemon)
    for args in (("snapshot", ""), ("release", "--", ""), ("pending", "--", ""), ("rewind", "c1", "--yes", "--", ""), ("log", "")):
        assert run(*args).status == 2

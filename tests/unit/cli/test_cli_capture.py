"""`capture`, and what `save` shows while it waits for a first capture."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rewindd.cli import screen as screen_module
from rewindd.cli.screen import Screen
from rewindd.cli.settings import Settings
from rewindd.errors import UnknownWorkspace
from rewindd.paths import FsText, RelPath
from rewindd.protocol.replies import CaptureInfo, PathReason, PathSize
from rewindd.protocol.requests import ListCapture
from rewindd.protocol.wire import Progress
from support.cli import FakeDaemon, Rewindctl, rewindctl

IGNORED, BUILT_IN = "ignored by git", "built-in: node_modules"


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


def told(*left: tuple[str, str], files: int = 2, missing: int = 0, count: int | None = None) -> CaptureInfo:
    """What a daemon says of a workspace with two files."""
    return CaptureInfo(
        root=FsText("/w"),
        files=files,
        bytes=2_097_162,
        missing=missing,
        largest=[PathSize(path=RelPath("data/big"), size=2 << 20), PathSize(path=RelPath("sm\x1ball"), size=10)],
        left_out=[PathReason(path=RelPath(path), reason=reason) for path, reason in left],
        left_out_count=len(left) if count is None else count,
    )


def test_the_biggest_first_then_what_is_left_out(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """Of the current directory's workspace: its files by size, and each reason with its names; names are made harmless."""
    daemon.tell(ListCapture, told(("a.log", IGNORED), ("node_modules", BUILT_IN), ("z.log", IGNORED)))
    said = run("capture", "-C", str(tmp_path))
    assert said.out.splitlines() == [
        "/w: 2 files, 2.0 MiB, captured",
        "  2.0 MiB  data/big",
        "     10 B  sm\\x1ball",
        "",
        f"left out: {IGNORED} (2 names)",
        "  a.log",
        "  z.log",
        "",
        f"left out: {BUILT_IN} (1 name)",
        "  node_modules",
    ]
    assert (said.status, said.err) == (0, "")
    found = tmp_path.stat()
    assert daemon.last == ListCapture(directory=FsText(tmp_path.resolve()), device=found.st_dev, inode=found.st_ino)


def test_many_names_of_one_reason(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The first twenty are shown, with `-v` all; that there are more files than are told is said."""
    daemon.tell(ListCapture, told(*((f"{number:02}.log", IGNORED) for number in range(30)), files=7))
    lines = run("capture").out.splitlines()
    assert lines[3:6] == ["  and 5 smaller", "", f"left out: {IGNORED} (30 names)"]
    assert lines[6:] == [*(f"  {number:02}.log" for number in range(20)), "  and 10 more; -v shows all"]
    assert run("capture", "-v").out.splitlines()[6:] == [f"  {number:02}.log" for number in range(30)]


def test_a_dry_run_says_what_would_be(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The request says so, and the answer; that nothing is captured yet is no news then."""
    daemon.tell(ListCapture, told(missing=2))
    said = run("capture", "--dry-run")
    assert said.out.startswith("/w: 2 files, 2.0 MiB, would be captured\n")
    assert said.err == ""
    assert isinstance(daemon.last, ListCapture)
    assert daemon.last.dry_run


def test_what_is_not_whole_is_said(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A first capture under way, and names that are not told, are told of on stderr."""
    daemon.tell(ListCapture, told(("a", IGNORED), missing=3, count=9))
    assert run("capture").err.splitlines() == [
        "3 paths not captured yet; `rewindctl status` tells how far the first capture is",
        "only the first 1 of 9 names that are left out are told",
    ]


def test_as_json(daemon: FakeDaemon, run: Rewindctl) -> None:
    """All that the daemon says, in one object."""
    daemon.tell(ListCapture, told(("od\udcff", IGNORED)))
    assert run("capture", "--json").json == {
        "root": "/w",
        "files": 2,
        "bytes": 2_097_162,
        "missing": 0,
        "largest": [{"path": "data/big", "size": 2 << 20}, {"path": "sm\x1ball", "size": 10}],
        "left_out": [{"path": "od\ufffd", "path_b64": "b2T/", "reason": IGNORED}],
        "left_out_count": 1,
        "rules_reason": None,
    }


def test_where_there_is_no_workspace(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The exit status says that there is no such thing."""
    daemon.tell(ListCapture, UnknownWorkspace("no workspace holds '/x'", path="/x"))
    assert run("capture").status == 3


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


Shown = Callable[..., str]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Gives what a screen wrote to stderr for some progress, with nothing to wait for."""
    monkeypatch.setattr(screen_module, "PROGRESS_AFTER_S", 0.0)

    def show(*frames: Progress, err: io.StringIO | None = None, env: Mapping[str, str] | None = None, quiet: bool = False) -> str:
        settings, stream = Settings(), err or Terminal()
        settings.quiet = quiet
        screen = Screen(settings, env or {}, out=io.StringIO(), err=stream)
        for frame in frames:
            screen.progress(frame)
        screen.print("done")
        return stream.getvalue()

    return show


def test_a_bar_while_it_waits(shown: Shown) -> None:
    """On a terminal a bar stands on one line of stderr, and is gone before anything is printed."""
    frames = [Progress(done=done, total=4, what="baseline") for done in (1, 9)]
    bars = [f"\rfirst capture [{'#' * filled}{'.' * (24 - filled)}] {done}/4\x1b[K" for filled, done in ((6, 1), (24, 4))]
    assert shown(*frames) == "".join([*bars, "\r\x1b[K"])
    assert shown(Progress(done=12, total=0, what="directories")) == "\rdirectories … 12\x1b[K\r\x1b[K"


def test_no_bar_for_who_would_not_see_one(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where stderr is no terminal or a dumb one, not with `-q`, and not for what is over in a moment."""
    frame = Progress(done=1, total=4, what="baseline")
    assert shown(frame, err=io.StringIO()) == ""
    assert shown(frame, env={"TERM": "dumb"}) == ""
    assert shown(frame, quiet=True) == ""
    monkeypatch.setattr(screen_module, "PROGRESS_AFTER_S", 60.0)
    assert shown(frame) == ""

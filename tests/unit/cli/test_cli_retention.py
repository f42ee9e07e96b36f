"""`prune`, `gc` and `forget`: what they send, what they say, and that nothing is erased without a yes."""

import io
import sys

import msgspec
import pytest

from rewindd.cli.render.human import status as status_lines
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.cli import NOON, FakeDaemon, Rewindctl, one_session, rewindctl, summary

PRUNED = replies.Pruned(
    dry_run=True,
    workspaces=[
        replies.PrunedWorkspace(
            id="w1",
            root=FsText("/w"),
            kept=[replies.KeptFor(reason="labelled", checkpoints=2)],
            dropped=3,
            first=[replies.Dropped(session_id="s1", id="c1", created_at=NOON, reason="beyond keep_last and keep_daily")],
            rows=7,
            operations=1,
        )
    ],
    dropped=3,
    rows=7,
    contents=4,
    freed_bytes=4096,
    took_s=0.5,
)
FORGOTTEN = replies.Forgotten(
    kind="path",
    name=FsText("/w/\x1b.env"),
    dry_run=False,
    paths=1,
    rows=2,
    checkpoints=3,
    events=0,
    contents=2,
    also_at=[FsText("/w/copy")],
    still_there=[FsText("/w/.env")],
    took_s=0.5,
)
OVER = replies.OverQuota(scope="store", used_bytes=2048, max_bytes=1024, biggest=[replies.Biggest(path=FsText("/w/large"), bytes=1024)])


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    one_session(fake)
    fake.tell(requests.Prune, PRUNED)
    fake.tell(requests.Collect, replies.Collected(contents=4, freed_bytes=4096, store_bytes=8192, longest_ms=2.0, took_s=0.5))
    fake.tell(requests.Forget, FORGOTTEN, FORGOTTEN)
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


def test_prune(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A dry run is asked for as such, of all workspaces; what would go is named, with why, and why the rest stays."""
    said = run("prune", "--dry-run")
    (asked,) = daemon.asked
    assert asked == requests.Prune(dry_run=True, progress=True)
    assert said.status == 0
    assert "c1  " in said.out
    assert "and 2 more checkpoints" in said.out
    assert "2 checkpoints kept: labelled" in said.out
    assert "would go, which frees 4.0 KiB" in said.out


def test_prune_here(daemon: FakeDaemon, run: Rewindctl) -> None:
    """`--here` is the workspace around the current directory."""
    run("-C", "/", "prune", "--here", "--json")
    (asked,) = daemon.asked
    assert isinstance(asked, requests.Prune)
    assert (asked.directory, asked.dry_run) == ("/", False)


def test_gc(run: Rewindctl) -> None:
    """What went, and what is left."""
    said = run("gc")
    assert (said.status, said.out) == (0, "4 contents went, which freed 4.0 KiB; the store takes 8.0 KiB (0s)\n")


def test_forget_asks(daemon: FakeDaemon, run: Rewindctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows what would be erased and asks; only a yes erases."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    said = run("-C", "/w", "forget", ".env")
    assert said.status == 1
    assert [one.dry_run for one in daemon.asked if isinstance(one, requests.Forget)] == [True]
    assert "There is no way back. Erase it?" in said.err


def test_forget_with_yes(daemon: FakeDaemon, run: Rewindctl) -> None:
    """`--yes` erases at once; what stays elsewhere is named, and nothing of a name reaches the terminal as it is."""
    said = run("-C", "/", "forget", "--yes", "w/.env")
    (asked,) = daemon.asked
    assert asked == requests.Forget(what=FsText("w/.env"), path=FsText("/w/.env"), progress=True)
    assert said.status == 0
    assert "\x1b" not in said.out
    assert "3 checkpoints lack it, and say so" in said.out
    assert "/w/copy" in said.out


def test_over_quota(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A save says that too much is stored, with what takes most, on stderr; so does `status`."""
    daemon.tell(requests.Save, replies.Saved(checkpoint=summary(), event=None, over_quota=OVER))
    said = run("save")
    assert "over quota: the store takes 2.0 KiB of 1.0 KiB" in said.err
    assert "/w/large" in said.err
    told = msgspec.convert(
        {
            "version": "1", "protocol": 1, "features": [], "pid": 1, "uptime_s": 1.0, "socket": "", "data_dir": "", "recovered": [],
            "store": {"bytes": 0, "blobs": 0, "rows": 0, "checkpoints": 0}, "workspaces": [], "sessions": 0,
        },
        replies.Status,
        dec_hook=lambda kind, value: kind(value),
    )  # fmt: skip
    gone = replies.GoneWorkspace(id="w2", root=FsText("/old"), at=NOON, reason="nobody was at work in it for 90 days")
    lines = status_lines(msgspec.structs.replace(told, over_quota=[OVER], gone=[gone]), lambda text, style: text)
    assert "over quota" in lines
    assert "gone       /old" in lines

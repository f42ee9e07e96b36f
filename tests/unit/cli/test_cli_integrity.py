"""`verify`, `backup`, and what `status` says of the scrub and of what was lost."""

from datetime import timedelta

import pytest

from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.protocol.replies import BackedUp, CheckpointRef, Damage, LossInfo, ScrubInfo, Verified
from support.cli import NOON, FakeDaemon, Rewindctl, rewindctl

REF = CheckpointRef(session_id="s", id="c1", label="first")
HURT = Damage(
    kind="content", message="blob ab: not what was stored", blob="ab", paths=[FsText("/w/it")], checkpoints=[REF], checkpoints_count=7
)
HEALED = Damage(kind="content", message="blob cd: missing", blob="cd", healed_from=FsText("/w/other"))


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


def verified(*damage: Damage) -> Verified:
    healed = sum(1 for one in damage if one.healed_from is not None)
    return Verified(rows=3, blobs=2, bytes=2000, drills=0, damage=list(damage), damage_count=len(damage), healed=healed, took_s=1.0)


def test_nothing_is_damaged(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Exit 0, and what was compared."""
    daemon.tell(requests.Verify, verified())
    said = run("verify", "--sample", "2.5%", "--drill")
    assert (said.status, said.out) == (0, "compared 3 rows, 2 contents (2.0 KiB) in 1s: nothing is damaged\n")
    asked = daemon.last
    assert isinstance(asked, requests.Verify)
    assert (asked.sample, asked.drill) == (2.5, 3)


def test_damage(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Exit 1, each finding with what it touches and whether it is whole again; the same in JSON."""
    daemon.tell(requests.Verify, verified(HURT, HEALED))
    said = run("verify")
    assert said.status == 1
    assert "blob ab: not what was stored\n  of /w/it\n  needed by 7 checkpoints: c1 (first), …\n" in said.out
    assert "blob cd: missing\n  healed from /w/other\n" in said.out
    assert "2 damaged, 1 of them healed" in said.out
    told = run("verify", "--json")
    assert (told.status, told.json["damage_count"], told.json["healed"]) == (1, 2, 1)


@pytest.mark.parametrize("given", ["many", "101%", "-1"])
def test_a_share_that_is_none(daemon: FakeDaemon, run: Rewindctl, given: str) -> None:
    """What is no share from 0 to 100 percent is wrong usage."""
    assert run("verify", f"--sample={given}").status == 2
    assert daemon.asked == []


def test_backup(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The directory travels absolute, with a key; a copy whose structure is damaged is exit 1."""
    made = BackedUp(directory=FsText("/b"), bytes=5, rows=1, checkpoints=1, blobs=2, linked=1, copied=0, damage=[])
    daemon.tell(requests.MakeBackup, made)
    assert run("backup", "/b").status == 0
    asked = daemon.last
    assert isinstance(asked, requests.MakeBackup)
    assert asked.directory == "/b"
    assert asked.key is not None
    daemon.tell(
        requests.MakeBackup, BackedUp(directory=FsText("/b"), bytes=5, rows=1, checkpoints=1, blobs=2, linked=0, copied=1, damage=["x"])
    )
    said = run("backup", "/b")
    assert (said.status, "damaged, as the store's own: x" in said.out) == (1, True)


def test_status_says_it(daemon: FakeDaemon, run: Rewindctl) -> None:
    """What the scrub found and what was lost stand in `status`."""
    scrub = ScrubInfo(
        state="waiting", done=0, total=5, ended_at=NOON, rows=3, blobs=2, damage=["blob ab: missing"], damage_count=1, healed=0
    )
    loss = LossInfo(
        at=NOON,
        reason="store.db is damaged",
        kept_as=FsText("/d/store.db.damaged-1"),
        backup_at=NOON - timedelta(hours=1),
        rows=4,
        checkpoints=1,
        first=[REF],
    )
    status = replies.Status(
        version="0",
        protocol=1,
        features=[],
        pid=7,
        uptime_s=1.0,
        socket=FsText("/s"),
        data_dir=FsText("/d"),
        store=replies.StoreInfo(bytes=0, blobs=2, rows=3, checkpoints=1),
        recovered=[],
        workspaces=[],
        sessions=0,
        scrub=scrub,
        loss=loss,
    )
    daemon.tell(requests.GetStatus, status)
    said = run("status").out
    assert "1 damaged; `rewindctl verify` tells more" in said
    assert "blob ab: missing" in said
    assert "came back from its backup" in said
    assert "lost since then: 1 checkpoint, 4 rows" in said
    assert "lost: c1 (first)" in said
    assert "/d/store.db.damaged-1" in said

"""Bit rot, on a real daemon: found, named with what it touches, healed where it can be, never written; and copies of the store."""

import os
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

import rewindd
from rewindd import errors
from rewindd.protocol import replies
from support import damage
from support.daemon import RealDaemon, real_daemon
from support.desk import POLL_S, Desk, edit, photograph, saved

pytestmark = pytest.mark.anyio

LARGE = 400_000
#: Checkpoints for which a clean stop makes a backup.
ENOUGH = 20


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RealDaemon]:
    """A daemon of the test's own: its store is damaged."""
    with real_daemon(tmp_path.resolve()) as daemon:
        yield daemon


@pytest.fixture
def root(daemon: RealDaemon) -> Path:
    root = daemon.directory / "tree"
    root.mkdir()
    return root


@asynccontextmanager
async def at(daemon: RealDaemon, root: Path) -> AsyncIterator[Desk]:
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
        yield Desk(client, root, daemon)


class Three(NamedTuple):
    """A session with three checkpoints, v0 to v2, and the digests of the versions of `it`."""

    session: str
    digests: list[str]


async def three(desk: Desk) -> Three:
    """Makes three checkpoints of three versions of one file, and of another that is large."""
    async with desk.session() as session:
        made = []
        for n in range(3):
            await edit(session, desk, "large", bytes([n]) * LARGE + os.urandom(1000))
            made.append(await saved(session, desk, "it", f"version {n}\n" * 50, f"v{n}"))
        digests = []
        for one in made:
            found = await session.load(one.id)
            (version,) = (diff.after for diff in found.file_diffs if diff.path == "it")
            assert version is not None
            assert version.blob is not None
            digests.append(version.blob)
        return Three(session.id, digests)


async def test_a_sound_store(daemon: RealDaemon, root: Path) -> None:
    """Nothing is found in a store that is as it was written, with all its rows and contents compared and checkpoints written out."""
    async with at(daemon, root) as desk:
        await three(desk)
        found = await desk.client.verify(drill=3)
        status = await desk.client.status()
        assert (found.damage, found.drills, found.blobs) == ([], 3, status.store.blobs)
        assert found.rows > status.store.rows
        assert (await desk.client.verify(sample=0)).blobs == 0
    assert [name for name in os.listdir(daemon.data_dir) if name.startswith(".")] == []


@pytest.mark.parametrize("which", ["it", "large"])
async def test_healed_from_the_workspace(daemon: RealDaemon, root: Path, which: str) -> None:
    """A damaged content that a file of the workspace still has is put right from there, and said so; then nothing is wrong."""
    async with at(daemon, root) as desk:
        made = await three(desk)
        async with desk.session(session_id=made.session) as handle:
            (version,) = (diff.after for diff in (await handle.load("v2")).file_diffs if diff.path == which)
        assert version is not None
        assert version.blob is not None
    daemon.stop()
    damage.flip_content(daemon.data_dir, version.blob)
    daemon.start()
    async with at(daemon, root) as desk:
        found = await desk.client.verify()
        (one,) = found.damage
        assert (one.kind, one.blob, one.healed_from, found.healed) == ("content", version.blob, str(root / which), 1)
        assert [ref.label for ref in one.checkpoints] == ["v2"]
        assert (await desk.client.verify()).damage == []
        before = (root / which).read_bytes()
        async with desk.session(session_id=made.session) as handle:
            await handle.rewind("v0", scope="workspace")
            await handle.rewind("v2", scope="workspace")
    assert (root / which).read_bytes() == before


async def test_what_cannot_be_healed_is_named_and_never_written(daemon: RealDaemon, root: Path) -> None:
    """A flipped bit of an old version: the checkpoints that need it are named, a rewind to it writes nothing, all others go on."""
    async with at(daemon, root) as desk:
        made = await three(desk)
    daemon.stop()
    damage.flip_content(daemon.data_dir, made.digests[1])
    daemon.start()
    async with at(daemon, root) as desk:
        found = await desk.client.verify()
        (one,) = found.damage
        assert (one.blob, one.paths, one.healed_from) == (made.digests[1], [str(root / "it")], None)
        assert [ref.label for ref in one.checkpoints] == ["v2", "v1"]
        before = photograph(root)
        async with desk.session(session_id=made.session) as handle:
            with pytest.raises(errors.StoreCorrupt):
                await handle.rewind("v1", scope="workspace")
            assert photograph(root) == before
            await handle.rewind("v0", scope="workspace")
            assert (root / "it").read_text() == "version 0\n" * 50
        drilled = await desk.client.verify(drill=100)
        assert {one.checkpoints[0].label for one in drilled.damage if one.kind == "drill"} >= {"v1"}


async def test_a_damaged_row_is_named(daemon: RealDaemon, root: Path) -> None:
    """A flipped bit in a row: found, with the checkpoints from before it; they are refused, and later ones can be had."""
    async with at(daemon, root) as desk:
        made = await three(desk)
    daemon.stop()
    ((seq,),) = damage.ask(daemon.data_dir, "SELECT seq FROM checkpoints WHERE label = 'v1'")
    changed = damage.change(
        daemon.data_dir, "UPDATE edits SET at_ns = at_ns + 1 WHERE seq = (SELECT min(seq) FROM edits WHERE seq > ?)", seq
    )
    assert changed == 1
    daemon.start()
    async with at(daemon, root) as desk:
        found = await desk.client.verify()
        (one,) = found.damage
        assert (one.kind, one.table) == ("row", "edits")
        assert {"v0", "v1"} <= {ref.label for ref in one.checkpoints}
        before = photograph(root)
        async with desk.session(session_id=made.session) as handle:
            with pytest.raises(errors.StoreCorrupt):
                await handle.rewind("v0")
            assert photograph(root) == before
            desk.write("new", "not saved\n")
            await handle.rewind("v2", scope="workspace")
            assert photograph(root) == before


async def test_one_damaged_row_keeps_nothing_else_away(daemon: RealDaemon, root: Path) -> None:
    """A damaged row of the index, of a claim, of a session or a workspace: the daemon starts, and everything else can be used."""
    other = daemon.directory / "other"
    other.mkdir()
    async with at(daemon, root) as desk:
        made = await three(desk)
        async with desk.client.session(other, agent="another") as beside:
            (other / "file").write_text("x\n")
            await beside.save("beside")
    daemon.stop()
    for statement in (
        "UPDATE known SET since = since + 1 WHERE path = x'6974'",
        "UPDATE sessions SET agent = 'x' WHERE agent = 'another'",
        "UPDATE workspaces SET added_at_ns = 0 WHERE number = 2",
    ):
        assert damage.change(daemon.data_dir, statement) == 1
    daemon.start()
    async with at(daemon, root) as desk:
        assert {one.table for one in (await desk.client.verify()).damage} == {"known", "sessions", "workspaces"}
        async with desk.session(session_id=made.session) as handle:
            desk.write("large", "changed\n")
            await handle.save("after")
            await handle.rewind("v2", paths=["large"], scope="workspace")
    assert (root / "large").stat().st_size > LARGE


async def test_a_damaged_session(daemon: RealDaemon, root: Path) -> None:
    """It is named, and nothing is changed in another one's name for want of it; `forget` gives it up. The rest goes on."""
    async with at(daemon, root) as desk:
        made = await three(desk)
        async with desk.session(agent="another", session_id="beside") as beside:
            await saved(beside, desk, "file", "x\n", "of another")
    daemon.stop()
    assert damage.change(daemon.data_dir, "UPDATE sessions SET head = x'00' || head WHERE agent = 'another'") == 1
    daemon.start()

    def ask(*words: str) -> "subprocess.CompletedProcess[str]":
        return damage.rewindctl(daemon, "-C", str(root), *words)

    listed = ask("session", "list")
    assert (listed.returncode, made.session in listed.stdout, "session beside is damaged" in listed.stderr) == (0, True, True)
    for words in (("save",), ("rewind", "v0", "--yes")):
        refused = ask(*words)
        assert (refused.returncode, "--session" in refused.stderr) == (1, True), words
    assert ask("--session", made.session, "save").returncode == 0
    assert ask("prune").returncode == 1
    assert ask("forget", "beside", "--dry-run").returncode == 0
    assert ask("verify").returncode == 1
    assert ask("forget", "beside", "--yes").returncode == 0
    found = ask("verify")
    assert found.returncode == 0, found.stdout
    assert [ask(word).returncode for word in ("prune", "save")] == [0, 0]
    assert "beside" not in ask("session", "list").stdout + ask("session", "list").stderr
    assert ask("rewind", "v0", "--yes", "--", "it").returncode == 0
    assert (root / "it").read_text() == "version 0\n" * 50


async def test_large_contents_are_read_whole(daemon: RealDaemon, root: Path, tmp_path: Path) -> None:
    """What is written out in pieces is verified too: a flipped bit of a large content reaches no directory unnoticed."""
    async with at(daemon, root) as desk:
        async with desk.session() as session:
            made = await saved(session, desk, "large", os.urandom(12 << 20))
            (version,) = (diff.after for diff in (await session.load(made.id)).file_diffs)
            assert version is not None
            assert version.blob is not None
            daemon.stop()
            damage.flip_content(daemon.data_dir, version.blob)
            daemon.start()
            with pytest.raises(errors.StoreCorrupt):
                await session.materialize(made.id, tmp_path / "out")


async def test_the_command(daemon: RealDaemon, root: Path) -> None:
    """`verify` exits 0 where nothing is damaged, and 1 with each finding and what it touches where something is."""
    async with at(daemon, root) as desk:
        made = await three(desk)
    done = damage.rewindctl(daemon, "verify", "--sample", "50%", "--drill")
    assert done.returncode == 0, done.stderr
    assert "nothing is damaged" in done.stdout
    daemon.stop()
    damage.flip_content(daemon.data_dir, made.digests[1])
    daemon.start()
    done = damage.rewindctl(daemon, "verify")
    assert done.returncode == 1
    assert made.digests[1] in done.stdout
    assert "2 checkpoints" in done.stdout
    assert damage.rewindctl(daemon, "--json", "verify").returncode == 1
    assert damage.rewindctl(daemon, "verify", "--sample", "many").returncode == 2


async def test_the_scrub(daemon: RealDaemon, root: Path) -> None:
    """Scrub and backup go by themselves; what can be healed is, and `status` has the result, also after a restart."""
    async with at(daemon, root) as desk:
        made = await three(desk)
        assert (await scrub(desk)).state == "waiting"
    daemon.stop()
    for digest in made.digests[1:]:
        damage.flip_content(daemon.data_dir, digest)
    damage.configure(daemon, "[integrity]\nscrub_interval_s = 1\nscrub_bytes_per_s = 1_000_000_000\nbackup_interval_s = 1\n")
    daemon.start()
    async with at(daemon, root) as desk:
        while (found := await scrub(desk)).ended_at is None or (await desk.client.status()).backup_at is None:
            await anyio.sleep(10 * POLL_S)
        assert (found.damage_count, found.healed) == (2, 1)
        assert found.blobs == (await desk.client.status()).store.blobs
        assert any(made.digests[1] in one and "2 checkpoints need it" in one for one in found.damage)
        assert any(made.digests[2] in one and f"healed from {root / 'it'}" in one for one in found.damage)
    damage.configure(daemon, "")
    daemon.restart()
    async with at(daemon, root) as desk:
        again = await scrub(desk)
        assert (again.state, again.ended_at is not None, again.damage_count) == ("waiting", True, 2)
    assert "damaged, 1 healed" in damage.rewindctl(daemon, "status").stdout


async def scrub(desk: Desk) -> replies.ScrubInfo:
    found = (await desk.client.status()).scrub
    assert found is not None
    return found


async def test_a_backup_opens_as_a_data_directory(daemon: RealDaemon, root: Path, tmp_path: Path) -> None:
    """A copy made while sessions save is a store of its own: whole, private, and untouched by what the original does then."""
    target = tmp_path / "copy"
    async with at(daemon, root) as desk:
        made = await three(desk)
        async with desk.session(session_id=made.session) as handle, anyio.create_task_group() as tasks:

            async def go_on() -> None:
                for n in range(20):
                    desk.write("busy", f"{n}\n")
                    await handle.save(f"busy {n}")

            tasks.start_soon(go_on)
            done = await desk.client.backup(target)
        assert (done.directory, done.damage, done.linked) == (str(target), [], 3)
        async with desk.session(session_id=made.session) as handle:
            await handle.save("later")
        with pytest.raises(errors.AlreadyExists):
            await desk.client.backup(target)
        with pytest.raises(errors.BadRequest):
            await desk.client.backup(daemon.data_dir / "inside")
        with pytest.raises(errors.BadRequest):
            await desk.client.backup(tmp_path / "not" / "there")
    modes = {stat.S_IMODE(os.lstat(path).st_mode) for path in (target, *target.rglob("*")) if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(os.lstat(path).st_mode) for path in target.rglob("*") if path.is_file()} == {0o600}
    copy = RealDaemon(tmp_path / "second")
    copy.data_dir = target
    try:
        copy.start()
        async with at(copy, root) as desk:
            assert (await desk.client.verify(drill=10)).damage == []
            async with desk.session(session_id=made.session) as handle:
                labels = [one.label for one in await handle.list()]
                assert labels[:3] == ["v0", "v1", "v2"]
                assert "later" not in labels
                await handle.rewind("v0", scope="workspace")
        assert (root / "it").read_text() == "version 0\n" * 50
        copy.stop()
    finally:
        copy.kill()
    async with at(daemon, root) as desk:
        assert (await desk.client.verify()).damage == []


async def backed_up(daemon: RealDaemon, root: Path) -> Three:
    """A store that was backed up at a clean stop, and has one checkpoint more since; its daemon is stopped."""
    async with at(daemon, root) as desk:
        async with desk.session() as session:
            for n in range(ENOUGH):
                await session.save(f"many {n}")
        made = await three(desk)
    daemon.stop()
    assert (daemon.data_dir / "store.db.backup").exists()
    damage.configure(daemon, "[integrity]\nbackup_interval_s = 0\n")
    daemon.start()
    async with at(daemon, root) as desk, desk.session(session_id=made.session) as handle:
        await saved(handle, desk, "it", "lost\n", "since the backup")
    daemon.stop()
    return made


@pytest.mark.parametrize("what", ["header", "edits", "truncated", "gone"])
async def test_a_damaged_database_comes_back(daemon: RealDaemon, root: Path, what: str) -> None:
    """Damage of the structure is found at start, the store comes back from its backup, says what it lost, and keeps the damaged one."""
    made = await backed_up(daemon, root)
    file = daemon.data_dir / "store.db"
    if what == "header":
        damage.flip(file, 3)
    elif what == "truncated":
        os.truncate(file, file.stat().st_size // 2)
    elif what == "gone":
        file.unlink()
    else:
        damage.spoil(file, damage.root_page(daemon.data_dir, what))
    spoiled = file.read_bytes() if file.exists() else None
    daemon.start()
    async with at(daemon, root) as desk:
        loss = (await desk.client.status()).loss
        assert loss is not None
        if what in ("header", "edits"):
            assert (loss.rows, loss.checkpoints, [ref.label for ref in loss.first]) == (1, 1, ["since the backup"])
        assert (spoiled is None) == (loss.kept_as == "")
        assert spoiled is None or Path(loss.kept_as).read_bytes() == spoiled
        assert (await desk.client.verify()).damage == []
        async with desk.session(session_id=made.session) as handle:
            assert [one.label for one in await handle.list()] == ["v0", "v1", "v2"]
            await handle.rewind("v1", scope="workspace")
        assert (root / "it").read_text() == "version 1\n" * 50
    assert "came back from its backup" in damage.rewindctl(daemon, "status").stdout
    assert "came back from its backup" in damage.rewindctl(daemon, "doctor").stdout
    daemon.restart()
    async with at(daemon, root) as desk:
        assert (await desk.client.status()).loss is None


async def test_no_backup_to_come_back_from(daemon: RealDaemon, root: Path) -> None:
    """Without a backup a damaged store is refused in clear words, and stays as it is."""
    async with at(daemon, root) as desk:
        await three(desk)
    daemon.stop()
    damage.flip(daemon.data_dir / "store.db", 3)
    before = (daemon.data_dir / "store.db").read_bytes()
    daemon.start(wait=False)
    assert daemon.wait() == 1
    assert "no store.db.backup to come back from" in daemon.said()
    assert (daemon.data_dir / "store.db").read_bytes() == before


async def test_both_damaged(daemon: RealDaemon, root: Path) -> None:
    """A backup that is damaged, too, takes nothing's place."""
    await backed_up(daemon, root)
    page = damage.root_page(daemon.data_dir, "edits")
    for name in ("store.db", "store.db.backup"):
        damage.spoil(daemon.data_dir / name, page)
    before = sorted(os.listdir(daemon.data_dir))
    daemon.start(wait=False)
    assert daemon.wait() == 1
    assert "and so is store.db.backup" in daemon.said()
    assert sorted(set(os.listdir(daemon.data_dir)) & set(before)) == before

"""Where one thing ends and another begins: workspaces inside workspaces, roots that are gone, forks and their ids, memory."""

import subprocess
from pathlib import Path

import pytest

import rewindd
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.daemon import real_daemon
from support.desk import Desk

pytestmark = pytest.mark.anyio


async def test_a_workspace_inside_is_left_alone(desk: Desk) -> None:
    """What becomes a workspace of its own is not taken back by the enclosing one, in either scope, nor by an undo."""
    desk.write("sub/f", "1\n")
    desk.write("out", "1\n")
    async with desk.session(agent="outer") as outer:
        await outer.snapshot(".")
        start = await outer.save()
        await outer.snapshot("out")
        desk.write("out", "2\n")
        (desk.root / "sub" / ".git").mkdir()
        async with desk.client.session(desk.root / "sub", agent="inner") as inner:
            await inner.snapshot("f")
            desk.write("sub/f", "inner work\n")
            await inner.save()
            for scope in ("session", "workspace"):
                result = await outer.rewind(start.id, scope=scope)
                assert desk.read("sub/f") == "inner work\n"
                assert "sub/f" not in [*result.restored, *result.removed, *result.merged]
                await outer.undo()
                assert desk.read("sub/f") == "inner work\n"
            assert await inner.pending() == []
            shown = await desk.client.ask(requests.ReadLog(session=outer.id), replies.Edits)
            assert ("sub/f", "rules-changed") in [(str(row.path), row.source) for row in shown.edits]
            with pytest.raises(errors.OutsideWorkspace):
                await outer.snapshot("sub/f")
            assert not [one for one in (await outer.snapshot(".")).snapshots if one.path.startswith("sub")]


async def test_a_root_that_is_gone_is_not_unchanged(desk: Desk) -> None:
    """What is pending, or different from now, cannot be told without the tree; what was saved can."""
    desk.write("a", "1\n")
    async with desk.session() as session:
        await session.snapshot("a")
        desk.write("a", "2\n")
        saved = await session.save()
        away = desk.root.rename(desk.root.with_name("away"))
        try:
            with pytest.raises(errors.UnknownWorkspace):
                await session.pending()
            with pytest.raises(errors.UnknownWorkspace):
                await desk.client.ask(requests.Diff(session=session.id, a="@"), replies.Changes)
            assert [one.id for one in await session.list()] == [saved.id]
            assert [str(diff.path) for diff in (await session.load("@")).file_diffs] == ["a"]
            assert (await desk.client.ask(requests.ReadLog(session=session.id), replies.Edits)).edits
        finally:
            away.rename(desk.root)
        assert await session.pending() == []


async def test_a_fork_shares_its_origin_s_ids(desk: Desk) -> None:
    """An id of a checkpoint that a fork can go back to is taken: `@` and a rewind mean one checkpoint."""
    async with desk.session(agent="origin") as origin:
        await origin.save(checkpoint_id="x")
        async with desk.client.session(desk.root, agent="fork", parent_id=origin.id) as fork:
            with pytest.raises(errors.AlreadyExists):
                await fork.save(checkpoint_id="x")
            await fork.save(checkpoint_id="own")
            assert (await fork.rewind("x")).head == "x"
            assert (await fork.load("@")).session_id == origin.id


async def test_no_ignore_again(desk: Desk) -> None:
    """A directory that was snapshotted by the rules can be snapshotted whole afterwards."""
    subprocess.run(["git", "init", "--quiet", str(desk.root)], check=True)
    desk.write(".gitignore", "build/\n")
    desk.write("build/x", "made\n")
    async with desk.session() as session:
        first = await session.snapshot(".")
        assert "build/x" not in [str(one.path) for one in first.snapshots]
        whole = await desk.client.ask(requests.TakeSnapshot(session=session.id, paths=[FsText(".")], no_ignore=True), replies.Snapshots)
        assert "build/x" in [str(one.path) for one in whole.snapshots]
        (desk.root / "build" / "x").unlink()
        await session.save("gone")
        await session.rewind("gone", before=True)
        assert desk.read("build/x") == "made\n"


async def test_an_ignored_file_that_is_named(desk: Desk) -> None:
    """A file that the rules leave out and a session names is watched from then on, with the directory that it is in."""
    subprocess.run(["git", "init", "--quiet", str(desk.root)], check=True)
    desk.write(".gitignore", "build/\n")
    desk.write("build/deep/x", "made\n")
    async with desk.session() as session:
        await session.snapshot("build/deep/x")
        desk.write("build/deep/x", "edited\n")
        assert (await session.save("edited")).files == 1
        await session.rewind("edited", before=True)
        assert desk.read("build/deep/x") == "made\n"


@pytest.mark.timeout(120)
async def test_many_large_files_at_once(tmp_path: Path) -> None:
    """Memory follows neither the number nor the sum of the files that changed, and is given back."""
    root = tmp_path / "tree"
    root.mkdir()
    with real_daemon(tmp_path / "there") as daemon:
        async with rewindd.connect(socket=daemon.socket, autostart=False, timeout_s=60) as client, client.session(root) as session:
            for turn in range(2):
                for number in range(40):
                    (root / str(number)).write_bytes(b"%d %d\n" % (turn, number) * 800_000)
                await (session.save() if turn else session.snapshot("."))
        assert daemon.resident_bytes(peak=True) < 200 << 20

"""Trees that cannot be read, written, or found: what works all the same, and that nothing is lost."""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence

import pytest

import rewindd
from rewindd import errors
from support.daemon import RealDaemon
from support.desk import Desk, reasons, saved

pytestmark = pytest.mark.anyio


@pytest.fixture
def powerless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    """A daemon that may not read what its modes forbid, also where the tests run as root."""
    prefix: Sequence[str] = ()
    if os.getuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root reads everything, and setpriv is not installed to make it powerless")
        prefix = (setpriv, "--bounding-set=-all", "--inh-caps=-all")
    daemon = RealDaemon(tmp_path_factory.mktemp("powerless").resolve())
    try:
        yield daemon.start(prefix=prefix)
        daemon.stop()
    finally:
        daemon.kill()


async def test_an_unreadable_file(powerless: RealDaemon) -> None:
    """What cannot be read is in `incomplete` with the reason, and the rest is saved; a rewind does not touch it. Then it is readable."""
    root = powerless.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=powerless.socket, autostart=False) as client:
        desk = Desk(client, root, powerless)
        secret = desk.write("secret", "secret\n")
        desk.write("fine", "fine\n")
        desk.write("locked/inside", "inside\n")
        async with desk.session() as session:
            await session.snapshot(".")
            start = await session.save("start")
            assert start.incomplete.count == 0
            await session.snapshot(".")
            secret.write_text("changed\n")
            secret.chmod(0)
            desk.write("fine", "changed\n")
            desk.write("hidden", "never read\n", 0)
            (root / "locked").chmod(0)
            made = await session.save("made")
            assert made.files >= 1
            found = reasons((await session.load(made.id)).incomplete)
            assert {name: found[name] for name in ("secret", "hidden")} == dict.fromkeys(("secret", "hidden"), "permission denied")
            assert made.incomplete.count == len(found)
            changed = {str(diff.path): diff.change for diff in (await session.load(made.id)).file_diffs}
            assert changed["fine"] == "modified"
            assert "secret" not in changed
            assert "locked/inside" not in changed, "what cannot be looked at is not gone"
            again = await session.snapshot("secret", "fine")
            assert (reasons(again.skipped), [one.path for one in again.snapshots]) == ({"secret": "permission denied"}, ["fine"])

            await session.rewind(start.id, on_conflict="keep")
            assert desk.read("fine") == "fine\n"
            (root / "locked").chmod(0o755)
            for name in ("secret", "hidden"):
                assert stat.S_IMODE((root / name).stat().st_mode) == 0
                (root / name).chmod(0o644)
            assert (desk.read("secret"), desk.read("hidden")) == ("changed\n", "never read\n")
            later = await session.save("later")
            assert later.incomplete.count == 0
            await session.rewind(start.id)
            assert desk.read("hidden") == "never read\n", "what was unknown then was not absent"
            assert desk.read("locked/inside") == "inside\n"


async def test_a_directory_that_may_not_be_written(powerless: RealDaemon) -> None:
    """Where a restored file cannot be put, the rewind fails as a whole with the path, and nothing is touched."""
    root = powerless.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=powerless.socket, autostart=False) as client:
        desk = Desk(client, root, powerless)
        async with desk.session() as session:
            await session.snapshot(".")
            desk.write("closed/it", "one\n")
            desk.write("open", "one\n")
            start = await session.save("start")
            await session.snapshot(".")
            desk.write("closed/it", "two\n")
            desk.write("open", "two\n")
            (root / "closed").chmod(0o555)
            await session.save()
            await session.snapshot("x")
            before = desk.photograph()
            result = await session.rewind(start.id, restore="files", paths=["open"])
            assert result.restored == ["open"]
            await session.undo()
            assert desk.photograph() == before
            (root / "closed").chmod(0o555)
            with pytest.raises(errors.Conflict, match="permission denied"):
                await session.rewind(start.id, restore="files", paths=["closed/it"])
            assert desk.photograph() == before


async def test_a_workspace_that_is_gone(desk: Desk) -> None:
    """With the root gone the past can still be listed and shown; what would need the tree says so; nothing is lost."""
    async with desk.session() as session:
        made = await saved(session, desk, "it", "one\n", "one")
        shutil.rmtree(desk.root)
        assert [one.id for one in await session.list()] == [made.id]
        shown = await session.load("one", content=True)
        assert shown.file_diffs[0].after is not None
        assert shown.file_diffs[0].after.text == "one\n"
        assert [one.id for one in await desk.client.checkpoints(desk.root)] == [made.id]
        for attempt in (session.pending, session.save, session.undo, session.redo):
            with pytest.raises((errors.UnknownWorkspace, errors.NothingToUndo)):
                await attempt()
        with pytest.raises(errors.UnknownWorkspace):
            await session.rewind("one")
        with pytest.raises(errors.UnknownWorkspace):
            await session.rewind("one", dry_run=True)
        with pytest.raises(errors.UnknownWorkspace):
            await session.snapshot("it")
        with pytest.raises(errors.UnknownWorkspace):
            async with desk.session():
                pass
        desk.root.mkdir()
        with pytest.raises(errors.UnknownWorkspace):
            await session.rewind("one")
        assert list(desk.root.iterdir()) == [], "another directory under that path is another workspace"
        await session.close()


async def test_a_workspace_that_was_moved(desk: Desk) -> None:
    """The same directory under another path is the same workspace: its sessions go on there."""
    async with desk.session() as session:
        made = await saved(session, desk, "it", "one\n", "one")
    moved = desk.root.with_name(f"{desk.root.name}-moved")
    desk.root.rename(moved)
    async with desk.client.session(moved, session_id=session.id) as again:
        assert again.info is not None
        assert str(again.info.root) == str(moved)
        await again.rewind(made.id, before=True)
        assert list(moved.iterdir()) == []
        await again.undo()
        assert (moved / "it").read_text() == "one\n"

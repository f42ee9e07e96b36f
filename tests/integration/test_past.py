"""Looking into the past: one path as it was, and whole trees written elsewhere."""

import os
import shutil
from pathlib import Path

import pytest

import rewindd
import rewindd.blocking
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.service.asking import showing
from support.desk import Desk, edit, photograph, saved

pytestmark = pytest.mark.anyio

ODD = os.fsdecode(b"od\xff\xfe\n")


def fill(desk: Desk) -> None:
    """Files, empty and large, a link, directories, one of them empty and one that nobody may write, and odd names."""
    desk.write("a/one", "one\n")
    desk.write("a/empty", "")
    desk.write("a-b/two", b"\x00\xff" * 700_000, 0o600)
    desk.write("a/deep/er/tool", "#!/bin/sh\n", 0o755)
    desk.write(f"{ODD}/{ODD}", "odd\n")
    desk.write("same1", "same\n")
    desk.write("same2", "same\n")
    (desk.root / "link").symlink_to("../outside")
    (desk.root / "void").mkdir(mode=0o750)
    (desk.root / "a/deep/er").chmod(0o500)


async def test_a_path_as_it_was(desk: Desk) -> None:
    """At a checkpoint, a label, an ancestor, a time and a number: file, link, directory, and that it was not there."""
    fill(desk)
    async with desk.session() as session:
        await session.snapshot(".")
        first = await session.save("first")
        number = (await desk.client.ask(requests.ListTree(session=session.id, position="@"), replies.TreePage)).position
        await edit(session, desk, "a/one", "changed\n")
        (desk.root / "link").unlink()
        shutil.rmtree(desk.root / "void")
        desk.write("a/new", "new\n")
        await session.save("second")
        for position in (first.id, "first", "@~1", number):
            found = await session.show(position, "a/one")
            assert (found.path, found.content, found.version) == ("a/one", b"one\n", found.version)
            assert found.version is not None
            assert (found.version.kind, found.version.size) == ("file", 4)
            assert await session.read(found.version) == b"one\n"
            link = await session.show(position, desk.root / "link")
            assert link.version is not None
            assert link.version.target == "../outside"
            assert (await session.show(position, "a")).entries == ["deep/", "empty", "one"]
            assert (await session.show(position, "a/new")).version is None
            assert (await session.show(position, "a/never/was")).version is None
        assert (await session.show("@", "a/one")).content == b"changed\n"
        assert (await session.show("@{0s}", "a")).entries == ["deep/", "empty", "new", "one"]
        assert (await session.show("@", "void")).version is None
        top = (await session.show("first", ".")).entries
        assert top == ["a/", "a-b/", "link", f"{ODD}/", "same1", "same2", "void/"]
        large = await session.show("first", "a-b/two")
        assert large.content is None
        assert large.version is not None
        assert await session.read(large.version) == b"\x00\xff" * 700_000


async def test_what_was_not_known_then(desk: Desk) -> None:
    """A path that was first seen later, and one that never was: `unknown-path`, which says since when something is known."""
    desk.capture = "snapshots"
    async with desk.session() as session:
        first = await saved(session, desk, "it", "one\n")
        desk.write("later", "x\n")
        await session.snapshot("later")
        with pytest.raises(errors.UnknownPath) as later:
            await session.show(first.id, "later")
        assert isinstance(later.value.fields["first_seen"], int)
        assert (await session.show(f"#{later.value.fields['first_seen']}", "later")).content == b"x\n"
        with pytest.raises(errors.UnknownPath) as never:
            await session.show("@", "never")
        assert never.value.fields["first_seen"] is None
        with pytest.raises(errors.UnknownCheckpoint):
            await session.show("no-such", "it")


async def test_a_tree_elsewhere(desk: Desk, tmp_path: Path) -> None:
    """Every path, byte and mode as it was, whatever happened since; the counts are those of files and links."""
    fill(desk)
    async with desk.session() as session:
        await session.snapshot(".")
        first = await session.save()
        was = desk.photograph()
        (desk.root / "a/deep/er").chmod(0o700)
        shutil.rmtree(desk.root / "a")
        desk.write("a", "a file now\n")
        desk.write("new", "new\n")
        await session.save()
        written = await session.materialize(first.id, tmp_path / "to" / "there")
        assert photograph(tmp_path / "to" / "there") == was
        assert (written.files, written.skipped) == (8, [])
        assert written.bytes == 4 + 1_400_000 + 10 + 4 + 5 + 5
        (tmp_path / "to/there/a/deep/er").chmod(0o700)
        now = await session.materialize("@", tmp_path / "now")
        assert photograph(tmp_path / "now") == desk.photograph()
        assert now.skipped == []


async def test_a_large_tree(desk: Desk, tmp_path: Path) -> None:
    """More paths than one page holds, in the blocking client too."""
    for number in range(300):
        desk.write(f"d{number % 13}/f{number}", f"{number}\n")
    async with desk.session() as session:
        await session.snapshot(".")
        await session.save("all")
        listed: list[str] = []
        position, after = "all", None
        while True:
            request = requests.ListTree(session=session.id, position=position, after=after, limit=37)
            page = await desk.client.ask(request, replies.TreePage)
            listed += [entry.path for entry in page.entries]
            if not page.more:
                break
            assert len(page.entries) == 37
            position, after = page.position, page.entries[-1].path
        assert listed == sorted([*desk.photograph(), "."])
        was = desk.photograph()

    def blocking() -> None:
        with rewindd.blocking.connect(socket=desk.daemon.socket, autostart=False) as client, client.session(desk.root) as plain:
            assert plain.materialize("#1", tmp_path / "early").skipped != []

    await rewindd_in_thread(blocking)
    async with desk.session(session_id=session.id) as session:
        assert (await session.materialize("all", tmp_path / "to")).files == 300
    assert photograph(tmp_path / "to") == was


async def rewindd_in_thread(work: object) -> None:
    """Runs a function where it may block."""
    import anyio.to_thread

    assert callable(work)
    await anyio.to_thread.run_sync(work)


async def test_where_it_is_not_written(desk: Desk, tmp_path: Path) -> None:
    """A directory that is not empty, a file, a position that is none: nothing is made or changed."""
    async with desk.session() as session:
        await saved(session, desk, "it", "one\n")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine").write_text("mine\n")
        (tmp_path / "file").write_text("mine\n")
        with pytest.raises(errors.AlreadyExists):
            await session.materialize("@", tmp_path / "full")
        for place in ("file", "file/below"):
            with pytest.raises(errors.BadRequest):
                await session.materialize("@", tmp_path / place)
        with pytest.raises(errors.UnknownCheckpoint):
            await session.materialize("no-such", tmp_path / "new")
        assert photograph(tmp_path) == {
            "full": photograph(tmp_path)["full"],
            "full/mine": photograph(tmp_path)["full/mine"],
            "file": photograph(tmp_path)["file"],
        }
        (tmp_path / "empty").mkdir()
        assert (await session.materialize("@", tmp_path / "empty")).files == 1


async def test_what_was_not_known_is_named(desk: Desk, tmp_path: Path) -> None:
    """Paths that were first seen later are in `skipped`: whether they were there then nobody can tell."""
    desk.capture = "snapshots"
    async with desk.session() as session:
        first = await saved(session, desk, "it", "one\n")
        desk.write("later", "x\n")
        await session.snapshot("later")
        written = await session.materialize(first.id, tmp_path / "to")
        assert [(str(one.path), one.reason) for one in written.skipped] == [("later", "not known at that point")]
        assert (written.files, os.listdir(tmp_path / "to")) == (1, ["it"])


async def test_many_contents_at_once(desk: Desk) -> None:
    """In the order asked for, doubles too; a large one is nil; what does not fit is left for the next request."""
    desk.capture = "snapshots"
    count = 2 * showing.MAX_CONTENTS_BYTES // 900_000
    for number in range(count):
        desk.write(f"f{number:03}", bytes([number]) * 900_000)
    desk.write("large", b"x" * (showing.MAX_WHOLE_BYTES + 1))
    async with desk.session() as session:
        kept = {one.path: one.blob for one in (await session.snapshot(".")).snapshots}
        blobs = [kept[FsText(name)] or "" for name in ("large", "f001", "f000", "f001")]  # type: ignore[index]  # any text finds it
        request = requests.ReadBlobs(session=session.id, blobs=blobs)
        found = (await desk.client.ask(request, replies.Contents)).contents
        assert found == [None, b"\x01" * 900_000, b"\x00" * 900_000, b"\x01" * 900_000]
        rest = [blob for path, blob in sorted(kept.items()) if path.startswith("f") and blob]
        some = (await desk.client.ask(requests.ReadBlobs(session=session.id, blobs=rest), replies.Contents)).contents
        assert 0 < len(some) < count
        assert sum(len(one or b"") for one in some) <= showing.MAX_CONTENTS_BYTES
        for bad in ("", "zz", "00", "00" * 32):
            with pytest.raises(errors.BadRequest):
                await desk.client.ask(requests.ReadBlobs(session=session.id, blobs=[bad]), replies.Contents)
        for limit in (0, showing.MAX_PAGE_PATHS + 1):
            with pytest.raises(errors.BadRequest):
                await desk.client.ask(requests.ListTree(session=session.id, position="@", limit=limit), replies.TreePage)


async def test_without_a_daemon(tmp_path: Path) -> None:
    """Where none is required: false answers, nothing is made."""
    socket = tmp_path / "none.sock"
    async with rewindd.connect(socket=socket, autostart=False, required=False, timeout_s=0.1) as client:
        async with client.session(tmp_path, agent="x") as session:
            assert not await session.show("@", "it")
            assert not await session.restore("it")
            written = await session.materialize("@", tmp_path / "to")
            assert (written.files, [one.reason for one in written.skipped]) == (0, ["unavailable"])
    assert list(tmp_path.iterdir()) == []

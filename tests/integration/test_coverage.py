"""What is known of names that nobody named: covered directories, what was absent, and what was never looked at."""

import pytest

from support.desk import Desk, edit, reasons, saved

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def only_snapshots(desk: Desk) -> None:
    """Only what was snapshotted is known here."""
    desk.capture = "snapshots"


async def test_capture_of_a_directory(desk: Desk) -> None:
    """A snapshotted directory is covered: names that come later in it are seen, and are the session's while it holds the directory."""
    desk.write("src/old", "old\n")
    async with desk.session() as session:
        kept = await session.snapshot("src")
        assert {entry.path: entry.kind for entry in kept.snapshots} == {"src": "directory", "src/old": "file"}
        desk.write("src/new/deep/er", "new\n")
        desk.write("beside", "not captured\n")
        made = await session.save()
        assert [(diff.path, diff.change) for diff in (await session.load(made.id)).file_diffs] == [
            ("src/new", "added"),
            ("src/new/deep", "added"),
            ("src/new/deep/er", "added"),
        ]
        desk.write("src/by-nobody", "x\n")
        again = await session.save()
        assert again.files == 0
        result = await session.rewind(made.id, before=True)
        assert desk.photograph().keys() == {"src", "src/old", "src/by-nobody", "beside"}
        assert result.left is not None
        assert result.left.paths == ["src/by-nobody"]


async def test_a_name_in_a_covered_directory_was_absent(desk: Desk) -> None:
    """A file that turns up in a covered directory is known to have been absent: a workspace rewind removes it, an earlier one does not."""
    desk.write("src/old", "old\n")
    async with desk.session() as session:
        before = await session.save("before")
        await session.snapshot("src")
        covered = await session.save("covered")
        desk.write("src/later", "later\n")
        await session.save()
        await session.rewind(covered.id, scope="workspace")
        assert not (desk.root / "src/later").exists()
        await session.undo()
        result = await session.rewind(before.id, scope="workspace")
        assert desk.photograph().keys() == {"src", "src/old", "src/later"}
        assert reasons(result.kept)["src/later"] == "not known at that point"


async def test_what_is_below_an_absent_directory_was_absent(desk: Desk) -> None:
    """A path named before its directories exist was as absent as they were: a workspace rewind to before leaves nothing of them."""
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        await saved(session, desk, "a/b/c/it", "new\n")
        result = await session.rewind(start.id, scope="workspace")
        assert (desk.photograph(), result.kept) == ({}, [])
        await edit(session, desk, "a/b/other", "new\n")
        await session.rewind(start.id, scope="workspace")
        assert desk.photograph() == {}


async def test_what_is_below_what_was_no_directory_was_absent(desk: Desk) -> None:
    """A name that was absent, then a link, then a directory never had anything in it before: a workspace rewind leaves nothing of it."""
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        await session.snapshot("d")
        (desk.root / "d").symlink_to("elsewhere")
        await session.snapshot("d")
        (desk.root / "d").unlink()
        desk.write("d/e/f", "x\n")
        await session.snapshot("d/e/g")
        result = await session.rewind(start.id, scope="workspace")
        assert (desk.photograph(), result.kept) == ({}, [])


async def test_a_file_that_makes_way_for_a_directory_is_the_session_s(desk: Desk) -> None:
    """Who names a path below what is a file now is about to make it a directory: that change is theirs too."""
    desk.write("d", "a file\n")
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        before = desk.photograph()
        await session.snapshot("d/it")
        (desk.root / "d").unlink()
        desk.write("d/it", "x\n")
        assert {diff.path for diff in await session.pending()} == {"d", "d/it"}
        await session.rewind(start.id)
        assert desk.photograph() == before


async def test_a_new_directory_that_is_snapshotted_before_it_was_seen(desk: Desk) -> None:
    """What the session made in a covered directory is its own also when the first that is heard of it is a snapshot by name."""
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        await session.snapshot(".")
        desk.write("new/one", "1\n")
        desk.write("new/sub/two", "2\n")
        await session.snapshot("new/one", "new/sub")
        desk.write("new/one", "changed\n")
        assert {(diff.path, diff.change) for diff in await session.pending()} == {
            (path, "added") for path in ("new", "new/one", "new/sub", "new/sub/two")
        }
        result = await session.rewind(start.id)
        assert (desk.photograph(), result.kept) == ({}, [])


async def test_a_directory_made_where_none_was_is_covered(desk: Desk) -> None:
    """A named path that becomes a directory is captured with what comes into it later, whoever brings it."""
    async with desk.session() as session:
        await session.snapshot("out")
        desk.write("out/first", "1\n")
        first = await session.save()
        desk.write("out/second", "2\n")
        await session.save()
        await session.rewind(first.id, scope="workspace")
        assert desk.photograph().keys() == {"out", "out/first"}
        await session.undo()
        assert desk.read("out/second") == "2\n"


async def test_a_second_snapshot_forgets_nothing(desk: Desk) -> None:
    """Snapshotting what holds a covered directory does not make that directory's past unknown."""
    desk.write("src/old", "old\n")
    async with desk.session() as session:
        await session.snapshot("src")
        start = await session.save()
        await session.snapshot(".")
        desk.write("src/new", "new\n")
        await session.save()
        await session.rewind(start.id, scope="workspace")
        assert desk.photograph().keys() == {"src", "src/old"}


async def test_unknown_is_not_absent(desk: Desk) -> None:
    """A path that was first seen after the target is neither removed nor reverted, in either scope; workspace scope says so."""
    desk.write("late", "old\n")
    async with desk.session() as session:
        start = await saved(session, desk, "early", "1\n", "start")
        await session.snapshot("late")
        await session.save("seen")
        result = await session.rewind(start.id)
        assert (desk.read("late"), result.steps) == ("old\n", [])
        result = await session.rewind(start.id, scope="workspace")
        assert (desk.read("late"), reasons(result.kept)) == ("old\n", {"late": "not known at that point"})
        await session.rewind("seen")
        await saved(session, desk, "late", "new\n")
        result = await session.rewind(start.id, scope="workspace")
        assert (desk.read("late"), reasons(result.kept)) == ("new\n", {"late": "not known at that point"})
        await session.rewind(start.id)
        assert desk.read("late") == "old\n", "what the session found there before its first edit is known"

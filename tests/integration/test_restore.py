"""Single files and directories back: after `rm -rf`, over local changes, undone and done again, and what is refused."""

import os
import shutil
from pathlib import Path

import anyio
import pytest

from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.desk import Desk, edit, reasons, saved

pytestmark = pytest.mark.anyio


def fill(desk: Desk, files: int) -> None:
    """A directory `src` of so many files in some directories, with a link, an empty directory and modes."""
    for number in range(files):
        desk.write(f"src/part{number % 7}/file{number}.py", f"print({number})\n" * (number % 5))
    desk.write("src/tool.sh", "#!/bin/sh\n", 0o755)
    (desk.root / "src/empty").mkdir(mode=0o750)
    (desk.root / "src/link").symlink_to("tool.sh")
    desk.write("beside", "beside\n")


async def test_a_directory_deleted_in_one_go(desk: Desk) -> None:
    """`rm -rf src` by nobody: all of it comes back, byte for byte, also what was made a moment before; undo and redo are exact."""
    fill(desk, 300)
    async with desk.session() as session:
        await session.snapshot(".")
        await session.save("before")
        desk.write("src/part0/just made", "new\n")
        desk.write("src/part1/file1.py", "changed a moment before\n")
        await session.pending()
        whole = desk.photograph()
        shutil.rmtree(desk.root / "src")
        result = await session.restore("src")
        assert desk.photograph() == whole
        assert len(result.restored) == 300 + 1 + 7 + 4
        assert (result.removed, result.kept, result.conflicts, result.left) == ([], [], [], None)
        await session.undo()
        assert not (desk.root / "src").exists()
        assert desk.read("beside") == "beside\n"
        await session.redo()
        assert desk.photograph() == whole
        await session.undo()
        again = await session.restore("src")
        assert len(again.restored) == len(result.restored)
        assert desk.photograph() == whole


async def test_one_file_of_a_directory_that_went(desk: Desk) -> None:
    """Its directories come back with it, as they were, and nothing else does."""
    fill(desk, 20)
    async with desk.session() as session:
        await session.snapshot(".")
        (desk.root / "src/part3").chmod(0o700)
        await session.save()
        before = desk.photograph()
        shutil.rmtree(desk.root / "src")
        result = await session.restore("src/part3/file3.py")
        assert set(result.restored) == {"src", "src/part3", "src/part3/file3.py"}
        assert desk.photograph() == {name: before[name] for name in ("beside", "src", "src/part3", "src/part3/file3.py")}
        await session.undo()
        assert not (desk.root / "src").exists()


async def test_several_bursts(desk: Desk) -> None:
    """Only the newest burst comes back where somebody worked in between; deletions right after each other are one burst."""
    async with desk.session() as session:
        await session.snapshot(".")
        for name in ("old", "one", "two", "stays"):
            desk.write(f"src/{name}", f"{name}\n")
        await session.pending()
        (desk.root / "src/old").unlink()
        await session.pending()
        desk.write("src/stays", "worked on\n")
        await session.pending()
        for name in ("one", "two"):
            (desk.root / f"src/{name}").unlink()
            await session.pending()
        result = await session.restore("src")
        assert result.restored == ["src/one", "src/two"]
        nothing = await session.restore("src")
        assert (nothing.restored, nothing.operation_id, nothing.dry_run) == ([], None, False)
        assert (await session.restore("src/old")).restored == ["src/old"]
        assert desk.read("src/stays") == "worked on\n"


async def test_nothing_to_do_leaves_undo_as_it_was(desk: Desk) -> None:
    """A restore that finds everything there is no operation: undo takes back what was done before it."""
    async with desk.session() as session:
        first = await saved(session, desk, "it", "one\n")
        await saved(session, desk, "it", "two\n")
        await session.rewind(first.id)
        assert (await session.restore("it", position=first.id)).operation_id is None
        await session.undo()
        assert desk.read("it") == "two\n"


async def test_as_it_was_at_a_position_over_local_changes(desk: Desk) -> None:
    """Whoever changed it since; head, conversation and statistics stay. Without `overwrite` it is a conflict, and nothing is touched."""
    async with desk.session() as session:
        first = await saved(session, desk, "it", "one\n", "first")
        session.history.add_user_message("go on", tokens=1)
        second = await saved(session, desk, "it", "two\n")
        desk.write("it", "by a person\n", 0o600)
        desk.write("new", "by a person\n")
        with pytest.raises(errors.Conflict) as conflict:
            await session.restore("it", position="first", overwrite=False)
        assert conflict.value.fields["conflicts"] == [{"path": "it", "reason": "there is something else now"}]
        assert "--yes" in conflict.value.message
        assert desk.read("it") == "by a person\n"

        plan = await session.restore("it", position="first", dry_run=True)
        assert (plan.dry_run, plan.restored, plan.operation_id) == (True, ["it"], None)
        assert desk.read("it") == "by a person\n"
        result = await session.restore("it", position="first", plan=plan.plan_id)
        assert desk.read("it") == "one\n"
        assert (result.checkpoint_id, result.head, session.head) == (first.id, second.id, second.id)
        assert (result.stats.total_messages, session.history.user_prompts) == (1, ["go on"])
        assert desk.read("new") == "by a person\n"
        with pytest.raises(errors.HeadMoved):
            await session.restore("it", position="first", plan=plan.plan_id)
        await session.undo()
        assert desk.read("it") == "by a person\n"
        assert (desk.root / "it").stat().st_mode & 0o777 == 0o600


async def test_a_directory_as_it_was_keeps_what_came_since(desk: Desk) -> None:
    """What was there then is as it was then; what was not stays, and so does what was not known then, which is said."""
    desk.capture = "snapshots"
    fill(desk, 14)
    async with desk.session() as session:
        await session.snapshot("src")
        was = await session.save()
        before = desk.photograph()
        desk.write("src/part0/file0.py", "changed\n")
        (desk.root / "src/link").unlink()
        desk.write("src/link", "a file now\n")
        shutil.rmtree(desk.root / "src/part1")
        desk.write("src/part2/new", "new\n")
        result = await session.restore("src", position=was.id)
        assert desk.photograph() == {**before, "src/part2/new": desk.photograph()["src/part2/new"]}
        assert "src/part2/new" not in result.restored
        await session.snapshot("beside")
        desk.write("beside", "changed\n")
        with pytest.raises(errors.UnknownPath) as unknown:
            await session.restore("beside", position=was.id)
        assert (unknown.value.code, unknown.value.fields["path"]) == ("unknown-path", "beside")
        assert unknown.value.fields["first_seen"] is not None


async def test_a_restore_of_everything_names_what_was_not_known(desk: Desk) -> None:
    """Paths that were first seen after the position stay, and are in `kept`."""
    desk.capture = "snapshots"
    async with desk.session() as session:
        was = await saved(session, desk, "it", "one\n")
        desk.write("later", "not known\n")
        await session.snapshot("later")
        desk.write("later", "changed\n")
        desk.write("it", "two\n")
        result = await session.restore(".", position=was.id)
        assert reasons(result.kept) == {"later": "not known at that point"}
        assert (desk.read("it"), desk.read("later")) == ("one\n", "changed\n")


async def test_what_was_not_deleted(desk: Desk) -> None:
    """The error wants a position, and names one where there was an earlier deletion; that one works."""
    async with desk.session() as session:
        await saved(session, desk, "it", "one\n")
        with pytest.raises(errors.BadRequest) as there:
            await session.restore("it")
        assert "name a position" in there.value.message
        (desk.root / "it").unlink()
        await session.pending()
        await edit(session, desk, "it", "made again\n")
        with pytest.raises(errors.BadRequest) as since:
            await session.restore("it")
        position = since.value.message.partition("restore '")[2].partition("'")[0]
        await session.restore("it", position=position)
        assert desk.read("it") == "one\n"


async def test_what_is_not_known(desk: Desk) -> None:
    """A path of which nothing is known, and one that was not there then: `unknown-path`, and nothing is touched."""
    async with desk.session() as session:
        was = await saved(session, desk, "it", "one\n")
        await saved(session, desk, "came/later", "x\n")
        for paths, position in ((["never"], None), (["it", "never"], was.id), (["came/later"], was.id)):
            with pytest.raises(errors.UnknownPath):
                await session.restore(*paths, position=position)
        with pytest.raises(errors.BadRequest):
            await session.restore()
        with pytest.raises(errors.UnknownCheckpoint):
            await session.restore("it", position="no-such")


async def test_names_that_are_not_utf8(desk: Desk) -> None:
    """Files, directories and links come back under their bytes."""
    odd, directory = os.fsdecode(b"od\xff\xfed"), os.fsdecode(b"d\xe9r\n")
    desk.write(f"{directory}/{odd}", b"\x00\xff")
    (desk.root / directory / "l").symlink_to(odd)
    async with desk.session() as session:
        await session.snapshot(".")
        before = desk.photograph()
        shutil.rmtree(desk.root / directory)
        result = await session.restore(os.fsencode(directory))
        assert len(result.restored) == 3
        assert desk.photograph() == before


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../outside", "outside-workspace"),
        ("/etc/passwd", "outside-workspace"),
        (".git/config", "not-permitted"),
        ("a\0b", "bad-request"),
        ("", "bad-request"),
    ],
)
async def test_paths_that_are_none_of_the_workspaces(desk: Desk, path: str, code: str) -> None:
    """Neither to be brought back nor to be shown."""
    async with desk.session() as session:
        was = await saved(session, desk, "it", "one\n")
        for position in (None, was.id):
            with pytest.raises(errors.RewinddError) as refused:
                await session.restore(path, position=position)
            assert refused.value.code == code
        with pytest.raises(errors.RewinddError) as hidden:
            await session.show(was.id, path)
        assert hidden.value.code == code


async def test_a_directory_that_became_a_link_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    """Somebody put a link to elsewhere in the place of a directory: nothing is written through it."""
    fill(desk, 7)
    async with desk.session() as session:
        await session.snapshot(".")
        was = await session.save()
        shutil.rmtree(desk.root / "src")
        (desk.root / "src").symlink_to(tmp_path)
        with pytest.raises(errors.RewinddError):
            await session.restore("src/part1/file1.py", position=was.id)
        assert list(tmp_path.iterdir()) == []
        await session.restore("src", position=was.id)
        assert not (desk.root / "src").is_symlink()
        assert (desk.root / "src/part1/file1.py").exists()
        assert list(tmp_path.iterdir()) == []


async def test_ignored_entries_that_do_not_come_back(desk: Desk) -> None:
    """A directory comes back without what git ignored in it: named, by restore and by rewind, and only where a directory comes back."""
    await anyio.run_process(["git", "init", "-q", str(desk.root)])
    desk.write(".gitignore", "*.log\nbuild/\n")
    desk.write("src/it", "one\n")
    desk.write("src/sub/a.log", "log\n")
    desk.write("src/sub/b", "b\n")
    desk.write("src/build/out", "out\n")
    async with desk.session() as session:
        await session.snapshot(".")
        was = await session.save()
        shutil.rmtree(desk.root / "src")
        result = await session.restore("src")
        assert {str(one.path) for one in result.not_restored} == {"src/build", "src/sub/a.log"}
        assert all("git" in one.reason for one in result.not_restored)
        (desk.root / "src/it").unlink()
        assert (await session.restore("src/it")).not_restored == []
        desk.write("src/build/out", "out again\n")
        await session.pending()
        shutil.rmtree(desk.root / "src")
        rewound = await session.rewind(was.id, scope="workspace")
        assert [str(one.path) for one in rewound.not_restored] == ["src/build"]


async def test_the_key_is_answered_once(desk: Desk) -> None:
    """A restore that is asked for again under its key is not done again."""
    async with desk.session() as session:
        await saved(session, desk, "it", "one\n")
        (desk.root / "it").unlink()
        request = requests.Restore(session=session.id, paths=[FsText("it")], key="k")
        first = await desk.client.ask(request, replies.RewindResult)
        (desk.root / "it").unlink()
        assert await desk.client.ask(request, replies.RewindResult) == first
        assert not (desk.root / "it").exists()


async def test_the_plan_names_whose_work_goes_and_what_was_built_on_it(desk: Desk) -> None:
    """A restore over another's saved work says whose it is, for each path, and lists the checkpoints that were made of it."""
    desk.write("f", "0\n")
    async with desk.session(agent="codex") as one, desk.session(agent="claude") as two:
        start = await one.save()
        made = await saved(two, desk, "f", "two's\n", "two's work")
        plan = await one.restore("f", position=start.id, dry_run=True)
        (step,) = plan.steps
        assert (step.action, step.sessions) == ("restore", [two.id])
        assert step.why == f"as it was then; with it, work of session {two.id} (claude)"
        assert [(on.session_id, on.checkpoint_id, on.paths) for on in plan.dependents] == [(two.id, made.id, ["f"])]
        with pytest.raises(errors.Conflict, match=rf"there is something else now, by session {two.id} \(claude\).*restore --yes"):
            await one.restore("f", position=start.id, overwrite=False)


async def test_overwriting_is_not_advised_where_it_would_be_refused(desk: Desk) -> None:
    """What stands where a directory was is named with who made it, and neither a restore nor a rewind over it says to overwrite."""
    desk.write("d/f", "0\n")
    async with desk.session(agent="codex") as one, desk.session(agent="claude") as two:
        await one.snapshot("d")
        start = await one.save()
        await one.snapshot("d")
        shutil.rmtree(desk.root / "d")
        await one.save()
        await saved(two, desk, "d", "a file\n")
        for on_conflict in ("merge", "overwrite"):
            with pytest.raises(errors.Conflict) as refused:
                await one.rewind(start.id, paths=["d/f"], on_conflict=on_conflict)
            assert f"its directory d is a file now, by session {two.id} (claude)" in str(refused.value)
            assert "overwrite" not in str(refused.value)
            assert "`--on-conflict keep` leaves them" in str(refused.value)
        with pytest.raises(errors.Conflict, match="to overwrite would not help"):
            await one.restore("d/f", position=start.id, overwrite=False)

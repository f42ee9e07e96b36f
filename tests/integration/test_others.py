"""What others and nobody changed: never lost by a rewind. Claims, brackets, scopes, and the four ways to meet a conflict."""

import pytest

import rewindd
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.desk import Desk, edit, reasons, saved

pytestmark = pytest.mark.anyio

LINES = [f"line {number}\n" for number in range(12)]


def lines(**changed: str) -> str:
    """The text of twelve lines, some of them changed: `_3="new"`."""
    text = list(LINES)
    for name, content in changed.items():
        text[int(name[1:])] = f"{content}\n"
    return "".join(text)


async def log(desk: Desk, session: rewindd.Session, path: str | None = None) -> list[replies.EditInfo]:
    """The edit log, oldest first."""
    asked = None if path is None else FsText(path)
    return (await desk.client.ask(requests.ReadLog(session=session.id, path=asked), replies.Edits)).edits


async def test_a_person_s_edit_elsewhere_in_the_file_stays(desk: Desk) -> None:
    """A person's later edit of other lines is merged with what the rewind takes back; undo and redo give either exactly."""
    desk.write("it", lines())
    async with desk.session() as session:
        await session.snapshot("it")
        start = await session.save("start")
        made = await saved(session, desk, "it", lines(_2="agent"), "agent")
        desk.write("it", lines(_2="agent", _9="person"))
        result = await session.rewind(start.id)
        assert (desk.read("it"), result.merged, result.restored) == (lines(_9="person"), ["it"], [])
        await session.undo()
        assert desk.read("it") == lines(_2="agent", _9="person")
        await session.redo()
        assert desk.read("it") == lines(_9="person")
        await session.rewind(made.id)
        assert desk.read("it") == lines(_2="agent", _9="person")


async def test_a_conflict_touches_nothing(desk: Desk) -> None:
    """A person's edit of the same lines fails the whole rewind, with path and reason; no file, no head, no statistics move."""
    desk.write("it", lines())
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save("start")
        await session.snapshot(".")
        desk.write("it", lines(_2="agent"))
        desk.write("fine", "agent\n")
        session.history.add_user_message("go", tokens=1)
        made = await session.save("agent")
        desk.write("it", lines(_2="person"))
        before = desk.photograph()

        plan = await session.rewind(start.id, dry_run=True)
        assert (reasons(plan.conflicts), plan.removed) == ({"it": "the same lines were changed since"}, ["fine"])
        with pytest.raises(errors.Conflict) as conflict:
            await session.rewind(start.id)
        assert conflict.value.fields["conflicts"] == [{"path": "it", "reason": "the same lines were changed since"}]
        assert (desk.photograph(), session.head, session.stats.total_messages) == (before, made.id, 1)
        assert len(await session.list()) == 2

        kept = await session.rewind(start.id, on_conflict="keep")
        assert reasons(kept.kept) == {"it": "the same lines were changed since"}
        assert (kept.removed, desk.read("it"), (desk.root / "fine").exists()) == (["fine"], lines(_2="person"), False)
        await session.undo()
        assert desk.photograph() == before

        await session.rewind(start.id, on_conflict="overwrite")
        assert desk.read("it") == lines()
        written = (await log(desk, session, "it"))[-1]
        assert (written.source, written.session_id) == ("effect", session.id)
        await session.undo()
        assert desk.photograph() == before, "what overwrite took is in the log"


async def test_on_conflict_fail(desk: Desk) -> None:
    """With `fail` any later edit by somebody else fails, also one that would merge; a session's own do not."""
    desk.write("it", lines())
    async with desk.session() as session:
        await session.snapshot("it")
        start = await session.save("start")
        await saved(session, desk, "it", lines(_2="agent"))
        await saved(session, desk, "it", lines(_2="again"))
        await session.rewind(start.id, on_conflict="fail")
        await session.undo()
        desk.write("it", lines(_2="again", _9="person"))
        with pytest.raises(errors.Conflict, match="somebody unknown"):
            await session.rewind(start.id, on_conflict="fail")
        assert desk.read("it") == lines(_2="again", _9="person")
        with pytest.raises(errors.BadRequest):
            await session.rewind(start.id, on_conflict="hope")


@pytest.mark.parametrize("theirs", ["deleted", "binary", "directory", "link", "mode"])
async def test_a_person_s_change_of_another_kind(desk: Desk, theirs: str) -> None:
    """Whatever a person made of a file that the session edited: a rewind that cannot merge it conflicts, and touches nothing."""
    path = desk.write("it", lines())
    async with desk.session() as session:
        await session.snapshot("it")
        start = await session.save("start")
        await saved(session, desk, "it", lines(_2="agent"))
        if theirs == "mode":
            path.chmod(0o700)
            await session.rewind(start.id)
            assert desk.photograph()["it"] == ("file", 0o700, lines().encode())
            return
        path.unlink()
        if theirs == "binary":
            path.write_bytes(b"\0\1\2")
        elif theirs == "directory":
            (path / "inside").mkdir(parents=True)
        elif theirs == "link":
            path.symlink_to("elsewhere")
        before = desk.photograph()
        with pytest.raises(errors.Conflict):
            await session.rewind(start.id)
        assert desk.photograph() == before
        kept = await session.rewind(start.id, on_conflict="keep")
        assert (set(reasons(kept.kept)), desk.photograph()) == ({"it"}, before)
        if theirs != "directory":
            await session.rewind(start.id, on_conflict="overwrite")
            assert desk.read("it") == lines()


async def test_a_file_in_a_directory_that_the_session_made(desk: Desk) -> None:
    """A person's file in the session's new directory keeps that directory; only the session's own files go."""
    async with desk.session() as session:
        await session.snapshot("new")
        (desk.root / "new").mkdir()
        desk.write("new/agent", "agent\n")
        made = await session.save()
        desk.write("new/person", "person\n")
        result = await session.rewind(made.id, before=True)
        assert (result.removed, reasons(result.kept)) == (["new/agent"], {"new": "not-empty"})
        assert desk.photograph().keys() == {"new", "new/person"}


async def test_what_nobody_did_is_left_and_named(desk: Desk) -> None:
    """Nobody's changes after the target stay, are counted in `left` with the command; `also=external` takes them too."""
    desk.write("theirs", "one\n")
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save("start")
        before = desk.photograph()
        desk.write("theirs", "two\n")
        desk.write("by-nobody", "new\n")
        await saved(session, desk, "mine", "mine\n")
        changed = desk.photograph()
        result = await session.rewind(start.id)
        assert desk.photograph() == {name: one for name, one in changed.items() if name != "mine"}
        assert result.left is not None
        assert (result.left.rows, result.left.paths) == (2, ["by-nobody", "theirs"])
        assert result.left.command == f"rewindctl rewind {start.id} --also external"
        both = await session.rewind(start.id, also="external")
        assert (desk.photograph(), both.left) == (before, None)
        await session.undo()
        await session.undo()
        assert desk.photograph() == changed
        with pytest.raises(errors.BadRequest):
            await session.rewind(start.id, also="everything")


async def test_workspace_scope(desk: Desk) -> None:
    """With `--scope workspace` the tree is as it was at the checkpoint, whoever changed it; undo gives everybody's work back."""
    desk.write("shared", lines())
    async with desk.session() as one, desk.session() as two:
        await one.snapshot(".")
        start = await one.save("start")
        before = desk.photograph()
        await saved(one, desk, "shared", lines(_1="one"))
        await saved(two, desk, "of-two", "two\n")
        await saved(two, desk, "shared", lines(_1="one", _2="two"))
        desk.write("of-nobody", "nobody\n")
        middle = await one.save("middle")
        at_middle = desk.photograph()
        desk.write("shared", "person\n")
        (desk.root / "of-two").unlink()
        after = desk.photograph()

        result = await one.rewind(start.id, scope="workspace")
        assert (desk.photograph(), result.left, result.conflicts) == (before, None, [])
        await one.undo()
        assert desk.photograph() == after
        await one.rewind(middle.id, scope="workspace")
        assert desk.photograph() == at_middle
        await one.rewind("start", scope="workspace", paths="shared")
        assert desk.photograph() == {**at_middle, "shared": before["shared"]}
        assert {edit.session_id for edit in await log(desk, one, "of-two") if edit.source == "tool"} == {two.id}


async def test_two_sessions_in_one_file(desk: Desk) -> None:
    """Two sessions edit other lines of one file in turn; each takes back its own, in either order, and the rest stays."""
    desk.write("it", lines())
    async with desk.session() as one, desk.session() as two:
        await one.snapshot("it")
        start_one, start_two = await one.save(), await two.save()
        text = {}
        for session, name, line in ((one, "one", 1), (two, "two", 5), (one, "one", 9)):
            text[f"_{line}"] = name
            await saved(session, desk, "it", lines(**text))
        await one.rewind(start_one.id)
        assert desk.read("it") == lines(_5="two")
        await two.rewind(start_two.id)
        assert desk.read("it") == lines()
        await one.undo()
        assert desk.read("it") == lines(_1="one", _9="one")
        await two.undo()
        assert desk.read("it") == lines(**text)


async def test_claims(desk: Desk) -> None:
    """A snapshot claims a path: the next change is that session's; a newer claim takes it over; release and save end it."""
    async with desk.session() as one, desk.session() as two:
        await edit(one, desk, "it", "one\n")
        await edit(two, desk, "it", "two\n")
        assert [diff.path for diff in await one.pending()] == ["it"]
        ((mine,), (theirs,)) = await one.pending(), await two.pending()
        assert (mine.change, theirs.change) == ("added", "modified")
        assert await two.release("it") == 1
        desk.write("it", "nobody\n")
        assert [(diff.path, diff.mixed) for diff in await two.pending()] == [("it", False)]
        owners = [entry.session_id for entry in await log(desk, one, "it") if entry.source in ("tool", "external")]
        assert owners == [one.id, two.id, None]
        await one.snapshot("other")
        await one.save()
        desk.write("other", "after the save\n")
        assert await one.pending() == []
        assert await one.release() == 0


async def test_incomplete_names_what_others_hold(desk: Desk) -> None:
    """A save leaves a path that another session holds and changed as it was known, says who holds it, and counts it as theirs later."""
    desk.write("theirs", "one\n")
    desk.write("untouched", "one\n")
    async with desk.session() as one, desk.session() as two:
        await one.snapshot("theirs", "untouched")
        await two.snapshot("theirs", "untouched")
        desk.write("theirs", "two\n")
        made = await one.save()
        assert reasons(made.incomplete.first) == {"theirs": f"held by session {two.id}"}
        assert (made.incomplete.count, made.files) == (1, 0)
        assert [one.path for one in (await one.load(made.id)).incomplete] == ["theirs"]
        (theirs,) = await two.pending()
        assert (theirs.path, theirs.change) == ("theirs", "modified")


async def test_editing(desk: Desk) -> None:
    """What becomes of the named paths in the block is the session's, also deletions and new files, and what comes after is not."""
    desk.write("old", "old\n")
    async with desk.session() as one, desk.session() as two:
        async with one.editing("old", "new") as kept:
            assert {entry.path: entry.kind for entry in kept.snapshots} == {"old": "file", "new": "absent"}
            (desk.root / "old").unlink()
            desk.write("new", "new\n")
            made = await two.save()
            assert set(reasons(made.incomplete.first).values()) == {f"held by session {one.id}"}
        desk.write("new", "person\n")
        assert {(diff.path, diff.change) for diff in await one.pending()} == {("old", "deleted"), ("new", "added")}
        (left,) = [entry for entry in await log(desk, one, "new") if entry.session_id is None and entry.source == "external"]
        assert left.change == "modified"


async def test_editing_that_fails(desk: Desk) -> None:
    """An exception in the block passes unchanged, and the bracket is closed: what was done in it is the session's."""
    async with desk.session() as session:

        async def fail_in_the_middle() -> None:
            async with session.editing("it"):
                desk.write("it", "half\n")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail_in_the_middle()
        desk.write("it", "person\n")
        entries = [(entry.session_id, entry.source) for entry in await log(desk, session, "it") if entry.source != "first-seen"]
        assert entries == [(session.id, "tool"), (None, "external")]


async def test_two_brackets_are_contested(desk: Desk) -> None:
    """A change inside two sessions' brackets is nobody's own: a rewind of either conflicts, and neither saves it as its own."""
    async with desk.session() as one, desk.session() as two:
        start = await one.save()
        async with one.editing("it"), two.editing("it"):
            desk.write("it", "whose?\n")
        (entry,) = [entry for entry in await log(desk, one, "it") if entry.source == "tool"]
        assert (set(entry.contested), entry.session_id) == ({one.id, two.id}, None)
        assert (await one.pending(), await two.pending()) == ([], [])
        with pytest.raises(errors.Conflict, match="contested"):
            await one.rewind(start.id)
        assert desk.read("it") == "whose?\n"


async def test_attribution_sole(desk: Desk) -> None:
    """A session of a person alone owns what nobody declared; not while another session is active."""
    desk.write("it", "one\n")
    async with desk.session(attribution="sole") as session:
        await session.snapshot("it")
        start = await session.save()
        desk.write("it", "two\n")
        assert [diff.path for diff in await session.pending()] == ["it"]
        await session.rewind(start.id)
        assert desk.read("it") == "one\n"
        async with desk.session() as other:
            await other.save()
            desk.write("it", "three\n")
            assert await session.pending() == []
            await other.close()
        desk.write("it", "four\n")
        assert [diff.path for diff in await session.pending()] == ["it"]


async def test_unowned_is_counted(desk: Desk) -> None:
    """`pending` says how many paths nobody's changes touched beside the session's own."""
    desk.write("a", "a\n")
    async with desk.session() as session:
        await session.snapshot("a")
        await session.save()
        desk.write("a", "nobody's\n")
        await edit(session, desk, "b", "mine\n")
        found = await desk.client.ask(requests.ListPending(session=session.id), replies.Changes)
        assert ([diff.path for diff in found.changes], found.unowned) == (["b"], 1)


async def test_an_editor_that_saves_atomically(desk: Desk) -> None:
    """A person's editor that replaces the file by a rename is seen as a change like any other, and its content is kept."""
    desk.write("it", lines())
    async with desk.session() as session:
        await session.snapshot("it")
        start = await session.save()
        await saved(session, desk, "it", lines(_2="agent"))
        desk.write("it~", lines(_2="agent", _10="editor")).rename(desk.root / "it")
        await session.rewind(start.id)
        assert desk.read("it") == lines(_10="editor")

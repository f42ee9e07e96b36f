"""Rewinds of a session's own work: every target, every part, dry run and plan, undo and redo, branches and forks."""

import os
import shutil
from itertools import pairwise

import pytest

import rewindd
from rewindd import errors
from rewindd.protocol import replies
from support.desk import Desk, Photograph, edit, reasons, saved

pytestmark = pytest.mark.anyio


async def three(session: rewindd.Session, desk: Desk) -> tuple[list[replies.Summary], list[Photograph]]:
    """Three checkpoints `one`, `two`, `three`, each with a message; returns them and the trees before and at each."""
    photographs, made = [desk.photograph()], []
    for number, label in enumerate(("one", "two", "three"), 1):
        await session.snapshot("it", f"only-{label}", "sub/deep")
        desk.write("it", f"{label}\n" * number)
        desk.write(f"only-{label}", f"{label}\n")
        desk.write("sub/deep", f"{number}\n", 0o600 + number)
        session.history.add_user_message(f"do {label}", tokens=number)
        session.history.add_tool_call(rewindd.ToolCallRecord("edit", "{}", label, True))
        made.append(await session.save(label))
        photographs.append(desk.photograph())
    return made, photographs


async def test_to_any_checkpoint_and_forward_again(desk: Desk) -> None:
    """Every checkpoint and the moment before it can be reached from every other, with the tree exact and the head on it."""
    async with desk.session() as session:
        made, photographs = await three(session, desk)
        for number in (0, 2, 1, 0, 1, 2, 0):
            result = await session.rewind(made[number].id)
            assert desk.photograph() == photographs[number + 1]
            assert (result.head, session.head) == (made[number].id, made[number].id)
            assert (result.kept, result.conflicts, result.dry_run) == ([], [], False)
            assert session.history.user_prompts == [f"do {one.label}" for one in made[: number + 1]]
            assert result.stats.total_messages == number + 1
        for number in (2, 0, 1):
            result = await session.rewind(made[number].id, before=True)
            assert desk.photograph() == photographs[number]
            assert result.head == (made[number - 1].id if number else None)
            assert result.stats.total_messages == number


async def test_each_way_to_name_a_position(desk: Desk) -> None:
    """A checkpoint is found by id, label, unique prefix, `@` and `@~N`; the id wins over a label of the same name."""
    async with desk.session() as session:
        made, photographs = await three(session, desk)
        for position, number in (("one", 0), (made[1].id, 1), (made[2].id[:6], 2), ("@", 2)):
            plan = await session.rewind(position, dry_run=True)
            assert plan.checkpoint_id == made[number].id
        await session.rewind("@~2")
        assert desk.photograph() == photographs[1]
        named = await session.save(made[0].id, checkpoint_id="a-chosen.id_1")
        assert (await session.load(made[0].id)).id == made[0].id
        assert (await session.load("a-chosen")).id == named.id


async def test_no_such_position(desk: Desk) -> None:
    """Unknown ids, too short and ambiguous prefixes and labels, ancestors before the start: each has its own error, with candidates."""
    async with desk.session() as session:
        for checkpoint_id in ("same-1", "same-2"):
            await session.save("twice", checkpoint_id=checkpoint_id)
        for position in ("nothing-like-it", "sam", "@~2", "@~999999", "@{10m}x", "#x"):
            with pytest.raises(errors.UnknownCheckpoint):
                await session.rewind(position)
        for position in ("same", "same-", "twice"):
            with pytest.raises(errors.AmbiguousCheckpoint) as ambiguous:
                await session.load(position)
            assert ambiguous.value.fields["candidates"] == ["same-1", "same-2"]
        with pytest.raises(errors.BadRequest):
            await session.rewind("")
        assert (await session.load("same-1")).id == "same-1"


async def test_chosen_paths(desk: Desk) -> None:
    """With paths only these files go back, the conversation and the statistics stay; a directory means all below; undo is exact."""
    async with desk.session() as session:
        made, photographs = await three(session, desk)
        result = await session.rewind("one", paths="it")
        assert desk.photograph() == {**photographs[3], "it": photographs[1]["it"]}
        assert (result.restored, result.head, session.head) == (["it"], made[2].id, made[2].id)
        assert (result.stats.total_messages, len(session.history.user_prompts)) == (3, 3)
        assert {str(one.path) for one in await session.pending()} == {"it"}
        await session.undo()
        assert desk.photograph() == photographs[3]
        await session.rewind("one", paths=[b"sub", desk.root / "only-three"])
        expected = {name: one for name, one in photographs[3].items() if name != "only-three"} | {"sub/deep": photographs[1]["sub/deep"]}
        assert desk.photograph() == expected
        nothing = await session.rewind("one", paths="no-such-file")
        assert (nothing.restored, nothing.removed, nothing.steps) == ([], [], [])


async def test_parts_alone_and_together(desk: Desk) -> None:
    """Files, conversation and statistics go back alone and in pairs; what was not named stays."""
    async with desk.session() as session:
        made, photographs = await three(session, desk)
        parts = ("files", "conversation", "stats")
        for restore in ([part] for part in parts), pairwise(parts):
            for chosen in restore:
                result = await session.rewind("one", restore=list(chosen))
                assert desk.photograph() == photographs[1 if "files" in chosen else 3]
                assert session.head == made[0 if "conversation" in chosen else 2].id
                assert len(session.history.user_prompts) == (1 if "conversation" in chosen else 3)
                assert result.stats.total_messages == (1 if "stats" in chosen else 3)
                await session.undo()
                assert desk.photograph() == photographs[3]
                assert (session.head, len(session.history.user_prompts)) == (made[2].id, 3)
                assert session.stats.total_messages == 3
        await session.rewind("two", restore="all")
        assert (desk.photograph(), session.head) == (photographs[2], made[1].id)
        with pytest.raises(errors.BadRequest):
            await session.rewind("one", restore="everything")


async def test_dry_run_and_plan(desk: Desk) -> None:
    """A dry run changes nothing and names the plan; the plan is carried out as shown, and one that is not so any more touches nothing."""
    async with desk.session() as session:
        _, photographs = await three(session, desk)
        listed = len(await session.list())
        plan = await session.rewind("one", dry_run=True)
        assert (desk.photograph(), plan.dry_run, plan.operation_id) == (photographs[3], True, None)
        assert len(await session.list()) == listed
        assert {step.path: step.action for step in plan.steps} == {
            "it": "restore",
            "only-three": "remove",
            "only-two": "remove",
            "sub/deep": "restore",
        }
        assert (plan.restored, plan.removed) == (["it", "sub/deep"], ["only-three", "only-two"])
        assert "it" in plan.not_quiet

        await edit(session, desk, "it", "something else\n")
        moved = desk.photograph()
        with pytest.raises(errors.HeadMoved):
            await session.rewind("one", plan=plan.plan_id)
        assert desk.photograph() == moved
        again = await session.rewind("one", dry_run=True)
        assert again.plan_id != plan.plan_id
        result = await session.rewind("one", plan=again.plan_id)
        assert (result.plan_id, desk.photograph()) == (again.plan_id, photographs[1])


async def test_a_plan_says_what_changed_just_now(desk: Desk) -> None:
    """What was written, came as it was elsewhere, with its old times, or was removed a moment ago, and not what was removed long before."""
    long_ago = (1_000_000_000, 1_000_000_000)
    async with desk.session() as session:
        for name in ("written", "brought", "link", "gone/deep/file", "lost/file", "lost/other"):
            desk.write(name, "one\n")
        first = await saved(session, desk, "it", "one\n")
        desk.write("written", "two\n")
        desk.write("brought", "two\n")
        os.utime(desk.root / "brought", long_ago)
        (desk.root / "link").unlink()
        (desk.root / "link").symlink_to("brought")
        shutil.rmtree(desk.root / "gone")
        (desk.root / "lost/file").unlink()
        os.utime(desk.root / "lost", long_ago)
        plan = await session.rewind(first.id, also="external", dry_run=True)
        assert {*plan.restored} == {"written", "brought", "link", "gone", "gone/deep", "gone/deep/file", "lost/file"}
        assert {*plan.not_quiet} == {*plan.restored} - {"lost/file"}
        done = await session.rewind(first.id, also="external")
        assert {*done.not_quiet} == {*plan.not_quiet}
        assert (await session.undo(dry_run=True)).not_quiet == []


async def test_a_stale_plan_that_would_conflict(desk: Desk) -> None:
    """A plan that is not so any more because somebody is in the way now is `head-moved` too: what was shown is not what would be done."""
    async with desk.session() as session:
        await saved(session, desk, "it", "one\n", "one")
        await saved(session, desk, "it", "two\n")
        plan = await session.rewind("one", dry_run=True)
        desk.write("it", "theirs\n")
        with pytest.raises(errors.HeadMoved):
            await session.rewind("one", plan=plan.plan_id)
        assert desk.read("it") == "theirs\n"


async def test_undo_and_redo_to_any_depth(desk: Desk) -> None:
    """Five rewinds are undone one by one, and redone one by one, each exact in tree, head and conversation."""
    async with desk.session() as session:
        made, photographs = await three(session, desk)
        stands = [(desk.photograph(), session.head, list(session.history.user_prompts))]
        for position in ("one", "three", "two", "one", "two"):
            await session.rewind(position)
            stands.append((desk.photograph(), session.head, list(session.history.user_prompts)))
        for stand in reversed(stands[:-1]):
            await session.undo()
            assert (desk.photograph(), session.head, session.history.user_prompts) == stand
        with pytest.raises(errors.NothingToUndo):
            await session.undo()
        for stand in stands[1:]:
            await session.redo()
            assert (desk.photograph(), session.head, session.history.user_prompts) == stand
        with pytest.raises(errors.NothingToUndo):
            await session.redo()
        for stand in reversed(stands[2:-1]):
            await session.undo()
            assert (desk.photograph(), session.head, session.history.user_prompts) == stand
        assert stands[0] == (photographs[3], made[2].id, ["do one", "do two", "do three"])


async def test_what_ends_redo(desk: Desk) -> None:
    """A save or a rewind after an undo ends redo; an automatic checkpoint does not."""
    async with desk.session() as session:
        await three(session, desk)
        await session.rewind("one")
        await edit(session, desk, "it", "pending\n")
        await session.undo(on_conflict="overwrite")
        assert any(one.automatic for one in await session.list())
        await session.redo()
        await session.undo()
        await session.save()
        with pytest.raises(errors.NothingToUndo):
            await session.redo()
        await session.rewind("one")
        await session.undo()
        await session.rewind("two")
        with pytest.raises(errors.NothingToUndo):
            await session.redo()


async def test_undo_of_a_named_operation(desk: Desk) -> None:
    """An earlier rewind can be undone by its id; an unknown or undone one says so, and what to do instead."""
    async with desk.session() as session:
        await saved(session, desk, "a", "one\n", "one")
        await saved(session, desk, "b", "two\n", "two")
        first = await session.rewind("one", paths="b")
        second = await session.rewind("one", before=True, paths="a")
        assert desk.photograph() == {}
        await session.undo(first.operation_id)
        assert (desk.read("b"), (desk.root / "a").exists()) == ("two\n", False)
        for operation in (first.operation_id, "no-such-operation"):
            with pytest.raises(errors.NothingToUndo):
                await session.undo(operation)
        await session.undo(second.operation_id)
        assert desk.read("a") == "one\n"
        with pytest.raises(errors.NothingToUndo, match="rewind"):
            await session.undo()


async def test_undo_dry_run(desk: Desk) -> None:
    """Undo and redo show what they would do, and leave everything as it is."""
    async with desk.session() as session:
        _, photographs = await three(session, desk)
        await session.rewind("one")
        plan = await session.undo(dry_run=True)
        assert (plan.dry_run, desk.photograph()) == (True, photographs[1])
        assert set(plan.restored) == {"it", "only-three", "only-two", "sub/deep"}
        await session.undo()
        assert (await session.redo(dry_run=True)).dry_run
        assert desk.photograph() == photographs[3]


async def test_an_abandoned_tail_has_a_name(desk: Desk) -> None:
    """What was not saved before a rewind is an automatic checkpoint: a side branch that can be returned to, files and conversation."""
    async with desk.session() as session:
        made, photographs = await three(session, desk)
        await edit(session, desk, "it", "not saved\n")
        session.history.add_user_message("not saved", tokens=100)
        tail = desk.photograph()
        await session.rewind("one")
        assert desk.photograph() == photographs[1]
        (automatic,) = [one for one in await session.list() if one.automatic]
        assert (automatic.parent_id, automatic.is_head, automatic.files) == (made[2].id, False, 1)
        assert automatic.stats.estimated_tokens == 106
        assert (await session.load(automatic.id)).user_prompts == ["do one", "do two", "do three", "not saved"]

        await session.rewind(automatic.id)
        assert desk.photograph() == tail
        assert session.history.user_prompts == ["do one", "do two", "do three", "not saved"]
        await session.rewind("one")
        assert len([one for one in await session.list() if one.automatic]) == 1, "nothing new was abandoned"


async def test_branches(desk: Desk) -> None:
    """After a rewind a save starts a branch; both branches are listed in order of creation, and each can be returned to."""
    async with desk.session() as session:
        made, photographs = await three(session, desk)
        await session.rewind("one")
        session.history.add_user_message("another way", tokens=1)
        other = await saved(session, desk, "it", "another way\n", "four")
        other_tree = desk.photograph()
        assert other.parent_id == made[0].id
        listed = await session.list()
        assert [one.label for one in listed] == ["one", "two", "three", "four"]
        assert [one.is_head for one in listed] == [False, False, False, True]
        assert [one.id for one in await session.list(limit=2)] == [made[2].id, other.id]
        assert {one.path: one.change for one in (await session.load("four")).file_diffs} == {"it": "modified"}

        await session.rewind("three")
        assert (desk.photograph(), session.history.user_prompts) == (photographs[3], ["do one", "do two", "do three"])
        await session.rewind("four")
        assert (desk.photograph(), session.history.user_prompts) == (other_tree, ["do one", "another way"])
        assert (await session.load("@~1")).id == made[0].id


async def test_a_fork_rewinds_to_its_origin(desk: Desk) -> None:
    """A fork reaches the checkpoints that its parent had when it was opened, takes back its own work only, and goes on from there."""
    async with desk.session(session_id=f"origin-{desk.root.name}") as origin:
        made, photographs = await three(origin, desk)
        async with desk.session(parent_id=origin.id) as fork:
            mine = await saved(fork, desk, "fork", "mine\n", "mine")
            later = await saved(origin, desk, "it", "later\n", "later")
            with_both = desk.photograph()
            result = await fork.rewind("two")
            assert result.checkpoint_id == made[1].id
            assert desk.photograph() == {name: one for name, one in with_both.items() if name != "fork"}
            assert fork.head == made[1].id
            assert (await fork.load("@")).id == made[1].id
            assert (await fork.load("@~1")).id == made[0].id
            assert (await fork.load("@")).user_prompts == ["do one", "do two"]
            with pytest.raises(errors.UnknownCheckpoint):
                await fork.rewind(later.id)
            branch = await saved(fork, desk, "fork", "again\n", "again")
            assert branch.parent_id == made[1].id
            assert {one.path for one in (await fork.load("again")).file_diffs} == {"fork"}
            await fork.rewind(mine.id)
            assert desk.read("fork") == "mine\n"
            assert (await fork.load("@")).user_prompts == []
        assert photographs[3]["it"] != with_both["it"]


async def test_nothing_to_do(desk: Desk) -> None:
    """A rewind to where everything is already does nothing, says so, and makes no automatic checkpoint; it can be undone all the same."""
    async with desk.session() as session:
        await three(session, desk)
        before = desk.photograph()
        result = await session.rewind("@")
        assert (result.steps, result.restored, result.removed, result.kept, result.left) == ([], [], [], [], None)
        assert len(await session.list()) == 3
        await session.undo()
        assert desk.photograph() == before


async def test_a_save_without_changes(desk: Desk) -> None:
    """A save with nothing changed makes a checkpoint all the same, without diffs; rewinding over it works."""
    async with desk.session() as session:
        empty = await session.save()
        assert (empty.files, empty.insertions, empty.deletions, empty.label, empty.parent_id) == (0, 0, 0, None, None)
        made, photographs = await three(session, desk)
        second = await session.save("nothing new")
        assert (second.files, second.parent_id) == (0, made[2].id)
        assert (await session.load(second.id)).file_diffs == []
        await session.rewind(empty.id)
        assert desk.photograph() == {}
        await session.rewind(second.id)
        assert desk.photograph() == photographs[3]


async def test_a_rewound_file_that_is_edited_and_saved(desk: Desk) -> None:
    """What a rewind took back is in the next checkpoint's diffs, as taken back, where the files went alone."""
    async with desk.session() as session:
        made, _ = await three(session, desk)
        await session.rewind("one", restore="files")
        pending = {str(one.path): one.change for one in await session.pending()}
        assert pending == {"it": "modified", "only-two": "deleted", "only-three": "deleted", "sub/deep": "modified"}
        after = await session.save("files only")
        assert after.parent_id == made[2].id
        assert {str(one.path) for one in (await session.load(after.id)).file_diffs} == set(pending)


async def test_two_handles_of_one_session(desk: Desk) -> None:
    """A handle that does not know of another one's save is told `head-moved` once, has looked again, and goes on."""
    async with desk.session() as first, desk.session(session_id=first.id) as second:
        await saved(first, desk, "it", "one\n", "one")
        with pytest.raises(errors.HeadMoved):
            await second.save("blind")
        assert second.head == first.head
        made = await second.save("seeing")
        with pytest.raises(errors.HeadMoved):
            await first.rewind("one")
        assert desk.read("it") == "one\n"
        assert reasons((await first.rewind("one", before=True)).kept) == {}
        assert made.parent_id is not None

"""Barriers: one point over all open sessions of a workspace; a rewind to it takes all of them or none, and undo brings all of them back."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

import rewindd
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.desk import Desk, Photograph, edit, reasons, saved

pytestmark = pytest.mark.anyio
AGENTS = ("ann", "ben", "cleo")


@dataclass
class Stand:
    """The tree, and of each session its head, its prompts and its messages, as the daemon has them."""

    tree: Photograph
    sessions: dict[str, tuple[str | None, int | None, int]]


async def stand(desk: Desk, *sessions: rewindd.Session) -> Stand:
    found: dict[str, tuple[str | None, int | None, int]] = {}
    for session in sessions:
        info = (await desk.client.ask(requests.ShowSession(session=session.id), replies.SessionReply)).session
        found[session.id] = (info.head, info.event, info.stats.total_messages)
    return Stand(desk.photograph(), found)


@asynccontextmanager
async def three(desk: Desk) -> AsyncIterator[list[rewindd.Session]]:
    """Three sessions that have worked and saved, the first two on one file, and a person who wrote too."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(desk.session(agent=agent)) for agent in AGENTS]
        desk.write("shared", "".join(f"line {number}\n" for number in range(30)))
        for number, session in enumerate(found):
            await work(session, desk, number, "first")
            await session.save("first")
        desk.write("persons", "by hand\n")
        yield found


async def work(session: rewindd.Session, desk: Desk, number: int, word: str) -> None:
    """An edit of a file that two share, one of its own, and a word in the conversation."""
    lines = desk.read("shared").splitlines()
    lines[number * 10] = f"line {number * 10}, {word}"
    await edit(session, desk, "shared", "\n".join(lines) + "\n")
    await edit(session, desk, f"of-{number}", f"{word}\n")
    session.history.add_user_message(f"{word}, please", tokens=3)


async def test_a_barrier_is_a_checkpoint_of_every_open_session(desk: Desk) -> None:
    """Every open session gets a checkpoint at one position with the label and what it changed; it is its head; a closed one gets none."""
    async with three(desk) as sessions, desk.session(agent="gone") as gone:
        await gone.close()
        await work(sessions[1], desk, 1, "second")
        await sessions[1].record([])
        made = await desk.client.barrier(desk.root, "all well")
        assert [member.agent for member in made.members] == list(AGENTS)
        assert (made.label, made.root, made.incomplete.count) == ("all well", str(desk.root), 0)
        for session, member in zip(sessions, made.members, strict=True):
            assert member.session_id == session.id
            checkpoint = (await session.list())[-1]
            assert (checkpoint.id, checkpoint.barrier_id, checkpoint.label) == (member.checkpoint_id, made.id, "all well")
            assert checkpoint.is_head
            assert not checkpoint.automatic
            assert checkpoint.files == (2 if session is sessions[1] else 0)
        assert [one.id for one in await desk.client.barriers(desk.root)] == [made.id]
        again = await desk.client.barrier(sessions[0].info.workspace if sessions[0].info else "")
        assert again.seq == made.seq
        assert await desk.client.barriers(desk.root, limit=1) == [again]


async def test_a_rewind_takes_all_and_undo_brings_all_back(desk: Desk) -> None:
    """Files, three conversations and statistics go back together from any session, to undo, redo and undo again exactly."""
    async with three(desk) as sessions:
        made = await desk.client.barrier(desk.root, "all well")
        then = await stand(desk, *sessions)
        for number, session in enumerate(sessions):
            await work(session, desk, number, "second")
            if number != 2:
                await session.save("second")
        await sessions[2].record([])  # events that are told and not saved
        desk.write("persons", "by hand, again\n")
        desk.write("later", "by hand\n")
        now = await stand(desk, *sessions)

        plan = await sessions[1].rewind("barrier:all well", dry_run=True)
        assert {one.session_id for one in plan.moved} == {sessions[0].id, sessions[2].id}
        assert [one.head for one in plan.moved] == [
            next(member.checkpoint_id for member in made.members if member.session_id == one.session_id) for one in plan.moved
        ]
        assert (plan.barrier_id, plan.not_members, await stand(desk, *sessions)) == (made.id, [], now)

        result = await sessions[1].rewind(f"barrier:{made.id}", plan=plan.plan_id)
        assert await stand(desk, *sessions) == then
        assert (result.removed, "persons" in result.restored) == (["later"], True)
        assert sessions[1].history.user_prompts == ["first, please"]
        tails = [one for one in await sessions[2].list() if one.automatic]
        assert [one.label for one in tails] == [f"before rewind to barrier:{made.id}"]

        await sessions[1].undo()
        assert await stand(desk, *sessions) == now
        await sessions[1].redo()
        assert await stand(desk, *sessions) == then
        await sessions[1].undo()
        assert await stand(desk, *sessions) == now


async def test_a_member_that_worked_on_after_the_rewind(desk: Desk) -> None:
    """Undo takes the members' later work back too, under a name; redo brings it again, until one of them saves; a barrier ends no redo."""
    async with three(desk) as (ann, ben, cleo):
        made = await desk.client.barrier(desk.root)
        await work(ben, desk, 1, "second")
        await ben.save("second")
        now = await stand(desk, ann, ben, cleo)
        await ann.rewind(f"barrier:{made.id}")
        with pytest.raises(errors.HeadMoved):
            await ben.record([{"kind": "user_prompt", "text": "who took it?"}])
        await edit(ben, desk, "of-1", "third\n")
        await ben.record([{"kind": "user_prompt", "text": "third, please"}])
        later = await stand(desk, ann, ben, cleo)

        undone = await ann.undo()
        assert await stand(desk, ann, ben, cleo) == now
        assert {one.session_id for one in undone.moved} == {ben.id, cleo.id}
        tail = (await ben.list())[-1]
        assert (tail.automatic, tail.label, tail.files) == (True, "before undo", 1)
        assert (await ben.load(tail.id)).user_prompts == ["first, please", "third, please"]
        await desk.client.barrier(desk.root)
        await ann.redo()
        assert await stand(desk, ben) == Stand(later.tree, {ben.id: later.sessions[ben.id]})
        await ann.undo()
        with pytest.raises(errors.HeadMoved):
            await ben.save()
        await ben.save()
        with pytest.raises(errors.NothingToUndo, match="that ends redo"):
            await ann.redo()


async def test_an_innocent_agent_goes_on(desk: Desk) -> None:
    """A barrier moves no ground: what an agent records or saves on the head it knows is taken, over several of them; a real move is not."""
    async with three(desk) as sessions, desk.client.session(session_id=sessions[0].id, workspace=desk.root) as twin:
        session = sessions[0]
        await desk.client.barrier(desk.root)
        await work(session, desk, 0, "second")
        second = await session.save("second")
        made = await desk.client.barrier(desk.root)
        await desk.client.barrier(desk.root)
        session.history.add_user_message("go on")
        await session.record([])
        known = requests.Base(head=second.id, event=(await stand(desk, session)).sessions[session.id][1])
        with pytest.raises(errors.HeadMoved):  # it knows of what came after the barrier, and not of the barrier: that cannot be
            await desk.client.ask(requests.Record(session=session.id, base=known), replies.Recorded)
        third = await session.save("third")
        parents = {one.id: one.parent_id for one in await session.list()}
        last = next(one.checkpoint_id for one in (await desk.client.barriers(desk.root))[-1].members if one.session_id == session.id)
        assert parents[third.id] == last
        assert parents[next(one.checkpoint_id for one in made.members if one.session_id == session.id)] == second.id
        with pytest.raises(errors.HeadMoved):
            await twin.save("of another time")
        await desk.client.barrier(desk.root)
        assert (await twin.save("looked again")).parent_id is not None
        with pytest.raises(errors.HeadMoved):
            await session.save("stale now")


async def test_the_same_key_makes_one_barrier(desk: Desk) -> None:
    """Twenty times the same request at once and later is one barrier; the key with another label is refused."""
    async with three(desk):
        request = requests.MakeBarrier(directory=FsText(str(desk.root)), label="once", key="the-key")
        ids: list[str] = []

        async def ask() -> None:
            ids.append((await desk.client.ask(request, replies.BarrierMade)).barrier.id)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
        await ask()
        assert len(set(ids)) == 1
        assert len(await desk.client.barriers(desk.root)) == 1
        with pytest.raises(errors.BadRequest):
            await desk.client.ask(requests.MakeBarrier(directory=request.directory, label="twice", key="the-key"), replies.BarrierMade)


async def test_claims_windows_and_brackets_stay(desk: Desk) -> None:
    """What was claimed stays claimed, an open window stays open, and what is in the middle of an edit is left out and named."""
    async with three(desk) as (ann, ben, cleo):
        desk.write("half", "whole\n")
        await ann.snapshot("mine")
        async with ben.editing("half"), cleo.command("make"):
            desk.write("half", "ha")
            desk.write("built", "by make\n")
            made = await desk.client.barrier(desk.root)
            assert reasons(made.incomplete.first) == {"half": f"being edited by session {ben.id}"}
            assert {one.incomplete.count for one in [(await one.list())[-1] for one in (ann, ben, cleo)]} == {1}
            desk.write("half", "half\n")
            desk.write("built", "by make, again\n")
        desk.write("mine", "by ann\n")
        assert {str(one.path) for one in await ann.pending()} == {"mine"}
        assert {str(one.path) for one in await ben.pending()} == {"half"}
        assert {str(one.path) for one in await cleo.pending()} == {"built"}
        result = await ann.rewind(f"barrier:{made.id}")
        assert (desk.read("half"), desk.read("built")) == ("whole\n", "by make\n")
        assert "mine" in result.removed


async def test_one_opened_later_and_one_closed_since(desk: Desk) -> None:
    """A session opened after the barrier keeps its conversation, and is named; one closed since goes back too, and opens there again."""
    async with three(desk) as (ann, ben, _):
        made = await desk.client.barrier(desk.root)
        at = {member.session_id: member.checkpoint_id for member in made.members}
        await work(ben, desk, 1, "second")
        await ben.save()
        await ben.close()
        async with desk.session(agent="dora") as dora:
            last = await saved(dora, desk, "doras", "later\n")
            result = await dora.rewind(f"barrier:{made.id}")
            assert (result.not_members, result.checkpoint_id, result.head) == ([dora.id], None, last.id)
            assert len(result.moved) == 3
            assert not (desk.root / "doras").exists()
            async with desk.session(session_id=ben.id, agent="ben") as again:
                assert (again.head, again.history.user_prompts) == (at[ben.id], [])
                assert (await again.load("@")).user_prompts == ["first, please"]
            with pytest.raises(errors.NothingToUndo, match=str(result.operation_id)):
                await ann.undo()
            back = await desk.client.ask(requests.Undo(session=ann.id, operation=result.operation_id), replies.RewindResult)
            assert desk.read("doras") == "later\n"
            assert {one.session_id for one in back.moved} == {ben.id, dora.id, *(set(at) - {ann.id, ben.id})}
            with pytest.raises(errors.NothingToUndo):
                await dora.undo()
            assert (await ann.redo()).moved
            assert not (desk.root / "doras").exists()


async def test_what_cannot_be_asked_of_a_barrier(desk: Desk) -> None:
    """Unknown and ambiguous names, `before`, and a directory that no workspace holds: each has its error, and nothing is touched."""
    async with three(desk) as (ann, _, cleo):
        for _n in range(2):
            await desk.client.barrier(desk.root, "twice")
        before = await stand(desk, ann)
        for position, error in (
            ("barrier:none", errors.UnknownCheckpoint),
            ("barrier:", errors.UnknownCheckpoint),
            ("barrier:twice", errors.AmbiguousCheckpoint),
        ):
            with pytest.raises(error):
                await ann.rewind(position)
        ids = [one.id for one in await desk.client.barriers(desk.root)]
        with pytest.raises(errors.BadRequest):
            await ann.rewind(f"barrier:{ids[0]}", before=True)
        assert await stand(desk, ann) == before
        with pytest.raises(errors.UnknownWorkspace):
            await desk.client.barrier("/")
        with pytest.raises(errors.BadRequest):
            await desk.client.barrier(desk.root, " ")
        assert (await cleo.load(f"barrier:{ids[1]}")).id == (await cleo.list())[-1].id


async def test_parts_and_paths(desk: Desk) -> None:
    """Files alone move no head, chosen paths no other path, the conversations alone no file."""
    async with three(desk) as sessions:
        made = await desk.client.barrier(desk.root)
        then = await stand(desk, *sessions)
        for number, session in enumerate(sessions):
            await work(session, desk, number, "second")
            await session.save("second")
        now = await stand(desk, *sessions)
        position = f"barrier:{made.id}"
        result = await sessions[0].rewind(position, paths="of-1")
        assert (desk.read("of-1"), desk.read("of-0"), result.moved) == ("first\n", "second\n", [])
        await sessions[0].undo()
        await sessions[0].rewind(position, restore="files")
        assert (await stand(desk, *sessions)) == Stand(then.tree, now.sessions)
        await sessions[0].undo()
        await sessions[0].rewind(position, restore=["conversation"])
        found = await stand(desk, *sessions)
        assert found.tree == now.tree
        assert {one: (head, event) for one, (head, event, _) in found.sessions.items()} == {
            one: (head, event) for one, (head, event, _) in then.sessions.items()
        }
        await sessions[0].undo()
        assert await stand(desk, *sessions) == now


async def test_of_files_alone(desk: Desk) -> None:
    """With no session open there is a barrier all the same; any session, a later one too, takes the files back to it, and no head."""
    desk.capture = "snapshots"
    async with desk.session() as first:
        await saved(first, desk, "file", "one\n")
        await first.close()
        desk.write("file", "by hand\n")
        request = requests.MakeBarrier(directory=FsText(str(desk.root)), key=f"of nobody, {desk.root.name}")
        ids: set[str] = set()

        async def ask() -> None:
            ids.add((await desk.client.ask(request, replies.BarrierMade)).barrier.id)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
        (made,) = await desk.client.barriers(desk.root)
        assert ({made.id}, made.members) == (ids, [])
    async with desk.session() as later:
        second = await saved(later, desk, "file", "two\n")
        result = await later.rewind(f"barrier:{made.id}")
        assert (desk.read("file"), result.head, result.moved, result.not_members) == ("by hand\n", second.id, [], [later.id])
        shown = await later.show(f"barrier:{made.id}", "file")
        assert shown.content == b"by hand\n"
        with pytest.raises(errors.UnknownCheckpoint):
            await later.load(f"barrier:{made.id}")


async def test_members_at_work_meanwhile(desk: Desk) -> None:
    """Two people rewind to barriers and make them while three agents record and save: no deadlock, and each head is one of its own."""
    async with three(desk) as sessions:
        first = await desk.client.barrier(desk.root)

        async def agent(session: rewindd.Session, number: int) -> None:
            for turn in range(12):
                session.history.add_user_message(f"{turn}")
                try:
                    await session.record([])
                    await edit(session, desk, f"of-{number}", f"{turn}\n")
                    await session.save()
                except errors.HeadMoved:
                    continue

        async def person(session: rewindd.Session) -> None:
            async with desk.client.session(desk.root, session_id=session.id) as own:
                for _ in range(4):
                    made = await desk.client.barrier(desk.root)
                    for one in (made, first):
                        try:
                            await own.rewind(f"barrier:{one.id}", on_conflict="overwrite")
                        except (errors.HeadMoved, errors.Conflict):
                            continue

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for number, session in enumerate(sessions):
                    group.start_soon(agent, session, number)
                for session in sessions[:2]:
                    group.start_soon(person, session)
        await desk.client.ask(requests.Rewind(session=sessions[0].id, position=f"barrier:{first.id}"), replies.RewindResult)
        at = {member.session_id: member.checkpoint_id for member in first.members}
        assert {one: head for one, (head, _, _) in (await stand(desk, *sessions)).sessions.items()} == at
        assert [desk.read(f"of-{number}") for number in range(3)] == ["first\n"] * 3


async def test_after_a_restart(desk: Desk) -> None:
    """Barriers outlive the daemon, and so does the goodness of a head that was known before one."""
    async with three(desk) as sessions:
        made = await desk.client.barrier(desk.root, "all well")
        await work(sessions[0], desk, 0, "second")
        desk.daemon.kill()
        desk.daemon.start()
        assert (await sessions[0].save()).parent_id == made.members[0].checkpoint_id
        assert await desk.client.barriers(desk.root) == [made]
        await sessions[2].rewind("barrier:all well")
        assert {desk.read(f"of-{number}") for number in range(3)} == {"first\n"}

"""Forks and sub-agents: what a session with a parent shares with it, and what goes its own way."""

import pytest

import rewindd
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio


async def say(session: rewindd.Session, desk: Desk, name: str) -> replies.Summary:
    """One round of a conversation: a prompt of a token, an edit of a file of that name, a checkpoint of that label."""
    session.history.add_user_message(name, tokens=1)
    return await saved(session, desk, name, f"{name}\n", name)


async def prompts(session: rewindd.Session, position: str = "@") -> list[str]:
    """What was said until then."""
    return (await session.load(position)).user_prompts


async def test_a_fork_goes_its_own_way(desk: Desk) -> None:
    """Conversation, statistics and list are the parent's up to the position; what either does later the other does not have."""
    async with desk.session(agent="first") as parent:
        one = await say(parent, desk, "one")
        two = await say(parent, desk, "two")
        three = await say(parent, desk, "three")
        before = desk.photograph()
        async with desk.session(agent="second", parent_id=parent.id, from_position="two") as fork:
            assert desk.photograph() == before, "a fork moves no file"
            assert fork.info is not None
            assert (fork.head, fork.info.parent_id, fork.info.from_id) == (two.id, parent.id, two.id)
            assert fork.stats.total_messages == 2
            assert await fork.pending() == []
            listed = await fork.list()
            assert [(one.id, one.session_id, one.is_head) for one in listed] == [(one.id, parent.id, False), (two.id, parent.id, True)]
            assert [one.is_head for one in await parent.list()] == [False, False, True]

            four = await say(fork, desk, "four")
            assert (four.parent_id, four.stats.total_messages) == (two.id, 3)
            assert [str(diff.path) for diff in (await fork.load("@")).file_diffs] == ["four"]
            assert await prompts(fork) == ["one", "two", "four"]
            assert await prompts(parent) == ["one", "two", "three"]
            five = await say(parent, desk, "five")
            assert (five.parent_id, parent.stats.total_messages) == (three.id, 4)
            assert [one.id for one in await parent.list()] == [one.id, two.id, three.id, five.id]
            assert [one.id for one in await fork.list()] == [one.id, two.id, four.id]
            assert [one.id for one in await fork.list(limit=2)] == [two.id, four.id]
            for hidden in (three, five):
                with pytest.raises(errors.UnknownCheckpoint):
                    await fork.load(hidden.id)
            with pytest.raises(errors.UnknownCheckpoint):
                await parent.load(four.id)


async def test_a_fork_rewinds_to_what_it_shares(desk: Desk) -> None:
    """A fork takes its own work back to any shared checkpoint, nobody else's; undo brings it again; a save goes on from there."""
    async with desk.session() as parent:
        one = await say(parent, desk, "one")
        await say(parent, desk, "two")
        async with desk.session(parent_id=parent.id, from_position="@") as fork:
            await say(fork, desk, "three")
            both = desk.photograph()
            result = await fork.rewind("one")
            assert (result.head, result.removed, result.stats.total_messages) == (one.id, ["three"], 1)
            assert (desk.root / "two").exists(), "the parent's work"
            assert await prompts(fork) == ["one"]
            await fork.undo()
            assert desk.photograph() == both
            assert await prompts(fork) == ["one", "two", "three"]

            await fork.rewind("one", before=True)
            assert (fork.head, fork.stats.total_messages) == (None, 0)
            again = await say(fork, desk, "again")
            assert (again.parent_id, await prompts(fork)) == (None, ["again"])
            assert [str(diff.path) for diff in (await fork.load("@")).file_diffs] == ["again"]


async def test_a_fork_of_a_fork(desk: Desk) -> None:
    """A fork may be forked, at its own checkpoints and at those it shares; positions are looked for as far as each shares."""
    async with desk.session() as first:
        one, two = await say(first, desk, "one"), await say(first, desk, "two")
        async with desk.session(parent_id=first.id, from_position="two") as second:
            three = await say(second, desk, "three")
            await say(first, desk, "later")
            async with desk.session(parent_id=second.id, from_position="three") as third:
                four = await say(third, desk, "four")
                assert [each.id for each in await third.list()] == [one.id, two.id, three.id, four.id]
                assert await prompts(third) == ["one", "two", "three", "four"]
                await third.rewind("one")
                assert third.head == one.id
            async with desk.session(parent_id=second.id, from_position="one") as other:
                assert ([each.id for each in await other.list()], other.head) == ([one.id], one.id)
                for hidden in ("two", "three", "later"):
                    with pytest.raises(errors.UnknownCheckpoint):
                        await other.rewind(hidden, dry_run=True)
                with pytest.raises(errors.AlreadyExists):
                    await other.save(checkpoint_id=one.id)


async def test_automatic_ones_and_branches_are_shared_as_they_were_then(desk: Desk) -> None:
    """A fork shares the list that its parent had when the position was saved: also what branched off before, and nothing that did later."""
    async with desk.session() as parent:
        one = await say(parent, desk, "one")
        await say(parent, desk, "two")
        await edit(parent, desk, "loose", "not saved\n")
        await parent.rewind("one")
        three = await say(parent, desk, "three")
        shared = [each.id for each in await parent.list()]
        await parent.rewind("two")
        async with desk.session(parent_id=parent.id, from_position="three") as fork:
            assert [each.id for each in await fork.list()] == shared
            assert (len(shared), (await fork.load("@~1")).id, (await fork.load("@")).id) == (4, one.id, three.id)


async def test_a_sub_agent_begins_anew(desk: Desk) -> None:
    """With a parent and no position it is a sub-agent: its conversation, statistics and list are its own from the start."""
    async with desk.session() as parent:
        one = await say(parent, desk, "one")
        async with desk.session(parent_id=parent.id) as child:
            assert child.info is not None
            assert (child.head, child.stats.total_messages, child.info.from_id, await child.list()) == (None, 0, None, [])
            await say(child, desk, "child")
            assert await prompts(child) == ["child"]
            assert [each.label for each in await child.list()] == ["child"]
            assert (await child.load(one.id)).id == one.id, "it can go back to what its parent had"


async def test_a_fork_of_a_sub_agent(desk: Desk) -> None:
    """A sub-agent is forked at its own checkpoints, and at those of its parent that it can go back to; these are shared then."""
    async with desk.session() as parent:
        one = await say(parent, desk, "one")
        async with desk.session(parent_id=parent.id) as child:
            two = await say(child, desk, "two")
            await say(parent, desk, "later")
            async with desk.session(parent_id=child.id, from_position="two") as fork:
                assert ([each.id for each in await fork.list()], await prompts(fork)) == ([two.id], ["two"])
                assert (await fork.load("one")).id == one.id, "as far as the sub-agent can go back"
                with pytest.raises(errors.UnknownCheckpoint):
                    await fork.load("later")
            async with desk.session(parent_id=child.id, from_position="one") as fork:
                assert ([each.id for each in await fork.list()], await prompts(fork)) == ([one.id], ["one"])
                with pytest.raises(errors.UnknownCheckpoint):
                    await fork.load("two")


async def test_what_is_no_fork(desk: Desk) -> None:
    """No parent, no such checkpoint, another workspace, an id of a session that is no such fork: an error, and no session is there."""
    elsewhere = desk.root.parent / f"{desk.root.name}-elsewhere"
    elsewhere.mkdir()
    async with desk.session() as parent, desk.client.session(elsewhere, exact=True) as far:
        with pytest.raises(errors.UnknownCheckpoint):
            await _opened(desk, parent_id=parent.id, from_position="@")
        one = await say(parent, desk, "one")
        await far.save(checkpoint_id="far")
        before = len(await desk.client.sessions(closed=True))
        for position in ("none", "#1", "@{1m}", "@~1"):
            with pytest.raises(errors.UnknownCheckpoint):
                await _opened(desk, parent_id=parent.id, from_position=position)
        with pytest.raises(errors.BadRequest):
            await _opened(desk, parent_id=parent.id, from_position="")
        with pytest.raises(errors.BadRequest):
            await _opened(desk, from_position=one.id)
        with pytest.raises(errors.BadRequest, match="another workspace"):
            await _opened(desk, parent_id=far.id, from_position="far")
        with pytest.raises(errors.AlreadyExists):
            await _opened(desk, session_id=parent.id, parent_id=far.id, from_position="far")
        assert len(await desk.client.sessions(closed=True)) == before

        made = await _opened(desk, session_id=f"fork-{desk.root.name}", parent_id=parent.id, from_position="one")
        assert await _opened(desk, session_id=made, parent_id=parent.id, from_position="one") == made, "the same again comes back to it"
        with pytest.raises(errors.AlreadyExists):
            await _opened(desk, session_id=made, parent_id=far.id, from_position="far")


async def test_a_fork_lives_on(desk: Desk) -> None:
    """A fork is what it is when the daemon was started anew, and when its parent is closed and has moved on."""
    async with desk.session() as parent:
        await say(parent, desk, "one")
        two = await say(parent, desk, "two")
        fork_id = await _opened(desk, parent_id=parent.id, from_position="one")
        await parent.rewind("two", before=True)
        await parent.close()
    desk.daemon.stop()
    desk.daemon.start()
    async with rewindd.connect(socket=desk.daemon.socket, autostart=False) as client:
        async with client.session(desk.root, session_id=fork_id) as fork:
            assert await prompts(fork) == ["one"]
            assert [each.label for each in await fork.list()] == ["one"]
            with pytest.raises(errors.UnknownCheckpoint):
                await fork.load(two.id)
            exported = await client.ask(requests.Export(session=fork.id, position="one"), replies.Exported)
            assert exported.checkpoint.user_prompts == ["one"]


async def _opened(desk: Desk, *, session_id: str | None = None, parent_id: str | None = None, from_position: str | None = None) -> str:
    request = requests.OpenSession(directory=FsText(desk.root), exact=True, id=session_id, parent=parent_id, from_position=from_position)
    return (await desk.client.ask(request, replies.SessionReply)).session.id


async def test_a_fork_is_told_of_what_it_shares(desk: Desk) -> None:
    """Its parent takes back what both go on from: the plan lists the fork's checkpoint, and the fork is told, of nothing from before it."""
    async with desk.session(agent="first") as parent:
        start = await parent.save()
        await say(parent, desk, "one")
        await say(parent, desk, "one")
        async with desk.session(agent="second", parent_id=parent.id, from_position="@") as fork:
            await say(fork, desk, "two")
            assert fork.take_notices() == []
            plan = await parent.rewind(start.id, dry_run=True)
            assert [(one.session_id, one.paths) for one in plan.dependents] == [(fork.id, ["one"])]
            done = await parent.rewind(start.id)
            await fork.pending()
            (told,) = fork.take_notices()
            assert (told.path, told.kind, told.session_id, told.operation_id) == ("one", "rewound", parent.id, done.operation_id)

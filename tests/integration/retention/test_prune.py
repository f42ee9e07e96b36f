"""`prune` and `gc` on a real daemon: what goes, what stays and is as it was, and that the space comes back."""

import random
from pathlib import Path

import anyio
import pytest

from rewindd import errors
from rewindd.protocol import replies, requests
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio


def store_bytes(desk: Desk) -> int:
    """What the store's files take, the database's log brought into it or not."""
    return sum(path.stat().st_size for path in Path(desk.daemon.data_dir).rglob("*") if path.is_file())


async def prune(desk: Desk, *, dry_run: bool = False) -> replies.Pruned:
    """Prunes all workspaces."""
    return await desk.client.ask(requests.Prune(dry_run=dry_run), replies.Pruned)


async def verified(desk: Desk) -> None:
    """The store is sound, and five of its checkpoints can be written out as they were."""
    found = await desk.client.ask(requests.Verify(drill=5), replies.Verified)
    assert found.damage == []


async def test_what_goes_and_what_stays(keeping_two: Desk) -> None:
    """Of ten checkpoints the last two and the labelled one stay; a rewind to each gives every byte, and the others are unknown."""
    desk = keeping_two
    async with desk.session() as session:
        made, trees = [], []
        for number in range(10):
            desk.write(f"new{number}", f"{number}\n" * 100)
            made.append(await saved(session, desk, "same", f"version {number}\n" * 50, "mine" if number == 3 else None))
            trees.append(desk.photograph())
        told = await prune(desk, dry_run=True)
        assert told.dropped == 7
        assert (await session.list())[0].id == made[0].id
        went = await prune(desk)
        assert (went.dropped, went.rows, went.contents) == (7, told.rows, told.contents)
        assert [one.id for one in await session.list()] == [made[3].id, made[8].id, made[9].id]
        await verified(desk)
        for number in (3, 8, 9):
            await session.rewind(made[number].id, scope="workspace")
            assert desk.photograph() == trees[number]
            await session.undo()
            assert desk.photograph() == trees[9]
        with pytest.raises(errors.UnknownCheckpoint):
            await session.rewind(made[5].id)
        with pytest.raises(errors.UnknownCheckpoint, match="pruned"):
            await session.rewind("#1", restore=["files"])


async def test_a_session_goes_back_to_what_was_kept(keeping_two: Desk) -> None:
    """What others did between stays, as before; and what was taken back can be undone after the prune."""
    desk = keeping_two
    desk.write("shared", "".join(f"line {n}\n" for n in range(30)))
    async with desk.session() as one, desk.session(agent="other") as other:
        await edit(one, desk, "shared", desk.read("shared").replace("line 2\n", "one's\n"))
        kept = await one.save("here")
        for number in range(6):
            await edit(one, desk, "shared", desk.read("shared").replace(f"line {10 + number}\n", f"one's {number}\n"))
            await one.save()
            await edit(other, desk, "shared", desk.read("shared").replace(f"line {20 + number}\n", f"other's {number}\n"))
            await other.save()
        last = desk.read("shared")
        planned = await one.rewind(kept.id, dry_run=True)
        assert (await prune(desk)).dropped == 8
        again = await one.rewind(kept.id, dry_run=True)
        assert [(step.path, step.insertions, step.deletions) for step in again.steps] == [
            (step.path, step.insertions, step.deletions) for step in planned.steps
        ]
        await one.rewind(kept.id)
        assert desk.read("shared").count("one's") == 1
        assert desk.read("shared").count("other's") == 6
        await prune(desk)
        await one.undo()
        assert desk.read("shared") == last
    await verified(desk)


async def test_the_space_comes_back(keeping_two: Desk) -> None:
    """Large contents, small ones and rows go from the disk, too."""
    desk, chance = keeping_two, random.Random(1)
    async with desk.session() as session:
        await saved(session, desk, "small", "as it was\n")
        for _ in range(12):
            desk.write("large", chance.randbytes(1_500_000))
            for number in range(20):
                desk.write(f"file{number}", chance.randbytes(4000))
            await session.save()
        before = store_bytes(desk)
        went = await prune(desk)
        assert went.freed_bytes > 14_000_000
        assert (await desk.client.ask(requests.Collect(), replies.Collected)).contents == 0
        await verified(desk)
    desk.daemon.restart()
    assert before - store_bytes(desk) > 14_000_000


async def test_gc_spares_what_is_being_kept(keeping_two: Desk) -> None:
    """A content that nothing names is put again while it is collected: it is there when its row is."""
    desk = keeping_two
    async with desk.session() as session:
        contents = [random.Random(n).randbytes(300_000 if n % 3 == 0 else 3000) for n in range(12)]
        async with anyio.create_task_group() as both:

            async def collect() -> None:
                while len(left):
                    await prune(desk)

            left = contents * 3
            both.start_soon(collect)
            while left:
                await saved(session, desk, "one", left.pop())
        await verified(desk)


async def test_nobody_waits(keeping_two: Desk) -> None:
    """While thousands of rows and contents go, no function of the store takes 50 ms of its thread: nobody waits longer for one."""
    desk = keeping_two
    async with desk.session() as session:
        for turn in range(5):
            for number in range(300):
                desk.write(f"d{number % 7}/f{number}", f"{turn} {number}\n" * 20)
            await session.save()
        went = await prune(desk)
        assert went.contents >= 500
        found = await desk.client.ask(requests.Collect(), replies.Collected)
        assert found.longest_ms < 50


async def test_what_a_closed_session_claimed(keeping_two: Desk) -> None:
    """Its kept checkpoints are dependents after a prune as before it; those that went, and what only they rested on, are none."""
    desk = keeping_two
    desk.write("f", "0\n")
    async with desk.session(agent="one") as one:
        start = await one.save("start")
        await saved(one, desk, "f", "1\n", "mine")
        async with desk.session(agent="kept") as kept, desk.session(agent="goes", session_id="goes") as goes:
            await kept.snapshot("f")
            await goes.snapshot("f")
            made, going = await kept.save(), await goes.save()
            for name in ("a", "b"):
                desk.write(name, "else\n")
                await goes.save()
            await kept.close()
            await goes.close()
        for number in range(5):
            await saved(one, desk, "g", f"{number}\n")

        async def dependents() -> dict[str, str]:
            return {one.agent: one.checkpoint_id for one in (await one.rewind(start.id, dry_run=True)).dependents}

        assert await dependents() == {"kept": made.id, "goes": going.id}
        assert (await prune(desk)).dropped > 0
        left = await dependents()
        assert left["kept"] == made.id
        assert left["goes"] not in ("", going.id), "the first one after it that is kept"
        await verified(desk)

"""Overlaps: who is about to change what another session changed and did not save is told so before."""

import pytest

import rewindd
from rewindd.protocol import replies
from rewindd.service.notices import overlaps
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio


def named(found: replies.Snapshots) -> list[tuple[str, str, str]]:
    """Path, session and change of each overlap."""
    return [(str(one.path), one.session_id, one.change) for one in found.overlaps]


async def changed(session: rewindd.Session, desk: Desk, name: str, content: str) -> None:
    """The session changes a file in a bracket."""
    async with session.editing(name):
        desk.write(name, content)


async def test_claimed_and_changed(desk: Desk) -> None:
    """A claim alone is no overlap; changed since, it is one, looked at for the snapshot; the snapshot is made all the same."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        assert named(await b.snapshot("f")) == []
        await edit(a, desk, "f", "a's\n")
        found = await b.snapshot("f")
        assert named(found) == [("f", a.id, "modified")]
        assert [one.path for one in found.snapshots] == ["f"]
        (one,) = found.overlaps
        assert one.agent == "a"
        assert one.text.startswith(f"f was changed by session {a.id} (agent a) at ")
        async with b.editing("f") as begun:
            assert named(begun) == [("f", a.id, "modified")]


async def test_what_is_saved_or_taken_back_is_none(desk: Desk) -> None:
    """Work that has a checkpoint, or was rewound, or leads back to what was there, is nothing to warn of; nor is a closed session's."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        first = await saved(a, desk, "f", "saved\n")
        assert named(await b.snapshot("f")) == []
        await b.release()
        await changed(a, desk, "f", "not saved\n")
        assert named(await b.snapshot("f")) == [("f", a.id, "modified")]
        await b.release()
        await a.rewind(first.id)
        assert named(await b.snapshot("f")) == []
        await b.release()
        await changed(a, desk, "f", "there\n")
        await changed(a, desk, "f", "saved\n")
        assert named(await b.snapshot("f")) == []
        await b.release()
        await changed(a, desk, "f", "left behind\n")
        await a.close()
        assert named(await b.snapshot("f")) == []


async def test_own_and_nobody_s_changes_are_none(desk: Desk) -> None:
    """A session's own work and a person's are no overlaps."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a:
        await changed(a, desk, "f", "own\n")
        desk.write("f", "person\n")
        assert named(await a.snapshot("f")) == []


async def test_a_directory(desk: Desk) -> None:
    """A directory's snapshot names what others changed below it, and what they made and deleted, of every such session."""
    for name in ("d/x", "d/y", "other"):
        desk.write(name, "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b, desk.session(agent="c") as c:
        await changed(a, desk, "d/x", "1\n")
        await changed(a, desk, "other", "1\n")
        await changed(b, desk, "d/new", "1\n")
        async with b.editing("d/y"):
            (desk.root / "d/y").unlink()
        expected = [("d/new", b.id, "added"), ("d/x", a.id, "modified"), ("d/y", b.id, "deleted")]
        assert named(await c.snapshot("d")) == expected
        await c.release()
        assert named(await c.snapshot("d/y", "d/x")) == expected[1:]


async def test_saved_by_somebody_else_or_in_the_middle_is_one_still(desk: Desk) -> None:
    """A barrier, or a save in an open bracket, moves the head; who claims the file still is at work on it."""
    desk.write("f", "0\n")
    desk.write("g", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        desk.write("f", "a's\n")
        await desk.client.barrier(desk.root)
        assert named(await b.snapshot("f")) == [("f", a.id, "modified")]
        async with a.editing("g"):
            desk.write("g", "a's\n")
            await a.save()
            assert named(await b.snapshot(".")) == [("g", a.id, "modified")]
        assert named(await b.snapshot("g")) == []


async def test_contested_work_is_of_each_of_its_sessions(desk: Desk) -> None:
    """What two sessions may have changed is told of both of them."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b, desk.session(agent="c") as c:
        async with a.command("one"), b.command("other"):
            desk.write("f", "one of them\n")
        assert {one[1] for one in named(await c.snapshot("f"))} == {a.id, b.id}


async def test_many_are_cut_and_the_rest_is_counted(desk: Desk) -> None:
    """A directory in which another changed more than are named: the answer says how many more."""
    names = [f"d/{number}" for number in range(overlaps.MAX_OVERLAPS + 7)]
    for name in names:
        desk.write(name, "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        async with a.editing("d"):
            for name in names:
                desk.write(name, "a's\n")
        found = await b.snapshot("d")
        assert (len(found.overlaps), found.more_overlaps) == (overlaps.MAX_OVERLAPS, 7)
        assert (await b.snapshot("d/1")).more_overlaps == 0

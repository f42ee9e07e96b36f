"""What others have not saved and a rewind takes: it has a name first, they are told how to get it back, and the plan names them."""

import shlex

import pytest

import rewindd
from rewindd.protocol import replies, requests
from support.desk import Desk, saved

pytestmark = pytest.mark.anyio

LINES = "".join(f"line {number}\n" for number in range(20))
THEIRS = LINES.replace("line 15\n", "theirs, not saved\n")


async def last_words(desk: Desk, session: rewindd.Session) -> str:
    """The newest notice of a session; acknowledges nothing."""
    request = requests.ReadEvents(session=session.id, ack=False)
    return (await desk.client.ask(request, replies.Notices)).events[-1].text


async def test_a_rewind_of_the_workspace_names_it_first(desk: Desk) -> None:
    """The other session finds an automatic checkpoint with its work, and a notice with the command that brings it back."""
    desk.write("f", LINES)
    async with desk.session(agent="one") as one, desk.session(agent="two") as two:
        start = await one.save()
        await two.save("saved")
        await two.snapshot("f")
        desk.write("f", THEIRS)
        plan = await one.rewind(start.id, scope="workspace", dry_run=True)
        assert f"with it, work of session {two.id} (two)" in plan.steps[0].why
        assert [item.label for item in await two.list()] == ["saved"]
        await one.rewind(start.id, scope="workspace", plan=plan.plan_id)
        assert desk.read("f") == LINES
        kept = (await two.list())[-1]
        assert (kept.automatic, kept.files, kept.is_head) == (True, 1, False)
        assert (await two.show(kept.id, "f")).content == THEIRS.encode()
        (told,) = [notice for notice in two.take_notices() if notice.kind == "rewound"]
        command, path = told.text.rpartition("went with that: `")[2].removesuffix("` brings back what was there").split(" -- ")
        position = shlex.split(command)[-1]
        assert (command, path) == (f"rewindctl restore '{position}'", "f")
        await two.restore(path, position=position)
        assert desk.read("f") == THEIRS
        await two.save("again")
        assert (await two.list())[-1].files == 1


async def test_it_is_told_after_a_restart_too(desk: Desk) -> None:
    """Read from the log the notice says the same; who lost nothing is told of the change and of no command."""
    desk.write("f", LINES)
    async with desk.session(agent="one") as one, desk.session(agent="two") as two, desk.session(agent="three") as three:
        start = await one.save()
        await three.snapshot("f")
        await two.snapshot("f")
        desk.write("f", THEIRS)
        await one.rewind(start.id, scope="workspace")
        at_once = [await last_words(desk, session) for session in (two, three)]
        desk.daemon.restart()
        again = [await last_words(desk, session) for session in (two, three)]
        assert again == at_once
        assert ["your work on it went with that" in text for text in again] == [True, False]


async def test_shared_work_can_be_had_again(desk: Desk) -> None:
    """Contested work is in nobody's checkpoint: the notice's position brings it back."""
    desk.write("f", LINES)
    async with desk.session(agent="one") as one, desk.session(agent="two") as two:
        start = await one.save()
        await two.save()
        async with one.editing("f"), two.editing("f"):
            desk.write("f", THEIRS)
        await one.rewind(start.id, with_shared=True)
        await two.pending()
        (told,) = [notice for notice in two.take_notices() if notice.kind == "rewound"]
        await two.restore("f", position=told.text.partition("restore '")[2].partition("'")[0])
        assert desk.read("f") == THEIRS


async def test_a_restore_names_it_first(desk: Desk) -> None:
    """Also where a single file is taken from under another session."""
    desk.write("f", LINES)
    async with desk.session(agent="one") as one, desk.session(agent="two") as two:
        start = await one.save()
        await two.save("saved")
        await two.snapshot("f")
        desk.write("f", THEIRS)
        await one.restore("f", position=start.id)
        assert desk.read("f") == LINES
        kept = (await two.list())[-1]
        assert (kept.automatic, (await two.show(kept.id, "f")).content) == (True, THEIRS.encode())


async def test_what_was_saved_gets_no_other_name(desk: Desk) -> None:
    """Work that a checkpoint names already is not named again."""
    desk.write("f", LINES)
    async with desk.session(agent="one") as one, desk.session(agent="two") as two:
        start = await one.save()
        await saved(two, desk, "f", THEIRS)
        before = [item.id for item in await two.list()]
        await one.rewind(start.id, scope="workspace")
        assert [item.id for item in await two.list()] == before


async def test_what_another_took_back_is_put_back_by_name(desk: Desk) -> None:
    """A deletion that another session's restore took back comes again with the rewind, by the model; the step says whose restore it was."""
    desk.write("f", LINES)
    desk.write("g", LINES)
    async with desk.session(agent="one") as one, desk.session(agent="two") as two:
        await one.save()
        async with one.editing("f"):
            (desk.root / "f").unlink()
        gone = await one.save()
        await two.snapshot("f")
        await two.restore("f")
        back = await two.save("it is needed")
        await saved(one, desk, "g", THEIRS)
        plan = await one.rewind(gone.id, dry_run=True)
        (step,) = [step for step in plan.steps if step.path == "f"]
        assert (step.action, step.sessions) == ("remove", [two.id])
        assert step.why == f"own work put back; it was taken back by restore of session {two.id} (two)"
        assert [dependent.checkpoint_id for dependent in plan.dependents] == [back.id]
        assert desk.read("f") == LINES

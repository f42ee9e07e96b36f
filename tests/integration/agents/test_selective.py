"""Selective rewinds on a real daemon: several sessions and a person in one tree, and each takes back its own and nobody else's."""

import os
from pathlib import Path

import pytest

import rewindd
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies
from rewindd.protocol.retention import Forget, Forgotten
from support.desk import Desk, edit, reasons, saved

pytestmark = pytest.mark.anyio

LINES = [f"line {number}\n" for number in range(24)]


def lines(**changed: str) -> str:
    """The text of 24 lines, some of them changed: `_3="new"`."""
    text = list(LINES)
    for name, content in changed.items():
        text[int(name[1:])] = f"{content}\n"
    return "".join(text)


def steps(result: replies.RewindResult) -> dict[str, replies.StepInfo]:
    """The steps of a result, by path."""
    return {str(step.path): step for step in result.steps}


async def contest(desk: Desk, name: str, content: str, *sessions: rewindd.Session) -> None:
    """A change in brackets of two sessions: nobody can tell whose it is."""
    one, two = sessions
    async with one.editing(name), two.editing(name):
        desk.write(name, content)


async def test_runs_of_three_in_one_file(desk: Desk) -> None:
    """Runs of two sessions and a person alternate, rewinds and undos of both come in between; what is left is the others', each time."""
    desk.write("it", lines())
    async with desk.session(agent="codex") as one, desk.session(agent="claude") as two:
        await one.snapshot("it")
        start_one, start_two = await one.save(), await two.save()
        now: dict[str, str] = {}
        for session, line in ((one, 1), (two, 5), (None, 9), (one, 13), (two, 17), (None, 21), (one, 3)):
            now[f"_{line}"] = f"{line} of {'a person' if session is None else 'codex' if session is one else 'claude'}"
            if session is None:
                desk.write("it", lines(**now))
                await one.pending()  # a look, so that it is a run of its own
            else:
                await saved(session, desk, "it", lines(**now))
        without_one = {line: text for line, text in now.items() if "codex" not in text}
        plan = await one.rewind(start_one.id, dry_run=True)
        assert steps(plan)["it"].sessions == [two.id]
        assert steps(plan)["it"].why == f"own work after it taken back; kept: work of session {two.id} (claude)"
        first = await one.rewind(start_one.id, plan=plan.plan_id)
        assert (desk.read("it"), first.merged) == (lines(**without_one), ["it"])
        await two.rewind(start_two.id)
        of_person = {line: text for line, text in now.items() if "person" in text}
        assert desk.read("it") == lines(**of_person)
        await one.undo()
        assert desk.read("it") == lines(**{line: text for line, text in now.items() if "claude" not in text})
        await two.undo()
        assert desk.read("it") == lines(**now)
        await one.redo()
        assert desk.read("it") == lines(**without_one)
        await saved(two, desk, "it", lines(**without_one, _7="two goes on"))
        await one.undo()
        assert desk.read("it") == lines(**now, _7="two goes on")


async def test_contested_rows(desk: Desk) -> None:
    """What is contested fails a rewind, which names both; `with_shared` takes it back, undo and redo are exact, others' work stays."""
    desk.write("it", lines())
    async with desk.session(agent="codex") as one, desk.session(agent="claude") as two, desk.session(agent="aider") as third:
        await one.snapshot("it")
        start = await one.save()
        await contest(desk, "it", lines(_2="whose?"), one, two)
        await saved(one, desk, "it", lines(_2="whose?", _8="one"))
        await saved(third, desk, "it", lines(_2="whose?", _8="one", _16="third"))
        before = desk.photograph()
        plan = await one.rewind(start.id, dry_run=True)
        reason = reasons(plan.conflicts)["it"]
        assert reason.startswith("contested between ")
        assert all(named in reason for named in (f"{one.id} (codex)", f"{two.id} (claude)"))
        with pytest.raises(errors.Conflict, match="contested"):
            await one.rewind(start.id)
        assert desk.photograph() == before
        plan = await one.rewind(start.id, with_shared=True, dry_run=True)
        assert set(steps(plan)["it"].sessions) == {two.id, third.id}
        assert f"with it, work of session {two.id} (claude)" in steps(plan)["it"].why
        await one.rewind(start.id, with_shared=True, plan=plan.plan_id)
        after = desk.photograph()
        assert desk.read("it") == lines(_16="third")
        await one.undo()
        assert desk.photograph() == before
        await one.redo()
        assert desk.photograph() == after
        await saved(third, desk, "it", lines(_16="third", _20="third"))
        await one.undo()
        assert desk.read("it") == lines(_2="whose?", _8="one", _16="third", _20="third")


async def test_a_third_session_does_not_care_what_is_contested(desk: Desk) -> None:
    """Contested work of others stays with it or without, and a contested path can be kept or overwritten like any other conflict."""
    desk.write("it", lines())
    async with desk.session() as one, desk.session() as two, desk.session() as third:
        await third.snapshot("it")
        start = await one.save()
        start_third = await third.save()
        await contest(desk, "it", lines(_2="whose?"), one, two)
        await saved(third, desk, "it", lines(_2="whose?", _16="third"))
        await third.rewind(start_third.id, with_shared=True)
        assert desk.read("it") == lines(_2="whose?")
        kept = await one.rewind(start.id, on_conflict="keep")
        assert (list(reasons(kept.kept)), desk.read("it")) == (["it"], lines(_2="whose?"))
        await one.rewind(start.id, on_conflict="overwrite")
        assert desk.read("it") == lines()
        await one.undo()
        assert desk.read("it") == lines(_2="whose?")


async def test_deletions_against_edits(desk: Desk) -> None:
    """A file that one session deletes and another makes anew, or edits before, comes back or conflicts; nobody's bytes are lost."""
    for name in ("edited", "deleted", "again"):
        desk.write(name, lines())
    async with desk.session(agent="codex") as one, desk.session(agent="claude") as two:
        await one.snapshot(".")
        start_one, start_two = await one.save(), await two.save()
        await edit(one, desk, "edited", lines(_2="one"))
        await one.snapshot("deleted", "again")
        (desk.root / "deleted").unlink()
        (desk.root / "again").unlink()
        await one.save()
        await two.snapshot("edited")
        (desk.root / "edited").unlink()
        await edit(two, desk, "again", "another file\n")
        await two.save()
        before = desk.photograph()
        plan = await one.rewind(start_one.id, dry_run=True)
        assert plan.restored == ["deleted"]
        assert f"by session {two.id} (claude)" in reasons(plan.conflicts)["again"]
        with pytest.raises(errors.Conflict):
            await one.rewind(start_one.id)
        assert desk.photograph() == before
        await one.rewind(start_one.id, on_conflict="keep")
        assert desk.read("deleted") == lines()
        assert desk.read("again") == "another file\n"
        assert not (desk.root / "edited").exists()
        await two.rewind(start_two.id, paths="edited")
        assert desk.read("edited") in (lines(), lines(_2="one"))
        await two.undo()
        await one.undo()
        assert desk.photograph() == before


async def test_kinds_and_modes(desk: Desk) -> None:
    """A mode, a link, a file that became a directory: each goes back for itself, and beside another session's text."""
    desk.write("script", lines(), 0o644)
    desk.write("place", "a file\n")
    os.symlink("script", desk.root / "link")
    async with desk.session() as one, desk.session() as two:
        await one.snapshot(".")
        start = await one.save()
        at_start = desk.photograph()
        await one.snapshot("script", "link", "place", "place/inside")
        (desk.root / "script").chmod(0o755)
        (desk.root / "link").unlink()
        os.symlink("elsewhere", desk.root / "link")
        (desk.root / "place").unlink()
        desk.write("place/inside", "one\n")
        await one.save()
        await saved(two, desk, "script", lines(_9="two"))
        changed = desk.photograph()
        result = await one.rewind(start.id)
        content = lines(_9="two").encode()
        assert desk.photograph() == {**at_start, "script": ("file", 0o644, content)}
        assert result.conflicts == []
        await one.undo()
        assert desk.photograph() == changed
        await one.redo()
        assert desk.photograph() == {**at_start, "script": ("file", 0o644, content)}


async def test_directories_that_others_use(desk: Desk) -> None:
    """A directory that the session made stays while another's file is in it, which the reason names; then it goes."""
    async with desk.session(agent="codex") as one, desk.session(agent="claude") as two:
        start, start_two = await one.save(), await two.save()
        await one.snapshot("made/of-one", "made/deep/of-one")
        desk.write("made/of-one", "1\n")
        desk.write("made/deep/of-one", "1\n")
        await one.save()
        await saved(two, desk, "made/deep/of-two", "2\n")
        result = await one.rewind(start.id)
        named = f"not-empty: entries of session {two.id} (claude)"
        assert reasons(result.kept) == {"made": named, "made/deep": named}
        assert sorted(desk.photograph()) == ["made", "made/deep", "made/deep/of-two"]
        await two.rewind(start_two.id)
        again = await one.rewind(start.id)
        assert (sorted(again.removed), desk.photograph()) == (["made", "made/deep"], {})


async def test_a_path_in_another_s_bracket(desk: Desk) -> None:
    """A rewind is `busy` while another session edits the path, nothing is touched; a dry run says so; `keep` and `overwrite` go on."""
    desk.write("it", lines())
    desk.write("free", "0\n")
    async with desk.session(agent="codex") as one, desk.session(agent="claude") as two:
        await one.snapshot(".")
        start = await one.save()
        await edit(one, desk, "it", lines(_2="one"))
        await saved(one, desk, "free", "1\n")
        async with two.editing("it"):
            before = desk.photograph()
            plan = await one.rewind(start.id, dry_run=True)
            assert reasons(plan.conflicts) == {"it": f"being edited by session {two.id} (claude)"}
            with pytest.raises(errors.Busy, match="being edited by session") as busy:
                await one.rewind(start.id)
            assert (busy.value.fields["path"], busy.value.fields["session"]) == ("it", two.id)
            assert desk.photograph() == before
            kept = await one.rewind(start.id, on_conflict="keep")
            assert (kept.restored, list(reasons(kept.kept)), desk.read("it")) == (["free"], ["it"], lines(_2="one"))
            await one.undo()
            assert desk.photograph() == before
            elsewhere = await one.rewind(start.id, paths="free")
            assert elsewhere.restored == ["free"]
            with pytest.raises(errors.Busy):
                await one.rewind(start.id, scope="workspace")
            await one.rewind(start.id, on_conflict="overwrite")
            assert desk.read("it") == lines()
        await one.undo()
        assert desk.read("it") == lines(_2="one")


async def test_an_undo_into_another_s_bracket(desk: Desk) -> None:
    """Undo and redo wait for the other's edit as a rewind does; one's own bracket is no obstacle."""
    desk.write("it", lines())
    async with desk.session() as one, desk.session() as two:
        await one.snapshot("it")
        start = await one.save()
        await saved(one, desk, "it", lines(_2="one"))
        async with one.editing("it"):
            await one.rewind(start.id)
        async with two.editing("it"):
            with pytest.raises(errors.Busy):
                await one.undo()
            assert desk.read("it") == lines()
        await one.undo()
        assert desk.read("it") == lines(_2="one")


async def test_children(desk: Desk) -> None:
    """A parent's rewind leaves its sub-agents' work and offers it; with it, theirs goes too, a fork's stays, and undo is exact."""
    desk.write("it", lines())
    async with desk.session(agent="lead") as parent:
        await parent.snapshot("it")
        start = await parent.save("start")
        async with (
            desk.session(agent="sub", parent_id=parent.id) as child,
            desk.session(agent="fork", parent_id=parent.id, from_position=start.id) as fork,
        ):
            async with desk.session(agent="subsub", parent_id=child.id) as grandchild:
                now: dict[str, str] = {}
                for number, session in enumerate((parent, child, grandchild, fork)):
                    now[f"_{number * 5}"] = f"of {session.id}"
                    await saved(session, desk, "it", lines(**now))
                await edit(grandchild, desk, "of-grandchild", "pending\n")
                await grandchild.close()
            plan = await parent.rewind(start.id, dry_run=True)
            assert plan.children is not None
            assert (plan.children.rows, plan.children.paths) == (3, ["it", "of-grandchild"])
            assert plan.children.sessions == sorted([child.id, grandchild.id])
            assert plan.children.command == f"rewindctl rewind {start.id} --with-children"
            before = desk.photograph()
            alone = await parent.rewind(start.id)
            assert alone.children is not None
            del now["_0"]
            assert desk.read("it") == lines(**now)
            await parent.undo()
            assert desk.photograph() == before
            result = await parent.rewind(start.id, with_children=True)
            assert result.children is None
            assert (desk.read("it"), sorted(desk.photograph())) == (lines(_15=f"of {fork.id}"), ["it"])
            assert set(steps(result)["it"].sessions) == {child.id, grandchild.id, fork.id}
            assert [diff.path for diff in await child.pending()] == ["it"]  # its last checkpoint has what went
            after = desk.photograph()
            tails = [one for one in await desk.client.checkpoints(desk.root) if one.automatic]
            assert grandchild.id in {one.session_id for one in tails}
            await parent.undo()
            assert desk.photograph() == before
            await parent.redo()
            assert desk.photograph() == after
            await saved(child, desk, "later", "child goes on\n")
            await parent.undo()
            assert desk.photograph() == {**before, "later": desk.photograph()["later"]}


async def test_dependents(desk: Desk) -> None:
    """The plan and the result name later checkpoints of others that edited or claimed what goes, and no others."""
    for name in ("used", "claimed", "apart"):
        desk.write(name, lines())
    async with desk.session(agent="codex") as one, desk.session(agent="claude") as two, desk.session(agent="aider") as third:
        await one.snapshot("used", "claimed")
        start = await one.save()
        await saved(two, desk, "used", lines(_20="before"), "before")
        await edit(one, desk, "used", lines(_20="before", _2="one"))
        await saved(one, desk, "claimed", lines(_2="one"))
        edited = await saved(two, desk, "used", lines(_20="before", _2="one", _12="two"), "on it")
        await saved(two, desk, "apart", "two\n", "elsewhere")
        await third.snapshot("claimed")
        claimed = await third.save("read it")
        plan = await one.rewind(start.id, dry_run=True)
        expected = {(two.id, "claude", edited.id, "on it", ("used",), 1), (third.id, "aider", claimed.id, "read it", ("claimed",), 1)}

        def told(result: replies.RewindResult) -> set[tuple[str, str, str, str | None, tuple[str, ...], int]]:
            return {(d.session_id, d.agent, d.checkpoint_id, d.label, tuple(map(str, d.paths)), d.count) for d in result.dependents}

        assert told(plan) == expected
        assert told(await one.rewind(start.id, plan=plan.plan_id)) == expected
        assert (await third.rewind("@", dry_run=True)).dependents == []


async def test_dependents_of_sessions_that_are_closed(desk: Desk, home: Path) -> None:
    """A closed session counts by what it claimed, before or after what goes, a file or a directory above it; not without a checkpoint.

    To the daemon that saw it close, and to the next one.
    """
    desk.write("d/used", lines())

    async def closed(agent: str, path: str, *, saves: bool = True) -> str:
        async with desk.session(agent=agent, session_id=agent) as session:
            await session.snapshot(path)
            made = (await session.save(agent)).id if saves else ""
            await session.close()
            return made

    async with desk.session(agent="codex") as one, desk.session(agent="before") as before, desk.session(agent="earlier") as earlier:
        start = await one.save()
        await before.snapshot("d/used")
        await edit(one, desk, "d/used", lines(_2="one"))
        await one.save()
        checkpoints = {"before": (await before.save()).id, "above": await closed("above", "d"), "twice": await closed("twice", "d/used")}
        await before.close()
        await closed("twice", "elsewhere")
        await closed("unsaved", "d/used", saves=False)
        await closed("elsewhere", "elsewhere")
        await earlier.save()
        await saved(one, desk, "something", "else\n")
        await earlier.snapshot("d/used")
        await earlier.close()

        found = (await one.rewind(start.id, dry_run=True)).dependents
        assert {d.agent: d.checkpoint_id for d in found} == checkpoints
        assert all([str(path) for path in d.paths] == ["d/used"] for d in found)
        desk.daemon.restart(env={"HOME": str(home)})
        assert {d.agent: d.checkpoint_id for d in (await one.rewind(start.id, dry_run=True)).dependents} == checkpoints

        await desk.client.ask(Forget(what=FsText("twice")), Forgotten)
        del checkpoints["twice"]
        assert {d.agent: d.checkpoint_id for d in (await one.rewind(start.id, dry_run=True)).dependents} == checkpoints


async def test_dependents_of_many_paths(desk: Desk) -> None:
    """Of a session that is closed and had claimed hundreds of paths, or what is above them, every one is counted."""
    names = [f"d{number % 7}/{number:03}" for number in range(600)]
    for name in names:
        desk.write(name, "0\n")
    async with desk.session() as one, desk.session(agent="all") as every, desk.session(agent="top") as top:
        start = await one.save()
        for session, claimed in ((every, names), (top, ["d3"])):
            await session.snapshot(*claimed)
        await one.snapshot(*names)
        for name in names:
            desk.write(name, "1\n")
        await one.save()
        made = {"all": (await every.save()).id, "top": (await top.save()).id}
        await every.close()
        await top.close()
        found = (await one.rewind(start.id, dry_run=True)).dependents
        assert {d.agent: (d.checkpoint_id, d.count) for d in found} == {"all": (made["all"], 600), "top": (made["top"], 86)}


async def test_dependents_are_cut_and_counted(desk: Desk) -> None:
    """Of many paths the first twenty are named."""
    names = [f"{number:02}" for number in range(30)]
    for name in names:
        desk.write(name, lines())
    async with desk.session() as one, desk.session() as two:
        start = await one.save()
        await one.snapshot(*names)
        for name in names:
            desk.write(name, lines(_5="one"))
        await one.save()
        await two.snapshot(*names)
        for name in names:
            desk.write(name, lines(_5="one", _15="two"))
        await two.save()
        (dependent,) = (await one.rewind(start.id, dry_run=True)).dependents
        assert ([str(path) for path in dependent.paths], dependent.count) == (names[:20], 30)

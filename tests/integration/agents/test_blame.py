"""Whose each line and each row is, by a real daemon: sessions, a person, several at once; through rewinds and undos; in which turn."""

import pytest

import rewindd
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.desk import Desk, edit

pytestmark = pytest.mark.anyio


def lines(*names: str) -> str:
    """A text of these lines."""
    return "".join(f"{name}\n" for name in names)


async def whose(session: rewindd.Session, path: str = "it", position: str | None = None) -> list[tuple[str, str | None]]:
    """Each line of a file, with its agent; `several` where it is contested."""
    found = await session.blame(path, position)
    texts = found.content.decode().splitlines()
    owners = ["several" if span.contested else span.agent for span in found.spans for _ in range(span.count)]
    assert [span.first_line for span in found.spans] == [1 + sum(one.count for one in found.spans[:n]) for n in range(len(found.spans))]
    return list(zip(texts, owners, strict=True))


async def test_whose_each_line_is(desk: Desk) -> None:
    """Two agents and a person in one file: each line is told to be of who made it, at any position, also after rewinds and undos."""
    desk.write("it", lines("a", "b", "c", "d", "e", "f"))
    async with desk.session(agent="first") as one, desk.session(agent="second") as other:
        start = await one.save("start")
        one.history.add_user_message("  put one in\nat the top")
        await edit(one, desk, "it", lines("one", "a", "b", "c", "d", "e", "f"))
        await one.save("one")
        await edit(other, desk, "it", lines("one", "a", "b", "two", "c", "d", "e", "f"))
        await other.save("two")
        desk.write("it", lines("one", "a", "b", "two", "c", "d", "e", "f", "person"))
        both = [("one", "first"), ("a", None), ("b", None), ("two", "second"), *((name, None) for name in ("c", "d", "e", "f", "person"))]
        assert await whose(one) == both
        assert await whose(one, position="one") == [("one", "first"), *((name, None) for name in "abcdef")]
        assert await whose(one, position="start") == [(name, None) for name in "abcdef"]

        found = await one.blame("it")
        spans = {desk.read("it").splitlines()[span.first_line - 1]: span for span in found.spans}
        assert (spans["one"].session_id, spans["one"].source, spans["one"].turn, spans["one"].prompt) == (one.id, "tool", 1, "put one in")
        assert (spans["two"].session_id, spans["two"].source, spans["two"].turn) == (other.id, "tool", None)
        assert (spans["person"].source, spans["person"].session_id, spans["a"].source, spans["a"].seq) == (
            "external",
            None,
            "first-seen",
            None,
        )
        rows = (await desk.client.ask(requests.ReadLog(session=one.id, path=FsText("it")), replies.Edits)).edits
        assert {row.seq: row.session_id for row in rows} == {span.seq: span.session_id for span in found.spans if span.seq is not None}
        assert spans["person"].at == rows[-1].at

        await one.rewind(start.id)
        assert desk.read("it") == lines("a", "b", "two", "c", "d", "e", "f", "person")
        assert await whose(other) == both[1:]
        await one.undo()
        assert await whose(other) == both
        await other.rewind("@", before=True)
        assert await whose(other) == [*both[:3], *both[4:]]
        assert await whose(other, position=f"#{rows[-1].seq}") == both


async def test_contested_lines_name_all(desk: Desk) -> None:
    """A line that came while two sessions had announced a change names both, and no agent."""
    async with desk.session(agent="first") as one, desk.session(agent="second") as other:
        async with one.command("make"), other.command("make too"):
            desk.write("it", "whose\n")
        (span,) = (await one.blame("it")).spans
        assert (sorted(span.contested), span.session_id, span.agent, span.source) == (sorted([one.id, other.id]), None, None, "command")


async def test_the_turn_of_a_row(desk: Desk) -> None:
    """A row says its session's turn: the prompt told before it, or with its checkpoint; none while it is not told; a fork counts on."""

    async def turns(session: rewindd.Session) -> list[tuple[int | None, str | None]]:
        rows = (await desk.client.ask(requests.ReadLog(session=session.id, path=FsText("it")), replies.Edits)).edits
        return [(row.turn, row.prompt) for row in rows if row.source != "effect"]

    desk.write("it", "0\n")
    async with desk.session() as session:
        await edit(session, desk, "it", "1\n")
        assert await turns(session) == [(None, None)]
        session.history.add_user_message("first")
        await session.save()
        await session.record([{"kind": "user_prompt", "text": "x" * 100}, {"kind": "assistant_response", "text": "yes"}])
        await edit(session, desk, "it", "2\n")
        assert await turns(session) == [(1, "first"), (2, f"{'x' * 79}…")]
        await session.record([{"kind": "user_prompt", "text": "third"}])
        await edit(session, desk, "it", "3\n")
        await session.save("three")
        told = [(1, "first"), (2, f"{'x' * 79}…"), (3, "third")]
        assert await turns(session) == told
        await session.rewind("three", before=True)
        assert await turns(session) == told, "the log is of what was, also where a rewind took it back"
        async with desk.session(parent_id=session.id, from_position="three") as fork:
            fork.history.add_user_message("fourth")
            await edit(fork, desk, "it", "4\n")
            await fork.save()
            assert await turns(fork) == [*told, (4, "fourth")]
        rows = (await desk.client.ask(requests.ReadLog(session=session.id, path=FsText("it")), replies.Edits)).edits
        (effect,) = [row for row in rows if row.source == "effect"]
        assert (effect.operation, effect.session_id, effect.turn) == ("rewind", session.id, None)
        await fork.rewind("three")
        await fork.undo()
        rows = (await desk.client.ask(requests.ReadLog(session=session.id, path=FsText("it")), replies.Edits)).edits
        assert rows[-1].operation == "undo"


async def test_what_has_no_lines(desk: Desk) -> None:
    """What is no file, no text or too large is refused with the reason; what was not there, or not known, is `unknown-path`."""
    desk.write("binary", b"\0\1")
    desk.write("large", b"x\n" * (3 << 20))
    desk.write("tall", b"\n" * 100_001)
    desk.write("empty", b"")
    (desk.root / "link").symlink_to("empty")
    (desk.root / "directory").mkdir()
    async with desk.session() as session:
        start = await session.save("start")
        for path, reason in (("binary", "binary"), ("large", "bytes"), ("tall", "lines"), ("link", "symlink"), ("directory", "directory")):
            with pytest.raises(errors.BadRequest, match=reason):
                await session.blame(path)
        assert ((await session.blame("empty")).content, (await session.blame("empty")).spans) == (b"", [])
        desk.write("late", "late\n")
        with pytest.raises(errors.UnknownPath):
            await session.blame("late", start.id)
        with pytest.raises(errors.UnknownPath):
            await session.blame("never")
        (desk.root / "late").unlink()
        with pytest.raises(errors.UnknownPath):
            await session.blame("late")
        with pytest.raises(errors.UnknownCheckpoint):
            await session.blame("empty", "none")
        with pytest.raises(errors.OutsideWorkspace):
            await session.blame("../elsewhere")


async def test_a_long_history(desk: Desk) -> None:
    """A file of many versions is gone back through, each of its lines to the row that made it."""
    names: list[str] = []
    async with desk.session() as session:
        for number in range(60):
            names.insert(number * 7 % (len(names) + 1), f"line {number}")
            await edit(session, desk, "it", lines(*names))
            await session.save()
        found = await session.blame("it")
        rows = (await desk.client.ask(requests.ReadLog(session=session.id, path=FsText("it")), replies.Edits)).edits
        by_line = [span.seq for span in found.spans for _ in range(span.count)]
        assert by_line == [rows[int(name.split()[1])].seq for name in names]


async def test_a_renamed_file_keeps_its_authors(desk: Desk) -> None:
    """Through renames by a session, by a person, back, and through a rewind of one; and the log of the file goes back through them."""
    desk.write("it", lines("a", "b"))
    async with desk.session(agent="first") as one, desk.session(agent="second") as other:
        await edit(one, desk, "it", lines("one", "a", "b"))
        await one.save()
        async with other.command("mv"):
            (desk.root / "sub").mkdir()
            (desk.root / "it").rename(desk.root / "sub/that")
        start = await other.save()
        assert await whose(one, "sub/that") == [("one", "first"), ("a", None), ("b", None)]
        await edit(other, desk, "sub/that", lines("one", "a", "b", "two"))
        await other.save()
        whole = [("one", "first"), ("a", None), ("b", None), ("two", "second")]
        (desk.root / "sub/that").rename(desk.root / "it")
        assert await whose(one) == whole
        (desk.root / "it").rename(desk.root / "again")
        assert await whose(one, "again") == whole
        rows = (await desk.client.ask(requests.ReadLog(session=one.id, path=FsText("again")), replies.Edits)).edits
        told = [(str(row.path), row.change, row.agent) for row in rows]
        # Both halves of a rename are in one look, in whatever order.
        halves = [{told[n], told[n + 1]} for n in (1, 4, 6)]
        assert (told[0], told[3], len(told)) == (("it", "modified", "first"), ("sub/that", "modified", "second"), 8)
        assert halves == [
            {("it", "deleted", "second"), ("sub/that", "added", "second")},
            {("sub/that", "deleted", None), ("it", "added", None)},
            {("it", "deleted", None), ("again", "added", None)},
        ]
        assert [row.seq for row in rows] == sorted({row.seq for row in rows})
        newest = (await desk.client.ask(requests.ReadLog(session=one.id, path=FsText("again"), limit=3), replies.Edits)).edits
        assert [row.seq for row in newest] == [row.seq for row in rows[-3:]]
        (desk.root / "again").rename(desk.root / "sub/that")
        await other.rewind(start.id)
        assert await whose(one, "sub/that") == whole[:3]


async def test_a_copy_and_a_later_likeness_are_no_renames(desk: Desk) -> None:
    """A file that is there still, and one that another deleted, lend their lines to nobody."""
    async with desk.session(agent="first") as one, desk.session(agent="second") as other:
        await edit(one, desk, "it", lines("one"))
        await one.save()
        await edit(other, desk, "copy", lines("one"))
        await other.save()
        assert await whose(one, "copy") == [("one", "second")]
        await one.snapshot("it")
        (desk.root / "it").unlink()
        await one.save()
        await edit(other, desk, "like", lines("one"))
        await other.save()
        assert await whose(one, "like") == [("one", "second")]

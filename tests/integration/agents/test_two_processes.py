"""An agent that was resumed twice: two processes in one session. The one that does not know of the other's words hears `head-moved`."""

import json
import os
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

import rewindd
import rewindd.blocking
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support import beside as other_process
from support import resumed
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio

#: Words of each of the two processes.
WORDS = 60


async def where(desk: Desk, session_id: str) -> replies.SessionInfo:
    """Where the session stands, by the daemon's word."""
    return (await desk.client.ask(requests.ShowSession(session=session_id), replies.SessionReply)).session


async def test_two_processes_at_once(desk: Desk) -> None:
    """Two real processes speak at the same time and come and go: each word is there once, in its process's order, each counted once.

    Whoever spoke after the other had looked at the session again before.
    """
    async with desk.session() as session:
        program = [sys.executable, resumed.__file__, desk.daemon.socket, str(desk.root), session.id]
        env = {**os.environ, "PYTHONPATH": str(Path(resumed.__file__).parents[1])}
        done: dict[str, list[tuple[str, bool]]] = {}
        heard: list[int] = []

        async def run(name: str) -> None:
            found = await anyio.run_process([*program, name, str(WORDS)], env=env, stderr=None)
            told = json.loads(found.stdout)
            done[name] = [(word, looked) for word, looked in told["said"]]
            heard.append(told["heard"])

        async with anyio.create_task_group() as tasks:
            for name in ("one", "other"):
                tasks.start_soon(run, name)
        async with desk.session(session_id=session.id) as last:
            made = await last.save("the end")
            words = (await last.load(made.id)).user_prompts
    looked = {word: flag for said in done.values() for word, flag in said}
    for name, said in done.items():
        assert [word for word in words if word.startswith(f"{name} ")] == [word for word, _ in said]
    assert len(words) == made.stats.total_messages == 2 * WORDS
    changes = [after for before, after in pairwise(words) if before.split()[0] != after.split()[0]]
    assert [word for word in changes if not looked[word]] == []
    assert len(changes) > 1, "they did speak in turns"
    assert sum(heard) > 0


@dataclass
class Process:
    """One of two: its handle, and the words it has not told."""

    session: rewindd.Session
    unsent: list[str] = field(default_factory=list)

    def knows(self, info: replies.SessionInfo) -> bool:
        """True where it knows where the session stands."""
        return (self.session.head, self.session._seat.event) == (info.head, info.event)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_they_do(desk: Desk, seed: int) -> None:
    """Saves, rewinds, undos, restores, departures at random: a process that does not know where the session stands changes nothing of it.

    The conversation at each checkpoint is what was said by who knew what was said before.
    """
    chance = random.Random(seed)
    async with desk.session() as origin:
        first = await saved(origin, desk, "file", "0\n")
    words: dict[int | None, list[str]] = {None: []}
    made = [first.id]
    processes = [Process(await _opened(desk, origin.id)) for _ in range(2)]
    moved = 0
    for step in range(60):
        process = chance.choice(processes)
        session = process.session
        before = await where(desk, origin.id)
        act = chance.choice(["say", "say", "save"] if process.unsent else ["say", "save", "rewind", "undo", "redo", "restore", "come back"])
        if act == "say":
            session.history.add_user_message(f"{step}", tokens=1)
            process.unsent.append(f"{step}")
        if act == "restore":
            desk.write("file", f"{step} by hand\n")
        photograph = desk.photograph()
        try:
            await _act(desk, process, act, chance, made)
        except errors.HeadMoved:
            moved += 1
            assert not process.knows(before) or process.session.head == before.head, "it knew"
            after = await where(desk, origin.id)
            assert (after.head, after.event, after.stats) == (before.head, before.event, before.stats)
            assert desk.photograph() == photograph
            assert process.knows(after), "it has looked again"
            continue
        except errors.NothingToUndo:
            continue
        after = await where(desk, origin.id)
        if process.unsent:
            words[after.event] = words[before.event] + process.unsent
            process.unsent = []
        assert after.stats.total_messages == len(words[after.event])
        if act == "save":
            assert (await session.load("@")).user_prompts == words[after.event]
    assert moved > 5


async def _act(desk: Desk, process: Process, act: str, chance: random.Random, made: list[str]) -> None:
    session = process.session
    stale = not process.knows(await where(desk, session.id))
    match act:
        case "say":
            await session.record([])
        case "save":
            made.append((await session.save()).id)
        case "rewind":
            await session.rewind(chance.choice(made), on_conflict="keep")
        case "undo":
            await session.undo(on_conflict="keep")
        case "redo":
            await session.redo(on_conflict="keep")
        case "restore":
            await session.restore("file", position=chance.choice(made))
            if not stale:
                return
        case _:
            await session.leave(quietly=False)
            process.session = await _opened(desk, session.id)
            return
    assert not stale, f"{act}: it did not know where the session stands"


async def _opened(desk: Desk, session_id: str) -> rewindd.Session:
    """A handle as a process of its own has it."""
    session = desk.client.session(desk.root, session_id=session_id)
    return await session.__aenter__()


@pytest.mark.parametrize("act", ["record", "save", "rewind", "undo", "redo", "restore"])
async def test_each_call_of_the_stale_one(desk: Desk, act: str) -> None:
    """Every call that tells or moves something is `head-moved` for who does not know of the other's words, once; then it is done."""
    async with desk.session() as one, desk.session(session_id=one.id) as other:
        first = await saved(one, desk, "it", "1\n", "first")
        await edit(one, desk, "it", "2\n")
        await one.rewind("first")
        if act == "redo":
            await one.undo()
        one.history.add_user_message("hello", tokens=1)
        await one.record([])
        there = await where(desk, one.id)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "record": lambda: other.record([{"kind": "user_prompt", "text": "blind"}]),
            "save": lambda: other.save(),
            "rewind": lambda: other.rewind(first.id, before=True),
            "undo": lambda: other.undo(),
            "redo": lambda: other.redo(),
            "restore": lambda: other.restore("it", position=first.id),
        }
        before = desk.photograph()
        with pytest.raises(errors.HeadMoved):
            await calls[act]()
        again = await where(desk, one.id)
        assert (again.head, again.event, again.stats, desk.photograph()) == (there.head, there.event, there.stats, before)
        await calls[act]()


async def test_words_from_before_are_not_added_by_leaving(desk: Desk) -> None:
    """Who is not up to date and leaves adds nothing of what it said: that belongs to a conversation that is no more."""

    async def leaves(words: str, theirs: str, *, hears: bool) -> None:
        async with desk.session(session_id=one.id) as other:
            other.history.add_user_message(words, tokens=1)
            await one.record([{"kind": "user_prompt", "text": theirs}])
            if hears:
                await other.save()

    async with desk.session() as one:
        with pytest.raises(errors.HeadMoved):
            await leaves("never told", "told", hears=True)
        with pytest.raises(errors.HeadMoved, match="not told by itself"):
            await leaves("never told either", "told too", hears=False)
        made = await one.save()
        assert (await one.load(made.id)).user_prompts == ["told", "told too"]
        assert made.stats.total_messages == 2


async def test_a_turn_beside_another_process(desk: Desk) -> None:
    """A turn during which another process spoke is not saved over that: its end is `head-moved`, and a save adds it when told to."""

    async def turn(prompt: str, *, fails: bool) -> None:
        async with other.turn(prompt):
            await edit(other, desk, "it", f"{prompt}\n")
            await one.record([{"kind": "user_prompt", "text": f"beside {prompt}"}])
            if fails:
                await other.undo()

    async with desk.session() as one, desk.session(session_id=one.id) as other:
        with pytest.raises(errors.HeadMoved):
            await turn("first", fails=False)
        assert await one.list() == []
        made = await other.save("first after all")
        assert (await other.load(made.id)).user_prompts == ["beside first", "first"]

        with pytest.raises(errors.HeadMoved):
            await one.save()
        with pytest.raises(errors.HeadMoved):
            await turn("second", fails=True)
        assert [summary.id for summary in await one.list()] == [made.id], "nobody saves a turn that failed over another's words"
        await other.record([])


async def test_the_blocking_handle_too(desk: Desk) -> None:
    """The same without async: a turn and a departure add nothing over another process's words."""

    def turn(client: rewindd.blocking.Client, session_id: str) -> None:
        with client.session(desk.root, session_id=session_id) as one, client.session(desk.root, session_id=session_id) as other:
            with other.turn("mine"):
                one.record([{"kind": "user_prompt", "text": "theirs"}])

    def work(session_id: str) -> None:
        with rewindd.blocking.connect(socket=desk.daemon.socket, autostart=False) as client:
            with pytest.raises(errors.HeadMoved):
                turn(client, session_id)
            with client.session(desk.root, session_id=session_id) as last:
                made = last.save()
                assert last.load(made.id).user_prompts == ["theirs"]

    async with desk.session() as session:
        await anyio.to_thread.run_sync(work, session.id)


async def test_coming_back_does_not_set_the_session_back(desk: Desk) -> None:
    """A process that opens the session while another one speaks takes none of its words and counts back."""
    async with desk.session() as one:
        async with anyio.create_task_group() as tasks:

            async def come_back() -> None:
                for _ in range(40):
                    async with desk.client.session(desk.root, session_id=one.id):
                        pass

            for _ in range(2):
                tasks.start_soon(come_back)
            for number in range(40):
                one.history.add_user_message(f"{number}", tokens=1)
                await one.record([])
        made = await one.save()
        assert (await one.load(made.id)).user_prompts == [f"{number}" for number in range(40)]
        assert made.stats.total_messages == 40


class Beside:
    """Another process in a session, which does as it is told."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, BufferedByteReceiveStream(process.stdout)

    async def does(self, what: str) -> None:
        """Returns when it is done."""
        await self._stdin.send(f"{what}\n".encode())
        assert await self._stdout.receive_until(b"\n", 100) == f"did {what.split()[0]}".encode()

    async def hears(self) -> list[str]:
        """Returns the paths that it is told of."""
        await self._stdin.send(b"hear\n")
        return (await self._stdout.receive_until(b"\n", 1000)).decode().split()[1:]

    async def ends(self) -> None:
        """Says that it is not needed any more."""
        await self._stdin.aclose()


@asynccontextmanager
async def beside(desk: Desk, session: rewindd.Session) -> AsyncIterator[Beside]:
    """Another real process in a session."""
    program = [sys.executable, other_process.__file__, desk.daemon.socket, str(desk.root), session.id]
    env = {**os.environ, "PYTHONPATH": str(Path(other_process.__file__).parents[1])}
    async with await anyio.open_process(program, env=env, stderr=None) as process:
        other = Beside(process)
        yield other
        await other.ends()
        assert await process.wait() == 0


async def owners(desk: Desk, session: rewindd.Session, path: str) -> list[str | None]:
    """Whose each row of a path is."""
    return [row.session_id for row in (await desk.client.ask(requests.ReadLog(session=session.id, path=FsText(path)), replies.Edits)).edits]


@pytest.mark.parametrize("act", ["save", "release"])
async def test_what_one_claims_stays_claimed(desk: Desk, act: str) -> None:
    """A save or release of one process ends its own claims, and not what the other has just claimed, and is about to change."""
    for name in ("its", "ours"):
        desk.write(name, "0\n")
    async with desk.session() as session, beside(desk, session) as other:
        await session.save()
        await session.snapshot("ours")
        await other.does("snapshot its")
        await other.does(act)
        desk.write("ours", "1\n")
        desk.write("its", "by a person\n")
        await session.pending()
        assert await owners(desk, session, "ours") == [session.id]
        assert await owners(desk, session, "its") == [None]


async def test_what_an_ended_process_claimed_is_let_go(desk: Desk) -> None:
    """An agent that died and came back: a save of its new process ends what the old one held."""
    for name in ("its", "ours"):
        desk.write(name, "0\n")
    async with desk.session() as session:
        async with beside(desk, session) as other:
            await session.save()
            await other.does("snapshot its")
        await session.save()
        desk.write("its", "by a person\n")
        await session.pending()
        assert await owners(desk, session, "its") == [None]


async def test_a_command_of_one_ends_no_command_of_the_other(desk: Desk) -> None:
    """Each process runs one, and what is changed in the longer one is the session's to its end."""
    desk.write("it", "0\n")
    async with desk.session() as session, beside(desk, session) as other:
        async with session.command("ours"):
            await other.does("command")
            await other.does("over")
            desk.write("it", "1\n")
            await session.pending()
        assert await owners(desk, session, "it") == [session.id]


async def test_each_is_told(desk: Desk) -> None:
    """What one process has heard and acknowledged, the other hears too, each thing once."""
    for name in ("f", "g"):
        desk.write(name, "0\n")
    async with desk.session() as session, desk.session() as another, beside(desk, session) as other:
        await session.snapshot("f", "g")
        await other.does("snapshot f")
        for name in ("f", "g"):
            await saved(another, desk, name, "another's\n")
            await session.pending()
            assert {str(one.path) for one in session.take_notices()} == {name}
            await session.pending()
            assert session.take_notices() == []
            assert set(await other.hears()) == {name}
            assert await other.hears() == []
            await session.pending()
            assert session.take_notices() == []

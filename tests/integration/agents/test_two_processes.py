"""An agent that was resumed twice: two processes in one session. The one that does not know of the other's words hears `head-moved`."""

import json
import os
import random
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import rewindd
import rewindd.blocking
from rewindd import errors
from rewindd.protocol import replies, requests
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

"""Many at once: agents in several processes, and callers who give up at any moment."""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import msgspec
import pytest

import rewindd
from rewindd import errors
from rewindd.protocol import replies
from support import load_agents
from support.daemon import RealDaemon
from support.load_agents import Tally, digest

pytestmark = pytest.mark.anyio

PROCESSES, AGENTS = 8, 8
#: Far above what it takes, so that only what hangs uses it up.
PATIENCE_S = 900.0
#: Calls of which most are given up, the callers among whom they are shared, and the first of them, which are not: they tell how
#: long an answer takes on this machine.
CALLS, CALLERS, ANSWERED = 10_000, 20, 400
#: The longest that a caller waits, in seconds; it is twice what an answer takes, where that is less.
LONGEST_S = 0.06
SESSIONS, FILES = 4, 12


def let_work(daemon: RealDaemon, rounds: int) -> tuple[Path, list[Tally]]:
    """Lets 64 agents in 8 processes work on 64 connections; returns where, and what each process tells."""
    top = daemon.directory / f"load-{rounds}"
    top.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(load_agents.__file__).parents[1])}
    commands = [
        [sys.executable, load_agents.__file__, daemon.socket, str(top), str(first * AGENTS), str(AGENTS), str(rounds)]
        for first in range(PROCESSES)
    ]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for command in commands]
    try:
        told = [process.communicate(timeout=PATIENCE_S)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return top, [msgspec.json.decode(each, type=Tally) for each in told]


def check_load(daemon: RealDaemon, rounds: int) -> None:
    top, tallies = let_work(daemon, rounds)
    digests = {name: found for tally in tallies for name, found in tally.digests.items()}

    assert [wrong for tally in tallies for wrong in tally.wrong] == []
    assert sum(tally.unanswered for tally in tallies) == 0
    assert sum(tally.saves for tally in tallies) == PROCESSES * AGENTS * rounds * 2
    assert sum(tally.rewinds for tally in tallies) == PROCESSES * AGENTS * rounds
    assert len(set(digests.values())) == PROCESSES * AGENTS
    assert {name: digest(top / name.replace("agent", "project")) for name in digests} == digests
    assert daemon.said() == ""


def test_64_agents_in_8_processes(running: RealDaemon) -> None:
    """64 sessions in 64 directories on 64 connections, three rounds of work each: no error, no crossed reply, every tree right."""
    check_load(running, 3)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_64_agents_in_8_processes_for_long(running: RealDaemon) -> None:
    """At least 2,000 saves and 1,000 rewinds of 64 agents at once: no error, no crossed reply, every tree right."""
    check_load(running, 16)


@dataclass
class Calls:
    """What callers ask of one client that they share, each question with an answer of its own; and what came of it."""

    client: rewindd.Client
    sessions: list[rewindd.Session]
    roots: list[Path]
    versions: dict[str, replies.FileVersion]
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def ask(self, number: int) -> None:
        """One call, that may be cancelled anywhere in it."""
        which, name = number % SESSIONS, f"file-{number % FILES}"
        session = self.sessions[which]
        kind = number // 3 % 5
        try:
            if kind == 0:
                content = await session.read(self.versions[f"{which}/{name}"])
                self._answered("read", content.decode(), f"{which} {name}")
            elif kind == 1:
                kept = await session.snapshot(name)
                self._answered("snapshot", [str(one.path) for one in kept.snapshots], [name])
            elif kind == 2:
                known = await self.client.sessions(self.roots[which])
                self._answered("sessions", [one.id for one in known], [session.id])
            elif kind == 3:
                said = f"{which}/{number}"
                session.history.add_user_message(said)
                summary = await session.save(said)
                self._answered("save", (summary.session_id, summary.label), (session.id, said))
            else:
                changes = await session.pending(name)
                self._answered("pending", [str(one.path) for one in changes if str(one.path) != name], [])
        except errors.Busy:
            self.outcomes["busy"] += 1

    def _answered(self, what: str, found: object, expected: object) -> None:
        self.outcomes[what] += 1
        if found != expected:
            self.wrong.append(f"{what}: {found!r}, not {expected!r}")


Call = Callable[[], Awaitable[None]]


async def native(call: Call, after_s: float) -> bool:
    """Cancels it as asyncio's programs do, from another task; returns whether it was."""
    task = asyncio.ensure_future(call())  # noqa: TID251 - what agents do is the point here
    await asyncio.sleep(after_s)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return task.cancelled()


async def by_timeout(call: Call, after_s: float) -> bool:
    """Cancels it by asyncio's own time limit."""
    try:
        async with asyncio.timeout(after_s):  # noqa: TID251 - what agents do is the point here
            await call()
    except TimeoutError:
        return True
    return False


async def by_scope(call: Call, after_s: float) -> bool:
    """Cancels it by an anyio scope."""
    with anyio.move_on_after(after_s) as scope:
        await call()
    return scope.cancelled_caught


async def make_calls(calls: Calls, numbers: range, longest_s: float | None) -> int:
    """Makes calls one after the other, and gives each up at a random moment (None: waits for it); returns how many were cancelled."""
    chance, cancelled = random.Random(numbers.start), 0
    for number in numbers:
        if longest_s is None:
            await calls.ask(number)
        else:
            give_up = (native, by_timeout, by_scope)[number % 3]
            cancelled += await give_up(lambda number=number: calls.ask(number), chance.random() * longest_s)  # type: ignore[misc]
    return cancelled


async def at_once(calls: Calls, first: int, last: int, longest_s: float | None) -> int:
    """Shares calls among the callers; returns how many were cancelled."""
    cancelled: list[int] = []

    async def caller(start: int) -> None:
        cancelled.append(await make_calls(calls, range(start, last, CALLERS), longest_s))

    async with anyio.create_task_group() as callers:
        for number in range(CALLERS):
            callers.start_soon(caller, first + number)
    return sum(cancelled)


async def test_cancelled_calls_cross_no_reply_of_a_real_daemon(running: RealDaemon) -> None:
    """Of 10,000 calls given up at random in three ways, no answer is another's, and all that was said is kept once."""
    roots = [running.directory / f"cancelled-{which}" for which in range(SESSIONS)]
    versions: dict[str, replies.FileVersion] = {}
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(rewindd.connect(socket=running.socket, autostart=False, timeout_s=60))
        sessions = []
        for which, root in enumerate(roots):
            root.mkdir()
            for name in (f"file-{number}" for number in range(FILES)):
                (root / name).write_text(f"{which} {name}")
            sessions.append(await stack.enter_async_context(client.session(root, agent=f"agent-{which}")))
            kept = await sessions[which].snapshot(".")
            versions |= {f"{which}/{one.path}": replies.FileVersion(kind=one.kind, blob=one.blob) for one in kept.snapshots}
        calls = Calls(client, sessions, roots, versions)

        begun_s = anyio.current_time()
        await at_once(calls, 0, ANSWERED, None)
        answer_s = (anyio.current_time() - begun_s) * CALLERS / ANSWERED
        cancelled = await at_once(calls, ANSWERED, CALLS, min(LONGEST_S, 2 * answer_s))
        said = []
        for session in sessions:
            last = await session.save("last")
            said.append((await session.load(last.id)).user_prompts)

    assert calls.wrong == []
    assert sum(calls.outcomes.values()) + cancelled >= CALLS
    assert CALLS // 10 < cancelled < CALLS * 95 // 100, calls.outcomes
    for which, prompts in enumerate(said):
        expected = {f"{which}/{number}" for number in range(CALLS) if number % SESSIONS == which and number // 3 % 5 == 3}
        assert sorted(prompts) == sorted(expected)
    assert running.said() == ""

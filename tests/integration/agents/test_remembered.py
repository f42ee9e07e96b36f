"""What a daemon decides from memory is what the next one decides from the store: plans, pending changes, dependents."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

import rewindd
from rewindd import errors
from support.desk import Desk

pytestmark = pytest.mark.anyio

FILES = tuple(f"{directory}{number}" for directory in ("", "d/", "d/e/", "f/") for number in range(3))
ROUNDS = 6
ACTS = 10
#: Plans that are asked for after each round.
PLANS = 8


def text(chance: random.Random) -> str:
    """A few lines that come again and again, so that there is something to merge."""
    return "".join(f"{chance.randrange(5)}\n" for _ in range(chance.randrange(1, 9)))


async def act(desk: Desk, sessions: Sequence[rewindd.Session], saved: list[tuple[int, str]], chance: random.Random) -> None:
    """One of the agents does something, or somebody whom nobody knows."""
    who = chance.randrange(len(sessions))
    session, name, what = sessions[who], chance.choice(FILES), chance.random()
    try:
        if what < 0.45:
            await session.snapshot(name)
            desk.write(name, text(chance))
        elif what < 0.55:
            desk.write(name, text(chance))
        elif what < 0.65 and (desk.root / name).exists():
            await session.snapshot(name)
            (desk.root / name).unlink()
        elif what < 0.85 or not saved:
            saved.append((who, (await session.save()).id))
        elif what < 0.95:
            at, position = chance.choice(saved)
            await sessions[at].rewind(position, on_conflict="keep", scope=chance.choice(["session", "workspace"]))
        else:
            await session.undo()
    except (errors.Conflict, errors.NothingToUndo, errors.Busy):
        pass  # an answer as good as another: what counts is that the next daemon says the same


async def told(sessions: Sequence[rewindd.Session], asked: Sequence[tuple[int, str, str]]) -> list[object]:
    """What is pending of each, and what the rewinds would do."""
    found: list[object] = [await session.pending() for session in sessions]
    for who, position, scope in asked:
        plan = await sessions[who].rewind(position, dry_run=True, scope=scope, on_conflict="keep")
        found.append(
            (position, scope, plan.plan_id, plan.restored, plan.removed, plan.merged, plan.kept, plan.steps, plan.left, plan.dependents)
        )
    return found


async def test_the_next_daemon_says_the_same(desk: Desk, home: Path) -> None:
    """After each round of random work of three agents, one of them closed and opened again now and then."""
    chance = random.Random(23)
    for name in FILES:
        desk.write(name, text(chance))
    saved: list[tuple[int, str]] = []
    for number in range(ROUNDS):
        async with desk.session(session_id="one") as one, desk.session(session_id="two") as two, desk.session(session_id="three") as three:
            sessions = [one, two, three]
            for _ in range(ACTS):
                await act(desk, sessions, saved, chance)
            if number % 2:
                await sessions[number % 3].close()
        async with desk.session(session_id="one") as one, desk.session(session_id="two") as two, desk.session(session_id="three") as three:
            sessions = [one, two, three]
            asked = [(*chance.choice(saved), chance.choice(["session", "workspace"])) for _ in range(PLANS if saved else 0)]
            before = await told(sessions, asked)
            desk.daemon.kill()
            desk.daemon.start(env={"HOME": str(home)})
            assert await told(sessions, asked) == before, number
    assert len(saved) > ROUNDS

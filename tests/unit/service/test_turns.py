"""Requests that are about several sessions: they wait for what is under way in each of them, and for each other without a deadlock."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from rewindd.model.ids import SessionId
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.service.state import State
from support.dying import Desk, life

pytestmark = pytest.mark.anyio
NAMES = ("ann", "ben", "cleo")
#: Requests answered meanwhile: far more steps than what is not to happen takes.
MANY = 30


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def at_work(top: Path) -> AsyncIterator[tuple[Desk, State]]:
    """A service with three sessions in one workspace, and what it has in memory."""
    root = top / "tree"
    root.mkdir()
    async with life(str(top)) as desk:
        for name in NAMES:
            opened = requests.OpenSession(directory=FsText(str(root)), id=name, agent=name, exact=True, capture="snapshots")
            await desk.ask(opened, replies.SessionReply)
        yield desk, desk.state


@pytest.mark.parametrize("name", NAMES)
async def test_a_barrier_waits_for_every_session(tmp_path: Path, name: str) -> None:
    """While one session's request is under way there is no barrier, in no session; what that request recorded is in it."""
    async with at_work(tmp_path) as (desk, state):
        made: list[replies.Barrier] = []

        async def make() -> None:
            made.append((await desk.ask(requests.MakeBarrier(session=name), replies.BarrierMade)).barrier)

        async with anyio.create_task_group() as group:
            async with state.turn(SessionId(name)):
                group.start_soon(make)
                for _ in range(MANY):
                    await desk.ask(requests.Ping(), replies.Pong)
                assert made == []
                listed = await desk.ask(requests.ListCheckpoints(session=NAMES[0]), replies.Checkpoints)
                assert listed.checkpoints == []
        assert {member.session_id for member in made[0].members} == set(NAMES)


async def test_a_rewind_waits_for_every_member(tmp_path: Path) -> None:
    """A rewind to a barrier, and its undo, wait for a request of a member."""
    async with at_work(tmp_path) as (desk, state):
        made = (await desk.ask(requests.MakeBarrier(session="ann"), replies.BarrierMade)).barrier
        for request in (requests.Rewind(session="ann", position=f"barrier:{made.id}"), requests.Undo(session="ann")):
            done: list[replies.RewindResult] = []

            async def ask(request: requests.Request = request, done: list[replies.RewindResult] = done) -> None:
                done.append(await desk.ask(request, replies.RewindResult))

            async with anyio.create_task_group() as group:
                async with state.turn(SessionId("cleo")):
                    group.start_soon(ask)
                    for _ in range(MANY):
                        await desk.ask(requests.Ping(), replies.Pong)
                    assert done == []
            assert {one.session_id for one in done[0].moved} == {"ben", "cleo"}


async def test_a_session_that_comes_while_it_waits(tmp_path: Path) -> None:
    """One that is opened before the barrier has the turns of the others is a member too."""
    async with at_work(tmp_path) as (desk, state):
        made: list[replies.Barrier] = []

        async def make() -> None:
            made.append((await desk.ask(requests.MakeBarrier(session="ann"), replies.BarrierMade)).barrier)

        async with anyio.create_task_group() as group, AsyncExitStack() as under_way:
            await under_way.enter_async_context(state.turn(SessionId("cleo")))
            group.start_soon(make)
            for _ in range(MANY):
                await desk.ask(requests.Ping(), replies.Pong)
            opened = requests.OpenSession(directory=FsText(str(tmp_path / "tree")), id="adam", exact=True, capture="snapshots")
            await desk.ask(opened, replies.SessionReply)
        assert {member.session_id for member in made[0].members} == {*NAMES, "adam"}


async def test_many_at_once(tmp_path: Path) -> None:
    """Barriers, rewinds to them by each session, and records of each, all at once: every one is answered."""
    async with at_work(tmp_path) as (desk, _):
        first = (await desk.ask(requests.MakeBarrier(session="ann"), replies.BarrierMade)).barrier
        event = requests.EventBody(kind="user_prompt", text="x")
        answers: list[dict[str, object]] = []

        async def ask(request: requests.Request) -> None:
            answers.append(await desk.told(request))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    for name in reversed(NAMES):
                        group.start_soon(ask, requests.Record(session=name, events=[event]))
                        group.start_soon(ask, requests.Rewind(session=name, position=f"barrier:{first.id}"))
                        group.start_soon(ask, requests.MakeBarrier(session=name))
        assert len(answers) == 72
        assert [answer for answer in answers if "error" in answer] == []

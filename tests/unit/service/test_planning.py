"""While a large rewind is planned, nobody waits but who asks about its paths."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from rewindd.paths import FsText
from rewindd.plan import draft
from rewindd.protocol import replies, requests
from support.dying import Desk, life

pytestmark = pytest.mark.anyio
#: More than are planned in the event loop.
FILES = 150
#: Requests answered meanwhile: far more steps than what is not to happen takes.
MANY = 30

T = TypeVar("T")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def snapshot(desk: Desk, session: str, *names: str) -> replies.Snapshots:
    return await desk.ask(requests.TakeSnapshot(session=session, paths=[FsText(name) for name in names]), replies.Snapshots)


def held(made: Callable[..., T], begun: threading.Event, go_on: threading.Event) -> Callable[..., T]:
    """The same, which says that it has begun, and waits for a word."""

    def make(*args: object) -> T:
        begun.set()
        assert go_on.wait(30)
        return made(*args)

    return make


@pytest.mark.parametrize("name", ["rewind", "undo"])
async def test_small_requests_beside_a_large_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A snapshot of another path is answered while the rewind of many files, or its undo, is planned; one of its paths waits for it."""
    root = tmp_path / "tree"
    root.mkdir()
    names = [f"f{number}" for number in range(FILES)]
    for one in (*names, "other"):
        (root / one).write_text("as it was\n")
    begun, go_on = threading.Event(), threading.Event()
    async with life(str(tmp_path)) as desk:
        for session in ("ann", "ben"):
            opened = requests.OpenSession(directory=FsText(str(root)), id=session, agent=session, exact=True, capture="snapshots")
            await desk.ask(opened, replies.SessionReply)
        await snapshot(desk, "ann", *names)
        first = await desk.ask(requests.Save(session="ann"), replies.Saved)
        await snapshot(desk, "ann", *names)
        for one in names:
            (root / one).write_text("changed\n")
        await desk.ask(requests.Save(session="ann"), replies.Saved)
        position = first.checkpoint.id
        large: requests.Rewind | requests.Undo = requests.Rewind(session="ann", position=position)
        if name == "undo":
            await desk.ask(large, replies.RewindResult)
            large = requests.Undo(session="ann")
        monkeypatch.setattr(draft, name, held(getattr(draft, name), begun, go_on))

        done: list[str] = []

        async def rewind() -> None:
            result = await desk.ask(large, replies.RewindResult)
            assert len(result.restored) == FILES
            done.append("rewind")

        async def wait() -> None:
            await snapshot(desk, "ben", "f7")
            done.append("f7")

        async with anyio.create_task_group() as group:
            try:
                group.start_soon(rewind)
                assert await anyio.to_thread.run_sync(begun.wait, 30)
                assert [one.kind for one in (await snapshot(desk, "ben", "other")).snapshots] == ["file"]
                group.start_soon(wait)
                for _ in range(MANY):
                    await desk.ask(requests.Ping(), replies.Pong)
                assert done == []
            finally:
                go_on.set()
        assert done == ["rewind", "f7"]
        assert (root / "f7").read_text() == ("as it was\n" if name == "rewind" else "changed\n")

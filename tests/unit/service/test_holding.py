"""Which changed paths a save leaves to another session: the holds of both, in every combination that matters."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rewindd.model.ids import SessionId
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests
from rewindd.service.capture.holding import held_by_others, why_left
from support.windows import Sill, sill

pytestmark = pytest.mark.anyio
ME, OTHER = SessionId("me"), SessionId("other")
OTHERS_WINDOW = "a window of session other is open"
HELD = "held by session other"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Sill]:
    """A service, and a covered workspace with the sessions `me` and `other`."""
    async with sill(tmp_path) as one:
        one.write("it", "0\n")
        for name in (ME, OTHER):
            await one.open(name)
        await one.cover(ME)
        yield one


async def hold(at: Sill, session: SessionId, how: str) -> None:
    """The session claims the file, opens a bracket on it, or opens a window."""
    if how == "claim":
        await at.ask(requests.TakeSnapshot(session=session, paths=[FsText("it")]), replies.Snapshots)
    elif how == "bracket":
        await at.ask(requests.BeginEdit(session=session, paths=[FsText("it")]), replies.Snapshots)
    else:
        await at.window(session, how)


@pytest.mark.parametrize(
    ("mine", "theirs", "reason"),
    [
        ([], [], None),
        (["claim"], [], None),
        ([], ["claim"], HELD),
        ([], ["bracket"], HELD),
        ([], ["command"], OTHERS_WINDOW),
        ([], ["turn"], OTHERS_WINDOW),
        ([], ["turn", "claim"], HELD),
        (["turn"], ["turn"], None),
        (["command"], ["turn"], None),
        (["claim"], ["turn"], None),
        (["bracket"], ["turn"], None),
        (["turn"], ["claim"], None),
        (["turn"], ["bracket"], HELD),
        (["claim"], ["bracket"], HELD),
        (["bracket"], ["bracket"], None),
    ],
)
async def test_what_a_save_leaves(at: Sill, mine: list[str], theirs: list[str], reason: str | None) -> None:
    """What another holds and the saver does not is left, and the reason says how it is held; another's bracket comes first."""
    for how in mine:
        await hold(at, ME, how)
    for how in theirs:
        await hold(at, OTHER, how)
    state = at.service._state
    tree = await state.tree((await state.session(ME)).workspace)
    assert why_left(state, tree, ME, RelPath("it")) == reason
    assert held_by_others(state, tree, ME, RelPath("it")) == (OTHER if reason else None)

"""What recovery did is told by `status`, also where the store fails meanwhile: then the next daemon says it again."""

import errno
import os
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.protocol import replies, requests
from rewindd.protocol.parts import Recovered
from rewindd.service.rewinding import recoveries
from support.dying import Desk, life

DONE = Recovered(operation_id="one", outcome="done")
TAKEN_BACK = Recovered(operation_id="two", outcome="rolled-back")


async def told(desk: Desk) -> list[Recovered]:
    return (await desk.ask(requests.GetStatus(), replies.Status)).recovered


async def noted(desk: Desk, done: Recovered) -> None:
    await desk.state.bridge.transact(lambda db: recoveries.note(db, done))
    desk.state.recovered.add(done)


def fails(effect: str) -> None:
    if effect.startswith("store."):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.anyio
async def test_told_by_the_life_that_is_asked_first(tmp_path: Path) -> None:
    """What two lives noted is told by the third, all the while it lives, and by no other."""
    (tmp_path / "tree").mkdir()
    for done in (DONE, TAKEN_BACK):
        async with life(str(tmp_path)) as desk:
            await noted(desk, done)
    async with life(str(tmp_path)) as desk:
        assert await told(desk) == [DONE, TAKEN_BACK]
        assert await told(desk) == [DONE, TAKEN_BACK]
    async with life(str(tmp_path)) as desk:
        assert await told(desk) == []


@pytest.mark.anyio
async def test_a_store_that_fails_keeps_nobody_from_being_told(tmp_path: Path) -> None:
    """`status` answers without room too; that it said so is noted later, or said again."""
    (tmp_path / "tree").mkdir()
    async with life(str(tmp_path)) as desk:
        await noted(desk, DONE)
        faults.arm(fails)
        try:
            assert await told(desk) == [DONE]
        finally:
            faults.arm(None)
    async with life(str(tmp_path)) as desk:
        assert await told(desk) == [DONE]
    async with life(str(tmp_path)) as desk:
        assert await told(desk) == []


@pytest.mark.anyio
async def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """Each operation once, as it came out last, and no more than are told."""
    (tmp_path / "tree").mkdir()
    async with life(str(tmp_path)) as desk:
        for number in range(recoveries.MOST_TOLD):
            await noted(desk, Recovered(operation_id=f"n{number}", outcome="done"))
        await noted(desk, Recovered(operation_id="n0", outcome="rolled-back"))
        await noted(desk, DONE)
    async with life(str(tmp_path)) as desk:
        found = await told(desk)
    assert [one.operation_id for one in found] == [*(f"n{number}" for number in range(2, recoveries.MOST_TOLD)), "n0", "one"]
    assert found[-2].outcome == "rolled-back"

"""How the store is looked after: backups at a clean stop, a scrub that goes on where it was, work that waits for a quiet moment."""

import os
from pathlib import Path

import anyio
import pytest

from rewindd.protocol import replies, requests
from rewindd.service.integrity import backing_up, idle
from rewindd.service.integrity.examining import CONTENTS, Examination
from rewindd.service.state import State
from support.windows import Sill, sill

pytestmark = pytest.mark.anyio


def state_of(at: Sill) -> State:
    return at.service._state


async def saved(at: Sill, count: int) -> str:
    """Saves so many checkpoints of one file; returns the session."""
    session = await at.open("one")
    await at.cover(session)
    for n in range(count):
        at.write("it", f"{n}\n")
        await at.ask(requests.Save(session=session, label=f"{n}"), replies.Saved)
    return session


@pytest.mark.parametrize(("count", "is_made"), [(3, False), (backing_up.STOP_CHECKPOINTS, True)])
async def test_a_backup_at_a_clean_stop(tmp_path: Path, count: int, is_made: bool) -> None:
    """Where much came since the last backup there is a new one; where little did, the end is not kept waiting."""
    async with sill(tmp_path) as at:
        await saved(at, count)
    backup = tmp_path / "data" / "store.db.backup"
    assert backup.exists() == is_made
    before = backup.stat().st_ino if is_made else None
    async with sill(tmp_path) as at:
        assert (await at.ask(requests.GetStatus(), replies.Status)).backup_at is not None or not is_made
    assert not is_made or backup.stat().st_ino == before, "nothing came since"
    assert [name for name in os.listdir(tmp_path / "data") if name.endswith(".new")] == []


async def test_an_examination_goes_on_where_it_was(tmp_path: Path) -> None:
    """An examination that is begun at the place of another one does what that one left, and together they do all."""
    async with sill(tmp_path) as at:
        await saved(at, 5)
        whole = Examination(state_of(at))
        while not whole.is_over:
            await whole.step()
        first = Examination(state_of(at))
        while first.where[0] != "known":
            await first.step()
        second = Examination(state_of(at), where=first.where)
        while not second.is_over:
            await second.step()
        assert (first.rows + second.rows, first.blobs + second.blobs) == (whole.rows, whole.blobs)
        assert whole.found.count == 0
        assert Examination(state_of(at), where=(CONTENTS, (10_000,))).where == (CONTENTS, (10_000,))


async def test_what_can_wait_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work for a quiet moment begins when nobody asked for a while, and under requests that never pause all the same."""
    async with sill(tmp_path) as at:
        monkeypatch.setattr(idle, "IDLE_S", 0.0)
        await idle.idle(state_of(at))
        monkeypatch.setattr(idle, "IDLE_S", 3600.0)
        with anyio.move_on_after(0.05) as waiting:
            await idle.idle(state_of(at))
        assert waiting.cancelled_caught
        monkeypatch.setattr(idle, "PATIENCE_S", 0.05)
        await idle.idle(state_of(at))


async def test_looking_after_it_is_no_request(tmp_path: Path) -> None:
    """Who only looks how the daemon is does not keep the scrub from going on."""
    async with sill(tmp_path) as at:
        asked_s = state_of(at).care.asked_s
        await at.ask(requests.GetStatus(), replies.Status)
        await at.ask(requests.GetHealth(), replies.Health)
        assert state_of(at).care.asked_s == asked_s
        await at.open("one")
        assert state_of(at).care.asked_s > asked_s

"""Retention at idle, without any request: what the rules drop, workspaces past their age, and what is told over quota."""

import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import rewindd
from rewindd.protocol import replies, requests
from support.daemon import RealDaemon
from support.desk import POLL_S, Desk, saved

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def keeping(directory: Path, rules: str) -> AsyncIterator[Desk]:
    """A daemon with these rules in `[retention]`, which looks twice a second."""
    daemon = RealDaemon(directory.resolve())
    (daemon.directory / "config" / "rewindd").mkdir()
    (daemon.directory / "config" / "rewindd" / "config.toml").write_text(f"[retention]\ninterval_s = 1\n{rules}\n")
    home, root = daemon.directory / "home", daemon.directory / "tree"
    home.mkdir()
    root.mkdir()
    try:
        daemon.start(env={"HOME": str(home)})
        async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
            yield Desk(client, root, daemon)
        daemon.stop()
    finally:
        daemon.kill()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a state. Only `status` may be asked for it: anything else is work, and there is to be none."""
    with anyio.fail_after(30):
        while not await holds():
            await anyio.sleep(POLL_S)


async def test_the_rules_are_kept_unasked(tmp_path: Path) -> None:
    """A moment after the last save only what the rules keep is there."""
    async with keeping(tmp_path, "keep_last = 2\nkeep_daily = 0") as desk:
        async with desk.session() as session:
            made = [(await saved(session, desk, "file", f"{number}\n")).id for number in range(6)]
        store = desk.client.status

        async def is_pruned() -> bool:
            return (await store()).store.checkpoints == 2

        await until(is_pruned)
        async with desk.session(session_id=session.id) as session:
            assert [one.id for one in await session.list()] == made[-2:]


async def test_a_workspace_past_its_age(tmp_path: Path) -> None:
    """It goes while its directory is there, and that is said; while the directory is away it stays."""
    async with keeping(tmp_path, "max_age_s = 2") as desk:
        away = desk.root.with_name("away")
        async with desk.session() as session:
            await saved(session, desk, "file", "one\n")
            await session.close()
        shutil.move(desk.root, away)
        told = await desk.client.status()
        with anyio.move_on_after(6):
            while (told := await desk.client.status()).workspaces:
                await anyio.sleep(POLL_S)
        assert (len(told.workspaces), told.gone) == (1, [])
        shutil.move(away, desk.root)

        async def is_gone() -> bool:
            return (await desk.client.status()).workspaces == []

        await until(is_gone)
        told = await desk.client.status()
        assert [(one.root, one.reason.startswith("nobody was at work")) for one in told.gone] == [(str(desk.root), True)]
        assert (told.store.checkpoints, told.store.rows, told.sessions) == (0, 0, 0)
        assert "nothing of it is kept any more" in desk.daemon.said()


async def test_over_quota_is_told(tmp_path: Path) -> None:
    """Who saves is told, with what takes most; nothing is dropped for it at once, and under the quota nothing is said."""
    async with keeping(tmp_path, "max_workspace_bytes = 100000") as desk, desk.session() as session:
        quiet = await desk.client.ask(requests.Save(session=session.id), replies.Saved)
        assert quiet.over_quota is None
        desk.write("large", random.Random(1).randbytes(90_000))
        desk.write("small", random.Random(2).randbytes(20_000))
        await desk.client.ask(requests.Save(session=session.id), replies.Saved)

        async def is_over() -> bool:
            return bool((await desk.client.status()).over_quota)

        await until(is_over)
        told = await desk.client.ask(requests.Save(session=session.id), replies.Saved)
        assert told.over_quota is not None
        assert (told.over_quota.scope, told.over_quota.max_bytes) == ("workspace", 100_000)
        assert [one.path for one in told.over_quota.biggest] == [str(desk.root / "large"), str(desk.root / "small")]
        assert len(await session.list()) == 3

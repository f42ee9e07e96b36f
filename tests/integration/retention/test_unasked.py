"""Retention at idle, without any request: what the rules drop, workspaces past their age, and what is told over quota."""

import os
import random
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import rewindd
from rewindd.protocol import replies, requests
from support.clocks import WallClock
from support.daemon import RealDaemon
from support.desk import POLL_S, Desk, saved

pytestmark = pytest.mark.anyio


def write_rules(daemon: RealDaemon, rules: str) -> None:
    """Writes the daemon's configuration."""
    (daemon.directory / "config" / "rewindd" / "config.toml").write_text(f"[retention]\ninterval_s = 1\n{rules}\n")


@asynccontextmanager
async def keeping(directory: Path, rules: str, env: dict[str, str] | None = None) -> AsyncIterator[Desk]:
    """A daemon with these rules in `[retention]`, which looks twice a second."""
    daemon = RealDaemon(directory.resolve())
    (daemon.directory / "config" / "rewindd").mkdir()
    write_rules(daemon, rules)
    home, root = daemon.directory / "home", daemon.directory / "tree"
    home.mkdir()
    root.mkdir()
    try:
        daemon.start(env={"HOME": str(home), **(env or {})})
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


HOUR_S = 3600


async def has_read(desk: Desk, rules: str) -> None:
    """Has the daemon take over other rules."""
    before = (await desk.client.status()).config
    assert before is not None
    write_rules(desk.daemon, rules)
    os.kill(desk.daemon.pid, signal.SIGHUP)

    async def is_read() -> bool:
        now = (await desk.client.status()).config
        return now is not None and now.read_at != before.read_at

    await until(is_read)


async def stays(desk: Desk, checkpoints: int) -> None:
    """For some rounds of the daemon's looking nothing is dropped."""
    with anyio.move_on_after(2.5):
        while (await desk.client.status()).store.checkpoints == checkpoints:
            await anyio.sleep(POLL_S)
    assert (await desk.client.status()).store.checkpoints == checkpoints


def stored(desk: Desk) -> int:
    """How many bytes the contents take on disk."""
    return sum(path.stat().st_size for path in desk.daemon.data_dir.glob("blobs/*/*"))


async def test_a_quota_that_was_halved(tmp_path: Path) -> None:
    """Who saves is told, with what takes most; a day later, and not before, the rules keep less, and the space is had back."""
    rules, clock = "keep_last = 9\nkeep_daily = 0\nmax_workspace_bytes = {}", WallClock(tmp_path)
    async with keeping(tmp_path, rules.format(4_000_000), clock.env) as desk, desk.session() as session:
        versions = [random.Random(number).randbytes(400_000) for number in range(7)]
        made = [(await saved(session, desk, "large", one)).id for one in versions]
        desk.write("small", random.Random(99).randbytes(10_000))
        await session.save()
        await stays(desk, 8)
        assert (await desk.client.status()).over_quota == []

        await has_read(desk, rules.format(2_000_000))

        async def is_over() -> bool:
            return bool((await desk.client.status()).over_quota)

        await until(is_over)
        clock.turn(48 * HOUR_S)  # nobody was told yet
        await stays(desk, 8)
        told = await desk.client.ask(requests.Save(session=session.id, label="told"), replies.Saved)
        assert told.over_quota is not None
        assert (told.over_quota.scope, told.over_quota.max_bytes) == ("workspace", 2_000_000)
        assert next((one.path, one.bytes) for one in told.over_quota.biggest) == (str(desk.root / "large"), 2_800_000)
        clock.turn(23 * HOUR_S)
        await stays(desk, 9)
        assert stored(desk) >= 2_800_000

        clock.turn(2 * HOUR_S)

        async def is_less() -> bool:
            return not await is_over() and stored(desk) <= 2_000_000

        await until(is_less)
        left = [one.id for one in await session.list()]
        assert left[:2] == [made[5], made[6]]
        assert [one.label for one in await session.list()][-1] == "told"
        async with desk.session(session_id=session.id) as again:
            for position, content in ((made[5], versions[5]), (made[6], versions[6])):
                result = await again.rewind(position, paths="large", on_conflict="overwrite")
                assert (result.conflicts, (desk.root / "large").read_bytes()) == ([], content)


async def test_a_quota_that_was_raised_in_time(tmp_path: Path) -> None:
    """Who was told, and allowed more within the day, loses nothing after it."""
    rules, clock = "keep_last = 8\nkeep_daily = 0\nmax_workspace_bytes = {}", WallClock(tmp_path)
    async with keeping(tmp_path, rules.format(100_000), clock.env) as desk, desk.session() as session:
        for number in range(4):
            await saved(session, desk, "large", random.Random(number).randbytes(50_000))

        async def is_over() -> bool:
            return bool((await desk.client.status()).over_quota)

        await until(is_over)
        assert (await desk.client.ask(requests.Save(session=session.id), replies.Saved)).over_quota is not None
        await has_read(desk, rules.format(1_000_000))
        clock.turn(25 * HOUR_S)
        await stays(desk, 5)

"""Nobody waits for another's large work: small requests beside a large snapshot, a first capture and a save of thousands of files."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

import rewindd
from rewindd.protocol import replies, requests
from support import heavy
from support.daemon import RealDaemon, real_daemon

pytestmark = pytest.mark.anyio
#: How many times its idle time a request may take beside large work (the 99th percentile of both).
TIMES = 10
#: An idle machine answers in a millisecond or two; below this no one notices a wait, and a percentile measures the machine.
IDLE_S = 0.005
#: What one function of the store may take: small requests wait for it (docs/design.md).
FUNCTION_S = 0.020
#: How often all small requests are asked beside each quick work, at least: one who waited for the work would be asked once or twice.
ROUNDS = 4


Ask = Callable[[], Awaitable[object]]


@dataclass
class Sizes:
    """How large the work is that others do."""

    snapshot_bytes: int
    captured_files: int
    changed_files: int

    @property
    def works(self) -> dict[str, tuple[str, int]]:
        """Each work with its directory and size."""
        return {
            "a large snapshot": ("busy", self.snapshot_bytes),
            "a first capture": ("fresh", self.captured_files),
            "a large save": ("busy", self.changed_files),
        }


QUICK = Sizes(snapshot_bytes=96 << 20, captured_files=3000, changed_files=3000)
LONG = Sizes(snapshot_bytes=1 << 30, captured_files=20_000, changed_files=10_000)


@dataclass
class Asker:
    """Asks small things over and over, and notes how long each took."""

    ask: dict[str, Ask]
    took_s: dict[str, list[float]] = field(default_factory=dict)

    async def rounds(self, until: Callable[[int], bool]) -> None:
        number = 0
        while not until(number):
            number += 1
            for name, ask in self.ask.items():
                began_s = time.perf_counter()
                await ask()
                self.took_s.setdefault(name, []).append(time.perf_counter() - began_s)

    def p99_s(self, name: str) -> float:
        found = sorted(self.took_s[name])
        return found[min(len(found) - 1, len(found) * 99 // 100)]


@pytest.mark.parametrize("sizes", [pytest.param(QUICK, id="quick"), pytest.param(LONG, id="long", marks=pytest.mark.long)])
async def test_small_requests_beside_large_work(tmp_path: Path, sizes: Sizes) -> None:
    """`snapshot`, `record`, `status`, `list` in the same and another workspace, and `save` in another one."""
    is_long = sizes is LONG
    top = tmp_path.resolve()
    for name in ("busy", "quiet", "fresh"):
        (top / name).mkdir()
    with real_daemon(top / "real", env={"HOME": str(top)}) as daemon:
        async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
            beside = await client.session(top / "busy", agent="beside").__aenter__()
            quiet = await client.session(top / "quiet", agent="quiet").__aenter__()
            for number in range(8):
                (top / "busy" / f"mine{number}").write_text("mine\n")
                (top / "quiet" / f"mine{number}").write_text("mine\n")
            await beside.save()
            await quiet.save()
            idle = Asker(_small(client, beside, quiet, top))
            await idle.rounds(lambda number: number >= (300 if is_long else 60))

            found: dict[str, Asker] = {}
            for what, (directory, size) in sizes.works.items():
                found[what] = Asker(_small(client, beside, quiet, top))
                await _beside(found[what], daemon, top / directory, what, size)
            longest = await _longest(client)

    told = [
        f"{what}, {name}: p99 {asker.p99_s(name) * 1000:.1f} ms of {len(asker.took_s[name])}, idle {idle.p99_s(name) * 1000:.1f} ms"
        for what, asker in found.items()
        for name in asker.took_s
    ]
    print("\n" + "\n".join(told) + f"\nlongest function of the store: {longest[0] * 1000:.1f} ms, {longest[1]}")
    if is_long:
        for what, asker in found.items():
            for name in asker.took_s:
                assert asker.p99_s(name) <= TIMES * max(idle.p99_s(name), IDLE_S), (what, name, told)
        assert longest[0] <= FUNCTION_S, longest
    else:  # on a machine that does other things meanwhile: nobody waited for the work itself
        for what, asker in found.items():
            slowest_s = max(max(times) for times in asker.took_s.values())
            assert len(asker.took_s["status"]) >= ROUNDS, (what, told)
            assert slowest_s < 1.0, (what, told)


def _small(client: rewindd.Client, beside: rewindd.Session, quiet: rewindd.Session, top: Path) -> dict[str, Ask]:
    number = iter(range(1 << 30))

    async def snapshot() -> None:
        kept = await beside.snapshot(f"mine{next(number) % 8}")
        assert [one.kind for one in kept.snapshots] == ["file"]

    async def snapshot_elsewhere() -> None:
        await quiet.snapshot(f"mine{next(number) % 8}")

    async def record() -> None:
        await beside.record([requests.EventBody(kind="user_prompt", text=f"message {next(number)}", tokens=3)])

    async def save_elsewhere() -> None:
        (top / "quiet" / f"mine{next(number) % 8}").write_text(f"changed {next(number)}\n")
        await quiet.save()

    async def listed() -> None:
        await beside.list(limit=20)

    return {
        "snapshot": snapshot,
        "snapshot elsewhere": snapshot_elsewhere,
        "record": record,
        "status": client.status,
        "list": listed,
        "save elsewhere": save_elsewhere,
    }


async def _beside(asker: Asker, daemon: RealDaemon, root: Path, what: str, size: int) -> None:
    """Asks while another process does its large work, from its beginning to its end."""
    command = [sys.executable, heavy.__file__, daemon.socket, str(root), what, str(size)]
    environment = {**os.environ, "PYTHONPATH": str(Path(heavy.__file__).parents[1])}
    async with await anyio.open_process(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert (await process.stdout.receive()).startswith(b"ready")
        await process.stdin.send(b"go\n")
        await asker.rounds(lambda number: process.returncode is not None and number > 0)
        assert process.returncode == 0


async def _longest(client: rewindd.Client) -> tuple[float, str]:
    text = (await client.ask(requests.GetMetrics(), replies.Metrics)).text
    found = re.search(r'rewindd_store_longest_seconds\{function="([^"]*)"\} (\S+)', text)
    assert found is not None, text
    return float(found.group(2)), found.group(1)

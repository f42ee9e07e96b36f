"""Small requests on another connection while a first capture runs, against the same requests when nothing else goes on."""

import random
import shutil
import time
from collections import defaultdict
from pathlib import Path

import anyio

import rewindd
from benchmark import demands, subject
from benchmark.comparison import Key, Samples
from benchmark.contest import Act, complete, connect
from benchmark.ground import Ground, rest
from benchmark.measures import text

#: Checkpoints of the session that is listed.
CHECKPOINTS = 20
#: Seconds between two rounds of requests: an agent that asks without pause would only measure itself.
PAUSE_S = 0.005
#: Rounds of requests when idle: enough for a 99th percentile; no more than this many beside a capture.
IDLE_ROUNDS, MOST_ROUNDS = 200, 2_000


async def measure(ground: Ground, samples: Samples, *, idle_rounds: int = IDLE_ROUNDS) -> None:
    """Measures one first capture with requests beside it, and afterwards the same requests; what it made is removed."""
    daemon_directory, small, fresh = ground.directory / "beside", ground.directory / "small", ground.ours / "fresh"
    try:
        small.mkdir()
        with subject.running(daemon_directory) as daemon:
            async with connect(daemon) as one, connect(daemon) as other:
                async with other.session(small, agent="other", capture="snapshots") as listed:
                    for number in range(CHECKPOINTS):
                        await listed.save(f"checkpoint {number}")
                    rest()
                    async with one.session(ground.ours, agent="bench", capture="workspace"):
                        async with other.session(ground.ours, agent="beside", capture="workspace") as session:
                            requests = _Requests(other, session, listed, fresh)
                            during = await requests.while_capturing()
                            await complete(one)
                            await anyio.sleep(1)
                            idle = await requests.so_many(idle_rounds)
    finally:
        for directory in (daemon_directory, small, fresh):
            shutil.rmtree(directory, ignore_errors=True)
    for word, name in demands.BESIDE.items():
        key = Key(ground.files, name)
        samples.ours[key] += during[word]
        samples.other[key] += idle[word]


class _Requests:
    """A status, a snapshot of a file just written, and a list of 20 checkpoints; over and over."""

    def __init__(self, client: rewindd.Client, session: rewindd.Session, listed: rewindd.Session, fresh: Path) -> None:
        self._client = client
        self._session = session
        self._listed = listed
        self._fresh = fresh
        self._chance = random.Random(5)
        self._number = 0
        fresh.mkdir()

    async def while_capturing(self) -> dict[str, list[float]]:
        """Asks until the daemon is done with the first capture; one round at least."""
        took: defaultdict[str, list[float]] = defaultdict(list)
        for _ in range(MOST_ROUNDS):
            await self._ask(took)
            if all(one.baseline.state == "complete" for one in (await self._client.status()).workspaces):
                break
        return took

    async def so_many(self, rounds: int) -> dict[str, list[float]]:
        """Asks so many times."""
        took: defaultdict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            await self._ask(took)
            await self._client.status()  # as often as beside the capture
        return took

    async def _ask(self, took: defaultdict[str, list[float]]) -> None:
        self._number += 1
        path = self._fresh / f"{self._number}.txt"
        path.write_bytes(text(self._chance))
        await _timed(took["status"], self._client.status)
        await _timed(took["snapshot"], lambda: self._session.snapshot(path))
        await _timed(took["list"], lambda: self._listed.list(limit=CHECKPOINTS))
        await anyio.sleep(PAUSE_S)


async def _timed(into: list[float], act: Act) -> None:
    begun = time.perf_counter()
    await act()
    into.append((time.perf_counter() - begun) * 1000)

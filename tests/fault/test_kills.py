"""A daemon that is killed again and again at any moment, and started again, while eight agents work: they notice only that it is slow."""

import os
import random
import select
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from support import load_agents
from support.daemon import RealDaemon
from support.dying import log_faults
from support.load_agents import STOP, Tally, digest
from support.matrix import strays, unsound

PROCESSES, AGENTS = 2, 4
#: More rounds than any run comes to.
ROUNDS = 1_000_000
#: The longest that a daemon lives, in seconds from its start: it is killed while it starts, recovers, and works.
LONGEST_S = 1.2
PATIENCE_S = 300.0


def begin(daemon: RealDaemon, top: Path) -> list["subprocess.Popen[bytes]"]:
    """Eight agents in two processes, each with a directory, a session and a connection of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(load_agents.__file__).parents[1])}
    return [
        subprocess.Popen(
            [sys.executable, load_agents.__file__, daemon.socket, str(top), str(first * AGENTS), str(AGENTS), str(ROUNDS)],
            env=environment,
            stdout=subprocess.PIPE,
        )
        for first in range(PROCESSES)
    ]


def wait_until_all_work(top: Path, agents: list["subprocess.Popen[bytes]"]) -> None:
    """Returns when each agent has written a file: its session is open."""
    while len({path.parent for path in top.glob("*/*.txt")}) < PROCESSES * AGENTS:
        assert [agent.poll() for agent in agents] == [None] * PROCESSES
        select.select([], [], [], 0.02)


def lives_for(daemon: RealDaemon, seconds: float) -> bool:
    """Returns whether it still lives then."""
    assert daemon.process is not None
    try:
        daemon.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def kill_again_and_again(daemon: RealDaemon, times: int) -> None:
    """Lets it live for a random time, kills it, and starts it again; in the end it runs."""
    chance = random.Random(times)
    for _ in range(times):
        assert lives_for(daemon, chance.random() * LONGEST_S), f"it ended by itself: {daemon.said()}"
        daemon.kill()
        daemon.start(wait=False)
    daemon.wait_until_up()


def end(top: Path, agents: list["subprocess.Popen[bytes]"]) -> list[Tally]:
    """Lets the agents finish their round, and returns what they tell."""
    (top / STOP).touch()
    told = [agent.communicate(timeout=PATIENCE_S)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0] * PROCESSES
    return [msgspec.json.decode(each, type=Tally) for each in told]


def check(directory: Path, times: int) -> None:
    """What the agents were told is so, and the store is sound."""
    daemon, top = RealDaemon(directory), directory / "trees"
    top.mkdir()
    agents: list[subprocess.Popen[bytes]] = []
    try:
        daemon.start()
        agents = begin(daemon, top)
        wait_until_all_work(top, agents)
        kill_again_and_again(daemon, times)
        tallies = end(top, agents)
        daemon.stop()
    finally:
        daemon.kill()
        for agent in agents:
            agent.kill()
            agent.wait()
    digests = {name: found for tally in tallies for name, found in tally.digests.items()}
    assert [wrong for tally in tallies for wrong in tally.wrong] == []
    assert len(digests) == PROCESSES * AGENTS
    assert {name: digest(top / name.replace("agent", "project")) for name in digests} == digests
    assert min(tally.rewinds for tally in tallies) > 0
    assert [*log_faults(str(directory)), *unsound(str(directory)), *strays(str(directory))] == []
    assert [str(path) for path in top.rglob(".rewindd-*")] == []


def test_kills_at_random_moments(tmp_path: Path) -> None:
    """Twenty kills: all that was answered is there, every tree is as its agent was told, nothing is left behind."""
    check(tmp_path.resolve(), 20)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_2000_kills_at_random_moments(tmp_path: Path) -> None:
    """The same, 2,000 times."""
    check(tmp_path.resolve(), 2000)

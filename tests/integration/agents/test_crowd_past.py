"""Several sessions and a person in one tree, at random: restores, rewinds of the whole workspace and barriers among all else."""

import random

import pytest

from support.crowd import game
from support.crowd_past import PastCrowd
from support.daemon import RealDaemon

#: Games of a usual run, always the same.
SEEDS, STEPS = (1, 2, 12), 90
#: Games of a long run, each time others.
LONG_GAMES, LONG_STEPS = 24, 300


def play(daemon: RealDaemon, seeds: list[int], steps: int, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Plays games; returns how many operations of each kind about everybody's work were applied."""
    total = {"restore": 0, "workspace": 0, "barrier": 0}
    for seed in seeds:
        with game(daemon, seed, PastCrowd) as crowd:
            crowd.play(steps)
        total = {kind: total[kind] + crowd.done[kind] for kind in total}
    with capsys.disabled():
        print(f"\n{len(seeds)} games: {total}")
    assert daemon.said() == ""
    return total


def test_all_is_as_it_was_then(running: RealDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """What was restored, a workspace and a barrier hold what was live then, whoever did it, or nothing was touched.

    Undone at once, every byte and mode is as before, and what the sessions undo later still leaves each other's work alone.
    """
    total = play(running, list(SEEDS), STEPS, capsys)
    assert min(total.values()) >= 3


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_for_long(running: RealDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, thousands of steps, in other games each time."""
    total = play(running, random.SystemRandom().sample(range(10**6), LONG_GAMES), LONG_STEPS, capsys)
    assert min(total.values()) >= 100

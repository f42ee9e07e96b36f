"""A power cut after any call takes some of what was not synced: what was answered is there, and the rest absent or whole."""

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from support import matrix, recorder
from support.cases import CASES
from support.powerloss import ANY, LOSSES, LOST, Disk
from support.recorder import Call
from support.scene import Scene, a_scene, children, expect_whole
from support.zygote import Zygote

#: How often each rename is tried: what must not be left alone is so once in four to eight times.
SEEDS = 8


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with children() as found:
        yield found


@pytest.fixture(scope="module", params=CASES)
def scene(request: pytest.FixtureRequest, zygote: Zygote) -> Iterator[Scene]:
    with a_scene(zygote, request.param) as found:
        yield found


#: What is cut off, how: after so many calls, with that loss, by that seed.
Moments = Iterable[tuple[int, str, int]]


def cut(scene: Scene, moments: Callable[[list[Call]], Moments]) -> None:
    """Lives through it once, and cuts the power at the moments that are wanted of these calls."""
    calls = scene.record()
    disk, done, answered = scene.before, 0, 0
    for number, loss, seed in sorted(moments(calls)):
        for call in calls[done:number]:
            disk.apply(call)
            answered += call.operation == "note" and call.path == "answered"
        done = number
        told = f"{scene.name}: {loss} by {seed} after {number} of {len(calls)}, {named(calls, number)}"
        scene.cut_power(disk, random.Random(seed), loss)
        expect_whole(scene, answered, scene.look(again=True, pool=True), told)


def named(calls: list[Call], number: int) -> str:
    return " ".join((calls[number - 1].operation, calls[number - 1].path))


def when_answered(calls: list[Call]) -> int:
    """After how many calls the last request was answered, and nothing was done yet that comes after it; all, where nothing is asked."""
    return max((number for number, call in enumerate(calls, 1) if (call.operation, call.path) == ("note", "answered")), default=len(calls))


def test_power_cuts(scene: Scene) -> None:
    """All that was not synced is lost right after the answer; and at a few moments more, drawn from a seed of the use case's own."""
    chance = random.Random(scene.name)
    losses = [loss for loss in (LOSSES if scene.name == "save-of-many" else (*LOSSES, ANY)) if loss != LOST]

    def moments(calls: list[Call]) -> Moments:
        yield when_answered(calls), LOST, 0
        for loss in losses:
            yield 1 + chance.randrange(len(calls)), loss, chance.randrange(1 << 20)

    cut(scene, moments)


def after_renames(calls: list[Call]) -> Moments:
    """Any of what was not synced is lost right after each rename: the new name must not be there without what came first."""
    renames = [number for number, call in enumerate(calls, 1) if call.operation == "rename"]
    return [(number, ANY, seed) for number in renames for seed in range(SEEDS)]


def test_power_cuts_after_renames(zygote: Zygote) -> None:
    """While a damaged database and its log are put aside and the backup takes their place: the log is never found beside the backup."""
    with a_scene(zygote, "start-from-the-backup-after-a-crash") as scene:
        cut(scene, after_renames)


def test_a_data_directory_keeps_its_place(zygote: Zygote) -> None:
    """All of the directories that a first start makes are there after a power cut: what is saved in them is not lost with a name."""
    with tempfile.TemporaryDirectory() as place:
        top, record = Path(place, "home").resolve(), Path(place, "record")
        top.mkdir()
        disk = Disk(top)
        zygote.run(matrix.make_data_directory, top=str(top), record=str(record))
        for call in recorder.read(record):
            disk.apply(call)
        assert "share/of/rewindd/store.db" in disk.crash(random.Random(1), "lost").paths


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_power_cut_after_each_call(scene: Scene) -> None:
    """After every call, each loss, and that where anything may be missing several times."""
    chance = random.Random(scene.name)

    def moments(calls: list[Call]) -> Moments:
        for number in range(1, len(calls) + 1):
            for loss in (*LOSSES, ANY, ANY):
                yield number, loss, chance.randrange(1 << 20)
        yield from after_renames(calls)

    cut(scene, moments)

"""A power cut after any call takes some of what was not synced: what was answered is there, and the rest absent or whole."""

import random
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from support import matrix, recorder
from support.cases import CASES
from support.powerloss import LOSSES, Disk
from support.recorder import Call
from support.scene import Scene, a_scene, children, expect_whole
from support.zygote import Zygote


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with children() as found:
        yield found


@pytest.fixture(scope="module", params=CASES)
def scene(request: pytest.FixtureRequest, zygote: Zygote) -> Iterator[Scene]:
    with a_scene(zygote, request.param) as found:
        yield found


def cut(scene: Scene, moments: Iterable[tuple[int, str, int]]) -> int:
    """Lives through it once, and cuts the power after so many calls, with that loss, by that seed. Returns how many calls there were."""
    calls = scene.record()
    disk, done, answered = scene.before, 0, 0
    for number, loss, seed in sorted((1 + number % len(calls), loss, seed) for number, loss, seed in moments):
        for call in calls[done:number]:
            disk.apply(call)
            answered += call.operation == "note" and call.path == "answered"
        done = number
        told = f"{scene.name}: {loss} by {seed} after {number} of {len(calls)}, {named(calls, number)}"
        scene.cut_power(disk, random.Random(seed), loss)
        expect_whole(scene, answered, scene.look(again=True, pool=True), told)
    return len(calls)


def named(calls: list[Call], number: int) -> str:
    return " ".join((calls[number - 1].operation, calls[number - 1].path))


def test_power_cuts(scene: Scene) -> None:
    """At a few moments, drawn from a seed of the use case's own."""
    chance = random.Random(scene.name)
    losses = LOSSES if scene.name == "save-of-many" else (*LOSSES, "any")
    cut(scene, [(chance.randrange(1 << 20), loss, chance.randrange(1 << 20)) for loss in losses])


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
    calls = len(scene.record())
    cut(scene, [(number, loss, chance.randrange(1 << 20)) for number in range(calls) for loss in (*LOSSES, "any", "any")])

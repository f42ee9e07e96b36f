"""A process that dies, or a call that fails, at any effect of a prune: what is kept is whole, and the next prune finishes."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import pruner
from support.stage import FAST, share
from support.zygote import Zygote, zygote

#: The labelled one, the one that an undoable rewind went to, and the last two.
KEPT = ("c4", "c9", "c10", "c11")
#: Effects at which it dies in the short form.
SHORT = 12


@dataclass
class Ground:
    """A store to be pruned, again and again from the same start. `effects`: the names; `trees`: at each checkpoint."""

    children: Zygote
    top: Path
    kept: Path
    trees: dict[str, Any]
    effects: list[str]
    done: dict[str, Any]

    def again(self) -> None:
        """Puts the store back; the tree is as it was."""
        shutil.rmtree(self.top / "data")
        shutil.copytree(self.kept / "data", self.top / "data", symlinks=True)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as directory, zygote() as children:
        top, kept, trace = Path(directory, "here"), Path(directory, "kept"), Path(directory, "trace")
        (top / "run").mkdir(parents=True)
        trees = children.run(pruner.set_out, top=str(top)).result
        shutil.copytree(top, kept, symlinks=True)
        children.run(pruner.prune, top=str(top), spec=f"trace:{trace}")
        effects = trace.read_text().split()
        done = children.run(pruner.look_back, top=str(top)).result
        yield Ground(children, top, kept, trees, effects, done)


def test_what_it_comes_to(ground: Ground) -> None:
    """Checkpoints, contents and their files go, a step at a time; the tree is not touched."""
    assert {name.split(".")[0] for name in ground.effects} == {"store"}
    assert ground.effects.count("store.committed") >= 8
    assert "store.blob.unlink" in ground.effects
    assert [one for one in ground.done["after"]["ids"] if one.startswith("c")] == list(KEPT)
    assert len(ground.done["files"]) < pruner.SAVES


def check(ground: Ground, name: str) -> None:
    """What is kept is whole before and after the next prune, which comes to what one that was not cut off comes to."""
    found = ground.children.run(pruner.look_back, top=str(ground.top)).result
    for when in ("before", "after"):
        assert found[when]["damage"] == [], (name, when)
        assert set(KEPT) <= set(found[when]["ids"]), (name, when)
        assert found[when]["trees"] == {one: ground.trees[one] for one in KEPT}, (name, when)
    assert "error" not in found["again"], name
    assert [one for one in found["after"]["ids"] if one.startswith("c")] == list(KEPT), name
    assert found["blobs"] == ground.done["blobs"], name
    assert found["files"] == ground.done["files"], name


def test_death_at_some_effects(ground: Ground) -> None:
    """Killed at the nth effect."""
    for number in share(len(ground.effects), SHORT):
        ground.again()
        assert ground.children.run(pruner.prune, top=str(ground.top), spec=f"die:{number}").was_killed, number
        check(ground, f"{number}: {ground.effects[number - 1]}")


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_failure_at_some_effects(ground: Ground, error: str) -> None:
    """The nth effect fails: it says so, or has done it; the daemon lives on."""
    for number in share(len(ground.effects), SHORT // 2):
        ground.again()
        assert ground.children.run(pruner.prune, top=str(ground.top), spec=f"{error}:{number}").status == 0, number
        check(ground, f"{number}: {ground.effects[number - 1]}")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_death_at_each_effect(ground: Ground) -> None:
    """Killed at the nth effect, for every n."""
    for number, name in enumerate(ground.effects, 1):
        ground.again()
        assert ground.children.run(pruner.prune, top=str(ground.top), spec=f"die:{number}").was_killed, number
        check(ground, f"{number}: {name}")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EACCES", "EMFILE", "EDQUOT"])
def test_failure_at_each_effect(ground: Ground, error: str) -> None:
    """The nth effect fails, for every n."""
    for number, name in enumerate(ground.effects, 1):
        ground.again()
        assert ground.children.run(pruner.prune, top=str(ground.top), spec=f"{error}:{number}").status == 0, number
        check(ground, f"{number}: {name}")

"""A parent that becomes a symlink to outside right before each single effect of an operation: it leads nowhere."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.model.versions import Directory, Symlink, Version
from rewindd.paths import LinkTarget, RelPath
from rewindd.tree.apply import StageFailed, apply, rescue, sweep, sync
from rewindd.tree.rename import exchange
from support.swapping import MARK, untouched
from support.tree import Memory, build, never, open_root, read_back, steps_between

#: What is swapped: a directory in which things change, one that goes, and one that comes; each is a step's parent.
SWAPPED = ("d", "d/deep", "going", "coming")
#: The effects there are; the operation has all of them.
KINDS = {f"tree.{kind}" for kind in ("stage", "exchange", "create", "remove", "rmdir", "chmod", "mkdir", "sync", "unstage")}


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.arm(None)


def trees(memory: Memory) -> tuple[dict[RelPath, Version], dict[RelPath, Version]]:
    """A before and an after, whose steps are of every kind and all below directories that are swapped."""
    before: dict[str, Version] = {
        "d": Directory(0o755),
        "d/file": memory.file(b"now"),
        "d/mode": memory.file(b"mode", 0o644),
        "d/gone": memory.file(b"gone"),
        "d/link": Symlink(LinkTarget("now")),
        "d/deep": Directory(0o755),
        "d/deep/file": memory.file(b"now, deep"),
        "d/deep/tight": Directory(0o755),
        "going": Directory(0o700),
        "going/file": memory.file(b"going"),
    }
    after: dict[str, Version] = {
        "d": Directory(0o755),
        "d/file": memory.file(b"then"),
        "d/mode": memory.file(b"mode", 0o755),
        "d/link": Symlink(LinkTarget("then")),
        "d/made": Directory(0o755),
        "d/made/file": memory.file(b"made"),
        "d/deep": Directory(0o755),
        "d/deep/file": memory.file(b"then, deep"),
        "d/deep/tight": Directory(0o700),
        "coming": Directory(0o755),
        "coming/file": memory.file(b"coming"),
    }
    return {RelPath(path): version for path, version in before.items()}, {RelPath(path): version for path, version in after.items()}


def furnish(outside: Path) -> None:
    """The same names outside, with other contents."""
    for name in ("file", "mode", "gone", "made/file", "deep/file", "deep/tight/x"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_bytes(MARK)
    (outside / "link").symlink_to("now")


def swap(top: Path, outside: Path, directory: str) -> None:
    """Puts a link to outside in a directory's place, and the directory beside it; where it is not there, the link alone."""
    beside = top / f"{directory}-aside"
    if not os.path.lexists(beside):
        beside.symlink_to(outside)
    with suppress(OSError):
        exchange(-100, str(top / directory), -100, str(beside))
        return
    with suppress(OSError):
        (top / directory).symlink_to(outside)


def at_the_nth(number: int, act: Callable[[], None]) -> Callable[[str], None]:
    """A hook that acts before the nth effect."""
    left = number

    def hook(name: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            act()

    return hook


def operated(top: Path, outside: Path, memory: Memory, hook: Callable[[str], None]) -> bool:
    """Applies, syncs and cleans up with a hook armed; returns whether something was done."""
    before, after = trees(memory)
    build(top, before, memory)
    with open_root(top) as root:
        steps = steps_between(before, after, root, memory)
        faults.arm(hook)
        done = False
        with suppress(StageFailed):
            done = any(outcome.done for outcome in apply(root, "op", steps, memory, never))
        paths = [step.path for step in steps]
        sync(root, paths)
        rescue(root, "op", steps)
        sweep(root, "op", paths)
        faults.arm(None)
    return done


@pytest.mark.parametrize("directory", SWAPPED)
def test_a_parent_swapped_before_each_effect(tmp_path: Path, directory: str) -> None:
    """For every n: swapped before the nth effect, nothing outside has changed, nor was any of it read."""
    names: list[str] = []
    (tmp_path / "count").mkdir()
    assert operated(tmp_path / "count", tmp_path, Memory(), names.append)
    assert {"tree.stage", "tree.exchange", "tree.create", "tree.remove", "tree.rmdir", "tree.chmod", "tree.mkdir", "tree.sync"} <= set(
        names
    )
    some = 0
    for number in range(1, len(names) + 1):
        top, outside, memory = tmp_path / f"{number}", tmp_path / f"{number}-outside", Memory()
        top.mkdir()
        outside.mkdir()
        furnish(outside)
        before = untouched(outside)
        some += operated(top, outside, memory, at_the_nth(number, partial(swap, top, outside, directory)))
        assert untouched(outside) == before, f"before effect {number}, {names[number - 1]}"
        assert MARK not in memory.blobs.values()
        read_back(top, memory)
    assert some

"""A system call that fails, or a process that dies, at each effect: every path is wholly old or wholly new, and nothing stays behind."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.model.versions import ABSENT, Directory, Symlink, Version
from rewindd.paths import LinkTarget, RelPath
from rewindd.tree.apply import StageFailed, apply, rescue, sweep, sync
from support.tree import Memory, build, never, open_root, read_back, stages_in, steps_between


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.arm(None)


def two_trees(memory: Memory) -> tuple[dict[RelPath, Version], dict[RelPath, Version]]:
    """Returns a before and an after with every kind of step in it."""
    before: dict[str, Version] = {
        "same": memory.file(b"same"),
        "file": memory.file(b"now"),
        "mode": memory.file(b"mode", 0o644),
        "gone": memory.file(b"gone"),
        "link": Symlink(LinkTarget("now")),
        "leaving": Directory(0o500),
        "leaving/file": memory.file(b"gone too"),
        "leaving/deep": Directory(0o755),
        "leaving/deep/link": Symlink(LinkTarget("gone")),
        "to-file": Directory(0o755),
        "to-file/inside": memory.file(b"inside"),
        "to-directory": memory.file(b"was a file"),
        "directory": Directory(0o755),
    }
    after: dict[str, Version] = {
        "same": memory.file(b"same"),
        "file": memory.file(b"then"),
        "mode": memory.file(b"mode", 0o755),
        "link": Symlink(LinkTarget("then")),
        "to-file": memory.file(b"is a file"),
        "to-directory": Directory(0o755),
        "to-directory/inside": memory.file(b"inside"),
        "directory": Directory(0o2700),
        "new": Directory(0o755),
        "new/deep": Directory(0o700),
        "new/deep/file": memory.file(b"new"),
    }
    return {RelPath(path): version for path, version in before.items()}, {RelPath(path): version for path, version in after.items()}


def counted_effects(top: Path) -> list[str]:
    memory = Memory()
    before, after = two_trees(memory)
    build(top, before, memory)
    names: list[str] = []
    with open_root(top) as root:
        steps = steps_between(before, after, root, memory)
        faults.arm(names.append)
        apply(root, "op", steps, memory, never)
        faults.arm(None)
    return names


def check_whole(top: Path, before: dict[RelPath, Version], after: dict[RelPath, Version], memory: Memory) -> dict[RelPath, Version]:
    here = read_back(top, memory)
    for path in {*before, *after, *here}:
        assert here.get(path, ABSENT) in (before.get(path, ABSENT), after.get(path, ABSENT)), path
    return here


@pytest.mark.parametrize("error", ["ENOSPC", "EACCES", "EIO"])
def test_a_failure_at_each_effect_leaves_each_path_whole(tmp_path: Path, error: str) -> None:
    """Where staging fails the tree is untouched; later each path is as before or as wanted, and its outcome says which."""
    (tmp_path / "count").mkdir()
    effects = counted_effects(tmp_path / "count")
    steps_of_all = {"exchange", "create", "remove", "mkdir", "rmdir", "chmod", "unstage"}
    assert {f"tree.{step}" for step in {"stage", "stage.write", "stage.mode", *steps_of_all}} == set(effects)
    for number, name in enumerate(effects, 1):
        top, memory = tmp_path / str(number), Memory()
        top.mkdir()
        before, after = two_trees(memory)
        build(top, before, memory)
        with open_root(top) as root:
            steps = steps_between(before, after, root, memory)
            faults.arm(faults.from_spec(f"{error}:{number}:tree."))
            if name.startswith("tree.stage"):
                with pytest.raises(StageFailed) as caught:
                    apply(root, "op", steps, memory, never)
                assert caught.value.failures[0].reason == os.strerror(getattr(errno, error)).lower()
                assert read_back(top, memory) == before
                continue
            outcomes = {outcome.path: outcome for outcome in apply(root, "op", steps, memory, never)}
            faults.arm(None)
            assert sum(not outcome.done for outcome in outcomes.values()) <= 3, name
            sweep(root, "op", [step.path.parent for step in steps])
        here = check_whole(top, before, after, memory)
        for path, outcome in outcomes.items():
            assert here.get(path, ABSENT) == (after if outcome.done else before).get(path, ABSENT), (name, path)
        assert stages_in(top) == []


_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support.tree import Memory, never, open_root, steps_between
sys.path.insert(0, sys.argv[2] + "/fault")
from test_tree_faults import two_trees
from rewindd import faults
from rewindd.tree.apply import apply
memory = Memory()
before, after = two_trees(memory)
with open_root(Path(sys.argv[1])) as root:
    steps = steps_between(before, after, root, memory)
    faults.arm(faults.from_spec(sys.argv[3]))
    apply(root, "op", steps, memory, never)
"""


def test_death_at_each_effect_can_be_finished(tmp_path: Path) -> None:
    """Killed at any effect: after rescue and sweep every path is whole but for a directory's mode, and applying again gives the tree."""
    (tmp_path / "count").mkdir()
    effects = counted_effects(tmp_path / "count")
    tests = str(Path(__file__).parent.parent)
    for number in range(1, len(effects) + 1, 2):
        top, memory = tmp_path / str(number), Memory()
        top.mkdir()
        before, after = two_trees(memory)
        build(top, before, memory)
        with open_root(top) as root:
            steps = steps_between(before, after, root, memory)
            died = subprocess.run([sys.executable, "-c", _CHILD, str(top), tests, f"die:{number}:tree."], check=False)
            assert died.returncode == -9
            assert rescue(root, "op", steps) == []
            sweep(root, "op", [step.path.parent for step in steps])
            assert stages_in(top) == []
            if (top / "leaving").is_dir():
                (top / "leaving").chmod(0o500)  # what we had opened to work in it
            check_whole(top, before, after, memory)
            assert all(outcome.done for outcome in apply(root, "op", steps, memory, never))
        assert read_back(top, memory) == after


def test_what_cannot_be_put_back_is_kept(tmp_path: Path) -> None:
    """An editor's save came out and the way back fails: it stays under the stage's name, is named, and rescue puts it in place."""
    top, memory = tmp_path / "top", Memory()
    top.mkdir()
    (top / "file").write_bytes(b"planned")
    (top / "file").chmod(0o644)
    path = RelPath("file")
    before: dict[RelPath, Version] = {path: memory.file(b"planned")}
    with open_root(top) as root:
        steps = steps_between(before, {path: memory.file(b"then")}, root, memory)

        def save_then_fail(name: str) -> None:
            if name == "tree.exchange":
                (top / "temp").write_bytes(b"theirs")
                (top / "temp").rename(top / "file")
            if name == "tree.putback":
                raise OSError(errno.EIO, "armed")

        faults.arm(save_then_fail)
        outcome = apply(root, "op", steps, memory, never)[0]
        faults.arm(None)
        assert not outcome.done
        assert outcome.reason is not None
        assert outcome.reason.startswith("changed")
        assert len(stages_in(top)) == 1
        assert stages_in(top)[0] in outcome.reason
        assert rescue(root, "op", steps) == [path]
    assert (top / "file").read_bytes() == b"theirs"
    assert stages_in(top) == []


def test_sync_says_that_the_disk_failed(tmp_path: Path) -> None:
    """An error of fsync is raised: the operation must not be called done."""
    (tmp_path / "file").touch()
    with open_root(tmp_path) as root:
        faults.arm(faults.from_spec("EIO:1:tree.sync"))
        with pytest.raises(OSError, match="armed"):
            sync(root, [RelPath("file")])

"""A process that dies at any effect of a rewind, and perhaps somebody who changes a path before the next life: nothing is lost."""

import base64
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from support.dying import EDITOR_LINE
from support.photograph import Photograph, differing, seen
from support.stage import Stage, a_stage, share

DONE, ROLLED_BACK = "done", "rolled-back"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with a_stage("rewind") as found:
        yield found


def test_the_effects(stage: Stage) -> None:
    """The rewind that the others kill has every kind of effect in it, and a merge."""
    kinds = {"stage", "stage.write", "stage.mode", "exchange", "create", "remove", "mkdir", "rmdir", "chmod", "unstage", "sync"}
    assert {name for name in stage.names if name.startswith("tree.")} == {f"tree.{kind}" for kind in kinds}
    assert stage.answer["merged"]
    assert not stage.answer["kept"]


class Moments:
    """Between which effects the operation is begun, and decided."""

    def __init__(self, stage: Stage) -> None:
        first_tree = next(n for n, name in enumerate(stage.names) if name.startswith("tree."))
        self.begun = first_tree  # its number is that of `store.committed` of the transaction that begins it
        last_clean = max(n for n, name in enumerate(stage.names) if name == "tree.unstage")
        self.closed = last_clean + 3
        self.synced = len(stage.names)
        assert stage.names[self.begun - 1] == stage.names[self.closed - 1] == "store.committed"

    def is_open(self, number: int) -> bool:
        """True when one that dies at this effect leaves its operation begun and not decided."""
        return self.begun <= number < self.closed


def whole(stage: Stage, tree: Photograph) -> None:
    """Every path is wholly as before or wholly as after; a directory's mode may be what we need to work in it."""
    for path in {*stage.before, *stage.after, *tree}:
        found = tree.get(path, "absent")
        wanted = (stage.before.get(path, "absent"), stage.after.get(path, "absent"))
        assert found in wanted or found == "directory 700", path


def dies_alone(stage: Stage, numbers: Iterable[int]) -> None:
    moments = Moments(stage)
    for number in numbers:
        told = f"{number} {stage.names[number - 1]}"
        assert stage.do(f"die:{number}").was_killed, told
        answered = stage.answered
        assert (answered is not None) == (number > moments.closed), told
        whole(stage, {path: what for path, what in stage.tree.items() if not os.path.basename(path).startswith(".rewindd-")})
        found = stage.look_back()
        assert found["tree"] == (stage.before if number < moments.begun else stage.after), told
        assert found["recovered"] == ([DONE] if moments.is_open(number) else []), told
        assert found["checkpoints_found"] == found["checkpoints"] == stage.checkpoints, told
        assert found["answers"][0] == found["answers"][1], told
        assert answered in (None, found["answers"][0]), told
        assert "error" not in found["answers"][0], told
        assert found["answered"] == stage.after, told
        assert found["after_undo"] == stage.before, told
        assert found["log"] == [], told
        assert found["operations"] == [DONE, DONE], told
        assert stage.leftovers == [], told


def test_death_at_some_effects(stage: Stage) -> None:
    """Killed at the nth effect and nobody touched anything: finished, or never begun; the key is answered once."""
    dies_alone(stage, share(len(stage.names), 24))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_death_at_each_effect(stage: Stage) -> None:
    """The same, for every n."""
    dies_alone(stage, range(1, len(stage.names) + 1))


def change(place: Path, *, atomically: bool) -> str:
    """Somebody saves a file, in place or as editors do; returns what it is then."""
    had = place.read_text() if place.is_file() and not place.is_symlink() else ""
    if atomically:
        temporary = place.with_name(f"{place.name}.tmp")
        temporary.write_text(f"{had}{EDITOR_LINE}\n")
        temporary.chmod(0o644)
        temporary.replace(place)
    else:
        with place.open("a") as file:
            file.write(f"{EDITOR_LINE}\n")
    return seen(place)


def changeable(stage: Stage, now: Photograph, as_in: Photograph) -> list[str]:
    """The paths at which a file can be saved, of those that the rewind is about and that are now as in one photograph."""
    found = [path for path in differing(stage.before, stage.after) if now.get(path, "absent") == as_in.get(path, "absent")]
    return [
        path
        for path in found
        if (stage.root / path).parent.is_dir() and now.get(path, "absent").startswith(("file", "absent")) and path != "big"
    ]


def expect(found: Photograph, wanted: Photograph, changed: str, left: str, told: str) -> None:
    """The tree is as wanted, the changed path as it was left; what is above that may be there because of it, what was below is not."""
    assert found.get(changed, "absent") == left, told
    near = {changed, *(str(parent) for parent in Path(changed).parents)}
    assert [path for path in differing(found, wanted) if path not in near and not path.startswith(f"{changed}/")] == [], told


def leaves_no_trace(stage: Stage, path: str) -> bool:
    """True for a step that leaves nothing behind by which it could be seen later that it, as the last of all, was done."""
    return path == "script" or stage.before.get(path, "absent").startswith("directory")


def with_somebody(stage: Stage, number: int, kind: str, turn: int) -> bool:
    """One death with somebody's change of a path that is done, or still to do. False when there is none to be changed."""
    moments = Moments(stage)
    assert stage.do(f"die:{number}").was_killed
    candidates = changeable(stage, stage.tree, stage.after if kind == "done" else stage.before)
    if turn >= len(candidates):
        return False
    path = candidates[turn]
    left = change(stage.root / path, atomically=number % 2 == 0)
    told = f"{number} {stage.names[number - 1]}, {path} was {kind}"
    found = stage.look_back()
    if moments.is_open(number):
        outcome = DONE if kind == "done" else ROLLED_BACK
        if kind == "done" and leaves_no_trace(stage, path) and found["recovered"] == [ROLLED_BACK]:
            outcome = ROLLED_BACK
        assert found["recovered"] == [outcome], told
        expect(found["tree"], stage.after if outcome == DONE else stage.before, path, left, told)
    first, second = found["answers"]
    assert first == second or first["error"] == second["error"], told
    for tree in (found["answered"], found["after_undo"]):
        assert EDITOR_LINE in tree.get(path, "absent"), told
    if "error" in first:
        assert first["error"] == "conflict", told
        assert found["answered"] == found["tree"], told
    assert found["checkpoints_found"] == found["checkpoints"] == stage.checkpoints, told
    assert found["log"] == [], told
    assert stage.leftovers == [], told
    return True


def test_somebody_changed_a_path_before_the_next_life(stage: Stage) -> None:
    """A path that was done is left as the editor left it and the rest finished; one still to do takes all of it back."""
    moments = Moments(stage)
    tried = sum(
        with_somebody(stage, number, kind, turn=number % 5)
        for number in range(moments.begun, moments.closed)
        for kind in (("done",) if number % 2 else ("to do",))
    )
    assert tried > 12


def failing(stage: Stage, number: int, error: str) -> None:
    """One failing call, and the same key twice again."""
    name = stage.names[number - 1]
    told = f"{error} at {number} {name}"
    found = stage.do(f"{error}:{number}", times=3).result
    first, second, third = found["answers"]
    assert second == third, told
    if "error" in first:
        wanted = "conflict" if name.startswith("tree.") else "store-full" if error == "ENOSPC" else "io-error"
        assert first["error"] == wanted, told
        assert found["photographs"][0] == stage.before, told
        assert "error" not in second, told
        assert found["end"] == stage.after, told
    else:
        assert first == second, told
        kept = {path_of(one) for one in first["kept"]}
        assert len(kept) <= 4, told
        assert set(differing(found["end"], stage.after)) <= kept, told
        assert all(found["end"].get(path, "absent") == stage.before.get(path, "absent") for path in kept), told
        assert not kept or name not in ("store.committed", "tree.sync", "tree.unstage"), told
    assert found["checkpoints"] == stage.checkpoints, told
    assert found["log"] == [], told
    assert stage.leftovers == [], told


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("act", ["undo", "before"])
def test_death_of_other_acts(act: str) -> None:
    """An undo, and a rewind to before a checkpoint with a tail that is not saved: for every n finished, or never begun."""
    with a_stage(act) as stage:
        moments = Moments(stage)
        for number, name in enumerate(stage.names, 1):
            told = f"{number} {name}"
            assert stage.do(f"die:{number}").was_killed, told
            found = stage.look_back()
            assert found["tree"] == (stage.before if number < moments.begun else stage.after), told
            assert found["recovered"] == ([DONE] if moments.is_open(number) else []), told
            assert found["checkpoints_found"] == found["checkpoints"] == stage.checkpoints, told
            assert found["answers"][0] == found["answers"][1], told
            assert "error" not in found["answers"][0], told
            assert found["answered"] == stage.after, told
            assert found["log"] == [], told
            assert stage.leftovers == [], told


def path_of(kept: dict[str, str]) -> str:
    """The path of an entry of `kept`; plain data has bytes in base64."""
    return base64.b64decode(kept["path"]).decode()


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EACCES"])
def test_failure_at_each_effect(stage: Stage, error: str) -> None:
    """For every third n: the nth effect fails: nothing was touched and the same key does it, or it is done but for what it names."""
    for number in range(1 + len(error) % 3, len(stage.names) + 1, 3):
        failing(stage, number, error)


def test_a_store_that_goes_on_failing(stage: Stage) -> None:
    """Full from the nth effect on: the rewind says so and the tree is as before; with room again the same key does it."""
    commits = [number for number, name in enumerate(stage.names, 1) if name == "store.commit" and number < Moments(stage).closed]
    for number in commits:
        found = stage.do(lasting=number, times=3).result
        first, second, third = found["answers"]
        assert first["error"] == "store-full"
        assert found["photographs"][0] == stage.before
        assert second == third
        assert "error" not in second
        assert found["end"] == stage.after
        assert found["log"] == []
        assert stage.leftovers == []


#: What somebody changes before the recovery that dies, and what the operation comes to: nobody; what was done; what was to do.
CHANGED = [(None, DONE), ("new", DONE), ("to-file/inside", ROLLED_BACK)]


def test_no_room_anywhere(stage: Stage) -> None:
    """Neither tree nor store has room, once it is begun: it says so, touches nothing, and does nothing later that is not asked again."""
    found = stage.do("ENOSPC:3:tree.stage", times=2, lasting=Moments(stage).begun + 1).result
    assert found["answers"][0]["error"] == "store-full"
    assert found["photographs"][0] == stage.before
    assert "error" not in found["answers"][1]
    assert found["end"] == stage.after
    assert found["operations"] == [ROLLED_BACK, DONE]
    assert found["log"] == []
    assert stage.leftovers == []


def recovery_dies(stage: Stage, changed: str | None, wanted: str, stride: int) -> None:
    """Dies in the middle of the rewind, and then at each effect of the recovery in turn."""
    number = stage.names.index("tree.create") + 1
    again, died = 1, True
    while died:
        assert stage.do(f"die:{number}").was_killed
        left = change(stage.root / changed, atomically=True) if changed else ""
        died = stage.recover(f"die:{again}").was_killed
        told = f"{number}, then {again}, changed {changed}"
        found = stage.look_back()
        assert found["recovered"] in ([wanted], []), told
        expect(found["tree"], stage.after if wanted == DONE else stage.before, changed or "file", left or stage.after["file"], told)
        assert found["answers"][0].get("error", "conflict") == "conflict", told
        assert found["answers"][0] == found["answers"][1], told
        if changed is None:
            assert "error" not in found["answers"][0], told
            assert found["after_undo"] == stage.before, told
        assert found["checkpoints_found"] == found["checkpoints"] == stage.checkpoints, told
        assert found["log"] == [], told
        assert stage.leftovers == [], told
        again += stride
    assert again > 20


@pytest.mark.parametrize(("changed", "wanted"), CHANGED)
def test_death_of_the_recovery(stage: Stage, changed: str | None, wanted: str) -> None:
    """Recovery that dies itself, at every fifth effect, is done by the life after it, to the same end."""
    recovery_dies(stage, changed, wanted, 5)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("changed", "wanted"), CHANGED)
def test_death_of_the_recovery_at_each_effect(stage: Stage, changed: str | None, wanted: str) -> None:
    """The same, at every effect."""
    recovery_dies(stage, changed, wanted, 1)


def test_a_power_cut_took_what_was_not_synced(stage: Stage) -> None:
    """Decided and not synced: what a power cut brings back is done again; what somebody made since, even alike, stays."""
    stage.put_back()
    before = {name: stage.root.parent / f"inode-of-{name}" for name in ("file", "new", "script")}
    for name, place in before.items():
        os.link(stage.root / name, place)
    assert stage.go_on("die:1:tree.sync").was_killed
    assert stage.tree == stage.after
    for name, place in before.items():
        place.replace(stage.root / name)
    (stage.root / "gone").unlink()
    (stage.root / "big").write_bytes(b"")
    (stage.root / "merged").write_text(stage.before["merged"].split(" ", 2)[2])
    (stage.root / "to-directory").write_text(f"{EDITOR_LINE}\n")
    theirs = {name: seen(stage.root / name) for name in ("merged", "to-directory")}
    assert theirs["merged"] == stage.before["merged"]
    found = stage.look_back(power_cut=True)
    assert found["recovered"] == [DONE]
    assert found["tree"] == stage.after | theirs
    assert found["answers"][0] == found["answers"][1]
    assert found["log"] == []
    assert stage.leftovers == []


@pytest.mark.parametrize("left", [0, 8192])
def test_a_power_cut_tore_what_was_put_in_place(stage: Stage, left: int) -> None:
    """Cut off with all in place and nothing synced: a file of which only the first pages are there is put there again, whole."""
    assert stage.do("die:1:tree.unstage").was_killed
    os.truncate(stage.root / "big", left)
    found = stage.look_back(power_cut=True)
    assert found["recovered"] == [DONE]
    assert found["tree"] == stage.after
    assert found["log"] == []
    assert stage.leftovers == []


def test_a_power_cut_tore_what_was_put_back(stage: Stage) -> None:
    """The same for what recovery puts back, while it takes an operation back that somebody is in the way of."""
    assert stage.do(f"die:{stage.names.index('tree.create') + 1}").was_killed
    (stage.root / "to-file" / "inside").write_text(f"{EDITOR_LINE}\n")
    assert stage.recover("die:1:tree.unstage").was_killed
    os.truncate(stage.root / "file", 0)
    found = stage.look_back(power_cut=True)
    assert found["recovered"] == [ROLLED_BACK]
    expect(found["tree"], stage.before, "to-file/inside", f"file 644 {EDITOR_LINE}\n", "torn")
    assert found["log"] == []


def test_what_is_as_before_without_a_power_cut(stage: Stage) -> None:
    """Decided and not synced, and only the daemon died: who made a path as it was before the rewind meant it, and it stays so."""
    assert stage.do("die:1:tree.sync").was_killed
    assert stage.tree == stage.after
    brought_back = [path for path in stage.after if path not in stage.before and stage.after[path].startswith("file")]
    for path in brought_back:
        (stage.root / path).unlink()
    os.truncate(stage.root / "big", 8192)
    theirs = stage.tree
    found = stage.look_back()
    assert brought_back
    assert found["tree"] == theirs
    assert found["recovered"] == []
    assert found["log"] == []
    assert stage.leftovers == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EACCES"])
def test_any_failure_at_any_effect(stage: Stage, error: str) -> None:
    """The same, for each effect."""
    for number in range(1, len(stage.names) + 1):
        failing(stage, number, error)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_somebody_changed_any_path_before_the_next_life(stage: Stage) -> None:
    """The same, for each effect and each path."""
    for number in range(1, len(stage.names) + 1):
        for kind in ("done", "to do"):
            turn = 0
            while with_somebody(stage, number, kind, turn):
                turn += 1

"""Every use case, cut off or failing at any effect: what was answered is there, the rest absent or whole, and a retry works."""

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest

from support import recorder
from support.cases import CASES
from support.scene import WRITTEN, Scene, a_scene, children, differences, expect_whole
from support.stage import share
from support.zygote import Zygote

ERRORS = ("ENOSPC", "EIO", "EACCES", "EMFILE", "EDQUOT")
#: How many effects are tried of a use case that takes long; the long tests try all.
SHARE = {"save-of-many": 2}
#: What a request may say of an error of the system: of the store, of the tree.
CODES = {"store-full", "io-error", "conflict", "busy"}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with children() as found:
        yield found


@pytest.fixture(scope="module", params=CASES)
def scene(request: pytest.FixtureRequest, zygote: Zygote) -> Iterator[Scene]:
    with a_scene(zygote, request.param) as found:
        yield found


def dies(scene: Scene, number: int, what: str, **how: Any) -> None:
    told = f"{scene.name}: dies at {number} {what}"
    assert scene.do(**how).was_killed, told
    expect_whole(scene, scene.answered, scene.look(again=True), told)


def fails(scene: Scene, error: str, number: int, what: str, **how: Any) -> None:
    """The call fails, and each request is asked three times: it says so, and nothing was done, or it is done; then all of it is done."""
    told = f"{scene.name}: {error} at {number} {what}"
    done = scene.do(times=3, **how).result
    codes = CODES | CASES[scene.name].says
    assert done["failed"] in (None, *codes), told
    is_kept = False
    for first, second, third in done["answers"]:
        assert first.get("error") in (None, *codes), f"{told}: {first}"
        if CASES[scene.name].has_key:
            assert second == third, told
            assert "error" not in second, f"{told}: {second}"
        is_kept |= bool(second.get("kept")) or is_incomplete(second)
    if done["answers"] and done["answers"][0][0].get("error") == "conflict":
        assert done["photographs"][0] == scene.tree, told
    found = scene.look(again=not done["answers"])
    is_kept |= any(bool(first.get("kept")) for first, _ in found["answers"])
    assert found["wrong"] == [], told
    assert found["strays"] == [], told
    if is_kept:  # a path of the tree could not be brought over, or not be captured, and is named: all others were
        last = scene.states[-1]["tree"]
        assert all(what in (scene.tree.get(path), last.get(path)) for path, what in found["state"]["tree"].items()), told
        return
    state = found["state_then"]
    assert state == scene.states[-1], f"{told}: {differences(state, scene.states[-1])}"


def is_incomplete(answer: dict[str, Any]) -> bool:
    """True for a checkpoint that says what it lacks: of a first capture, what there was no room for when it came to it."""
    return bool(answer.get("checkpoint", {}).get("incomplete", {}).get("count"))


def test_what_it_does(scene: Scene) -> None:
    """It writes in the workspace where it is to, and nowhere else; and in the store in any case."""
    assert any(name.startswith("tree.") for name in scene.names) == CASES[scene.name].changes_tree
    assert any(name.startswith("store.") for name in scene.names)


def test_death_at_some_effects(scene: Scene) -> None:
    """Killed at the first effect, at the last one, and at some between."""
    for number in share(len(scene.names), SHARE.get(scene.name, 4)):
        dies(scene, number, scene.names[number - 1], fault=f"die:{number}")


def test_failure_at_some_effects(scene: Scene) -> None:
    """One error after the other, each at another effect."""
    for turn, number in enumerate(share(len(scene.names), SHARE.get(scene.name, 3))):
        error = ERRORS[(turn + len(scene.name)) % len(ERRORS)]
        fails(scene, error, number, scene.names[number - 1], fault=f"{error}:{number}")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_death_at_each_effect(scene: Scene) -> None:
    """For every n: killed at the nth effect."""
    for number, name in enumerate(scene.names, 1):
        dies(scene, number, name, fault=f"die:{number}")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("error", ERRORS)
def test_failure_at_each_effect(scene: Scene, error: str) -> None:
    """For every n: this error at the nth effect."""
    for number, name in enumerate(scene.names, 1):
        fails(scene, error, number, name, fault=f"{error}:{number}")


def calls_of(scene: Scene, kinds: int) -> int:
    """How many calls of these kinds a life makes, of the whole process: SQLite's too."""
    return int(scene.do(record={"top": str(scene.top), "kinds": kinds}).result["calls"])


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_death_at_each_call(scene: Scene) -> None:
    """The same at every call that changes a file, also those that SQLite makes within a commit, from the start to the end of the life."""
    for number in range(1, calls_of(scene, recorder.CHANGES) + 1):
        dies(scene, number, "call", record={"top": str(scene.top), "nth": number})


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("error", ERRORS)
def test_failure_at_each_call(scene: Scene, error: str) -> None:
    """The same errors, at every call that changes a file; EMFILE where one is opened."""
    kinds = recorder.OPENS if error == "EMFILE" else recorder.CHANGES
    for number in range(1, calls_of(scene, kinds) + 1):
        how = {"top": str(scene.top), "nth": number, "error": getattr(errno, error), "kinds": kinds}
        fails(scene, error, number, "call", record=how)


def unannounced(scene: Scene) -> list[str]:
    """The calls before which no effect was announced, since the call before in that thread; in SQLite's files, since the last commit."""
    announced: dict[int, str] = {}
    found: list[str] = []
    for call in scene.record():
        if call.operation == "note":
            if call.path.startswith("effect "):
                announced[call.thread] = call.path.removeprefix("effect ")
            continue
        name = os.path.relpath(call.path, scene.top)
        if not name.startswith(WRITTEN) or name == "data/lock":
            continue
        # SQLite syncs the directory of a log that it made, in the midst of what was announced for it.
        is_between = call.operation == "sync" and not announced.get(call.thread, "sync").endswith("sync")
        is_sqlites = is_between or os.path.basename(name).startswith("store.db")
        effect = announced.get(call.thread, "nothing") if is_sqlites else announced.pop(call.thread, "nothing")
        if effect in ("nothing", "store.committed"):
            found.append(f"{call.operation} {name} after {effect}")
    return found


def test_every_effect_is_announced(scene: Scene) -> None:
    """Before each call that changes a file of store or tree stands an `effect`: the matrix leaves none out."""
    assert unannounced(scene) == []

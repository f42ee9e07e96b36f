"""A process that dies, or a call that fails, at any effect of a save: what was answered is there, and the same key has its effect once."""

from collections.abc import Iterator

import pytest

from support.stage import Stage, a_stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with a_stage("save") as found:
        yield found


def test_the_effects(stage: Stage) -> None:
    """A save writes contents, then rows, then the checkpoint; it never touches the tree."""
    assert {name.split(".")[0] for name in stage.names} == {"store"}
    assert stage.names.count("store.commit") >= 2
    assert stage.before == stage.after


def test_death_at_each_effect(stage: Stage) -> None:
    """For every n: killed at the nth effect, the next life has all that was answered, whole, and the key gives one checkpoint."""
    for number, name in enumerate(stage.names, 1):
        assert stage.do(f"die:{number}").was_killed, name
        answered = stage.answered
        assert (answered is None) or number > len(stage.names)
        found = stage.look_back()
        assert found["tree"] == found["answered"] == stage.before, name
        assert found["recovered"] == []
        is_saved = name == "store.committed" and number == len(stage.names)
        assert found["checkpoints_found"] == ({**stage.checkpoints} if is_saved else {"first": stage.checkpoints["first"]}), name
        assert found["answers"][0] == found["answers"][1], name
        assert found["answers"][0]["checkpoint"]["id"] == "second", name
        assert found["checkpoints"] == stage.checkpoints, name
        assert found["log"] == [], name
        assert stage.leftovers == []


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EACCES"])
def test_failure_at_each_effect(stage: Stage, error: str) -> None:
    """For every n: the nth effect fails, so the save says so or is done; the same key again is done once; the daemon lives on."""
    code = "store-full" if error == "ENOSPC" else "io-error"
    for number, name in enumerate(stage.names, 1):
        found = stage.do(f"{error}:{number}", times=3).result
        first, second, third = found["answers"]
        assert second == third, name
        if name == "store.committed":  # the commit stands
            assert first == second
        else:
            assert first["error"] == code, name
        assert second["checkpoint"]["id"] == "second", (name, second)
        assert found["checkpoints"] == stage.checkpoints, name
        assert found["end"] == stage.before
        assert found["log"] == []
        assert stage.leftovers == []


def test_death_between_the_parts_of_a_large_change() -> None:
    """More rows than one transaction takes: a part of them that was written hides nothing of the rest from the next save."""
    with a_stage("wide") as stage:
        commits = [number for number, name in enumerate(stage.names, 1) if name == "store.committed"]
        assert len(commits) > 4
        assert len(stage.checkpoints["second"]["diffs"]) == 662
        for number in commits:
            assert stage.do(f"die:{number}").was_killed
            found = stage.look_back()
            assert "error" not in found["answers"][0]
            assert found["checkpoints"] == stage.checkpoints, number
            assert found["log"] == []


def test_failure_between_the_parts_of_a_large_change() -> None:
    """The same within one life, whose memory of what it looked at must not be ahead of what is written."""
    with a_stage("wide") as stage:
        for number in [number for number, name in enumerate(stage.names, 1) if name == "store.commit"]:
            found = stage.do(f"ENOSPC:{number}", times=2).result
            assert found["answers"][0]["error"] == "store-full"
            assert found["checkpoints"] == stage.checkpoints, number
            assert found["log"] == []

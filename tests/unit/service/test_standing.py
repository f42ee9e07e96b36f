"""What is told of an interrupted operation's steps from their paths and stages, where somebody changed a path meanwhile."""

from rewindd.model.operation import Step
from rewindd.model.versions import ABSENT, Directory, File, Version
from rewindd.paths import RelPath
from rewindd.service.rewinding.standing import Found, judge
from rewindd.tree.look import Look

OLD, NEW, THEIRS = (File(letter * 32, 1, 0o644) for letter in (b"o", b"n", b"t"))
DIRECTORY = Directory(0o755)
Told = tuple[str, Version, Version, Version, Version | None]


def judged(*told: Told) -> dict[str, Found]:
    """Judges steps given as path, expect, target, what is there now, and what is in the stage."""
    steps = [
        (Step(path=RelPath(path), expect=expect, target=target), Look(path=RelPath(path), version=now, signature=None, content=None), stage)
        for path, expect, target, now, stage in told
    ]
    return {one.step.path: one.found for one in judge(steps)}


def test_untouched_paths_speak_for_themselves() -> None:
    """As wanted is done, as before is to do."""
    found = judged(("a", OLD, NEW, NEW, OLD), ("b", OLD, NEW, OLD, NEW), ("c", OLD, OLD, OLD, None))
    assert found == {"a": Found.DONE, "b": Found.TO_DO, "c": Found.DONE}


def test_a_stage_that_holds_what_was_there_says_done() -> None:
    """An exchange leaves the old content in its stage, one that was not made the new."""
    found = judged(("a", OLD, NEW, THEIRS, OLD), ("b", OLD, NEW, THEIRS, NEW))
    assert found == {"a": Found.DONE, "b": Found.CHANGED}


def test_a_stage_that_is_gone_says_done_once_all_were_made() -> None:
    """Stages are made before the first step: no stage is one that was used, or one that was not made yet."""
    assert judged(("a", ABSENT, NEW, THEIRS, None), ("b", OLD, NEW, NEW, OLD))["a"] is Found.DONE
    assert judged(("a", ABSENT, NEW, THEIRS, None), ("b", OLD, NEW, OLD, None))["a"] is Found.CHANGED


def test_rows_that_are_only_switched_say_nothing() -> None:
    """A path that stays as it is looks done from the beginning."""
    assert judged(("a", OLD, NEW, THEIRS, None), ("b", OLD, OLD, OLD, None))["a"] is Found.CHANGED


def test_a_removal_that_is_done_has_a_stage_until_all_are_removed() -> None:
    """No stage: it is still to do while other stages are there, and was done when they are gone."""
    assert judged(("a", OLD, ABSENT, THEIRS, None), ("b", OLD, ABSENT, ABSENT, OLD))["a"] is Found.CHANGED
    assert judged(("a", OLD, ABSENT, THEIRS, None), ("b", OLD, NEW, NEW, None))["a"] is Found.DONE


def test_steps_without_stages_are_told_from_later_ones() -> None:
    """A directory goes before files come, and a mode is set after they came."""
    assert judged(("a", DIRECTORY, ABSENT, THEIRS, None), ("b", OLD, NEW, NEW, OLD))["a"] is Found.DONE
    mode = File(OLD.digest, 1, 0o755)
    assert judged(("a", OLD, mode, THEIRS, None), ("b", OLD, NEW, NEW, OLD))["a"] is Found.CHANGED


def test_what_was_taken_out_unseen_is_not_done() -> None:
    """A stage with somebody's content in it: it goes back in place, and the step is not done."""
    assert judged(("a", OLD, NEW, NEW, THEIRS))["a"] is Found.CHANGED
    assert judged(("a", OLD, ABSENT, ABSENT, THEIRS))["a"] is Found.CHANGED

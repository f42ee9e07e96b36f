"""How far an interrupted operation came: judged for each step, from what is at its path and what lies in its stage.

Pure. Where nobody touched a path it is as before or as wanted, and there is nothing to judge. Where somebody did, the stages
tell: all are made before the first step, a step that is done took its stage or left in it what was there before, and all are
removed after the last step.
"""

import enum
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

from rewindd.model.operation import Step
from rewindd.model.versions import ABSENT, Directory, File, Symlink, Version
from rewindd.paths import RelPath
from rewindd.tree.look import Look
from rewindd.tree.need import is_mode_only, rank


class Found(enum.Enum):
    """How a step's path stands after the interruption."""

    TO_DO = "to do"
    DONE = "done"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Standing:
    """One step as it was found: what is there `now` (None where it cannot be looked at), and what is in its `stage` (None: nothing).

    `is_torn`: what is there is what the step, or its taking back, put there, and a power cut left only a part of it.
    """

    step: Step
    found: Found
    now: Look | None
    stage: Version | None
    is_torn: bool = False

    @property
    def is_change(self) -> bool:
        """True where the path is to change, and not only rows are switched."""
        return self.step.expect != self.step.target


def judge(steps: Sequence[tuple[Step, Look | None, Version | None]], torn: Container[RelPath] = ()) -> list[Standing]:
    """Returns how each step stands, given what is at its path and in its stage; those of the `torn` paths are to be done, over them."""
    found = [_at_first_sight(*one) for one in steps if one[0].path not in torn]
    is_staged = any(_has_happened(one) for one in found)
    is_cleaned = any(_has_happened(one) and one.stage is None and _leaves_something(one.step) for one in found)
    last = max((rank(one.step) for one in found if _has_happened(one)), default=(-1, 0))

    def was_done(one: Standing) -> bool:
        if one.found is not Found.CHANGED or not one.is_change:
            return False
        if one.stage is not None:
            return one.stage == one.step.expect
        if is_cleaned:
            return True
        if _is_staged_first(one.step):
            return is_staged
        return not _leaves_something(one.step) and rank(one.step) < last

    judged = {one.step.path: replace(one, found=Found.DONE) if was_done(one) else one for one in found}
    return [judged.get(step.path) or Standing(step, Found.TO_DO, now, stage, is_torn=True) for step, now, stage in steps]


def _at_first_sight(step: Step, now: Look | None, stage: Version | None) -> Standing:
    if now is None or _took_foreign(step, now.version, stage):
        return Standing(step, Found.CHANGED, now, stage)
    if now.version == step.target:
        return Standing(step, Found.DONE, now, stage)
    return Standing(step, Found.TO_DO if now.version == step.expect else Found.CHANGED, now, stage)


def _took_foreign(step: Step, now: Version, stage: Version | None) -> bool:
    """True where the step took out what it did not expect, and died before it could put it back (`leftovers.rescue` does)."""
    if stage is None or stage in (step.expect, step.target) or isinstance(stage, Directory) or step.expect in (ABSENT, step.target):
        return False
    return now in (step.target, ABSENT)


def _has_happened(one: Standing) -> bool:
    return one.is_change and one.found is Found.DONE


def _is_staged_first(step: Step) -> bool:
    """True for a step that puts a stage in place."""
    return step.target != ABSENT and not is_mode_only(step, 1)


def _leaves_something(step: Step) -> bool:
    """True for a step that, once done, leaves in its stage what was there before; until the stages are removed."""
    if step.target == ABSENT:
        return isinstance(step.expect, File | Symlink)
    return step.expect != ABSENT and not is_mode_only(step, 1)

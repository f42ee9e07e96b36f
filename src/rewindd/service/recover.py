"""Recovery: operations that were cut off are finished or taken back, before the first reply.

An operation that was `applying` is finished when every step that is left is still as planned; else the steps done are taken
back where they still hold what we wrote, and whatever somebody changed meanwhile stays as they left it. One that was
`applied` may have lost renames to a power cut: what is not as it was decided, and not changed by anybody, is done again.
"""

import enum
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rewindd.errors import Busy, UnknownWorkspace
from rewindd.model.log import OperationStatus
from rewindd.model.operation import Operation, Step
from rewindd.model.versions import Absent, File, Symlink, Version
from rewindd.plan.settle import Action, Decision, Settled
from rewindd.protocol import wire
from rewindd.protocol.replies import Recovered
from rewindd.service import deciding
from rewindd.service.applying import StoredContent, close, roll_back, sync
from rewindd.service.state import State, Tree
from rewindd.store import answers, operations
from rewindd.store.database import Connection
from rewindd.tree.apply import Outcome, apply, rescue, sweep
from rewindd.tree.leftovers import staged
from rewindd.tree.look import Hasher, Look, look
from rewindd.tree.root import Root

log = logging.getLogger(__name__)


class _Found(enum.Enum):
    """How a step's path stands after the interruption."""

    TO_DO = "to do"
    DONE = "done"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class _Standing:
    """One step as it was found: what is there `now` (None where it cannot be looked at), and what was in its stage."""

    step: Step
    found: _Found
    now: Look | None
    stage: Version | None = None


async def recover_all(state: State) -> None:
    """Recovers every open operation; at start, before any request. A root that is not there keeps its operation open."""
    for operation in await state.bridge.transact(operations.unfinished):
        tree = await state.tree(operation.workspace)
        try:
            await recover(state, tree, operation)
        except Busy as exc:
            log.warning("operation %s stays open: %s", operation.id, exc)
            tree.interrupted = True


async def recover(state: State, tree: Tree, operation: Operation) -> None:
    """Finishes one operation or takes it back, and notes which for `status`.

    Raises:
        Busy: the workspace's root is not there.
    """
    steps = await state.bridge.transact(lambda db: operations.steps(db, operation.id))
    try:
        standing = await state.bridge.work(_look, tree, operation, steps)
    except UnknownWorkspace as exc:
        raise Busy(f"workspace {tree.workspace.root!r} has an interrupted rewind and is not there; bring it back and try again") from exc
    if operation.status is OperationStatus.APPLIED:
        await _redo_lost(state, tree, operation, steps, standing)
        return
    outcome = (
        await _finish(state, tree, operation, standing) if _can_finish(standing) else await _take_back(state, tree, operation, standing)
    )
    state.recovered.append(Recovered(operation_id=operation.id, outcome=outcome.value))
    log.warning("operation %s was interrupted; now %s", operation.id, outcome.value)


def _can_finish(standing: Sequence[_Standing]) -> bool:
    """True when every step that is left is still as it was planned."""
    return all(one.found is not _Found.CHANGED for one in standing)


async def _finish(state: State, tree: Tree, operation: Operation, standing: Sequence[_Standing]) -> OperationStatus:
    to_do = [one.step for one in standing if one.found is _Found.TO_DO and one.step.expect != one.step.target]
    applied = await state.bridge.work(_apply, state, tree, operation, to_do) if to_do else []
    fresh = {outcome.path: outcome for outcome in applied}
    outcomes = [fresh.get(one.step.path) or _as_found(one) for one in standing]
    steps = [one.step for one in standing]
    result = deciding.result(deciding.Decided(_settled(operation, steps)), operation, None, outcomes)

    def answer(db: Connection) -> bytes:
        encoded = wire.encode_reply(result)
        if operation.key is not None:
            kept = answers.find(db, operation.session, operation.key)
            if kept is not None:
                answers.put(db, operation.session, operation.key, kept[0], encoded, operation.created_at_ns)
        return encoded

    await close(state, tree, operation, steps, outcomes, answer)
    session = await state.session(operation.session)
    state.stood(session, operation.to_head, operation.to_stats)
    await sync(state, tree, operation, steps)
    return OperationStatus.DONE


async def _take_back(state: State, tree: Tree, operation: Operation, standing: Sequence[_Standing]) -> OperationStatus:
    back = [
        Step(path=one.step.path, expect=one.step.target, target=one.step.expect, signature=one.now.signature)
        for one in standing
        if one.found is _Found.DONE and one.now is not None and one.now.version == one.step.target != one.step.expect
    ]
    if back:
        await state.bridge.work(_apply, state, tree, operation, back)
    await roll_back(state, tree, operation)
    return OperationStatus.ROLLED_BACK


async def _redo_lost(state: State, tree: Tree, operation: Operation, steps: Sequence[Step], standing: Sequence[_Standing]) -> None:
    lost = [one.step for one in standing if one.found is _Found.TO_DO and one.step.expect != one.step.target]
    emptied = [
        replace(one.step, expect=one.now.version, signature=one.now.signature)
        for one in standing
        if one.found is _Found.CHANGED and one.now is not None and _is_emptied(one.now.version, one.step.target)
    ]
    if lost or emptied:
        await state.bridge.work(_apply, state, tree, operation, [*lost, *emptied])
        state.recovered.append(Recovered(operation_id=operation.id, outcome=OperationStatus.DONE.value))
    await sync(state, tree, operation, steps)


def _is_emptied(now: Version, target: Version) -> bool:
    """True for what a power cut leaves of a file that was renamed into place and not yet written: no bytes (ext4, delayed allocation)."""
    return isinstance(now, File) and isinstance(target, File) and now.size == 0 and target.size > 0


def _look(tree: Tree, operation: Operation, steps: Sequence[Step]) -> list[_Standing]:
    """Looks at every step's path, and empties the stages: from here on only the tree and the store count."""
    with tree.root() as root:
        stages = {step.path: staged(root, operation.id, step) for step in steps}
        rescue(root, operation.id, steps)
        sweep(root, operation.id, [step.path for step in steps])
        found = [_stands(step, _seen(root, step), stages[step.path]) for step in steps]
    return [replace(one, found=_Found.DONE) if _was_done(one, found) else one for one in found]


def _stands(step: Step, now: Look | None, stage: Version | None) -> _Standing:
    if now is None:
        return _Standing(step, _Found.CHANGED, None, stage)
    if now.version == step.target:
        return _Standing(step, _Found.DONE, now, stage)
    return _Standing(step, _Found.TO_DO if now.version == step.expect else _Found.CHANGED, now, stage)


def _was_done(one: _Standing, all_of_them: Sequence[_Standing]) -> bool:
    """True where a changed path was done before somebody changed it: its stage holds what was there, or was emptied by the step.

    Stages are made before the first step and removed after the last; so while steps are left, only a step that is done
    has emptied its stage, and when none is left, all were done.
    """
    if one.found is not _Found.CHANGED:
        return False
    if one.stage is not None:
        return one.stage == one.step.expect != one.step.target
    others = {other.found for other in all_of_them}
    if _Found.DONE not in others:
        return False
    return _Found.TO_DO not in others or (isinstance(one.step.expect, Absent) and isinstance(one.step.target, (File, Symlink)))


def _seen(root: Root, step: Step) -> Look | None:
    found = look(root, step.path, None, Hasher(), keep_bytes=0)
    return found if isinstance(found, Look) else None


def _apply(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> list[Outcome]:
    with tree.root() as root:
        fresh = [replace(step, signature=now.signature if (now := _seen(root, step)) is not None else None) for step in steps]
        return apply(root, operation.id, fresh, StoredContent(state, fresh), lambda: False)


def _as_found(one: _Standing) -> Outcome:
    signature = one.now.signature if one.now and one.now.version == one.step.target else None
    return Outcome(path=one.step.path, done=True, reason=None, version=one.step.target, signature=signature)


def _settled(operation: Operation, steps: Sequence[Step]) -> Settled:
    """The plan as it can be told from the steps: what came of merges is a file like any other now."""
    decisions = tuple(
        Decision(
            path=step.path,
            expect=step.expect,
            target=step.target,
            off=frozenset(step.off),
            on=frozenset(step.on),
            action=Action.REMOVE if step.target.kind.value == "absent" else Action.RESTORE,
            why="finished after an interruption",
        )
        for step in steps
    )
    return Settled(decisions=decisions, kept=(), conflicts=(), plan=operation.plan)

"""Recovery: operations that were cut off are finished or taken back, before the first reply.

An operation that was `applying` is finished when every step that is left is still as planned, and, where it is to be done whole, each can
be done; else the steps done are taken
back where they still hold what we wrote, and whatever somebody changed meanwhile stays as they left it. One that was
`applied` may have lost renames to a power cut: what is not as it was decided, and not changed by anybody, is done again. Where the
machine went on since, nothing was lost, and whatever is there is somebody's.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from rewindd.errors import Busy, StoreError, UnknownWorkspace
from rewindd.model.log import OperationStatus, Signature
from rewindd.model.operation import Operation, Step
from rewindd.model.versions import Absent, Directory, File, Version
from rewindd.paths import RelPath
from rewindd.plan.settle import Action, Decision, Settled
from rewindd.protocol import wire
from rewindd.protocol.replies import Recovered
from rewindd.service.clock import steady_ns
from rewindd.service.rewinding import deciding, members, recoveries
from rewindd.service.rewinding.applying import StoredContent, close, roll_back, sync
from rewindd.service.rewinding.standing import Found, Standing, judge
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import answers, blobs, operations
from rewindd.store.database import Connection
from rewindd.tree.apply import Outcome, StageFailed, apply, rescue, sweep
from rewindd.tree.leftovers import staged
from rewindd.tree.look import Hasher, Look, look
from rewindd.tree.root import Root
from rewindd.tree.torn import is_torn

log = logging.getLogger(__name__)


async def recover_all(state: State) -> None:
    """Recovers every open operation; at start, before any request. One that cannot be recovered now stays open."""
    is_over = True
    for operation in await state.bridge.transact(operations.unfinished):
        try:
            tree = await state.tree(operation.workspace)
        except (StoreError, UnknownWorkspace) as exc:  # a damaged row must not keep the daemon from starting
            log.error("operation %s stays open: %s", operation.id, exc)
            is_over = False
            continue
        try:
            await recover(state, tree, operation)
        except Busy as exc:
            log.warning("operation %s stays open: %s", operation.id, exc)
            tree.interrupted = True
            is_over = False
    if is_over:
        with suppress(StoreError):  # the next life believes then that it may have lost something
            await state.recovered.all_over(state.bridge)


async def recover(state: State, tree: Tree, operation: Operation) -> None:
    """Finishes one operation or takes it back, and notes which for `status`.

    Raises:
        Busy: the workspace's root is not there, or the tree's file system does not let us.
    """
    steps = await state.bridge.transact(lambda db: operations.steps(db, operation.id))
    try:
        if operation.status is OperationStatus.APPLIED:
            await _redo_lost(state, tree, operation, steps)
        else:
            await _finish_or_take_back(state, tree, operation, steps)
    except UnknownWorkspace as exc:
        raise Busy(f"workspace {tree.workspace.root!r} has an interrupted rewind and is not there; bring it back and try again") from exc
    except (StageFailed, OSError) as exc:
        if isinstance(exc, StoreError):
            raise
        raise Busy(f"workspace {tree.workspace.root!r} has an interrupted rewind, and recovery fails: {exc}; try again") from exc


async def give_up(state: State, tree: Tree, operation: Operation) -> None:
    """Takes back an operation that changed the tree and could not be closed: its caller is told that it failed.

    Where the store fails again the tree is as it was, and the operation is closed before the next request of the workspace.
    """
    tree.given_up.add(operation.id)
    try:
        await recover(state, tree, operation)
    except (StoreError, Busy) as exc:
        log.warning("operation %s could not be closed, and is taken back later: %s", operation.id, exc)


async def take_back(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> list[Outcome]:
    """Takes back an operation that is to be done whole, and of which a step could not be done. Durable on return.

    What somebody changed stays as they left it. Returns the steps that could not be taken back.

    Raises:
        Busy: the tree's file system does not let us; it is taken back before the next request of the workspace.
        StoreError: likewise.
    """
    tree.given_up.add(operation.id)
    try:
        return await _take_back(state, tree, operation, steps)
    except (UnknownWorkspace, StageFailed, OSError) as exc:
        if isinstance(exc, StoreError):
            raise
        raise Busy(
            f"workspace {tree.workspace.root!r}: what was done cannot be taken back now: {exc}; it is before its next request"
        ) from exc


async def _finish_or_take_back(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> None:
    standing = await state.bridge.work(_look, state, tree, operation, steps)
    is_given_up = operation.status is OperationStatus.ROLLING_BACK or operation.id in tree.given_up
    as_planned = all(one.found is not Found.CHANGED for one in standing) and not await members.went_on(state, operation)
    outcome = OperationStatus.ROLLED_BACK
    if as_planned and not is_given_up:
        try:
            outcome = await _finish(state, tree, operation, standing)
        except StageFailed as exc:
            log.warning("operation %s cannot be finished, and is taken back: %s", operation.id, exc)
    if outcome is not OperationStatus.DONE:
        outcome = OperationStatus.ROLLED_BACK
        await _take_back(state, tree, operation, steps, also=partial(recoveries.note, done=_as(operation, outcome)))
    state.recovered.add(_as(operation, outcome))
    log.warning("operation %s was interrupted; now %s", operation.id, outcome.value)


async def _finish(state: State, tree: Tree, operation: Operation, standing: Sequence[Standing]) -> OperationStatus:
    """Does what is left, closes, syncs. The stages of steps that are done stay until then: they tell that the steps are.

    Returns DONE, or ROLLING_BACK where it is to be done whole and a step cannot be done: nothing is closed then.
    """
    to_do = [_over_what_is_torn(one) for one in standing if one.found is Found.TO_DO and one.is_change]
    applied = await state.bridge.work(_apply, state, tree, operation, to_do, whole=operation.whole) if to_do else []
    if operation.whole and (failed := next((outcome for outcome in applied if not outcome.done), None)) is not None:
        log.warning("operation %s cannot be finished, and is taken back: a step failed: %s", operation.id, failed.reason)
        return OperationStatus.ROLLING_BACK
    fresh = {outcome.path: outcome for outcome in applied}
    outcomes = [fresh.get(one.step.path) or _as_found(one) for one in standing]
    steps = [one.step for one in standing]
    moves = await state.bridge.transact(lambda db: operations.moves(db, operation.id))
    decided = deciding.Decided(_settled(operation, steps), moved=await members.told(state, moves))
    result = deciding.result(decided, operation, None, outcomes)

    def answer(db: Connection) -> bytes:
        encoded = wire.encode_reply(result)
        if operation.key is not None:
            kept = answers.find(db, operation.session, operation.key)
            if kept is not None:
                answers.put(db, operation.session, operation.key, kept[0], encoded, steady_ns())
        recoveries.note(db, _as(operation, OperationStatus.DONE))
        return encoded

    await close(state, tree, operation, steps, outcomes, answer)
    session = await state.session(operation.session)
    state.stood(session, operation.to_head, operation.to_stats)
    await _sync(state, tree, operation, steps)
    return OperationStatus.DONE


async def _take_back(
    state: State, tree: Tree, operation: Operation, steps: Sequence[Step], also: Callable[[Connection], None] | None = None
) -> list[Outcome]:
    """Takes the done steps back that still hold what we wrote; returns those that could not be.

    That it is to be so is durable before the stages, which told it, go. `also`: what is committed with the end of it.
    """
    try:
        await state.bridge.transact(lambda db: operations.finish(db, operation.id, OperationStatus.ROLLING_BACK))
    except StoreError:
        if operation.id not in tree.given_up:
            raise
    await state.bridge.work(_remove_stages, state, tree, operation, steps)
    standing = await state.bridge.work(_look, state, tree, operation, steps)
    was = await _as_it_can_be(state, tree, steps)
    back = [
        Step(path=one.step.path, expect=one.now.version, target=was[one.step.path], signature=one.now.signature)
        for one in standing
        if one.is_change and one.now is not None and (one.is_torn or one.now.version == one.step.target)
    ]
    outcomes = await state.bridge.work(_apply, state, tree, operation, back) if back else []
    stuck = [outcome for outcome in outcomes if not outcome.done]
    if stuck:
        log.warning("operation %s is taken back but for %d paths, the first: %s", operation.id, len(stuck), stuck[0].reason)
    await roll_back(state, tree, operation, also)
    tree.given_up.discard(operation.id)
    return stuck


async def _as_it_can_be(state: State, tree: Tree, steps: Sequence[Step]) -> dict[RelPath, Version]:
    """Returns what each step's path goes back to: what was there, or what the log knows where that was not kept (`lose_unsaved`)."""
    digests = {step.expect.digest for step in steps if isinstance(step.expect, File)}
    absent = await state.bridge.transact(lambda db: blobs.missing(db, digests)) if digests else set()
    was = {step.path: step.expect for step in steps}
    for path, version in was.items():
        if isinstance(version, File) and version.digest in absent and (entry := tree.index.get(path)) is not None:
            was[path] = entry.version
    return was


async def _redo_lost(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> None:
    """Does again what a power cut took of an operation that is decided; what was changed since stays.

    Where there was none, a path that holds again what was there before the operation was made so by somebody.
    """
    await state.bridge.work(_remove_stages, state, tree, operation, steps)
    standing = await state.bridge.work(_look, state, tree, operation, steps) if state.recovered.may_have_lost else []
    decided = [one for one in standing if one.is_change and one.now is not None and _is_as_decided(tree, one.step)]
    lost = [
        replace(one.step, expect=one.now.version, signature=one.now.signature)
        for one in decided
        if one.now is not None and (one.is_torn or _is_back(one.step, one.now))
    ]
    if lost:
        await state.bridge.work(_apply, state, tree, operation, lost)
        again = _as(operation, OperationStatus.DONE)
        await state.bridge.transact(partial(recoveries.note, done=again))
        state.recovered.add(again)
        log.warning("operation %s had lost %d paths; now done", operation.id, len(lost))
    await _sync(state, tree, operation, steps)


async def _sync(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> None:
    """As after any operation; a disk that fails to sync keeps it open until the next start, and nobody waiting."""
    try:
        await sync(state, tree, operation, steps)
    except OSError as exc:
        if isinstance(exc, StoreError):
            raise
        log.warning("operation %s is not synced: %s", operation.id, exc)


def _as(operation: Operation, outcome: OperationStatus) -> Recovered:
    return Recovered(operation_id=operation.id, outcome=outcome.value)


def _is_as_decided(tree: Tree, step: Step) -> bool:
    """True while the log knows of no change after the operation's."""
    entry = tree.index.get(step.path)
    return entry is not None and entry.version == step.target


def _is_back(step: Step, now: Look) -> bool:
    """True where a path holds again the very thing that the step replaced: not what somebody made alike since."""
    if now.version != step.expect:
        return False
    if step.signature is None or isinstance(now.version, Absent | Directory):  # a directory's time is that of its entries
        return True
    return now.signature is not None and _is_same(step.signature, now.signature)


def _is_same(one: Signature, other: Signature) -> bool:
    return (one.device, one.inode, one.size, one.mtime_ns) == (other.device, other.inode, other.size, other.mtime_ns)


def _over_what_is_torn(one: Standing) -> Step:
    return replace(one.step, expect=one.now.version) if one.is_torn and one.now is not None else one.step


def _look(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> list[Standing]:
    """Looks at every step's path and stage, and changes nothing."""
    content = StoredContent(state, (), {})
    with tree.root() as root:
        found = [(step, _seen(root, step), staged(root, operation.id, step)) for step in steps]
        torn = [one[0].path for one in found if state.recovered.may_have_lost and _is_torn(root, operation, *one, content)]
    return judge(found, torn)


def _is_torn(root: Root, operation: Operation, step: Step, now: Look | None, stage: Version | None, content: StoredContent) -> bool:
    """True where a power cut left a part of what the operation put there; no step put anything where its stage is still to be used."""
    if now is None or not isinstance(now.version, File) or now.version in (step.expect, step.target):
        return False
    if stage is not None and stage != step.expect:
        return False
    wholes = [step.target, step.expect] if operation.status is OperationStatus.ROLLING_BACK else [step.target]
    dir_fd = root.directory(step.path.parent)
    return any(is_torn(dir_fd, step.path.name, now.version, whole, content) for whole in wholes if isinstance(whole, File))


def _remove_stages(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> None:
    """Empties the stages, after what was taken out unseen is back: from here on only the tree and the store count."""
    with tree.root() as root:
        rescue(root, operation.id, steps, StoredContent(state, (), {}))
        sweep(root, operation.id, [step.path for step in steps])


def _seen(root: Root, step: Step) -> Look | None:
    found = look(root, step.path, None, Hasher(), keep_bytes=0)
    return found if isinstance(found, Look) else None


def _apply(state: State, tree: Tree, operation: Operation, steps: Sequence[Step], *, whole: bool = False) -> list[Outcome]:
    with tree.root() as root:
        fresh = [replace(step, signature=now.signature if (now := _seen(root, step)) is not None else None) for step in steps]
        return apply(root, operation.id, fresh, StoredContent(state, fresh, {}), lambda: False, whole=whole)


def _as_found(one: Standing) -> Outcome:
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

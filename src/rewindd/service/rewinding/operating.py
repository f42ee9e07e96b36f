"""One operation, from its plan to its answer: what rewind, undo, redo and restore have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import time_ns

from rewindd.errors import Busy, Conflict, HeadMoved, StoreError, StoreFull
from rewindd.model.conversation import Stats
from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import OperationKind, OperationStatus, Scope
from rewindd.model.operation import Move, Operation
from rewindd.model.session import Checkpoint, Session
from rewindd.plan.settle import NOTHING
from rewindd.protocol import wire
from rewindd.service import names
from rewindd.service.asking.comparing import totals
from rewindd.service.capture import keeping
from rewindd.service.capture.tails import tails_of
from rewindd.service.rewinding import deciding
from rewindd.service.rewinding.applying import begin, carry_out, close, sync
from rewindd.service.rewinding.deciding import Decided, steps_of
from rewindd.service.rewinding.recover import give_up, take_back
from rewindd.service.rewinding.sharing import applying
from rewindd.service.save import Standing, Tail, automatic, pending_deltas
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import Turn
from rewindd.store import checkpoints
from rewindd.tree.apply import STOPPED, Outcome
from rewindd.tree.replace import CHANGED

#: Checkpoints among which one is looked for that already names a tail.
NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked, whichever of the four it is: the operation as it would be recorded, and how to answer.

    `way_out`: what a caller can do about a conflict, `firm_way_out` where overwriting is refused too. `tail_label`: of the
    checkpoint that names what is abandoned. `moves`: where it takes other sessions; `taken_along`: those that it does not move, and whose
    work it takes back. The request has the turns of both.
    """

    operation: Operation
    decided: Decided
    tail: Tail
    target: Checkpoint | None
    dry_run: bool
    plan: str | None
    tail_label: str
    moves: Sequence[Move] = ()
    taken_along: Sequence[SessionId] = ()
    way_out: str = "`--on-conflict keep` leaves them, `overwrite` takes them back all the same"
    firm_way_out: str = "`--on-conflict keep` leaves them"


async def operate(state: State, tree: Tree, session: Session, turn: Turn, wish: Wish) -> bytes:
    """Answers a dry run; else carries the operation out, from its record to its answer, and leaves the syncing for later.

    Raises:
        HeadMoved: the plan that the caller was shown is not so any more.
        Conflict: somebody's work is in the way, or a path cannot be restored; nothing was touched. Of an operation that is to be done
            whole: also where that shows while it is done; what was done is taken back.
        StoreFull: nothing is in the way but what the store had no room for, and would be lost; nothing was touched.
        Busy: nothing is in the way but other sessions' edits that are under way; nothing was touched.
    """
    settled = wish.decided.settled
    if wish.dry_run:
        return wire.encode_reply(deciding.result(wish.decided, wish.operation, wish.target, None))
    if wish.plan is not None and wish.plan != settled.plan:
        raise HeadMoved("the workspace is not as it was when that plan was made; look at a new plan", plan=settled.plan)
    if settled.conflicts and len(wish.decided.busy) == len(settled.conflicts):
        path, editor = wish.decided.busy[0]
        raise Busy(
            f"{str(path)!r} is {settled.conflicts[0].reason}; nothing was touched, try again when that is done. {_way_out(turn, wish)}",
            path=str(path),
            session=editor,
        )
    if settled.conflicts:
        listed = [{"path": str(one.path), "reason": one.reason} for one in settled.conflicts]
        first = settled.conflicts[0]
        if len(wish.decided.unkept) == len(listed):
            raise StoreFull(
                f"{len(listed)} path(s) cannot be overwritten, first {str(first.path)!r}: {first.reason}; nothing was touched. "
                "Make room, or say `--lose-unsaved`",
                conflicts=listed,
            )
        raise Conflict(
            f"{len(listed)} path(s) in conflict, first {str(first.path)!r}: {first.reason}; nothing was touched. {_way_out(turn, wish)}",
            conflicts=listed,
        )
    operation, steps = wish.operation, steps_of(tree, settled.decisions)
    tails = [await _automatic(state, tree, session, wish.tail, wish.tail_label)]
    others = [await state.session(one) for one in (*(move.session for move in wish.moves), *wish.taken_along)]
    behind = await tails_of(state, tree, others)
    tails += [await _automatic(state, tree, other, behind[other.id], wish.tail_label) for other in others]
    await keeping.keep(state.bridge, state.blobs, wish.decided.made)
    await begin(state, operation, steps, turn.digest, [tail for tail in tails if tail is not None], wish.moves)
    tree.interrupted = True
    try:
        async with applying(tree, [step.path for step in steps]):
            outcomes = await carry_out(state, tree, operation, steps)
        failed = [one for one in outcomes if not one.done and one.reason != STOPPED]
        if operation.whole and failed:
            raise _refused(failed, await take_back(state, tree, operation, steps))
        reply = deciding.result(wish.decided, operation, wish.target, outcomes)
        answer = await close(state, tree, operation, steps, outcomes, lambda db: turn.keep(db, reply))
    except StoreError:
        if tree.interrupted:
            await give_up(state, tree, operation)
        raise
    state.stood(session, operation.to_head, operation.to_stats)
    state.later(lambda: sync(state, tree, operation, steps))
    return answer


def _way_out(turn: Turn, wish: Wish) -> str:
    """What to do about conflicts. Overwriting is named where it would be done: of none that it does not end, and through no grant."""
    is_firm = wish.decided.settled.firm or wish.decided.unkept or turn.through is not None
    return wish.firm_way_out if is_firm else wish.way_out


def operation_of(session: Session, tree: Tree, turn: Turn, kind: OperationKind, scope: Scope, decided: Decided) -> Operation:
    """Returns the operation as it begins; it moves no head yet."""
    return Operation(
        id=OperationId(names.operation_id()),
        workspace=tree.workspace.id,
        session=session.id,
        kind=kind,
        scope=scope,
        status=OperationStatus.APPLYING,
        at=0,
        paths=None,
        checkpoint=None,
        undoes=None,
        from_head=session.head,
        from_stats=session.stats,
        to_head=session.head,
        to_stats=session.stats,
        plan=decided.settled.plan,
        key=turn.request.key,
        created_at_ns=time_ns(),
    )


def _refused(failed: Sequence[Outcome], stuck: Sequence[Outcome]) -> Conflict:
    """The error of an operation that could not be done whole: what failed, what to do, and what could not be taken back."""
    first = failed[0]
    if (first.reason or "").startswith(CHANGED):
        why, way_out = "somebody changed it meanwhile", "Try again when it is quiet"
    else:
        why, way_out = f"{first.reason}", "Mend that, then try again"
    left = f", but {len(stuck)} path(s) could not be, first {str(stuck[0].path)!r}: {stuck[0].reason}" if stuck else ""
    listed = [{"path": str(one.path), "reason": one.reason or CHANGED} for one in (*failed, *stuck)]
    return Conflict(
        f"{str(first.path)!r} cannot be restored: {why}; all goes or nothing, so what was done was taken back{left}, "
        f"and no session was moved. {way_out}; `--on-conflict keep` leaves what cannot be restored, and takes the rest",
        conflicts=listed,
    )


def no_files() -> Decided:
    """Returns what is decided where no file is concerned."""
    return Decided(NOTHING)


async def _automatic(state: State, tree: Tree, session: Session, tail: Tail, label: str) -> Checkpoint | None:
    """The automatic checkpoint, where something would otherwise lose its name: pending rows, unsaved events or statistics."""
    head = tail.head
    event, stats = (head.event, head.stats) if head is not None else (None, Stats(start_time_ns=session.stats.start_time_ns))
    said = (event, stats) != (session.head.event, session.stats)
    if (not said and not tail.deltas) or await _is_named(state, tree, session):
        return None
    return automatic(session, tree, Standing(tail.base_seq, tree.position, await totals(state, tail.deltas)), label)


async def _is_named(state: State, tree: Tree, session: Session) -> bool:
    """True when one of the newest automatic checkpoints is just where the session stands, as after an undo."""
    recent = await state.bridge.transact(lambda db: checkpoints.of_session(db, session.id, NAMED))
    stands = (session.head.checkpoint, session.head.event, session.stats)
    for one in recent:
        if one.automatic and (one.parent, one.event, one.stats) == stands and not await pending_deltas(state, tree, session, one.seq):
            return True
    return False

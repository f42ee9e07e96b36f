"""The other sessions that an operation is about: those that a rewind to a barrier takes along, and its undo brings back.

An operation is one session's: the one whose request it was. Where it takes others along, it is in their list of operations too.
"""

from collections.abc import Iterable, Sequence

from rewindd.model.ids import SessionId
from rewindd.model.log import Restore
from rewindd.model.operation import Move, Operation
from rewindd.model.session import Barrier, Checkpoint, Head, Session
from rewindd.protocol import replies
from rewindd.service.state import State
from rewindd.store import checkpoints, operations, sessions


async def to_barrier(state: State, session: Session, barrier: Barrier, parts: Sequence[Restore]) -> list[Move]:
    """Returns where a rewind to a barrier by `session` takes the other members; closed ones too. None where it is about files alone."""
    if not {Restore.CONVERSATION, Restore.STATS} & set(parts):
        return []
    made = await state.bridge.transact(lambda db: checkpoints.of_barrier(db, barrier.workspace, barrier.id))
    return [_to(await state.session(one.session), one, parts) for one in made if one.session != session.id]


async def recorded(state: State, operation: Operation) -> dict[SessionId, Move]:
    """Returns all that an operation was about, by session: its own and the others."""
    own = Move(
        session=operation.session,
        from_head=operation.from_head,
        from_stats=operation.from_stats,
        to_head=operation.to_head,
        to_stats=operation.to_stats,
    )
    others = await state.bridge.transact(lambda db: operations.moves(db, operation.id))
    return {move.session: move for move in (own, *others)}


def back(session: Session, was: Move) -> Move:
    """Returns where the session goes when that is taken back: what was not moved then stays as it is now."""
    return Move(
        session=session.id,
        from_head=session.head,
        from_stats=session.stats,
        to_head=was.from_head if was.to_head != was.from_head else session.head,
        to_stats=was.from_stats if was.to_stats != was.from_stats else session.stats,
    )


async def went_on(state: State, operation: Operation) -> bool:
    """True when one of an open operation's sessions does not stand where it stood when that began: its head must not be set any more."""
    moves = await recorded(state, operation)
    stands = {one: await state.session(one) for one in moves}
    return any((stands[one].head, stands[one].stats) != (move.from_head, move.from_stats) for one, move in moves.items())


async def told(state: State, moves: Iterable[Move]) -> tuple[replies.Moved, ...]:
    """Returns what is said of the other sessions that an operation is about."""
    found = [(move, await state.session(move.session)) for move in moves]
    return tuple(
        replies.Moved(
            session_id=move.session,
            agent=session.agent,
            head_before=move.from_head.checkpoint,
            head=move.to_head.checkpoint,
            event=move.to_head.event,
        )
        for move, session in found
    )


async def not_of(state: State, barrier: Barrier) -> tuple[SessionId, ...]:
    """Returns the sessions that are open now and were not when the barrier was made."""
    opened = await state.bridge.transact(lambda db: sessions.of_workspace(db, barrier.workspace, closed=False))
    return tuple(one.id for one in opened if one.id not in barrier.members)


def _to(session: Session, target: Checkpoint, parts: Sequence[Restore]) -> Move:
    return Move(
        session=session.id,
        from_head=session.head,
        from_stats=session.stats,
        to_head=Head(checkpoint=target.id, event=target.event) if Restore.CONVERSATION in parts else session.head,
        to_stats=target.stats if Restore.STATS in parts else session.stats,
    )

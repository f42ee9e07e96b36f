"""What a rewind puts back though another session's operation had taken it back: the plan says whose that was."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from rewindd.model.ids import OperationId, SessionId
from rewindd.model.operation import Operation
from rewindd.paths import RelPath
from rewindd.plan.draft import Draft
from rewindd.plan.naming import Names, listed
from rewindd.service.rewinding.families import readable
from rewindd.service.state import State
from rewindd.store import operations
from rewindd.store.database import Connection
from rewindd.timeline.history import Timeline


async def named(state: State, timeline: Timeline, drafts: Sequence[Draft], session: SessionId, names: Names) -> list[Draft]:
    """Returns the drafts; those that put back what another than `session` had taken back name it, and what it did."""
    against = {draft.path: found for draft in drafts if draft.wanted - draft.live and (found := _against(timeline, draft))}
    if not against:
        return list(drafts)
    done = await state.bridge.transact(partial(_operations, ids={one for found in against.values() for one in found}))
    others = {one.session for one in done.values()} - {session}
    names = names.also({one: known.agent for one in others if (known := await readable(state, one)) is not None})
    return [_named(draft, [done[one] for one in against.get(draft.path, ()) if one in done], session, names) for draft in drafts]


def _named(draft: Draft, done: Sequence[Operation], session: SessionId, names: Names) -> Draft:
    theirs = [one for one in done if one.session != session]
    if not theirs:
        return draft
    sessions = listed(one.session for one in theirs)
    kinds = " and ".join(sorted({one.kind.value for one in theirs}))
    why = f"{draft.why}; it was taken back by {kinds} of {names.sessions(sessions)}"
    return replace(draft, why=why, others=listed((*draft.others, *sessions)))


def _against(timeline: Timeline, draft: Draft) -> tuple[OperationId, ...]:
    """The operations that took back last what is put back, of those that wrote the path."""
    again = draft.wanted - draft.live
    wrote = {at: row.operation for row in timeline.rows(draft.path) if (at := timeline.operation_at(row)) is not None}
    took = {at for row in again if (at := _taken_back_at(timeline, draft.path, row, wrote)) is not None}
    return tuple(operation for at in sorted(took) if (operation := wrote[at]) is not None)


def _taken_back_at(timeline: Timeline, path: RelPath, row: int, wrote: Mapping[int, OperationId | None]) -> int | None:
    return max((at for at in wrote if row in timeline.toggled(at, path)[0]), default=None)


def _operations(db: Connection, ids: Iterable[OperationId]) -> dict[OperationId, Operation]:
    return {one: found for one in ids if (found := operations.find(db, one)) is not None}

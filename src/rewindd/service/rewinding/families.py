"""Families: the sub-agents of a session, whose work a rewind offers to take back with its own."""

from collections.abc import Collection, Iterable

from rewindd.errors import StoreCorrupt, UnknownSession
from rewindd.model.grant import Through
from rewindd.model.ids import SessionId
from rewindd.model.session import Session
from rewindd.paths import RelPath
from rewindd.plan.draft import Aim
from rewindd.plan.naming import Names, listed
from rewindd.plan.settle import Decision
from rewindd.protocol import replies
from rewindd.service.state import State
from rewindd.timeline.history import Timeline


async def children_of(state: State, session: Session, among: Iterable[SessionId]) -> tuple[SessionId, ...]:
    """Returns those `among` some sessions that are sub-agents of the session, or of a sub-agent of it, and so on; closed ones too.

    A fork went its own way: neither it nor its sub-agents are the session's. What this costs follows from `among`, not from how many
    sessions there are.
    """
    return listed([one for one in among if one != session.id and await _is_below(state, one, session)])


async def names_of(state: State, timeline: Timeline, through: Through | None) -> Names:
    """Returns what the sessions are called whose work is in a timeline; who asks `through` a grant is told of no others than its own."""
    known = [found for one in timeline.owners if (found := await readable(state, one)) is not None]
    return Names({one.id: one.agent for one in known}, None if through is None else through.sessions)


async def readable(state: State, one: SessionId) -> Session | None:
    """Returns a session that others are told of; None where its row is damaged, which must not keep those others from going on."""
    try:
        return await state.session(one)
    except (StoreCorrupt, UnknownSession):
        return None


def left_to_children(
    timeline: Timeline, aim: Aim, kin: Iterable[SessionId], decisions: Iterable[Decision], chosen: Iterable[RelPath], command: str
) -> replies.ChildrenLeft | None:
    """Returns the later work of sub-agents (`kin`) that the decisions leave, on the chosen paths; None when there is none."""
    family, taken = {aim.session, *kin}, {row for decision in decisions for row in decision.off}
    counts: dict[RelPath, int] = {}
    whose: set[SessionId] = set()
    for path in chosen:
        live = timeline.live(timeline.position, path) - taken
        for row in timeline.rows(path):
            if row.seq in live and row.seq > aim.seq and row.owner and family.issuperset(row.owner) and not aim.takes(row.owner):
                counts[path] = counts.get(path, 0) + 1
                whose |= {*row.owner} - {aim.session}
    if not counts:
        return None
    return replies.ChildrenLeft(rows=sum(counts.values()), paths=sorted(counts), sessions=list(listed(whose)), command=command)


async def taken_along(state: State, timeline: Timeline, decisions: Iterable[Decision], but: Collection[SessionId]) -> tuple[SessionId, ...]:
    """Returns the sessions, without `but`, whose work the decisions take back: what they have not saved needs a name first."""
    owners = _losing(timeline, [one for one in timeline.owners if one not in but], decisions)
    return tuple([one for one in owners if await readable(state, one) is not None])


def _losing(timeline: Timeline, among: Iterable[SessionId], decisions: Iterable[Decision]) -> tuple[SessionId, ...]:
    wanted = {*among}
    off = {(decision.path, row) for decision in decisions for row in decision.off}
    rows = [row for path in {path for path, _ in off} for row in timeline.rows(path) if (path, row.seq) in off] if wanted else []
    return listed(wanted & {owner for row in rows for owner in row.owner})


async def _is_below(state: State, one: SessionId, session: Session) -> bool:
    seen: set[SessionId] = set()
    current = await readable(state, one)
    while current is not None and current.parent is not None and current.origin is None and current.id not in seen:
        seen.add(current.id)
        if current.workspace != session.workspace:
            return False
        if current.parent == session.id:
            return True
        current = await readable(state, current.parent)
    return False

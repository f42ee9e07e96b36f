"""Dependents: later checkpoints of other sessions that were made on top of what a rewind takes back."""

from collections.abc import Collection, Iterable, Mapping
from functools import partial

from rewindd.model.ids import SessionId
from rewindd.model.session import Checkpoint
from rewindd.model.stakes import Stakes
from rewindd.paths import ROOT, RelPath
from rewindd.plan.settle import Decision
from rewindd.protocol import replies
from rewindd.service.rewinding.families import readable
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import checkpoints, stakes
from rewindd.store.stakes import Asked
from rewindd.timeline.history import Timeline

#: Paths that one dependent names; the others are counted.
NAMED_PATHS = 20

#: The paths that a session edited or claimed, each with the position at which it did.
_Uses = list[tuple[int, RelPath]]


async def dependents(
    state: State, tree: Tree, timeline: Timeline, decisions: Iterable[Decision], along: Collection[SessionId]
) -> tuple[replies.Dependent, ...]:
    """Returns the checkpoints of sessions not `along` that edited, wrote or claimed a path after its first row that goes or comes back.

    An edit or claim counts for the first checkpoint made after it. What this costs follows the rows on these paths, the claims on them, and
    the checkpoints that came after.
    """
    first = {decision.path: min((*decision.off, *decision.on)) for decision in decisions if decision.off or decision.on}
    uses = _uses(tree, timeline, first, await _former(state, tree, first), along)
    found: list[tuple[Checkpoint, list[RelPath]]] = []
    for session, used in uses.items():
        later = await state.bridge.transact(partial(checkpoints.after, session=session, seq=min(seq for seq, _ in used)))
        found += _placed([one for one in later if not one.automatic], used)
    found.sort(key=lambda one: (one[0].seq, one[0].session, one[0].id))
    agents = {session: known.agent if (known := await readable(state, session)) is not None else "" for session in uses}
    return tuple(
        replies.Dependent(
            session_id=one.session,
            agent=agents[one.session],
            checkpoint_id=one.id,
            label=one.label,
            paths=paths[:NAMED_PATHS],
            count=len(paths),
        )
        for one, paths in found
    )


async def _former(state: State, tree: Tree, first: Mapping[RelPath, int]) -> Stakes:
    """Reads, a page at a time, which sessions that were closed had stakes in these paths, and saved at these positions or later."""
    if not tree.has_former:
        return Stakes()
    oldest = dict(first)
    for path, seq in first.items():
        for above in (ROOT, *path.ancestors):
            oldest[above] = min(seq, oldest.get(above, seq))
    rest = [Asked(path=path, seq=seq, deep=path not in first) for path, seq in oldest.items()]
    found, is_many = Stakes(), len(rest) > stakes.PART_ASKED
    while rest:
        page, rest = await state.bridge.transact(partial(stakes.former, workspace=tree.workspace.id, asked=rest), bulk=is_many)
        found.put(page)
    return found


def _uses(
    tree: Tree, timeline: Timeline, first: dict[RelPath, int], former: Stakes, along: Collection[SessionId]
) -> dict[SessionId, _Uses]:
    uses: dict[SessionId, _Uses] = {}
    for path, seq in first.items():
        live = timeline.live(timeline.position, path)
        edits = [(owner, row.seq) for row in timeline.rows(path) if row.seq > seq and row.seq in live for owner in row.owner]
        # A stake is a session's first word on a path: a claim before the row says that it is at work there all the same.
        claims = [(stake.session, max(stake.since, seq)) for stake in (*tree.stakes.on(path), *former.on(path))]
        for session, at in (*edits, *claims):
            if session not in along:
                uses.setdefault(session, []).append((at, path))
    return uses


def _placed(later: list[Checkpoint], used: _Uses) -> list[tuple[Checkpoint, list[RelPath]]]:
    """Puts each use down to the first checkpoint at or after it; `later` is by position."""
    paths: dict[int, set[RelPath]] = {}
    number = 0
    for at, path in sorted(used):
        while number < len(later) and later[number].seq < at:
            number += 1
        if number < len(later):
            paths.setdefault(number, set()).add(path)
    return [(later[number], sorted(found)) for number, found in paths.items()]

"""Which checkpoints of a workspace may go, read a page at a time, and which positions of its log can be asked for after that.

What is chosen may be out of date by the time that it is done: who drops looks once more.
"""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from time import time_ns

from rewindd.model.ids import BarrierId, CheckpointId, WorkspaceId
from rewindd.model.session import Checkpoint
from rewindd.service.notices.telling import MAX_BEHIND
from rewindd.service.state import State
from rewindd.store import checkpoints, pruning, sessions, stakes, workspaces
from rewindd.store.database import Connection
from rewindd.store.pruning import Since
from rewindd.store.stretches import Stretch
from rewindd.timeline.retention import Summary, Verdict, judge

#: Checkpoints read in one transaction: some milliseconds.
PAGE = 200


@dataclass(slots=True)
class Choice:
    """What was decided of a workspace. `positions`: by number of checkpoint, its own and its parent's.

    `needed`: positions that can be asked for beside those of checkpoints; `frontier`: what is after it is not touched.
    """

    verdicts: list[Verdict]
    since: Since
    needed: set[int]
    frontier: int
    positions: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def going(self) -> list[Summary]:
        """The checkpoints that may go, in order of creation."""
        return [one.of for one in self.verdicts if not one.is_kept]

    @property
    def stays(self) -> set[int]:
        """The positions that can be asked for when they are gone."""
        kept = (self.positions[one.of.number] for one in self.verdicts if one.is_kept)
        return {seq for pair in kept for seq in pair} | self.needed

    @property
    def barriers(self) -> set[BarrierId]:
        """The barriers that go."""
        return {one.barrier for one in self.going if one.barrier is not None}

    def stretches(self) -> list[Stretch]:
        """Returns the stretches between positions that stay in which one goes."""
        stays = sorted(seq for seq in self.stays if seq <= self.frontier)
        found: set[Stretch] = set()
        for one in self.going:
            for seq in self.positions[one.number]:
                at = bisect_left(stays, seq)
                if at < len(stays) and stays[at] != seq:
                    found.add((stays[at - 1] + 1 if at else 0, stays[at] - 1))
        return sorted(found)


async def choose(state: State, workspace: WorkspaceId, *, pressed: int = 0) -> Choice:
    """Returns what the rules say of a workspace's checkpoints now.

    Raises:
        StoreError: the store failed.
    """
    rules = state.capture.retention
    since = await state.bridge.transact(pruning.now)
    floors, needed = await _stands(state, workspace)
    frontier = await state.bridge.transact(partial(_frontier, workspace=workspace))
    choice = Choice([], since, {*needed, frontier}, frontier)
    summaries: list[Summary] = []
    names = await state.bridge.transact(lambda db: sessions.ids_of(db, workspace))
    after: int | None = 0
    while after is not None:
        read = partial(checkpoints.numbered, workspace=workspace, names=names, after=after, limit=PAGE)
        page = await state.bridge.transact(read, bulk=True, lasting=False)
        for number, one in page:
            choice.positions[number] = one.base_seq, one.seq
            summaries.append(_summary(number, one, floors.get(one.id), frontier))
        after = page[-1][0] if len(page) == PAGE else None
    choice.verdicts = await state.bridge.work(partial(judge, summaries, rules, time_ns(), pressed=pressed))
    return choice


async def askable(state: State, workspace: WorkspaceId) -> tuple[set[int], int]:
    """Returns every position of a workspace's log that can be asked for now, and the one behind which nothing is touched."""
    _, needed = await _stands(state, workspace)
    frontier = await state.bridge.transact(partial(_frontier, workspace=workspace))
    found, after = {*needed, frontier}, 0
    while True:
        read = partial(pruning.positions, workspace=workspace, after=after)
        page = await state.bridge.transact(read, bulk=True, lasting=False)
        found.update(seq for _, *pair in page for seq in pair)
        if len(page) < pruning.PAGE_POSITIONS:
            return found, frontier
        after = page[-1][0]


async def _stands(state: State, workspace: WorkspaceId) -> tuple[dict[CheckpointId, str], set[int]]:
    floors: dict[CheckpointId, str] = {}
    positions: set[int] = set()
    after: int | None = 0
    while after is not None:
        read = partial(pruning.stands, workspace=workspace, after=after)
        after, page = await state.bridge.transact(read, bulk=True, lasting=False)
        for one in page:
            floors |= one.checkpoints
            positions |= set(one.positions)
    return floors, positions


def _summary(number: int, one: Checkpoint, floor: str | None, frontier: int) -> Summary:
    return Summary(
        number=number,
        session=one.session,
        id=one.id,
        created_at_ns=one.created_at_ns,
        is_labelled=one.label is not None,
        is_automatic=one.automatic,
        barrier=one.barrier,
        floor=floor or ("behind what a session was not told yet" if one.seq > frontier else None),
    )


def _frontier(db: Connection, workspace: WorkspaceId) -> int:
    """What a session is still to be told of stays in the log: as far back as is looked for."""
    position = workspaces.position(db, workspace)
    cursors: Collection[int] = stakes.cursors(db, workspace).values()
    return min([position, *(seq for seq in cursors if seq > position - MAX_BEHIND)])

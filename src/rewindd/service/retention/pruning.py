"""Prune: the checkpoints that the rules do not keep, then the log's rows that nobody can ask for, then the contents that nothing names.

Each step is a small transaction that leaves the store right; cut off anywhere, what was begun is taken up by the next one. A workspace
that is in memory is locked for each step, and free between any two.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from rewindd.errors import UnknownWorkspace
from rewindd.model.session import Workspace
from rewindd.paths import FsText, RelPath
from rewindd.protocol import wire
from rewindd.protocol.retention import Dropped, KeptFor, Prune, Pruned, PrunedWorkspace
from rewindd.service.asking import render
from rewindd.service.locking import locked
from rewindd.service.retention import ageing, collecting
from rewindd.service.retention.choosing import Choice, askable, choose
from rewindd.service.retention.collecting import Report
from rewindd.service.state import State
from rewindd.service.workspaces import holding
from rewindd.store import erasing, heads, pruning, sessions, stretches, sweeping, workspaces
from rewindd.store import stored_sizes as sizes
from rewindd.store.stretches import Stretch
from rewindd.store.sweeping import Swept
from rewindd.store.totals import totals
from rewindd.timeline.joining import Joining
from rewindd.timeline.retention import Summary

log = logging.getLogger(__name__)

#: Checkpoints that go in one transaction.
BATCH = 200
#: Contents that are asked for in one transaction.
PAGE_CONTENTS = 1000
#: What a row of the log or a checkpoint takes in the database, its indexes too: 163.4 MiB went with 1,089,408 of them (docs/benchmarks.md).
RECORD_BYTES = 157
#: Checkpoints that are named of those that go.
FIRST = 20


@dataclass(slots=True)
class Went:
    """What went of a workspace, or would go: rows, and with them so many mentions of contents; operations."""

    rows: int = 0
    operations: int = 0
    dropped: int = 0
    lost: Counter[bytes] = field(default_factory=Counter)

    def add(self, swept: Swept) -> None:
        """Counts a page."""
        self.rows += swept.rows
        self.lost.update(swept.lost)


async def prune(state: State, request: Prune, report: Report) -> Pruned:
    """Drops what the rules do not keep; returns what went, or with `dry_run` would go.

    Raises:
        UnknownWorkspace: `directory` is in none.
        StoreError: the store failed; what went is gone, and the store is right.
    """
    began_s = monotonic()
    async with state.tidying:
        chosen = await _chosen(state, request.directory)
        before = (await state.bridge.transact(totals))[0]
        told: list[PrunedWorkspace] = []
        lost: Counter[bytes] = Counter()
        for done, workspace in enumerate(chosen):
            report(wire.Progress(done=done, total=len(chosen), what="workspaces"))
            reason = await ageing.why_goes(state, workspace)
            if reason is not None:
                told.append(await _all_of(state, workspace, reason, is_dry=request.dry_run))
                continue
            choice = await choose(state, workspace.id)
            went = await (_rehearse if request.dry_run else carry_out)(state, workspace, choice)
            lost.update(went.lost)
            told.append(_told(workspace, choice, went))
        contents, freed_bytes = await _would_free(state, lost) if request.dry_run else (0, 0)
        if not request.dry_run:
            found = await collecting.collect(state, report)
            after = (await state.bridge.transact(totals))[0]
            contents, freed_bytes = found.contents, max(before - after, found.freed_bytes)
    dropped, rows = sum(one.dropped for one in told), sum(one.rows for one in told)
    return Pruned(
        dry_run=request.dry_run,
        workspaces=told,
        dropped=dropped,
        rows=rows,
        contents=contents,
        freed_bytes=freed_bytes + (RECORD_BYTES * (dropped + rows) if request.dry_run else 0),
        took_s=round(monotonic() - began_s, 3),
    )


async def carry_out(state: State, workspace: Workspace, choice: Choice) -> Went:
    """Drops what was chosen of a workspace, and sweeps its log. The caller holds `state.tidying`."""
    went = Went()
    found = choice.stretches()
    for batch in _batches(choice.going):
        going = {one.number: one.id for one in batch}
        of = {one.barrier for one in batch if one.barrier is not None}
        drop = partial(pruning.drop, workspace=workspace.id, going=going, of=of, found=found, since=choice.since)
        async with _held(state, workspace):
            went.dropped += await state.bridge.transact(drop, bulk=True, lasting=False)
        found = []
    await sweep(state, workspace, went)
    if went.dropped:
        await ageing.drop_former_stakes(state, workspace.id)
        log.info("workspace %s: %d checkpoints and %d rows of its log were pruned", workspace.id, went.dropped, went.rows)
    return went


async def sweep(state: State, workspace: Workspace, went: Went) -> None:
    """Cuts and joins what nobody can ask for any more, and forgets operations that cannot be undone."""
    if await state.bridge.transact(lambda db: stretches.unswept(db, workspace.id)) is not None:
        stays, frontier = await askable(state, workspace.id)
        async with _held(state, workspace):
            pieces = await state.bridge.transact(partial(pruning.split, workspace=workspace.id, stays=stays))
        for piece in pieces:
            if piece[1] < frontier:
                await _sweep_stretch(state, workspace, piece, went)
        for session in await state.bridge.transact(lambda db: list(sessions.ids_of(db, workspace.id).values())):
            drop = partial(pruning.drop_operations, workspace=workspace.id, session=session, until=frontier)
            while gone := await state.bridge.transact(drop, bulk=True):
                went.operations += gone


async def _sweep_stretch(state: State, workspace: Workspace, stretch: Stretch, went: Went) -> None:
    async for swept in _pages(state, workspace, stretch, is_dry=False):
        went.add(swept)
    async with _held(state, workspace):
        await state.bridge.transact(partial(stretches.swept, workspace=workspace.id, stretch=stretch))
        if stretch[0] == 0:
            await state.bridge.transact(partial(heads.cut, workspace=workspace.id, position=stretch[1] + 1))


async def _pages(state: State, workspace: Workspace, stretch: Stretch, *, is_dry: bool) -> AsyncIterator[Swept]:
    """Cuts or joins a stretch, or only tells what that would come to; yields what each page came to."""
    first, last = stretch
    until, after = last + 1, first - 1
    if first == 0:
        earlier = await _cuts(state, workspace, until)
        page = partial(sweeping.cut, workspace=workspace.id, until=until, earlier=earlier, is_dry=is_dry)
    else:
        page = partial(sweeping.join, workspace=workspace.id, until=until, joining=Joining(), is_dry=is_dry)
    while True:
        async with _held(state, workspace):
            swept = await state.bridge.transact(partial(page, after=after), bulk=True, lasting=False)
        yield swept
        if swept.last is None:
            return
        after = swept.last


async def _cuts(state: State, workspace: Workspace, until: int) -> dict[RelPath, int]:
    found: dict[RelPath, int] = {}
    after: int | None = -1
    while after is not None:
        read = partial(sweeping.cuts_page, workspace=workspace.id, until=until, after=after)
        after, part = await state.bridge.transact(read, bulk=True, lasting=False)
        found |= part
    return found


async def _rehearse(state: State, workspace: Workspace, choice: Choice) -> Went:
    went = Went(dropped=len(choice.going))
    for stretch in choice.stretches():
        if stretch[1] < choice.frontier:
            async for swept in _pages(state, workspace, stretch, is_dry=True):
                went.add(swept)
    return went


async def _would_free(state: State, lost: Counter[bytes]) -> tuple[int, int]:
    """Of the contents that are mentioned so often by what would go: how many nothing else mentions, and what these take."""
    left = Counter(lost)

    def take(digests: list[bytes]) -> None:
        for digest in digests:
            if digest in left:
                left[digest] -= 1

    # Each mention by a row that would go is met too: what is left of it is below 0 where another mentions it.
    await collecting.each_named(state, take)
    gone = [digest for digest in lost if left[digest] == 0]
    freed_bytes = 0
    for start in range(0, len(gone), PAGE_CONTENTS):
        look = partial(sizes.in_store, digests=gone[start : start + PAGE_CONTENTS])
        inside, in_files = await state.bridge.transact(look, bulk=True, lasting=False)
        taken = await state.bridge.work(collecting.file_bytes, state, in_files)
        freed_bytes += inside + sum(taken.values())
    return len(gone), freed_bytes


async def _chosen(state: State, directory: FsText | None) -> Sequence[Workspace]:
    if directory is None:
        return await state.bridge.transact(workspaces.all_of)
    found = await holding(state, directory)
    if found is None:
        raise UnknownWorkspace(f"no workspace holds {directory!r}", path=directory)
    return [found]


@asynccontextmanager
async def _held(state: State, workspace: Workspace) -> AsyncIterator[None]:
    """Holds the workspace's lock where it is in memory; else nobody is in the middle of reading its log."""
    tree = state.loaded(workspace.id)
    if tree is None:
        yield
        return
    async with locked(state, tree):
        tree.latest.clear()
        yield


def _batches(going: Sequence[Summary]) -> Iterator[Sequence[Summary]]:
    """Cuts what goes into batches; a barrier's checkpoints go in one, or the barrier would not be whole in between."""
    start = 0
    while start < len(going):
        end = min(start + BATCH, len(going))
        while end < len(going) and going[end].barrier is not None and going[end].barrier == going[end - 1].barrier:
            end += 1
        yield going[start:end]
        start = end


async def _all_of(state: State, workspace: Workspace, reason: str, *, is_dry: bool) -> PrunedWorkspace:
    """All of a workspace goes. A rehearsal does not tell what its contents would free: that is what they take that no other one names."""
    checkpoints, rows, operations = await state.bridge.transact(partial(erasing.counts, id=workspace.id))
    if not is_dry:
        await ageing.let_go(state, workspace, reason)
    return PrunedWorkspace(
        id=workspace.id,
        root=FsText(workspace.root),
        kept=[],
        dropped=checkpoints,
        first=[],
        rows=rows,
        operations=operations,
        gone=reason,
    )


def _told(workspace: Workspace, choice: Choice, went: Went) -> PrunedWorkspace:
    reasons = Counter(one.reason for one in choice.verdicts if one.is_kept)
    why = {one.of.number: one.reason for one in choice.verdicts}
    return PrunedWorkspace(
        id=workspace.id,
        root=FsText(workspace.root),
        kept=[KeptFor(reason=reason, checkpoints=number) for reason, number in sorted(reasons.items())],
        dropped=went.dropped,
        first=[
            Dropped(session_id=one.session, id=one.id, created_at=render.moment(one.created_at_ns), reason=why[one.number])
            for one in choice.going[:FIRST]
        ],
        rows=went.rows,
        operations=went.operations,
    )

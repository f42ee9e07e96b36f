"""Restore: single files and directories back, as they were at a position or before they were last deleted.

It moves no head and removes nothing. In the log it is an operation like a rewind, so that `undo` takes it back.
"""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import msgspec

from rewindd.errors import BadRequest, UnknownPath
from rewindd.model.log import OnConflict, OperationKind, Row, Scope
from rewindd.model.session import Session
from rewindd.model.versions import Absent, Unknown, Version
from rewindd.paths import RelPath
from rewindd.plan import restore as plan
from rewindd.protocol.requests import Restore
from rewindd.service.asking import positions
from rewindd.service.asking.reading import timeline_of
from rewindd.service.asking.showing import never_known
from rewindd.service.capture.observing import observe
from rewindd.service.capture.rereading import note_stored
from rewindd.service.conversation import check_base
from rewindd.service.doors.strangers import check_position
from rewindd.service.locking import locked
from rewindd.service.places import locate
from rewindd.service.rewinding import deciding, families
from rewindd.service.rewinding.deciding import decide
from rewindd.service.rewinding.depending import dependents
from rewindd.service.rewinding.families import names_of
from rewindd.service.rewinding.operating import Wish, operate, operation_of
from rewindd.service.rewinding.unkept import without_room
from rewindd.service.save import tail_of
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import Turn
from rewindd.store import edits, operations
from rewindd.store.database import Connection
from rewindd.timeline.history import Timeline

#: Rows read in one transaction, on the way back through the log to where a burst of deletions began.
PAGE_ROWS = 500


async def restore(state: State, request: Restore, session: Session, turn: Turn) -> bytes:
    """Brings paths back; durable on return, but for the tree itself, which is synced right after.

    Where nothing is to be done, nothing is recorded, and `undo` still means what was done before.

    Raises:
        UnknownPath: nothing is known of a path, or not at that position, or it was not there then.
        BadRequest: no path is named; or no position, and nothing was deleted there last.
        Conflict: `overwrite` is False, and something else is there now; or it cannot be restored; nothing was touched.
        StoreFull: what is there now could not be kept, and `lose_unsaved` was not said; nothing was touched.
        Busy: unless `overwrite` is asked for, another session is in the middle of editing it.
        HeadMoved: the session is not where the caller believes it, or the plan that the caller was shown is not so any more.
        UnknownCheckpoint, AmbiguousCheckpoint: see `positions`.
        NotPermitted: through a grant, a position before the session.
    """
    tree = await state.tree(session.workspace)
    tops = sorted({locate(path, tree.workspace.root) for path in request.paths})
    if not tops:
        raise BadRequest("nothing is named to bring back; name files or directories", field="paths")
    await check_base(state, session, request.base)
    async with locked(state, tree):
        point = await positions.point(state, session, tree, request.position) if request.position is not None else None
        check_position(turn.through, session, point)
        await observe(state, tree)
        await note_stored(state, tree)
        timeline, wanted = (
            await _at(state, tree, tops, point.seq, request.position or "")
            if point is not None
            else await _before_deletion(state, tree, tops)
        )
        unkept = frozenset(without_room(tree))
        asks, losing = None if request.overwrite else session.id, request.lose_unsaved
        calling = await names_of(state, timeline, turn.through)
        drafts = plan.restore(timeline, wanted, session.id, calling, overwrite=request.overwrite is not False, unkept=unkept)
        on_conflict = OnConflict.FAIL
        decided = await decide(state, tree, timeline, drafts, on_conflict, tops, calling, asks, turn.through, lose_unsaved=losing)
        decided = replace(decided, dependents=await dependents(state, tree, timeline, decided.settled.decisions, (session.id,)))
        target = point.checkpoint if point is not None else None
        operation = operation_of(session, tree, turn, OperationKind.RESTORE, Scope.WORKSPACE, decided)
        operation = replace(operation, paths=tuple(tops), checkpoint=target.id if target is not None else None)
        settled = decided.settled
        if not (settled.decisions or settled.conflicts or request.dry_run) and request.plan in (None, settled.plan):
            nothing = msgspec.structs.replace(deciding.result(decided, operation, target, ()), operation_id=None)
            return await state.bridge.transact(lambda db: turn.keep(db, nothing))
        taken_along = await families.taken_along(state, timeline, settled.decisions, (session.id,)) if not request.dry_run else ()
        turn.need(taken_along)
        wish = Wish(
            operation=operation,
            decided=decided,
            tail=await tail_of(state, tree, session),
            target=target,
            dry_run=request.dry_run,
            plan=request.plan,
            tail_label="before restore",
            taken_along=taken_along,
            firm_way_out="to overwrite would not help; restore without it, or make room for it",
            way_out="`rewindctl restore --yes` overwrites what is there now; what it held stays in the log",
        )
        return await operate(state, tree, session, turn, wish)


async def _at(state: State, tree: Tree, tops: Sequence[RelPath], seq: int, position: str) -> tuple[Timeline, dict[RelPath, int]]:
    """What changed at or below each of `tops` since a position.

    Raises:
        UnknownPath: nothing was there then, as far as is known.
    """

    def read(db: Connection) -> tuple[Timeline, dict[RelPath, int]]:
        wanted = {path: seq for top in tops for path in (top, *edits.paths_since(db, tree.workspace.id, top, seq))}
        return timeline_of(db, tree, wanted), wanted

    timeline, wanted = await state.bridge.transact(read)
    for top in tops:
        there = any(path.below(top) and _is_there(timeline.state(seq, path)) for path in wanted)
        if there or any(_is_there(tree.index[path].version) and tree.index[path].since <= seq for path in tree.index.below(top)):
            continue
        if isinstance(timeline.state(seq, top), Unknown):
            raise await never_known(state, tree, top, position)
        raise UnknownPath(f"{top!r} was not there at {position}; a restore removes nothing, name what was there", path=str(top))
    return timeline, wanted


async def _before_deletion(state: State, tree: Tree, tops: Sequence[RelPath]) -> tuple[Timeline, dict[RelPath, int]]:
    """What went from each of `tops` in the newest burst of deletions at or below it.

    Raises:
        BadRequest: it is there, and was worked on since; the message names a position where one would do.
        UnknownPath: nothing is known of it.
    """
    bursts = [await _burst(state, tree, top) for top in tops]
    gone = {path for burst in bursts for path in burst.deletions}
    timeline = await state.bridge.transact(lambda db: timeline_of(db, tree, gone))
    wanted: dict[RelPath, int] = {}
    for burst in bursts:
        wanted |= plan.deleted(timeline, burst)
    return timeline, wanted


async def _burst(state: State, tree: Tree, top: RelPath) -> plan.Burst:
    burst, before = plan.Burst(), tree.position + 1
    while not burst.is_over:
        read = partial(edits.back_from, workspace=tree.workspace.id, path=top, seq=before, limit=PAGE_ROWS)
        rows = await state.bridge.transact(read, bulk=True)
        burst.take(rows)
        if len(rows) < PAGE_ROWS:
            break
        before = rows[-1].seq
    if not burst.deletions:
        raise await _not_deleted(state, tree, top)
    return burst


async def _not_deleted(state: State, tree: Tree, top: RelPath) -> BadRequest | UnknownPath:
    """The error for a path without a deletion that is the last that happened there; names the position before an earlier burst of them."""

    def read(db: Connection) -> int | None:
        last = edits.last_deletion(db, tree.workspace.id, top)
        if last is None:
            return None
        burst = plan.Burst()
        burst.take(edits.back_from(db, workspace=tree.workspace.id, path=top, seq=last.seq + 1, limit=PAGE_ROWS))
        return _position_before(db, min(burst.deletions.values(), key=lambda row: row.seq, default=last))

    before = await state.bridge.transact(read)
    known = tree.index.get(top)
    if before is None and not _is_there(known.version if known is not None else Absent()) and not any(tree.index.below(top)):
        return UnknownPath(f"nothing is known of {top!r}; `rewindctl log` shows what was captured", path=str(top))
    named = shlex.quote(top)
    hint = f"; before its last deletion was `rewindctl restore '#{before}' -- {named}`" if before is not None else ""
    return BadRequest(
        f"{top!r}: nothing there was deleted since it was last changed; name a position: `rewindctl restore POS -- {named}`{hint}",
        field="position",
        path=str(top),
    )


def _position_before(db: Connection, row: Row) -> int:
    """The position just before a row; one that an operation wrote was decided before the first of its rows."""
    if row.operation is None:
        return row.seq - 1
    return operations.positions(db, [row.operation]).get(row.operation, row.seq) - 1


def _is_there(version: Version) -> bool:
    return not isinstance(version, Absent | Unknown)

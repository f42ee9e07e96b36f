"""Rewind, undo, redo: what the session's work, or the whole workspace, is taken back to."""

import shlex
from dataclasses import replace

from rewindd.errors import BadRequest, NothingToUndo
from rewindd.model.conversation import Stats
from rewindd.model.githead import moved
from rewindd.model.ids import OperationId
from rewindd.model.log import OnConflict, OperationKind, OperationStatus, Restore, Scope
from rewindd.model.operation import Operation
from rewindd.model.session import Checkpoint, Head, Session
from rewindd.plan import draft
from rewindd.protocol.requests import Redo, Rewind, Undo
from rewindd.service import positions
from rewindd.service.conversation import check_base
from rewindd.service.deciding import Decided, decide, left_behind
from rewindd.service.heads import moved_since
from rewindd.service.locking import locked
from rewindd.service.observing import observe
from rewindd.service.operating import Wish, no_files, operate, operation_of
from rewindd.service.places import locate
from rewindd.service.save import tail_of
from rewindd.service.state import State, Tree
from rewindd.service.turn import Turn
from rewindd.service.words import choice
from rewindd.store import checkpoints, operations
from rewindd.store.database import Connection
from rewindd.timeline.history import Timeline

ALL = (Restore.FILES, Restore.CONVERSATION, Restore.STATS)
#: Checkpoints among which the newest save is looked for: automatic ones come one an operation.
RECENT = 1000
_EXTERNAL = "external"
_DONE = (OperationStatus.APPLIED, OperationStatus.DONE)
#: What is taken back first, not what took something back.
_FORTH = (OperationKind.REWIND, OperationKind.RESTORE)


async def rewind(state: State, request: Rewind, session: Session, turn: Turn) -> bytes:
    """Takes work back to a position; durable on return, but for the tree itself, which is synced right after.

    Raises:
        Conflict: somebody's work is in the way, or a path cannot be restored; nothing was touched.
        GitHeadMoved: git's HEAD is another than at the position, and `across_head` was not said.
        HeadMoved: the session, or the plan that the caller was shown, is not so any more.
        UnknownCheckpoint, AmbiguousCheckpoint: see `positions`.
    """
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        check_base(session, request.base)
        point = await positions.point(state, session, tree, request.position)
        target, seq = point.checkpoint, point.seq
        parts = _parts(request, target)
        stand = (session.head, session.stats)
        if target is not None:
            parent = await positions.parent(state, session, target) if request.before else None
            stand = _stand_at(session, target, parent, before=request.before)
            seq = target.base_seq if request.before else target.seq
        await observe(state, tree)
        heads = await moved_since(state, tree, seq) if Restore.FILES in parts else None
        if heads is not None and not (request.across_head or request.dry_run):
            raise moved(heads.then, heads.now)
        aim = _aim(request, session, tree, seq)
        tail = await tail_of(state, tree, session, seq)
        decided = await _decide_files(state, tree, tail.timeline, aim, request) if Restore.FILES in parts else no_files()
        decided = replace(decided, git_heads=heads)
        operation = operation_of(session, tree, turn, OperationKind.REWIND, aim.scope, decided)
        operation = replace(
            operation,
            paths=aim.paths if Restore.FILES in parts else (),
            checkpoint=target.id if target is not None else None,
            to_head=stand[0] if Restore.CONVERSATION in parts else session.head,
            to_stats=stand[1] if Restore.STATS in parts else session.stats,
        )
        wish = Wish(
            operation=operation,
            decided=decided,
            tail=tail,
            target=target,
            dry_run=request.dry_run,
            plan=request.plan,
            tail_label=f"before rewind to {target.id if target is not None else request.position}",
        )
        return await operate(state, tree, session, turn, wish)


async def undo(state: State, request: Undo, session: Session, turn: Turn) -> bytes:
    """Takes back the session's newest rewind that is not undone, or the named operation.

    Raises:
        NothingToUndo: there is none.
        Conflict, HeadMoved: as `rewind`.
    """
    found = await state.bridge.transact(lambda db: operations.of_session(db, session.id))
    chosen = _to_undo([one for one in found if one.status in _DONE], request.operation)
    if chosen is None:
        raise NothingToUndo(await _no_rewind(state, session), session=session.id)
    kind = OperationKind.REDO if chosen.kind is OperationKind.UNDO else OperationKind.UNDO
    return await _take_back(state, session, turn, chosen, kind, request, only_touched=_is_restore(found, chosen))


async def redo(state: State, request: Redo, session: Session, turn: Turn) -> bytes:
    """Takes back the session's newest undo, unless a save or rewind came after it.

    Raises:
        NothingToUndo: there is no undo to take back.
        Conflict, HeadMoved: as `rewind`.
    """
    found = await state.bridge.transact(lambda db: operations.of_session(db, session.id))
    saved = await state.bridge.transact(lambda db: _last_saved(db, session))
    chosen = _to_redo([one for one in found if one.status in _DONE], saved)
    if chosen is None:
        raise NothingToUndo(f"session {session.id!r} has no undo to redo; a new save or rewind ends redo", session=session.id)
    return await _take_back(state, session, turn, chosen, OperationKind.REDO, request, only_touched=_is_restore(found, chosen))


async def _take_back(
    state: State, session: Session, turn: Turn, chosen: Operation, kind: OperationKind, request: Undo | Redo, *, only_touched: bool
) -> bytes:
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        await observe(state, tree)
        tail = await tail_of(state, tree, session, chosen.at - 1)
        decided = no_files()
        if chosen.paths != ():
            about = () if only_touched else chosen.paths
            drafts = draft.undo(tail.timeline, session.id, chosen.at, about, f"as before the {chosen.kind.value}")
            on_conflict = choice(OnConflict, request.on_conflict, "on_conflict")
            decided = await decide(state, tree, tail.timeline, drafts, on_conflict, about)
        operation = replace(
            operation_of(session, tree, turn, kind, chosen.scope, decided),
            paths=chosen.paths,
            checkpoint=chosen.from_head.checkpoint,
            undoes=chosen.id,
            to_head=chosen.from_head if chosen.to_head != chosen.from_head else session.head,
            to_stats=chosen.from_stats if chosen.to_stats != chosen.from_stats else session.stats,
        )
        wish = Wish(
            operation=operation,
            decided=decided,
            tail=tail,
            target=None,
            dry_run=request.dry_run,
            plan=None,
            tail_label=f"before {kind.value}",
        )
        return await operate(state, tree, session, turn, wish)


async def _decide_files(state: State, tree: Tree, timeline: Timeline, aim: draft.Aim, request: Rewind) -> Decided:
    decided = await decide(state, tree, timeline, draft.rewind(timeline, aim), aim.on_conflict, aim.paths)
    if aim.scope is Scope.WORKSPACE or aim.also_external:
        return decided
    chosen = draft.concerned(timeline.paths, aim.paths)
    left = left_behind(timeline, aim.seq, decided.settled.decisions, chosen, _command(request))
    return replace(decided, left=left)


def _to_undo(done: list[Operation], named: str | None) -> Operation | None:
    """The operation to take back: the named one, else the newest rewind that no undo took back (or whose undo was redone).

    To take back a redo is to take back the rewind that it did again.
    """
    undone: dict[OperationId, bool] = {}
    by_id = {one.id: one for one in done}
    for one in done:
        if one.undoes is None:
            continue
        undone[one.undoes] = True
        taken_back = by_id.get(one.undoes)
        if taken_back is not None and taken_back.undoes is not None:
            undone[taken_back.undoes] = False
    candidates = [one for one in done if not undone.get(one.id)]
    if named is None:
        return next((one for one in reversed(candidates) if one.kind in _FORTH), None)
    found = by_id.get(OperationId(named))
    while found is not None and found.kind is OperationKind.REDO and found.undoes is not None:
        undo_before = by_id.get(found.undoes)
        found = by_id.get(undo_before.undoes) if undo_before is not None and undo_before.undoes is not None else None
    return found if found in candidates else None


def _is_restore(found: list[Operation], chosen: Operation) -> bool:
    """True when an operation is a restore, or takes one back, or that: it was about the paths that it touched, and no others."""
    by_id = {one.id: one for one in found}
    while chosen.undoes is not None and chosen.undoes in by_id:
        chosen = by_id[chosen.undoes]
    return chosen.kind is OperationKind.RESTORE


def _to_redo(done: list[Operation], saved: int) -> Operation | None:
    """The newest undo that is not redone, if neither a rewind nor a save came after it."""
    redone = {one.undoes for one in done if one.kind is OperationKind.REDO}
    for one in reversed(done):
        if one.kind in _FORTH:
            return None
        if one.kind is OperationKind.UNDO and one.id not in redone:
            return one if saved < one.at else None
    return None


def _last_saved(db: Connection, session: Session) -> int:
    return max((one.seq for one in checkpoints.of_session(db, session.id, RECENT) if not one.automatic), default=-1)


async def _no_rewind(state: State, session: Session) -> str:
    newest = await state.bridge.transact(lambda db: checkpoints.of_session(db, session.id, 1))
    meant = f"; to take back what was done since the last save: `rewindctl rewind {newest[0].id}`" if newest else ""
    return f"session {session.id!r} has no rewind to undo{meant}"


def _stand_at(session: Session, target: Checkpoint, parent: Checkpoint | None, *, before: bool) -> tuple[Head, Stats]:
    """Where the session stands after a rewind of its conversation and statistics: at the target, or before it at its parent."""
    if not before:
        return Head(checkpoint=target.id, event=target.event), target.stats
    if parent is None:
        return Head(checkpoint=None, event=None), Stats(start_time_ns=session.stats.start_time_ns)
    return Head(checkpoint=parent.id, event=parent.event), parent.stats


def _parts(request: Rewind, target: Checkpoint | None) -> tuple[Restore, ...]:
    """What is to be restored. A position that is no checkpoint has files only."""
    if target is None:
        wanted = set(request.restore) or {Restore.FILES.value}
        if request.before or not ("all" in wanted or wanted in ({Restore.FILES.value}, {part.value for part in ALL})):
            raise BadRequest(f"{request.position!r} is no checkpoint: files alone can be taken back to it", field="position")
        return (Restore.FILES,)
    if not request.restore:
        return (Restore.FILES,) if request.paths else ALL
    if "all" in request.restore:
        return ALL
    return tuple(choice(Restore, word, "restore") for word in request.restore)


def _aim(request: Rewind, session: Session, tree: Tree, seq: int) -> draft.Aim:
    unknown = set(request.also) - {_EXTERNAL}
    if unknown:
        raise BadRequest(f"also={sorted(unknown)[0]!r}; it can be `external`", field="also")
    return draft.Aim(
        session=session.id,
        seq=seq,
        scope=choice(Scope, request.scope, "scope"),
        also_external=_EXTERNAL in request.also,
        on_conflict=choice(OnConflict, request.on_conflict, "on_conflict"),
        paths=tuple(locate(path, tree.workspace.root) for path in request.paths) or None,
    )


def _command(request: Rewind) -> str:
    """The command that takes nobody's changes back too, as it is typed in a shell in the workspace's root."""
    words = ["rewindctl", "rewind", request.position, *(["--before"] if request.before else []), "--also", "external"]
    words += ["--across-head"] if request.across_head else []
    return shlex.join([*words, "--", *request.paths] if request.paths else words)

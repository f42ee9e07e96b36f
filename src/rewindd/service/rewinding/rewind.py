"""Rewind, undo, redo: what the session's work, or the whole workspace, is taken back to."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from msgspec import structs

from rewindd.errors import BadRequest, NothingToUndo, UnknownCheckpoint
from rewindd.model.conversation import Stats
from rewindd.model.githead import moved
from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import OnConflict, OperationKind, OperationStatus, Restore, Scope
from rewindd.model.operation import Operation
from rewindd.model.session import Barrier, Checkpoint, Head, Session
from rewindd.plan import draft
from rewindd.plan.draft import Draft
from rewindd.protocol.requests import Redo, Rewind, Undo
from rewindd.service.asking import positions
from rewindd.service.asking.reading import PAGE_ROWS
from rewindd.service.capture.heads import moved_since
from rewindd.service.capture.observing import observe
from rewindd.service.capture.rereading import note_stored
from rewindd.service.conversation import check_base
from rewindd.service.doors.strangers import check_position
from rewindd.service.locking import locked
from rewindd.service.places import locate
from rewindd.service.rewinding import contradicting, families, members
from rewindd.service.rewinding.deciding import Decided, decide, left_behind
from rewindd.service.rewinding.depending import dependents
from rewindd.service.rewinding.operating import Wish, no_files, operate, operation_of
from rewindd.service.rewinding.sharing import applying
from rewindd.service.save import tail_of
from rewindd.service.state import State
from rewindd.service.trees import Tree
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
        Busy: another session is in the middle of editing what is in the way, and nothing else is; nothing was touched.
        StoreFull: what is there now could not be kept, and `lose_unsaved` was not said; nothing was touched.
        GitHeadMoved: git's HEAD is another than at the position, and `across_head` was not said.
        HeadMoved: the session, or the plan that the caller was shown, is not so any more.
        UnknownCheckpoint, AmbiguousCheckpoint: see `positions`.
        NotPermitted: through a grant, a position before the session.
    """
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        await check_base(state, session, request.base)
        point = await positions.point(state, session, tree, request.position)
        check_position(turn.through, session, point)
        target, seq, barrier = point.checkpoint, point.seq, point.barrier
        parts = _parts(request, target, barrier)
        moves = await members.to_barrier(state, session, barrier, parts) if barrier is not None else []
        turn.need(move.session for move in moves)
        stand = (session.head, session.stats)
        if target is not None:
            parent = await positions.parent(state, session, target) if request.before else None
            if request.before and parent is None and target.parent is not None and set(parts) != {Restore.FILES}:
                raise UnknownCheckpoint(
                    f"the checkpoint before {target.id} was pruned, and with it what was said then; `--restore files` takes the files back",
                    position=request.position,
                )
            stand = _stand_at(session, target, parent, before=request.before)
            seq = target.base_seq if request.before else target.seq
        await observe(state, tree)
        await note_stored(state, tree)
        heads = await moved_since(state, tree, seq) if Restore.FILES in parts else None
        if heads is not None and not (request.across_head or request.dry_run):
            raise moved(heads.then, heads.now)
        tail = await tail_of(state, tree, session, seq)
        kin = await families.children_of(state, session, tail.timeline.owners)
        aim = _aim(request, session, tree, seq, barrier)
        aim = replace(aim, names=await families.names_of(state, tail.timeline, turn.through), children=kin if request.with_children else ())
        whole, decided = barrier is not None and aim.on_conflict is not OnConflict.KEEP, no_files()
        if Restore.FILES in parts:
            decided = await _decide_files(state, tree, tail.timeline, aim, request, kin, turn, whole=whole)
        along = (session.id, *aim.children, *(move.session for move in moves))
        changes = decided.settled.decisions
        decided = replace(decided, git_heads=heads, dependents=await dependents(state, tree, tail.timeline, changes, along))
        but = (session.id, *(move.session for move in moves))
        taken_along = await families.taken_along(state, tail.timeline, changes, but) if not request.dry_run else ()
        turn.need(taken_along)
        if barrier is not None:
            strangers = await members.not_of(state, barrier) if Restore.FILES in parts else ()
            decided = replace(decided, barrier=barrier.id, moved=await members.told(state, moves), not_members=strangers)
        operation = operation_of(session, tree, turn, OperationKind.REWIND, aim.scope, decided)
        operation = replace(
            operation,
            paths=aim.paths if Restore.FILES in parts else (),
            checkpoint=target.id if target is not None else None,
            to_head=stand[0] if Restore.CONVERSATION in parts else session.head,
            to_stats=stand[1] if Restore.STATS in parts else session.stats,
            whole=whole,
        )
        wish = Wish(
            operation=operation,
            decided=decided,
            tail=tail,
            target=target,
            dry_run=request.dry_run,
            plan=request.plan,
            tail_label=f"before rewind to {target.id if target is not None and barrier is None else request.position}",
            moves=moves,
            taken_along=taken_along,
        )
        return await operate(state, tree, session, turn, wish)


async def undo(state: State, request: Undo, session: Session, turn: Turn) -> bytes:
    """Takes back the session's newest rewind that is not undone, or the named operation.

    Raises:
        NothingToUndo: there is none.
        Conflict, StoreFull, HeadMoved: as `rewind`.
    """
    await check_base(state, session, request.base)
    found = await state.bridge.transact(lambda db: operations.of_session(db, session.id))
    chosen = _to_undo([one for one in found if one.status in _DONE], request.operation)
    if chosen is None:
        raise NothingToUndo(await _no_rewind(state, session), session=session.id)
    if request.operation is None:
        _check_own(session, chosen)
    kind = OperationKind.REDO if chosen.kind is OperationKind.UNDO else OperationKind.UNDO
    return await _take_back(state, session, turn, chosen, kind, request, only_touched=_is_restore(found, chosen))


async def redo(state: State, request: Redo, session: Session, turn: Turn) -> bytes:
    """Takes back the session's newest undo, unless a save or rewind came after it.

    Raises:
        NothingToUndo: there is no undo to take back.
        Conflict, StoreFull, HeadMoved: as `rewind`.
    """
    await check_base(state, session, request.base)
    found = await state.bridge.transact(lambda db: operations.of_session(db, session.id))
    saved = await state.bridge.transact(lambda db: _last_saved(db, session.id))
    chosen = _to_redo([one for one in found if one.status in _DONE], saved)
    if chosen is None:
        raise NothingToUndo(f"session {session.id!r} has no undo to redo; a new save or rewind ends redo", session=session.id)
    _check_own(session, chosen)
    for other in await members.recorded(state, chosen):
        if await state.bridge.transact(partial(_last_saved, session=other)) >= chosen.at:
            raise NothingToUndo(f"session {other!r} saved after the undo of several sessions; that ends redo for all", session=session.id)
    return await _take_back(state, session, turn, chosen, OperationKind.REDO, request, only_touched=_is_restore(found, chosen))


async def _take_back(
    state: State, session: Session, turn: Turn, chosen: Operation, kind: OperationKind, request: Undo | Redo, *, only_touched: bool
) -> bytes:
    was = await members.recorded(state, chosen)
    if turn.through is not None and not turn.through.sessions.issuperset(was):
        raise NothingToUndo(f"session {session.id!r} has no such rewind of its own to take back", session=session.id)
    turn.need(was)
    own, others = was.pop(session.id), tuple(was)
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        await observe(state, tree)
        await note_stored(state, tree)
        tail = await tail_of(state, tree, session, chosen.at - 1)
        moves = [members.back(await state.session(one), was[one]) for one in others]
        decided = no_files()
        on_conflict = choice(OnConflict, request.on_conflict, "on_conflict")
        whole = bool(chosen.whole or others) and on_conflict is not OnConflict.KEEP
        if chosen.paths != ():
            about = () if only_touched else chosen.paths
            calling = await families.names_of(state, tail.timeline, turn.through)
            why = f"as before the {chosen.kind.value}"
            make = partial(draft.undo, tail.timeline, session.id, chosen.at, about, why, others, calling)
            drafts = await _drafted(state, tree, tail.timeline, make)
            losing, asks = request.lose_unsaved, session.id
            decided = await decide(
                state,
                tree,
                tail.timeline,
                drafts,
                on_conflict,
                about,
                calling,
                asks,
                turn.through,
                lose_unsaved=losing,
                whole=whole,
            )
        on_it = await dependents(state, tree, tail.timeline, decided.settled.decisions, (session.id, *others))
        decided = replace(decided, moved=await members.told(state, moves), dependents=on_it)
        changes, but = decided.settled.decisions, (session.id, *others)
        taken_along = await families.taken_along(state, tail.timeline, changes, but) if not request.dry_run else ()
        turn.need(taken_along)
        move = members.back(session, own)
        operation = replace(
            operation_of(session, tree, turn, kind, chosen.scope, decided),
            paths=chosen.paths,
            checkpoint=own.from_head.checkpoint,
            undoes=chosen.id,
            to_head=move.to_head,
            to_stats=move.to_stats,
            whole=whole,
        )
        wish = Wish(
            operation=operation,
            decided=decided,
            tail=tail,
            target=None,
            dry_run=request.dry_run,
            plan=None,
            tail_label=f"before {kind.value}",
            moves=moves,
            taken_along=taken_along,
        )
        return await operate(state, tree, session, turn, wish)


async def _decide_files(
    state: State, tree: Tree, timeline: Timeline, aim: draft.Aim, request: Rewind, kin: tuple[SessionId, ...], turn: Turn, *, whole: bool
) -> Decided:
    drafts = await _drafted(state, tree, timeline, partial(draft.rewind, timeline, aim))
    drafts = await contradicting.named(state, timeline, drafts, aim.session, aim.names)
    losing, asks = request.lose_unsaved, aim.session
    decided = await decide(
        state,
        tree,
        timeline,
        drafts,
        aim.on_conflict,
        aim.paths,
        aim.names,
        asks,
        turn.through,
        lose_unsaved=losing,
        whole=whole,
    )
    if aim.scope is Scope.WORKSPACE:
        return decided
    chosen, decisions = draft.concerned(timeline.paths, aim.paths), decided.settled.decisions
    with_external = _command(structs.replace(request, also=[_EXTERNAL]))
    left = left_behind(timeline, aim.seq, decisions, chosen, with_external) if not aim.also_external else None
    with_children = _command(structs.replace(request, with_children=True))
    children = families.left_to_children(timeline, aim, kin, decisions, chosen, with_children)
    return replace(decided, left=left, children=children)


async def _drafted(state: State, tree: Tree, timeline: Timeline, make: Callable[[], list[Draft]]) -> list[Draft]:
    """Returns the drafts; those of many paths are made in a worker, while who looks at other paths goes on."""
    if len(timeline.paths) <= PAGE_ROWS:
        return make()
    async with applying(tree, timeline.paths):
        return await state.bridge.work(make)


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


def _check_own(session: Session, chosen: Operation) -> None:
    """What another session did to several is taken back for all of them: not by who meant something of its own."""
    if chosen.session != session.id:
        raise NothingToUndo(
            f"the last {chosen.kind.value} of session {session.id!r} was a part of session {chosen.session!r}'s, of several sessions; "
            f"`rewindctl undo --operation {chosen.id}` takes it back for all of them",
            session=session.id,
        )


def _last_saved(db: Connection, session: SessionId) -> int:
    """The position of the session's newest own save: neither an operation's checkpoint nor a barrier's says that it went on."""
    recent = checkpoints.of_session(db, session, RECENT)
    return max((one.seq for one in recent if not one.automatic and one.barrier is None), default=-1)


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


def _parts(request: Rewind, target: Checkpoint | None, barrier: Barrier | None) -> tuple[Restore, ...]:
    """What is to be restored. A position that is neither a checkpoint nor a barrier has files only."""
    if barrier is not None and request.before:
        raise BadRequest(f"{request.position!r} is a barrier, which nobody's changes lead to; leave `--before` out", field="before")
    if target is None and barrier is None:
        wanted = set(request.restore) or {Restore.FILES.value}
        if request.before or not ("all" in wanted or wanted in ({Restore.FILES.value}, {part.value for part in ALL})):
            raise BadRequest(f"{request.position!r} is no checkpoint: files alone can be taken back to it", field="position")
        return (Restore.FILES,)
    if not request.restore:
        return (Restore.FILES,) if request.paths else ALL
    if "all" in request.restore:
        return ALL
    return tuple(choice(Restore, word, "restore") for word in request.restore)


def _aim(request: Rewind, session: Session, tree: Tree, seq: int, barrier: Barrier | None) -> draft.Aim:
    """What the files are to be. A barrier is everybody's: the whole workspace goes back to it."""
    unknown = set(request.also) - {_EXTERNAL}
    if unknown:
        raise BadRequest(f"also={sorted(unknown)[0]!r}; it can be `external`", field="also")
    return draft.Aim(
        session=session.id,
        seq=seq,
        scope=choice(Scope, request.scope, "scope") if barrier is None else Scope.WORKSPACE,
        also_external=_EXTERNAL in request.also,
        on_conflict=choice(OnConflict, request.on_conflict, "on_conflict"),
        with_shared=request.with_shared,
        paths=tuple(locate(path, tree.workspace.root) for path in request.paths) or None,
    )


def _command(request: Rewind) -> str:
    """The command for a rewind, as it is typed in a shell in the workspace's root."""
    words = ["rewindctl", "rewind", request.position, *(["--before"] if request.before else [])]
    words += [word for kind in request.also for word in ("--also", kind)]
    words += ["--with-shared"] if request.with_shared else []
    words += ["--with-children"] if request.with_children else []
    words += ["--across-head"] if request.across_head else []
    words += ["--lose-unsaved"] if request.lose_unsaved else []
    return shlex.join([*words, "--", *request.paths] if request.paths else words)

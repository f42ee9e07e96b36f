"""Barriers: one named point over all open sessions of a workspace: its files, each conversation, all statistics.

A barrier is one position in the log, and in each session a checkpoint at that position, which becomes its head. It is the
workspace's act and no session's: claims, windows and brackets stay, nobody counts as having been heard of, and what a caller
knew of a session's head before still holds (`conversation.check_base`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import time_ns

from rewindd.errors import BadRequest, UnknownWorkspace
from rewindd.model.ids import BarrierId
from rewindd.model.session import Barrier, Checkpoint, Head, Missing, Session, Workspace
from rewindd.paths import RelPath
from rewindd.protocol import replies
from rewindd.protocol.requests import ListBarriers, MakeBarrier
from rewindd.service import names
from rewindd.service.asking import render
from rewindd.service.asking.comparing import totals
from rewindd.service.capture import baseline
from rewindd.service.capture.holding import edited_by
from rewindd.service.capture.observing import observe
from rewindd.service.capture.tails import tails_of
from rewindd.service.locking import locked
from rewindd.service.save import Standing, Tail, automatic, check_label
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import Turn
from rewindd.service.workspaces import holding, known
from rewindd.store import barriers, checkpoints, sessions
from rewindd.store.database import Connection


async def make(state: State, request: MakeBarrier, turn: Turn) -> bytes:
    """Makes a barrier; durable on return, in all its sessions or in none.

    Its members are the sessions that are open once it has the turns of all of them and the workspace's lock. What one of them has not
    told yet is not in it: events and statistics travel with a session's own requests.

    Raises:
        TurnsNeeded: sessions are open whose turns the request has not.
        UnknownWorkspace: there is none such, or its directory is gone.
    """
    check_label(request.label)
    workspace = await _workspace(state, request)
    tree = await state.tree(workspace.id)
    if request.wait:
        await baseline.wait(state, tree, at_most_s=None, report=turn.report)
    if not turn.held:  # what there is much of to look at is looked at before any session has to wait
        async with locked(state, tree):
            await _observe(state, tree)
    turn.need(one.id for one in await _open(state, tree))
    async with locked(state, tree):
        kept = await state.bridge.transact(turn.kept)  # the same request may have been answered while this one waited
        if kept is not None:
            return kept
        opened = await _open(state, tree)
        turn.need(one.id for one in opened)
        missing = await _observe(state, tree) + baseline.missing(tree)
        barrier_id = BarrierId(names.barrier_id())
        tails = await tails_of(state, tree, opened)
        made = {one.id: await _checkpoint(state, tree, one, tails[one.id], barrier_id, request.label, missing) for one in opened}
        barrier = Barrier(
            id=barrier_id,
            workspace=tree.workspace.id,
            label=request.label,
            seq=tree.position,
            created_at_ns=time_ns(),
            incomplete=tuple(missing),
            members={session: checkpoint.id for session, checkpoint in made.items()},
        )
        reply = replies.BarrierMade(barrier=render.barrier(barrier, tree.workspace, {one.id: one.agent for one in opened}))
        answer = await state.bridge.transact(partial(_write, barrier=barrier, made=list(made.values()), turn=turn, reply=reply))
        for session in opened:
            state.stood(session, _head(made[session.id]), session.stats)
    return answer


async def list_barriers(state: State, request: ListBarriers) -> replies.Barriers:
    """Returns the newest barriers of a workspace, in order of creation.

    Raises:
        UnknownWorkspace: there is none such.
        BadRequest: a limit below 1.
    """
    if request.limit is not None and request.limit < 1:
        raise BadRequest("limit is 1 or more", field="limit")
    workspace = await _workspace(state, request)
    found = await state.bridge.transact(lambda db: barriers.of_workspace(db, workspace.id, request.limit))
    agents = {one: (await state.session(one)).agent for one in {session for barrier in found for session in barrier.members}}
    return replies.Barriers(barriers=[render.barrier(one, workspace, agents) for one in found])


async def _workspace(state: State, request: MakeBarrier | ListBarriers) -> Workspace:
    if request.directory is not None and request.workspace is None:
        held = await holding(state, request.directory)
        if held is None:
            raise UnknownWorkspace(f"no workspace holds {request.directory!r}", path=request.directory)
        return held
    named = request.workspace or (await state.session(request.session)).workspace
    found = next((one for one in await state.bridge.transact(known) if one.id == named), None)
    if found is None:
        raise UnknownWorkspace(f"no workspace {named!r}; `rewindctl status` names those there are", workspace=named)
    return found


async def _open(state: State, tree: Tree) -> list[Session]:
    """The open sessions of the workspace, oldest first, as they stand."""
    listed = await state.bridge.transact(lambda db: sessions.of_workspace(db, tree.workspace.id, closed=False))
    return [await state.session(one.id) for one in listed]


async def _observe(state: State, tree: Tree) -> list[Missing]:
    """Looks at all of the workspace but for what is in the middle of an announced edit; returns what was left, and what cannot be read."""

    def leave(path: RelPath) -> str | None:
        return edited_by(state, tree, path)

    edits = any(claim.bracket is not None for held in tree.claims.values() for claim in held)
    return await observe(state, tree, leave=leave if edits else None)


async def _checkpoint(
    state: State, tree: Tree, session: Session, tail: Tail, barrier: BarrierId, label: str | None, missing: Sequence[Missing]
) -> Checkpoint:
    """The session's checkpoint at the barrier: where it stands, with what it changed since its head."""
    stands = automatic(session, tree, Standing(tail.base_seq, tree.position, await totals(state, tail.deltas)), "")
    return replace(stands, label=label, automatic=False, incomplete=tuple(missing), barrier=barrier)


def _write(db: Connection, barrier: Barrier, made: Sequence[Checkpoint], turn: Turn, reply: replies.BarrierMade) -> bytes:
    barriers.add(db, barrier)
    for checkpoint in made:
        checkpoints.add(db, barrier.workspace, checkpoint)
        sessions.stand(db, checkpoint.session, _head(checkpoint), checkpoint.stats)
    return turn.keep(db, reply)


def _head(checkpoint: Checkpoint) -> Head:
    return Head(checkpoint=checkpoint.id, event=checkpoint.event)

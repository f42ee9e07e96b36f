"""Sessions: opened on a directory, found again by id, listed, closed."""

import logging
from contextlib import suppress
from dataclasses import replace
from time import time_ns

from rewindd.errors import AlreadyExists, BadRequest, StoreError, UnknownSession, UnknownWorkspace
from rewindd.model.conversation import Stats
from rewindd.model.grant import Through
from rewindd.model.ids import SessionId, WorkspaceId, check_chosen
from rewindd.model.session import Attribution, Baseline, Capture, Checkpoint, Head, Session, Workspace
from rewindd.paths import FsText
from rewindd.protocol import replies
from rewindd.protocol.requests import CloseSession, ListSessions, OpenSession, ShowSession
from rewindd.service import names
from rewindd.service.asking import positions, render
from rewindd.service.capture import baseline, heads
from rewindd.service.capture.holding import drop, end_windows, held_by, windows_of
from rewindd.service.capture.observing import observe
from rewindd.service.locking import locked
from rewindd.service.notices import telling
from rewindd.service.notices.inheriting import inherit
from rewindd.service.places import refuse_whole_home
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import Turn
from rewindd.service.words import choice
from rewindd.service.workspaces import find_or_add, holding
from rewindd.store import claims as claim_rows
from rewindd.store import sessions as rows
from rewindd.store import workspaces
from rewindd.store.database import Connection

log = logging.getLogger(__name__)

DEFAULT_AGENT = "agent"
DEFAULT_CAPTURE = Capture.WORKSPACE


async def open_session(state: State, request: OpenSession, turn: Turn) -> bytes:
    """Opens a session, or returns the one that has the asked id; durable on return.

    Raises:
        UnknownWorkspace, RefusedRoot: see `places`.
        AlreadyExists: the id is another workspace's or another agent's, or no fork of that parent, or of no session of the grant that
            the request came through, or the workspace's directory was replaced (see `workspaces`).
        UnknownSession: there is no such parent.
        UnknownCheckpoint, AmbiguousCheckpoint: the position to fork from is none of the parent's, or several.
        BadRequest: a fork without a parent, or of one in another workspace.
    """
    chosen = _choices(request)
    async with state.opening:
        known = None if request.id is None else await _find(state, SessionId(check_chosen("session id", request.id)))
        capture = chosen[0] or (known.capture if known is not None else DEFAULT_CAPTURE)
        workspace = await _workspace(state, request, capture, turn.through)
        if known is not None:
            if turn.through is not None and known.grant != turn.through.grant:
                raise AlreadyExists(f"the id {known.id!r} is taken; choose another id", session=known.id)
            return await _again(state, known, workspace, request, turn)
        origin = await _origin(state, workspace, request)
        tree = await state.tree(workspace.id)
        await _look_first(state, tree)
        await heads.look_and_note(state, tree)
        now = time_ns()
        session = Session(
            id=SessionId(request.id or names.session_id()),
            workspace=workspace.id,
            agent=request.agent or DEFAULT_AGENT,
            parent=SessionId(request.parent) if request.parent is not None else None,
            capture=capture,
            attribution=chosen[1] or Attribution.DECLARED,
            imported=False,
            start_seq=tree.position,
            opened_at_ns=now,
            last_seen_at_ns=now,
            closed_at_ns=None,
            head=Head(checkpoint=None, event=None) if origin is None else Head(checkpoint=origin.id, event=origin.event),
            stats=Stats(start_time_ns=now) if origin is None else origin.stats,
            origin=origin.id if origin is not None else None,
            grant=turn.through.grant if turn.through is not None else None,
        )
        reply = replies.SessionReply(session=render.session(session, workspace), created=True)

        def write(db: Connection) -> bytes:
            rows.add(db, session)
            return turn.keep(db, reply)

        answer = await state.bridge.transact(write)
        state.remember(session)
        if session.grant is not None:
            tree.granted[session.id] = session.grant
        if origin is not None and session.parent is not None:
            await inherit(state, tree, session.id, session.parent)
        await _capture(state, tree, session)
        return answer


async def _workspace(state: State, request: OpenSession, capture: Capture, through: Through | None) -> Workspace:
    """The workspace of a session to be opened: of its directory; through a grant the grant's, as long as its own directory is there."""
    if through is None:
        place = (request.directory, request.device, request.inode)
        return await find_or_add(state, *place, exact=request.exact, capture=capture, replaced=request.replaced)
    tree = await state.tree(through.workspace)
    (await state.bridge.work(tree.root)).close()
    refuse_whole_home(tree.workspace.root, state.home, capture)
    return tree.workspace


async def _look_first(state: State, tree: Tree) -> None:
    """Observes a workspace that is captured: what changed until now is not the new session's. A store that is full is no reason to fail."""
    if tree.workspace.baseline is not Baseline.COMPLETE:
        return
    async with locked(state, tree):
        try:
            await observe(state, tree)
        except StoreError as exc:
            log.warning("workspace %s was not looked at when a session was opened: %s", tree.workspace.id, exc)


async def _capture(state: State, tree: Tree, session: Session) -> None:
    if session.capture is Capture.WORKSPACE and not session.imported:
        await baseline.want(state, tree)


async def list_sessions(state: State, request: ListSessions) -> replies.Sessions:
    """Returns the sessions of the workspace that holds a directory, or of all."""
    found: Workspace | None = None
    chosen: list[WorkspaceId | None] = [None]
    if request.directory is not None:
        found = await holding(state, request.directory)
        chosen = await state.bridge.transact(lambda db: _entries(db, found))
    parts = await state.bridge.transact(lambda db: [rows.listed(db, each, closed=request.all) for each in chosen])
    listed = sorted((one for sound, _ in parts for one in sound), key=lambda one: one.opened_at_ns)
    entries = {workspace.id: workspace for workspace in await state.bridge.transact(workspaces.all_of)}
    told = [render.session(one, entries[one.workspace]) for one in listed]
    damaged = [one for _, ids in parts for one in ids]
    return replies.Sessions(sessions=told, root=FsText(found.root) if found else None, damaged=damaged)


async def show_session(state: State, request: ShowSession, session: Session) -> replies.SessionReply:
    """Returns one session."""
    tree = await state.tree(session.workspace)
    return replies.SessionReply(session=render.session(session, tree.workspace))


async def close_session(state: State, request: CloseSession, session: Session, turn: Turn) -> bytes:
    """Ends a session after a last look at what it claimed; its checkpoints stay."""
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        held = held_by(tree, session.id)
        windows = windows_of(tree, session.id)
        if held or windows:
            with suppress(UnknownWorkspace):  # a session ends also where its workspace did
                await observe(state, tree, None if windows else [claim.path for claim in held])
        closed = replace(session, closed_at_ns=session.closed_at_ns or time_ns())
        reply = replies.SessionReply(session=render.session(closed, tree.workspace))

        def write(db: Connection) -> bytes:
            claim_rows.drop(db, tree.workspace.id, held)
            rows.close(db, closed.id, closed.closed_at_ns or 0)
            return turn.keep(db, reply)

        answer = await state.bridge.transact(write)
        drop(tree, held)
        end_windows(state, tree, windows)
        state.remember(replace(await state.session(session.id), closed_at_ns=closed.closed_at_ns))
        await telling.end(state, tree, session.id)
        state.noticed()  # a tree in which nobody is at work any more is not watched
        return answer


def _entries(db: Connection, workspace: Workspace | None) -> list[WorkspaceId | None]:
    """The entries whose sessions are a workspace's: itself, and what was imported into it."""
    if workspace is None:
        return []
    imported = [one.id for one in workspaces.all_of(db) if names.is_import(one.id) and one.root == workspace.root]
    return [workspace.id, *imported]


async def _find(state: State, session: SessionId) -> Session | None:
    try:
        return await state.session(session)
    except UnknownSession:
        return None


async def _again(state: State, known: Session, workspace: Workspace, request: OpenSession, turn: Turn) -> bytes:
    """Returns a session that exists; open again if it was closed, with what was asked for it anew."""
    if known.workspace != workspace.id or known.imported:
        raise AlreadyExists(f"session {known.id!r} is of another workspace; choose another id", session=known.id)
    if request.agent is not None and request.agent != known.agent:
        raise AlreadyExists(f"session {known.id!r} is {known.agent!r}'s; choose another id", session=known.id)
    if request.from_position is not None and (known.origin is None or known.parent != request.parent):
        raise AlreadyExists(f"session {known.id!r} is no fork of {request.parent!r}; choose another id", session=known.id)
    capture, attribution = _choices(request)
    tree = await state.tree(workspace.id)
    await _look_first(state, tree)
    asked = replace(known, capture=capture or known.capture, attribution=attribution or known.attribution)
    now = time_ns()

    def write(db: Connection) -> bytes:
        again = replace(rows.reopen(db, asked), last_seen_at_ns=now)
        return turn.keep(db, replies.SessionReply(session=render.session(again, workspace)))

    answer = await state.bridge.transact(write)
    # Not `known`: another process that works in the session may have moved its head meanwhile.
    session = replace(
        await state.session(known.id), closed_at_ns=None, last_seen_at_ns=now, capture=asked.capture, attribution=asked.attribution
    )
    state.remember(session)
    await _capture(state, tree, session)
    return answer


async def _origin(state: State, workspace: Workspace, request: OpenSession) -> Checkpoint | None:
    """Returns the checkpoint of its parent that a fork goes on from; None for a session that is no fork."""
    parent = await state.session(request.parent) if request.parent is not None else None
    if request.from_position is None:
        return None
    if parent is None:
        raise BadRequest("a session is forked from another one; name that as its parent", field="parent")
    if parent.workspace != workspace.id:
        raise BadRequest(f"session {parent.id!r} is of another workspace; a fork shares its parent's", field="parent")
    return await positions.find(state, parent, request.from_position)


def _choices(request: OpenSession) -> tuple[Capture | None, Attribution | None]:
    return (
        None if request.capture is None else choice(Capture, request.capture, "capture"),
        None if request.attribution is None else choice(Attribution, request.attribution, "attribution"),
    )

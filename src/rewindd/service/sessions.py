"""Sessions: opened on a directory, found again by id, listed, closed."""

from contextlib import suppress
from dataclasses import replace
from time import time_ns

from rewindd.errors import AlreadyExists, BadRequest, UnknownSession, UnknownWorkspace
from rewindd.model.conversation import Stats
from rewindd.model.ids import SessionId, WorkspaceId, check_chosen
from rewindd.model.session import Attribution, Capture, Head, Session, Workspace
from rewindd.paths import FsText
from rewindd.protocol import replies
from rewindd.protocol.requests import CloseSession, ListSessions, OpenSession, ShowSession
from rewindd.service import names, places, render
from rewindd.service.holding import drop
from rewindd.service.locking import locked
from rewindd.service.nesting import leave_to
from rewindd.service.observing import observe
from rewindd.service.state import State
from rewindd.service.turn import Turn
from rewindd.store import claims as claim_rows
from rewindd.store import sessions as rows
from rewindd.store import workspaces
from rewindd.store.database import Connection

DEFAULT_AGENT = "agent"


async def open_session(state: State, request: OpenSession, turn: Turn) -> bytes:
    """Opens a session, or returns the one that has the asked id; durable on return.

    Raises:
        UnknownWorkspace, RefusedRoot: see `places`.
        AlreadyExists: the id is another workspace's or another agent's.
    """
    chosen = _choices(request)
    async with state.opening:
        workspace = await find_or_add(state, request.directory, request.device, request.inode, exact=request.exact)
        if request.id is not None and (known := await _find(state, SessionId(check_chosen("session id", request.id)))):
            return await _again(state, known, workspace, request, turn)
        if request.parent is not None:
            await state.session(request.parent)
        tree = await state.tree(workspace.id)
        now = time_ns()
        session = Session(
            id=SessionId(request.id or names.session_id()),
            workspace=workspace.id,
            agent=request.agent or DEFAULT_AGENT,
            parent=SessionId(request.parent) if request.parent is not None else None,
            capture=chosen[0] or Capture.SNAPSHOTS,
            attribution=chosen[1] or Attribution.DECLARED,
            imported=False,
            start_seq=tree.position,
            opened_at_ns=now,
            last_seen_at_ns=now,
            closed_at_ns=None,
            head=Head(checkpoint=None, event=None),
            stats=Stats(start_time_ns=now),
        )
        reply = replies.SessionReply(session=render.session(session, workspace), created=True)

        def write(db: Connection) -> bytes:
            rows.add(db, session)
            return turn.keep(db, reply)

        answer = await state.bridge.transact(write)
        state.remember(session)
        return answer


async def list_sessions(state: State, request: ListSessions) -> replies.Sessions:
    """Returns the sessions of the workspace that holds a directory, or of all."""
    found: Workspace | None = None
    chosen: list[WorkspaceId | None] = [None]
    if request.directory is not None:
        found, chosen = await state.bridge.transact(lambda db: _around(db, request.directory or ""))
    listed = await state.bridge.transact(lambda db: [one for each in chosen for one in rows.of_workspace(db, each, closed=request.all)])
    listed.sort(key=lambda one: one.opened_at_ns)
    entries = {workspace.id: workspace for workspace in await state.bridge.transact(workspaces.all_of)}
    told = [render.session(one, entries[one.workspace]) for one in listed]
    return replies.Sessions(sessions=told, root=FsText(found.root) if found else None)


async def show_session(state: State, request: ShowSession, session: Session) -> replies.SessionReply:
    """Returns one session."""
    tree = await state.tree(session.workspace)
    return replies.SessionReply(session=render.session(session, tree.workspace))


async def close_session(state: State, request: CloseSession, session: Session, turn: Turn) -> bytes:
    """Ends a session after a last look at what it claimed; its checkpoints stay."""
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        held = [claim for listed in tree.claims.values() for claim in listed if claim.session == session.id]
        if held:
            with suppress(UnknownWorkspace):  # a session ends also where its workspace did
                await observe(state, tree, [claim.path for claim in held])
        closed = replace(session, closed_at_ns=session.closed_at_ns or time_ns())
        reply = replies.SessionReply(session=render.session(closed, tree.workspace))

        def write(db: Connection) -> bytes:
            claim_rows.drop(db, tree.workspace.id, held)
            rows.close(db, closed.id, closed.closed_at_ns or 0)
            return turn.keep(db, reply)

        answer = await state.bridge.transact(write)
        drop(tree, held)
        state.remember(closed)
        return answer


async def find_or_add(state: State, directory: str, device: int | None, inode: int | None, *, exact: bool) -> Workspace:
    """Returns the workspace of a directory, made if there is none; called under `state.opening`."""
    place = await state.bridge.work(places.look, directory, device, inode)
    places.refuse(place.root, state.home, state.own_directories)
    top = None if exact else await state.bridge.work(places.repository_top, place.root, state.home)
    enclosing = await state.bridge.transact(lambda db: _enclosing(db, place.root))
    if enclosing is not None and (top is None or not top.startswith(f"{enclosing.root}/")):
        return await _present(state, enclosing)
    root = place if top is None or _refused(top, state) else await state.bridge.work(places.look, top, None, None)
    return await _at(state, root)


async def _present(state: State, enclosing: Workspace) -> Workspace:
    """The enclosing workspace, after a look whether its root is still the directory it was."""
    place = await state.bridge.work(places.look, enclosing.root, None, None)
    if place.is_root_of(enclosing):
        return enclosing
    return await _at(state, place)


async def _at(state: State, place: places.Place) -> Workspace:
    """The workspace whose root is this very directory: found by device and inode, also when it was moved; else a new one."""

    def write(db: Connection) -> tuple[Workspace, list[Workspace]]:
        listed = known(db)
        same = next((workspace for workspace in listed if place.is_root_of(workspace)), None)
        if same is not None and same.root != place.root:
            workspaces.move(db, same.id, place.root)
        if same is not None:
            return replace(same, root=place.root), []
        new = Workspace(
            id=WorkspaceId(names.workspace_id()), root=place.root, device=place.device, inode=place.inode, born_ns=place.born_ns
        )
        workspaces.add(db, new, time_ns())
        return new, [outer for outer in listed if place.root.startswith(f"{outer.root.rstrip('/')}/")]

    found, around = await state.bridge.transact(write)
    for outer in around:
        await leave_to(state, found, outer)
    state.moved(found)
    return found


def _around(db: Connection, directory: str) -> tuple[Workspace | None, list[WorkspaceId | None]]:
    """The workspace that holds a directory, and the entries whose sessions are its: itself, and what was imported into it."""
    found = _enclosing(db, directory)
    if found is None:
        return None, []
    return found, [one.id for one in workspaces.all_of(db) if one.id == found.id or (names.is_import(one.id) and one.root == found.root)]


def known(db: Connection) -> list[Workspace]:
    """Returns the workspaces that are kept; not the entries that hold imported checkpoints."""
    return [workspace for workspace in workspaces.all_of(db) if not names.is_import(workspace.id)]


def _enclosing(db: Connection, directory: str) -> Workspace | None:
    """The workspace nearest around a directory, by path; of several with one root the newest."""
    holding = [w for w in known(db) if directory == w.root or directory.startswith(f"{w.root.rstrip('/')}/")]
    return max(enumerate(holding), key=lambda pair: (len(pair[1].root), pair[0]))[1] if holding else None


def _refused(top: str, state: State) -> bool:
    return top == state.home or top == "/" or state.home.startswith(f"{top.rstrip('/')}/")


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
    capture, attribution = _choices(request)
    session = replace(
        known, closed_at_ns=None, last_seen_at_ns=time_ns(), capture=capture or known.capture, attribution=attribution or known.attribution
    )
    reply = replies.SessionReply(session=render.session(session, workspace))

    def write(db: Connection) -> bytes:
        rows.reopen(db, session)
        return turn.keep(db, reply)

    answer = await state.bridge.transact(write)
    state.remember(session)
    return answer


def _choices(request: OpenSession) -> tuple[Capture | None, Attribution | None]:
    if request.capture == Capture.WORKSPACE.value:
        raise BadRequest("capture=workspace is not in this version; use capture=snapshots", field="capture")
    try:
        return (
            None if request.capture is None else Capture(request.capture),
            None if request.attribution is None else Attribution(request.attribution),
        )
    except ValueError as exc:
        raise BadRequest(f"{exc}; capture is snapshots or workspace, attribution is declared or sole") from exc

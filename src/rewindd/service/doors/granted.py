"""What is read otherwise through a grant than on the daemon's own socket: there it tells of everybody, here of the grant's sessions."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Protocol

from rewindd.errors import RewinddError
from rewindd.model.grant import Grant, Through
from rewindd.model.session import Session
from rewindd.paths import FsText, RelPath
from rewindd.plan.draft import concerned
from rewindd.protocol import replies
from rewindd.protocol.requests import CloseSession, Diff, ListSessions, Request
from rewindd.protocol.wire import Progress
from rewindd.service.asking import positions, render
from rewindd.service.asking.comparing import compare
from rewindd.service.asking.reading import changes_since, delta_of
from rewindd.service.capture.observing import observe
from rewindd.service.locking import locked
from rewindd.service.state import State
from rewindd.store import sessions
from rewindd.timeline.delta import PathDelta

log = logging.getLogger(__name__)


class Ask(Protocol):
    """The service, as a door asks it."""

    def __call__(
        self, request: Request, body: bytes, report: Callable[[Progress], None], through: Through | None = None
    ) -> Awaitable[bytes]:
        """Returns the answer's fields, encoded."""
        ...


async def own_sessions(state: State, grant: Grant) -> Through:
    """Returns what says which sessions are a grant's now."""
    found = await state.bridge.transact(lambda db: sessions.of_grant(db, grant.id))
    return Through(grant=grant.id, workspace=grant.workspace, sessions=frozenset(one.id for one in found))


async def list_sessions(state: State, request: ListSessions, grant: Grant, through: Through) -> replies.Sessions:
    """Returns the grant's sessions, oldest first; the open ones, or all."""
    tree = await state.tree(grant.workspace)
    found = sorted([await state.session(one) for one in through.sessions], key=lambda one: (one.opened_at_ns, one.id))
    told = [render.session(one, tree.workspace) for one in found if request.all or one.closed_at_ns is None]
    return replies.Sessions(sessions=told, root=None if request.directory is None else FsText(tree.workspace.root))


async def close(found: Iterable[Session], ask: Ask) -> None:
    """Closes those of the sessions that are open. One that cannot be closed now is logged; what it holds ends with its activity."""
    for session in found:
        if session.closed_at_ns is None:
            try:
                await ask(CloseSession(session=session.id), b"", _unheard)
            except RewinddError as exc:
                log.warning("session %s of grant %s stays open: %s", session.id, session.grant, exc)


async def diff(state: State, request: Diff, session: Session) -> replies.Changes:
    """Returns how the session's own work differs between two positions; without the second, from now."""
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        a = (await positions.point(state, session, tree, request.a)).seq
        b = (await positions.point(state, session, tree, request.b)).seq if request.b is not None else None
        if b is None:
            await observe(state, tree)
            b = tree.position
        start, end = max(min(a, b), session.start_seq), max(a, b)  # before it there is no work of its own, and much of others
        timeline = await changes_since(state, tree, start)
        chosen = tuple(RelPath(path) for path in request.paths) or None
        changes = [one for one in await delta_of(state, timeline, session.id, start, end) if concerned([one.path], chosen)]
    return replies.Changes(changes=await compare(state, [one if a <= b else _backwards(one) for one in changes], patch=True))


def _backwards(one: PathDelta) -> PathDelta:
    spans = tuple((after, before) for before, after in reversed(one.spans))
    return replace(one, before=one.after, after=one.before, spans=spans)


def _unheard(progress: Progress) -> None:
    """Nobody waits for it."""

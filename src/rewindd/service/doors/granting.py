"""Grants: made, listed, ended. What one lets in, its door says; where that is, the daemon, which has the sockets."""

import logging
import math
from collections.abc import Collection, Iterable
from time import time_ns
from typing import Protocol

from rewindd.errors import BadRequest, Busy, RefusedRoot, RewinddError
from rewindd.model.grant import MAX_TTL_S, Grant, GrantedOps
from rewindd.model.ids import GrantId
from rewindd.model.session import Capture, Workspace
from rewindd.paths import FsText
from rewindd.protocol import replies
from rewindd.protocol.requests import MakeGrant, RevokeGrant
from rewindd.service import names
from rewindd.service.asking import render
from rewindd.service.capture import baseline
from rewindd.service.doors import doorway, granted
from rewindd.service.doors.door import Door
from rewindd.service.doors.granted import Ask
from rewindd.service.places import refuse_whole_home
from rewindd.service.state import State
from rewindd.service.turn import Turn
from rewindd.service.words import choice
from rewindd.service.workspaces import find_or_add
from rewindd.store import grants as rows
from rewindd.store import sessions, workspaces
from rewindd.store.database import Connection
from rewindd.store.opening import loss_of

log = logging.getLogger(__name__)

#: Grants at once: each has a socket, with a thread and some descriptors of its own.
MAX_GRANTS = 64
#: The largest quota: SQLite's integers have 64 bits, with a sign.
MAX_QUOTA_BYTES = 1 << 62
NS_PER_S = 1_000_000_000


class Doors(Protocol):
    """The daemon's sockets for grants."""

    @property
    def is_open(self) -> bool:
        """True while one of them listens."""
        ...

    def place(self, grant: GrantId) -> str:
        """Returns the path of a grant's socket. Raises BadConfig where no socket can have it."""
        ...

    async def sweep(self, live: Collection[GrantId]) -> None:
        """Removes what is left of the sockets of other grants than these."""
        ...

    async def open(self, door: Door, ends_at_ns: int) -> None:
        """Returns when the door's socket listens; at its end it is closed, and the door told.

        Raises:
            OSError, RewinddError: it cannot be made where it is to be.
        """
        ...

    async def close(self, grant: GrantId) -> None:
        """Returns when nobody comes in any more, what came in is broken off, and the door is told. Does nothing where there is none."""
        ...


async def admit(state: State, doors: Doors, ask: Ask) -> None:
    """Opens a door for each grant that lets something in; closes the sessions of those that ended while no daemon ran.

    A door that cannot be opened is logged, and its grant stays one.
    """
    found = await state.bridge.transact(_still_live)
    live = {grant.id for grant in found}
    await doors.sweep(live)
    opened = await state.bridge.transact(lambda db: sessions.opened(db))
    await granted.close([one for one in opened if one.grant is not None and one.grant not in live], ask)
    for grant in found:
        try:
            await doors.open(Door(state, grant, ask), grant.ends_at_ns)
        except (RewinddError, OSError) as exc:
            log.warning("grant %s has no socket now: %s", grant.id, exc)


async def make(state: State, doors: Doors, request: MakeGrant, turn: Turn, ask: Ask) -> bytes:
    """Makes a grant; durable, and its socket listens, on return.

    Raises:
        BadRequest: an operation, time, size or path that cannot be; a directory that is a part of a workspace.
        UnknownWorkspace, RefusedRoot, AlreadyExists: see `workspaces`.
        Busy: there are as many as can be.
        BadConfig: the path of its socket is too long.
    """
    ops = frozenset(choice(GrantedOps, word, "ops") for word in request.ops) or frozenset(GrantedOps)
    if not (math.isfinite(request.ttl_s) and 1 <= request.ttl_s <= MAX_TTL_S):
        raise BadRequest(f"a grant lasts 1 second to {MAX_TTL_S // 86400} days", field="ttl_s")
    if not 0 <= request.quota_bytes <= MAX_QUOTA_BYTES:
        raise BadRequest("a quota is 0 bytes or more", field="quota_bytes")
    inside = None if request.inside is None else doorway.check_inside(request.inside)
    async with state.opening:
        place = (request.directory, request.device, request.inode)
        workspace = await find_or_add(state, *place, exact=False, capture=Capture.SNAPSHOTS)
    if request.outside is not None and request.outside.rstrip("/") != workspace.root:
        raise BadRequest(f"{request.outside!r} is not the workspace's root, which is {workspace.root!r}", field="outside")
    # What is mounted into the sandbox is the directory; with more than that it would see and write what is not there.
    is_same = (workspace.device, workspace.inode) == (request.device, request.inode)
    if not is_same and request.outside is None and request.directory.rstrip("/") != workspace.root:
        why = f"{request.directory!r} is in the workspace {workspace.root!r}, and a grant is of all of one"
        raise BadRequest(f"{why}: name that, or make the directory a repository of its own", field="directory")
    await _capture(state, workspace)
    now = time_ns()
    grant = Grant(
        id=GrantId(names.grant_id()),
        workspace=workspace.id,
        ops=ops,
        inside=inside or workspace.root,
        quota_bytes=request.quota_bytes,
        created_at_ns=now,
        ends_at_ns=now + round(request.ttl_s * NS_PER_S),
    )
    socket = FsText(doors.place(grant.id))

    def write(db: Connection) -> bytes:
        if len(rows.live(db, now)) >= MAX_GRANTS:
            raise Busy(f"there are {MAX_GRANTS} grants; `rewindctl grant --revoke ID` ends one")
        rows.add(db, grant)
        return turn.keep(db, replies.GrantReply(grant=_told(grant, workspace.root, socket, [])))

    answer = await state.bridge.transact(write)
    try:
        await doors.open(Door(state, grant, ask), grant.ends_at_ns)
    except BaseException:
        await state.bridge.transact(lambda db: rows.revoke(db, grant.id, time_ns()))
        raise
    return answer


async def _capture(state: State, workspace: Workspace) -> None:
    """Begins to capture what may be captured whole: what a session in the sandbox would take in at first is counted as nobody's."""
    try:
        refuse_whole_home(workspace.root, state.home, Capture.WORKSPACE)
    except RefusedRoot:
        return
    await baseline.want(state, await state.tree(workspace.id))


async def list_grants(state: State, doors: Doors) -> replies.Grants:
    """Returns the grants that let something in now, oldest first."""
    found = await state.bridge.transact(lambda db: rows.live(db, time_ns()))
    return replies.Grants(grants=await _all_told(state, doors, found))


async def revoke(state: State, doors: Doors, request: RevokeGrant, turn: Turn) -> bytes:
    """Ends a grant: durable, and its socket and sessions are closed, on return. One that has ended stays as it is.

    Raises:
        BadRequest: there is none of that id.
    """
    id_ = GrantId(request.id)
    ended = await state.bridge.transact(lambda db: rows.revoke(db, id_, time_ns()))
    if ended is None:
        raise BadRequest(f"no grant {request.id!r}; `rewindctl grant --list` shows those there are", field="grant_id")
    await doors.close(id_)
    (told,) = await _all_told(state, doors, [ended])
    return await state.bridge.transact(lambda db: turn.keep(db, replies.GrantReply(grant=told)))


def _still_live(db: Connection) -> list[Grant]:
    """The grants that let something in; those end that are older than the store's return from a backup, which may not know of their end."""
    now, loss = time_ns(), loss_of(db)
    found = rows.live(db, now)
    doubtful = [grant for grant in found if loss is not None and grant.created_at_ns < loss.at_ns]
    for grant in doubtful:
        rows.revoke(db, grant.id, now)
        log.warning("grant %s ends: the store came back from a backup, which may not know that it was revoked", grant.id)
    return [grant for grant in found if grant not in doubtful]


async def _all_told(state: State, doors: Doors, found: Iterable[Grant]) -> list[replies.Grant]:
    listed = list(found)

    def read(db: Connection) -> list[tuple[str, list[str]]]:
        places = {one.id: one.root for one in workspaces.all_of(db)}
        return [(places[one.workspace], [session.id for session in sessions.of_grant(db, one.id)]) for one in listed]

    known = await state.bridge.transact(read)
    return [_told(one, root, FsText(doors.place(one.id)), own) for one, (root, own) in zip(listed, known, strict=True)]


def _told(grant: Grant, root: str, socket: FsText, own: list[str]) -> replies.Grant:
    return replies.Grant(
        id=grant.id,
        workspace=grant.workspace,
        root=FsText(root),
        inside=FsText(grant.inside),
        ops=sorted(op.value for op in grant.ops),
        socket=socket,
        created_at=render.moment(grant.created_at_ns),
        ends_at=render.moment(grant.ends_at_ns),
        quota_bytes=grant.quota_bytes,
        used_bytes=grant.used_bytes,
        sessions=own,
    )

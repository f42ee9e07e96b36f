"""A door: what the service is to those who come through one grant. It looks at each request first, and at each answer last.

A grant is asked for in the store with every request, so that its end counts from the moment on in which it was written.
"""

import logging
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from time import time_ns

from rewindd.errors import NotPermitted, OutsideWorkspace, OverQuota, RewinddError
from rewindd.model.capture import binary
from rewindd.model.grant import Grant, Through
from rewindd.model.ids import GrantId
from rewindd.paths import RelPath
from rewindd.protocol import replies, requests, wire
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request
from rewindd.protocol.wire import Progress
from rewindd.service.asking import positions
from rewindd.service.doors import doortelling, doorway, granted
from rewindd.service.doors.granted import Ask
from rewindd.service.rewinding.protecting import PROTECTED
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import check_deadline
from rewindd.store import grants, sessions
from rewindd.store.database import Connection

log = logging.getLogger(__name__)

#: Contents that were named and may be read; those named first are forgotten, and named again by the next `show`.
MAX_NAMED = 100_000
#: What a request that adds something counts beside its body: a session, a checkpoint, an answer that is kept have rows and pages.
ROW_BYTES = 1 << 10


class Door:
    """One grant's, as long as it lasts in this life of the daemon. Used from the event loop only, and by its socket alone."""

    def __init__(self, state: State, grant: Grant, ask: Ask) -> None:
        self._state, self._grant, self._ask = state, grant, ask
        self._named: OrderedDict[str, None] = OrderedDict()

    @property
    def grant(self) -> GrantId:
        """Whose door it is."""
        return self._grant.id

    def is_needed(self) -> bool:
        """False: the daemon asks its service, not its doors."""
        return False

    def active_sessions(self) -> int:
        """Returns 0, as above."""
        return 0

    def riding(self, request: Request) -> bytes | None:
        """Returns None: what others do is not told."""
        return None

    def end_waiting(self) -> None:
        """Does nothing: nobody waits at a door."""

    async def answer(self, request: Request, body: bytes, report: Callable[[Progress], None]) -> bytes:
        """Returns the answer's fields, encoded.

        Raises:
            NotPermitted: the grant has ended, or does not let this in.
            OverQuota: its sessions added as much as they may.
            UnknownSession, OutsideWorkspace: what is asked about is not the grant's.
            RewinddError: as the operation says.
        """
        offer = doorway.OFFERED.get(type(request))
        size_bytes = len(body) + ROW_BYTES if offer is not None and offer.adds else 0
        through = Through(grant=self._grant.id, workspace=self._grant.workspace, sessions=frozenset())
        try:
            grant = await self._look(size_bytes)
            through = await granted.own_sessions(self._state, grant)
        except RewinddError as error:
            raise self._told(error, through) from error
        inner = doorway.enter(request, grant, through)  # its errors are in the caller's own words
        try:
            if not inner.mutates:  # what changes something may have been done before: its key is looked at first
                check_deadline(inner)
            await self._check_room(inner, grant, size_bytes)
            reply = await self._carry_out(inner, body, report, grant, through)
        except RewinddError as error:
            raise self._told(error, through) from error
        told = doortelling.tell(reply, grant, through)
        self._remember(doortelling.blobs_in(told))
        self._note_protected(told)
        return wire.encode_reply(told)

    async def end(self) -> None:
        """Notes that the grant is over, whatever the clock says later, and closes its sessions: what they hold is free for others.

        Their checkpoints stay; outside they can be opened again.
        """
        await self._state.bridge.transact(lambda db: grants.revoke(db, self._grant.id, time_ns()))
        found = await self._state.bridge.transact(lambda db: sessions.of_grant(db, self._grant.id))
        await granted.close(found, self._ask)

    def _told(self, error: RewinddError, through: Through) -> RewinddError:
        tree = self._state.loaded(self._grant.workspace)
        return doortelling.told_error(error, self._grant, through, tree.workspace.root if tree is not None else None)

    async def _look(self, size_bytes: int) -> Grant:
        """Returns the grant as it is, and counts what the request brings, if there is room for it.

        Raises:
            NotPermitted: it has ended.
        """

        def look(db: Connection) -> Grant | None:
            found = grants.find(db, self._grant.id)
            if found is not None and found.used_bytes + size_bytes <= found.quota_bytes:
                grants.spend(db, found.id, size_bytes)
            return found

        found = await self._state.bridge.transact(look, lasting=False)
        if found is None or not found.is_live(time_ns()):
            raise NotPermitted("this grant has ended; `rewindctl grant`, outside the sandbox, makes another one")
        return found

    async def _check_room(self, request: Request, grant: Grant, size_bytes: int) -> None:
        """Raises OverQuota where the request adds content and there is no room for it, or for that of the files that it names."""
        if not doorway.OFFERED[type(request)].adds:
            return
        room = grant.quota_bytes - grant.used_bytes - size_bytes
        named = request.paths if isinstance(request, (requests.TakeSnapshot, requests.BeginEdit)) else []
        tree = await self._state.tree(grant.workspace)
        wanted = await self._state.bridge.work(_sizes, tree, [RelPath(path) for path in named]) if named and room >= 0 else 0
        if wanted > room:
            raise OverQuota(
                f"{request.op}: its sessions added {binary(grant.used_bytes)} of the {binary(grant.quota_bytes)} that this grant has, "
                f"and this would be {binary(wanted or size_bytes)}"
            )

    async def _carry_out(self, request: Request, body: bytes, report: Callable[[Progress], None], grant: Grant, through: Through) -> Reply:
        state = self._state
        match request:
            case requests.ListSessions():
                return await granted.list_sessions(state, request, grant, through)
            case requests.Diff():
                return await granted.diff(state, request, state.touch(await state.session(request.session)))
            case requests.ReadBlob():
                self._check_named([request.blob])
            case requests.ReadBlobs():
                self._check_named(request.blobs)
            case requests.ShowCheckpoint():
                return await self._show(request, body, report, through)
            case _:
                pass
        return await self._asked(request, body, report, through)

    async def _show(
        self, request: requests.ShowCheckpoint, body: bytes, report: Callable[[Progress], None], through: Through
    ) -> replies.CheckpointReply:
        """One checkpoint; the label of one that was made for a barrier is somebody else's."""
        session = await self._state.session(request.session)
        found = await positions.find(self._state, session, request.position)
        reply = await self._asked(request, body, report, through)
        assert isinstance(reply, replies.CheckpointReply)
        return reply if found.barrier is None else doortelling.without_label(reply)

    async def _asked(self, request: Request, body: bytes, report: Callable[[Progress], None], through: Through) -> Reply:
        fields = await self._ask(request, body, report, through)
        return wire.decode_fields(fields, doorway.OFFERED[type(request)].reply)

    def _remember(self, blobs: Iterable[str]) -> None:
        for blob in blobs:
            self._named[blob] = None
            self._named.move_to_end(blob)
        while len(self._named) > MAX_NAMED:
            self._named.popitem(last=False)

    def _check_named(self, blobs: Iterable[str]) -> None:
        """Raises NotPermitted for a content that no answer through this door named: it may be anybody's."""
        if any(blob not in self._named for blob in blobs):
            raise NotPermitted("a grant lets out the contents that its own answers named; `show` or `pending` names them", field="blob")

    def _note_protected(self, reply: Reply) -> None:
        if isinstance(reply, replies.RewindResult):
            count = sum(one.reason == PROTECTED for one in reply.kept)
            if count:
                log.warning("grant %s: %d protected paths were left as they are", self._grant.id, count)


def _sizes(tree: Tree, paths: Iterable[RelPath]) -> int:
    """Returns the bytes of those named files that are not known yet. For a worker thread."""
    total = 0
    with tree.root() as root:
        for path in paths:
            if path in tree.index:
                continue
            with suppress(OSError, OutsideWorkspace):  # the operation says what is wrong with it
                found = os.stat(path.name, dir_fd=root.directory(path.parent), follow_symlinks=False)
                total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total

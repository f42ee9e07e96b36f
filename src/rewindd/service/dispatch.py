"""From a decoded request to the use case that answers it: once for each key, in order for each session."""

from collections.abc import Awaitable, Callable, Set
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from rewindd.errors import Busy, UnknownOp, UnknownSession
from rewindd.model.capture import CaptureSettings
from rewindd.model.grant import Through
from rewindd.model.ids import SessionId
from rewindd.model.session import Session
from rewindd.protocol import requests, wire
from rewindd.protocol.replies import ConfigInfo, Pong, Reply, Stopping
from rewindd.protocol.requests import Request
from rewindd.service import conversation, porting, save, sessions, snapshot
from rewindd.service.asking import blaming, query, showing
from rewindd.service.capture import capturing, retuning, windows
from rewindd.service.doors import granting
from rewindd.service.doors.granting import Doors
from rewindd.service.integrity import duplicating, verifying
from rewindd.service.locking import locked
from rewindd.service.memory import WORTH_BYTES, give_back
from rewindd.service.notices import telling
from rewindd.service.numbers import health, metrics
from rewindd.service.numbers.meter import Meter
from rewindd.service.retention import collecting, forgetting, pruning
from rewindd.service.rewinding import barriers, restoring, rewind
from rewindd.service.space import reserving
from rewindd.service.state import State
from rewindd.service.turn import Turn, TurnsNeeded, check_deadline, check_key, digest_of

#: How long a request that was answered is told its first answer again.
KEPT_NS = 24 * 3600 * 1_000_000_000

#: Requests that go on with a session's work; to look at a closed one and to rewind it needs no opening.
_NEED_OPEN = (requests.Record, requests.TakeSnapshot, requests.BeginEdit, requests.OpenWindow, requests.Save)
#: Requests that are about no session, whether they name one or not.
_OF_GRANTS = (requests.MakeGrant, requests.RevokeGrant)


#: Requests that look after the daemon: what waits for a quiet moment need not wait for them.
_LOOKS = (requests.Ping, requests.GetStatus, requests.GetMetrics, requests.GetHealth)


class Service:
    """Answers requests; the daemon's one. Used from the event loop only."""

    def __init__(self, state: State, pid: int, on_stop: Callable[[], None], meter: Meter) -> None:
        self._state, self._pid, self._on_stop, self._meter = state, pid, on_stop, meter
        self._doors: Doors | None = None

    def is_needed(self) -> bool:
        """True while a session is active, or a grant lets something in: a daemon that was started on demand does not end then.

        Who is in a sandbox could not start another one.
        """
        return bool(self._state.active()) or (self._doors is not None and self._doors.is_open)

    def active_sessions(self) -> int:
        """Returns how many sessions are active."""
        return len(self._state.active())

    def retune(self, capture: CaptureSettings, told: ConfigInfo) -> None:
        """Takes over what is captured from now on, and what `status` tells of the configuration. Returns at once."""
        self._state.config = told
        retuning.retune(self._state, capture)

    async def exposition(self) -> str:
        """Returns the daemon's numbers, as `metrics` tells them."""
        return (await metrics.metrics(self._state, self._meter)).text

    def riding(self, request: Request) -> bytes | None:
        """Returns what rides on the reply to a request that was answered; None where there is nothing to tell."""
        return telling.riding(self._state, request)

    def end_waiting(self) -> None:
        """Answers at once what waits for notices, from now on."""
        telling.end_waiting(self._state)

    async def admit(self, doors: Doors) -> None:
        """Has `doors` open one for each grant there is, and for each that is made from now on."""
        self._doors = doors
        await granting.admit(self._state, doors, self.answer)

    async def answer(self, request: Request, body: bytes, report: Callable[[wire.Progress], None], through: Through | None = None) -> bytes:
        """Returns the answer's fields, encoded; see `_answer`. Memory that was needed for it is given back.

        `through`: the grant that it came through, whose door let it in; None: the daemon's own socket.
        """
        if not isinstance(request, _LOOKS):
            self._state.care.asked_s = monotonic()
        telling.acknowledge(self._state, request)
        # Before, so that the reply waits for nothing once the work is done: what comes up meanwhile rides on it too.
        await telling.prepare(self._state, request)
        try:
            return await self._answer(request, report, through)
        finally:
            self._state.settle()
            if self._state.handled_bytes > WORTH_BYTES:
                self._state.handled_bytes = 0
                self._state.later(lambda: self._state.bridge.work(give_back))

    async def _answer(self, request: Request, report: Callable[[wire.Progress], None], through: Through | None) -> bytes:
        """Returns the answer's fields, encoded. Its effects are durable.

        Raises:
            Expired: the deadline passed before anything was done.
            RewinddError: as the use case says; nothing was changed.
        """
        check_key(request.key)
        turn = Turn(request=request, digest=digest_of(request) if request.mutates else b"", report=report, through=through)
        if not request.mutates:
            check_deadline(request)
            return wire.encode_reply(await reserving.carry_on(self._state, request, partial(self._read, request, report)))
        with self._state.storing.under_way():
            return await self._make(request, turn)

    async def _make(self, request: Request, turn: Turn) -> bytes:
        if isinstance(request, requests.MakeBarrier):
            return await self._in_turn(turn, frozenset(), partial(barriers.make, self._state, request))
        if request.session is None or isinstance(request, (*_OF_GRANTS, requests.MakeBackup)):
            return await self._once(turn, lambda: self._without_session(turn))
        session = await self._state.session(request.session)
        return await self._in_turn(turn, {session.id}, self._change)

    async def _in_turn(self, turn: Turn, held: Set[SessionId], act: Callable[[Turn], Awaitable[bytes]]) -> bytes:
        """Answers when the sessions' turns have come. A request that turns out to be about more of them is begun anew with those too."""
        while True:
            async with self._state.turns(held):
                having = replace(turn, held=held)
                try:
                    return await self._once(having, partial(act, having))
                except TurnsNeeded as needed:
                    held = held | needed.sessions

    async def _once(self, turn: Turn, act: Callable[[], Awaitable[bytes]]) -> bytes:
        kept = await self._state.bridge.transact(turn.kept) if turn.name is not None and not self._state.keys.is_new(turn.name) else None
        if kept == b"":
            kept = await self._recovered(turn)
        if kept is not None:
            return kept
        check_deadline(turn.request)
        await reserving.admit(self._state, turn.request)
        return await reserving.carry_on(self._state, turn.request, act)

    async def _recovered(self, turn: Turn) -> bytes | None:
        """The answer of an operation that began under this key and could not be closed; None when it was taken back."""
        session = await self._state.session(turn.request.session)
        tree = await self._state.tree(session.workspace)
        async with locked(self._state, tree):
            kept = await self._state.bridge.transact(turn.kept)
        if kept == b"":
            raise Busy(f"{turn.request.op}: an interrupted operation has this key and cannot be recovered now; try again")
        return kept

    async def _without_session(self, turn: Turn) -> bytes:
        match turn.request:
            case requests.OpenSession() as request:
                return await sessions.open_session(self._state, request, turn)
            case requests.Import() as request:
                return await porting.import_checkpoint(self._state, request, turn)
            case requests.MakeBackup() as request:
                return await duplicating.make_backup(self._state, request, turn)
            case requests.MakeGrant() as request:
                return await granting.make(self._state, self._opened(), request, turn, self.answer)
            case requests.RevokeGrant() as request:
                return await granting.revoke(self._state, self._opened(), request, turn)
            case request:
                await self._state.session(None)
                raise UnknownOp(f"{request.op} has no use case")

    async def _change(self, turn: Turn) -> bytes:
        session = self._state.touch(await self._state.session(turn.request.session))
        if session.closed_at_ns is not None and isinstance(turn.request, _NEED_OPEN):
            raise UnknownSession(f"session {session.id!r} is closed; open it again by its id", session=session.id)
        request = turn.request
        if isinstance(request, requests.OpenSession):
            return await sessions.open_session(self._state, request, turn)
        if isinstance(request, requests.Import):
            return await porting.import_checkpoint(self._state, request, turn)
        return await _CHANGES[type(request)](self._state, request, session, turn)

    async def _read(self, request: Request, report: Callable[[wire.Progress], None]) -> Reply:
        state = self._state
        match request:
            case requests.Ping():
                await state.bridge.transact(lambda db: None)
                return Pong(pid=self._pid)
            case requests.GetStatus():
                return await query.status(state)
            case requests.GetMetrics():
                return await metrics.metrics(state, self._meter)
            case requests.Verify():
                return await verifying.verify(state, request, report)
            case requests.GetHealth():
                return await health.health(state)
            case requests.Prune():
                return await pruning.prune(state, request, report)
            case requests.Collect():
                return await collecting.gc(state, request, report)
            case requests.Forget():
                return await forgetting.forget(state, request, report)
            case requests.Stop():
                self._on_stop()
                return Stopping(pid=self._pid)
            case requests.ListSessions():
                return await sessions.list_sessions(state, request)
            case requests.ListGrants():
                return await granting.list_grants(state, self._opened())
            case requests.ListBarriers():
                return await barriers.list_barriers(state, request)
            case requests.ListCapture():
                return await capturing.list_capture(state, request, report)
            case requests.ListCheckpoints():
                session = None if request.session is None else await self._session(request)
                return await query.list_checkpoints(state, request, session)
            case requests.ReadEvents(ack=False):  # an onlooker does not keep the session active
                return await telling.events(state, request, await state.session(request.session))
            case _:
                return await _READS[type(request)](state, request, await self._session(request))

    def _opened(self) -> Doors:
        if self._doors is None:
            raise Busy("the daemon has no sockets for grants yet; try again")
        return self._doors

    async def _session(self, request: Request) -> Session:
        return self._state.touch(await self._state.session(request.session))


#: What changes something, in a session; what is only read, in a session.
_CHANGES: dict[type[Request], Callable[[State, Any, Session, Turn], Awaitable[bytes]]] = {
    requests.CloseSession: sessions.close_session,
    requests.Record: conversation.record,
    requests.TakeSnapshot: snapshot.snapshot,
    requests.BeginEdit: snapshot.begin_edit,
    requests.EndEdit: snapshot.end_edit,
    requests.OpenWindow: windows.open_window,
    requests.CloseWindow: windows.close_window,
    requests.Release: snapshot.release,
    requests.Save: save.save,
    requests.Rewind: rewind.rewind,
    requests.Restore: restoring.restore,
    requests.Undo: rewind.undo,
    requests.Redo: rewind.redo,
}
_READS: dict[type[Request], Callable[[State, Any, Session], Awaitable[Reply]]] = {
    requests.ShowSession: sessions.show_session,
    requests.ShowCheckpoint: query.show,
    requests.ShowPath: showing.show_path,
    requests.ListTree: showing.list_tree,
    requests.ReadBlobs: showing.read_blobs,
    requests.ListPending: query.pending,
    requests.Diff: query.diff,
    requests.ReadLog: query.log,
    requests.Blame: blaming.blame,
    requests.ReadBlob: query.read,
    requests.Export: porting.export_checkpoint,
    requests.ReadEvents: telling.events,
}

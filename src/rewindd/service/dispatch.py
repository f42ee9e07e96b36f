"""From a decoded request to the use case that answers it: once for each key, in order for each session."""

from collections.abc import Awaitable, Callable
from time import monotonic

from rewindd.errors import Busy, Expired, UnknownOp, UnknownSession
from rewindd.model.session import Session
from rewindd.protocol import requests, wire
from rewindd.protocol.replies import Pong, Reply, Stopping
from rewindd.protocol.requests import Request
from rewindd.service import conversation, porting, query, rewind, save, sessions, snapshot
from rewindd.service.locking import locked
from rewindd.service.memory import WORTH_BYTES, give_back
from rewindd.service.state import State
from rewindd.service.turn import Turn, check_key, digest_of

#: How long a request that was answered is told its first answer again.
KEPT_NS = 24 * 3600 * 1_000_000_000

#: Requests that go on with a session's work; to look at a closed one and to rewind it needs no opening.
_NEED_OPEN = (requests.Record, requests.TakeSnapshot, requests.BeginEdit, requests.Save)


class Service:
    """Answers requests; the daemon's one. Used from the event loop only."""

    def __init__(self, state: State, pid: int, on_stop: Callable[[], None]) -> None:
        self._state, self._pid, self._on_stop = state, pid, on_stop

    def is_needed(self) -> bool:
        """True while a session is active: a daemon that was started on demand does not end then."""
        return bool(self._state.active())

    async def answer(self, request: Request, body: bytes, report: Callable[[wire.Progress], None]) -> bytes:
        """Returns the answer's fields, encoded; see `_answer`. Memory that was needed for it is given back."""
        try:
            return await self._answer(request, report)
        finally:
            if self._state.handled_bytes > WORTH_BYTES:
                self._state.handled_bytes = 0
                self._state.later(lambda: self._state.bridge.work(give_back))

    async def _answer(self, request: Request, report: Callable[[wire.Progress], None]) -> bytes:
        """Returns the answer's fields, encoded. Its effects are durable.

        Raises:
            Expired: the deadline passed before anything was done.
            RewinddError: as the use case says; nothing was changed.
        """
        check_key(request.key)
        turn = Turn(request=request, digest=digest_of(request) if request.mutates else b"", report=report)
        if not request.mutates:
            _check_deadline(request)
            return wire.encode_reply(await self._read(request))
        if request.session is None:
            return await self._once(turn, lambda: self._without_session(turn))
        session = await self._state.session(request.session)
        async with self._state.turn(session.id):
            return await self._once(turn, lambda: self._change(turn))

    async def _once(self, turn: Turn, act: Callable[[], Awaitable[bytes]]) -> bytes:
        kept = await self._state.bridge.transact(turn.kept) if turn.request.key is not None else None
        if kept == b"":
            kept = await self._recovered(turn)
        if kept is not None:
            return kept
        _check_deadline(turn.request)
        return await act()

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
            case request:
                await self._state.session(None)
                raise UnknownOp(f"{request.op} has no use case")

    async def _change(self, turn: Turn) -> bytes:
        state = self._state
        session = state.touch(await state.session(turn.request.session))
        if session.closed_at_ns is not None and isinstance(turn.request, _NEED_OPEN):
            raise UnknownSession(f"session {session.id!r} is closed; open it again by its id", session=session.id)
        match turn.request:
            case requests.OpenSession() as request:
                return await sessions.open_session(state, request, turn)
            case requests.CloseSession() as request:
                return await sessions.close_session(state, request, session, turn)
            case requests.Record() as request:
                return await conversation.record(state, request, session, turn)
            case requests.TakeSnapshot() as request:
                return await snapshot.snapshot(state, request, session, turn)
            case requests.BeginEdit() as request:
                return await snapshot.begin_edit(state, request, session, turn)
            case requests.EndEdit() as request:
                return await snapshot.end_edit(state, request, session, turn)
            case requests.Release() as request:
                return await snapshot.release(state, request, session, turn)
            case requests.Save() as request:
                return await save.save(state, request, session, turn)
            case requests.Rewind() as request:
                return await rewind.rewind(state, request, session, turn)
            case requests.Undo() as request:
                return await rewind.undo(state, request, session, turn)
            case requests.Redo() as request:
                return await rewind.redo(state, request, session, turn)
            case requests.Import() as request:
                return await porting.import_checkpoint(state, request, turn)
            case request:
                raise UnknownOp(f"{request.op} has no use case")

    async def _read(self, request: Request) -> Reply:
        state = self._state
        match request:
            case requests.Ping():
                await state.bridge.transact(lambda db: None)
                return Pong(pid=self._pid)
            case requests.GetStatus():
                return await query.status(state)
            case requests.Stop():
                self._on_stop()
                return Stopping(pid=self._pid)
            case requests.ListSessions():
                return await sessions.list_sessions(state, request)
            case requests.ListCheckpoints():
                session = None if request.session is None else await self._session(request)
                return await query.list_checkpoints(state, request, session)
            case requests.ShowSession():
                return await sessions.show_session(state, await self._session(request))
            case requests.ShowCheckpoint():
                return await query.show(state, request, await self._session(request))
            case requests.ListPending():
                return await query.pending(state, request, await self._session(request))
            case requests.Diff():
                return await query.diff(state, request, await self._session(request))
            case requests.ReadLog():
                return await query.log(state, request, await self._session(request))
            case requests.ReadBlob():
                return await query.read(state, request, await self._session(request))
            case requests.Export():
                return await porting.export_checkpoint(state, request, await self._session(request))
            case _:
                raise UnknownOp(f"{request.op} has no use case")

    async def _session(self, request: Request) -> Session:
        return self._state.touch(await self._state.session(request.session))


def _check_deadline(request: Request) -> None:
    """CLOCK_MONOTONIC is one clock for all processes of a boot outside time namespaces (clock_gettime(2))."""
    if request.deadline_ms is not None and request.deadline_ms < monotonic() * 1000:
        raise Expired(f"{request.op}: its deadline had passed before it was looked at; nothing was done")

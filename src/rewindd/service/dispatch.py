"""From a decoded request to the use case that answers it: once for each key, in order for each session."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from rewindd.errors import Busy, Expired, UnknownOp, UnknownSession
from rewindd.model.session import Session
from rewindd.protocol import requests, wire
from rewindd.protocol.replies import Pong, Reply, Stopping
from rewindd.protocol.requests import Request
from rewindd.service import capturing, conversation, porting, query, restoring, rewind, save, sessions, showing, snapshot, windows
from rewindd.service.locking import locked
from rewindd.service.memory import WORTH_BYTES, give_back
from rewindd.service.state import State
from rewindd.service.turn import Turn, check_key, digest_of

#: How long a request that was answered is told its first answer again.
KEPT_NS = 24 * 3600 * 1_000_000_000

#: Requests that go on with a session's work; to look at a closed one and to rewind it needs no opening.
_NEED_OPEN = (requests.Record, requests.TakeSnapshot, requests.BeginEdit, requests.OpenWindow, requests.Save)


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
            return wire.encode_reply(await self._read(request, report))
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
            case requests.Stop():
                self._on_stop()
                return Stopping(pid=self._pid)
            case requests.ListSessions():
                return await sessions.list_sessions(state, request)
            case requests.ListCapture():
                return await capturing.list_capture(state, request, report)
            case requests.ListCheckpoints():
                session = None if request.session is None else await self._session(request)
                return await query.list_checkpoints(state, request, session)
            case _:
                return await _READS[type(request)](state, request, await self._session(request))

    async def _session(self, request: Request) -> Session:
        return self._state.touch(await self._state.session(request.session))


def _check_deadline(request: Request) -> None:
    """CLOCK_MONOTONIC is one clock for all processes of a boot outside time namespaces (clock_gettime(2))."""
    if request.deadline_ms is not None and request.deadline_ms < monotonic() * 1000:
        raise Expired(f"{request.op}: its deadline had passed before it was looked at; nothing was done")


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
    requests.ReadBlob: query.read,
    requests.Export: porting.export_checkpoint,
}

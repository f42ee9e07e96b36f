"""The daemon's end of the wire: one ROUTER socket, one reader, a task for each request.

It owns the socket and its context. It knows frames, routes and limits; what a request means is the service's. Rules, from what
is measured of zmq.asyncio (docs/design.md): nothing is awaited between receiving and handing over; only anyio scopes cancel a
receive; no send ever waits, so a client that does not read hurts nobody but itself.
"""

import errno
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
import zmq
import zmq.asyncio
import zmq.utils.garbage
from anyio.abc import TaskGroup

from rewindd import errors
from rewindd.daemon import endpoint, envelopes, log, peers
from rewindd.daemon.answering import Service as Service
from rewindd.daemon.binding import address, bind
from rewindd.daemon.connections import MAX_CONNECTIONS, Connections, budget
from rewindd.daemon.guard import Guard
from rewindd.daemon.pulse import Pulse
from rewindd.protocol import wire
from rewindd.protocol.requests import Request
from rewindd.protocol.wire import Progress
from rewindd.service.asker import asker
from rewindd.service.numbers.meter import Meter

_log = logging.getLogger(__name__)
#: pyzmq imports it with the first reply that is sent without a copy; the daemon imports nothing late.
_IMPORTED = zmq.utils.garbage

#: A client's timeout bounds silence: so a long request speaks this often.
PROGRESS_S = 1.0
#: From the stop signal on, requests in hand have this long. The unit's TimeoutStopSec is above it and LINGER_MS together.
DRAIN_S = 10.0
#: Bodies above this are decoded in a thread: 8 million paths take seconds. Two at a time, so they do not crowd the service's threads out.
_LARGE_BYTES = 64 << 10
_LARGE_AT_ONCE = 2
#: Replies above this are sent without a copy, and count as unread until libzmq has written them.
_LARGE_REPLY_BYTES = 1 << 20
#: As much of a session's id is logged: no id is longer, and what is no id may be anything.
_SESSION_CHARS = 128
#: Start of a body that is not taken, to find its id in.
_START_BYTES = 1024


@dataclass(slots=True, kw_only=True)
class Counts:
    """What happened to messages, since the start."""

    requests: int = 0
    refused: int = 0
    unroutable: int = 0
    foreign: int = 0
    gone: int = 0
    slow: int = 0

    def dropped(self) -> dict[str, int]:
        """Returns how many messages got no answer, or had their answer dropped, by why."""
        return {"unroutable": self.unroutable, "foreign": self.foreign, "gone": self.gone, "slow": self.slow}


@dataclass(slots=True, kw_only=True, eq=False)
class _Flight:
    """A request in hand; `hand` counts it."""

    route: tuple[bytes, ...]
    peer: peers.Peer | None
    size: int
    hand: peers.InHand
    id: wire.RequestId | None = None
    op: str = "-"
    session: str = "-"
    began_s: float = field(default_factory=time.monotonic)
    speaks_s: float = 0.0
    progress: Progress | None = None
    landed: bool = False

    def report(self, progress: Progress) -> None:
        """Keeps the last word; the next progress frame says it. Callable from any thread: it is one assignment."""
        self.progress = progress


class Server:
    """Binds when made; `serve` runs until `stop`; `close` ends it, and is called whatever happened before.

    All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        path: str,
        inherited: int | None = None,
        *,
        drain_s: float = DRAIN_S,
        meter: Meter | None = None,
        guard: Guard | None = None,
        most: int = MAX_CONNECTIONS,
    ) -> None:
        """Binds at `path`, where `endpoint` made way, or takes the listening descriptor `inherited`.

        `guard` says who of the user's processes may speak; None: every one. `most`: connections, where descriptors allow.

        Raises:
            OSError: the path cannot be bound.
        """
        self.counts = Counts()
        self.last_request_s = time.monotonic()
        self._path, self._drain_s, self._guard = path, drain_s, guard
        self._in_hand, self._waiting, self._unread = peers.InHand(), peers.InHand(), peers.Unread()
        self._meter = meter or Meter()
        self._meter.in_flight = lambda: len(self._in_hand)
        self._meter.dropped = self.counts.dropped
        self._large = anyio.CapacityLimiter(_LARGE_AT_ONCE)
        self._due: deque[_Flight] = deque()
        self._became_due = anyio.Event()
        self._landed = anyio.Event()
        self._accepting, self._draining = anyio.CancelScope(), anyio.CancelScope(shield=True)
        self._stopping = False
        self._context = zmq.asyncio.Context()
        self._pulse = Pulse(self._context, address(path))
        self._socket = self._context.socket(zmq.ROUTER)
        Connections(self._context, self._socket, budget(most))
        try:
            self._made = bind(self._socket, path, inherited)
        except zmq.ZMQError as exc:
            self._context.destroy(linger=0)
            raise OSError(exc.errno, f"cannot listen on {path!r}: {exc.strerror}") from exc

    @property
    def is_idle(self) -> bool:
        """True while no request is in hand."""
        return not len(self._in_hand) and not len(self._waiting)

    @property
    def has_its_place(self) -> bool:
        """False when the socket's file is not ours any more: who looks for this daemon finds another, or nobody."""
        return self._made is None or endpoint.is_still(self._path, self._made)

    def stop(self) -> None:
        """Reads no more; `serve` drains and returns. The second call ends the drain. May be called before `serve`."""
        if self._stopping:
            self._draining.cancel()
        self._stopping = True
        self._accepting.cancel()

    async def serve(self, service: Service) -> None:
        """Answers requests until `stop`, then waits for those in hand, `drain_s` at most, and cancels the rest.

        Raises:
            RuntimeError: reading ended though nobody asked; an unheard daemon must not look like one that was stopped.
        """
        async with anyio.create_task_group() as flights:
            flights.start_soon(self._speak)
            with self._accepting:
                await self._read(service, flights)
            if self._stopping:
                service.end_waiting()
                await self._drain()
            flights.cancel_scope.cancel()
        if not self._stopping:
            raise RuntimeError("the reader ended without being asked to")

    async def beat(self) -> None:
        """Returns when socket, loop and service have each answered a question of our own. Only while `serve` runs."""
        await self._pulse.beat()

    async def close(self) -> None:
        """Sends what was handed over (`binding.LINGER_MS` at most), gives the socket and its path back. Shielded; may be called twice."""
        with anyio.CancelScope(shield=True):
            self._socket.close()
            # In a thread: it blocks while the last replies leave.
            await anyio.to_thread.run_sync(self._end)

    def _end(self) -> None:
        self._context.term()
        if self._made is not None:
            endpoint.remove(self._path, self._made)
            self._made = None

    async def _read(self, service: Service, flights: TaskGroup) -> None:
        while True:
            self._admit(await self._socket.recv_multipart(copy=False), service, flights)
            # A receive that finds a message waiting does not yield; under a flood nobody else would run. Nothing is held here.
            await anyio.lowlevel.checkpoint()

    def _admit(self, frames: Sequence[bytes] | Sequence[zmq.Frame], service: Service, flights: TaskGroup) -> None:
        message = cast("Sequence[zmq.Frame]", frames)
        try:
            route = envelopes.route(message)
        except wire.Unroutable as exc:
            self.counts.unroutable += 1
            _log.debug("dropped: %s", exc)
            return
        frame = message[-1]
        flight = _Flight(route=route, peer=envelopes.peer(frame), size=len(frame), hand=self._in_hand)
        if peers.is_foreign(flight.peer):
            self.counts.foreign += 1
            _log.warning("dropped: a message of another user (uid %d)", flight.peer.uid if flight.peer else -1)
            return
        if self._pulse.is_own(frame):
            flights.start_soon(self._answer_pulse, flight, service)
            return
        objection = self._guard.objection(route[0], flight.peer, frame) if self._guard is not None else None
        if objection is not None:
            self.counts.refused += 1
            flight.id = wire.decode_id(bytes(frame.buffer[:_START_BYTES]))
            self._refuse(flight, errors.NotPermitted(objection))
            return
        self.last_request_s = flight.began_s
        self.counts.requests += 1
        try:
            body = self._take(flight, frame)
        except errors.RewinddError as error:
            self.counts.refused += 1
            self._refuse(flight, error)
            return
        flights.start_soon(self._carry_out, flight, body, service)

    def _take(self, flight: _Flight, frame: zmq.Frame) -> bytes:
        """Returns the body of a request that is now in hand; looks no closer at one than it must to refuse it."""
        if flight.size > wire.MAX_REQUEST_BYTES:
            flight.id = wire.decode_id(bytes(frame.buffer[:_START_BYTES]))
            raise wire.too_large(flight.size)
        full = self._in_hand.take(flight.route[0], flight.peer, flight.size)
        if full is not None:
            flight.id = wire.decode_id(bytes(frame.buffer[:_START_BYTES]))
            raise errors.Busy(f"{full}; await an answer first, then ask again")
        try:
            body = frame.bytes
            envelope = self._envelope(flight, body)
        except BaseException:
            self._in_hand.give_back(flight.route[0], flight.peer, flight.size)
            raise
        flight.id, flight.op = envelope.id, envelope.op
        if flight.op in wire.LONG_POLLS:
            self._let_wait(flight)
        return body

    def _let_wait(self, flight: _Flight) -> None:
        """Counts a request that mostly waits apart from those that work: it keeps none of them out."""
        flight.hand.give_back(flight.route[0], flight.peer, flight.size)
        flight.hand = self._waiting
        full = flight.hand.take(flight.route[0], flight.peer, flight.size)
        if full is not None:
            raise errors.Busy(f"{full} that wait for news; let one of them come back first")

    def _envelope(self, flight: _Flight, body: bytes) -> wire.Envelope:
        try:
            return wire.decode_envelope(body)
        except errors.RewinddError as error:
            flight.id = wire.decode_id(body)
            if isinstance(error, errors.UnknownOp):
                flight.op = ascii(error.fields["op"])  # a caller's text, cut off by the error: quoted it is none of ours
            raise

    async def _carry_out(self, flight: _Flight, body: bytes, service: Service) -> None:
        log.request.set(f"{flight.op}/{flight.id!a}")
        asker.set(flight.peer.pid or None if flight.peer is not None else None)
        try:
            reply, code = await self._answer(flight, body, service)
        finally:
            flight.landed = True
            flight.hand.give_back(flight.route[0], flight.peer, flight.size)
            if self.is_idle:
                self._landed.set()
        self._reply(flight, reply, code)

    async def _answer(self, flight: _Flight, body: bytes, service: Service) -> tuple[bytes, str]:
        """Returns the reply's body, and the error's code or `-`."""
        assert flight.id is not None
        request: Request | None = None
        try:
            request = await self._decode(flight, body)
            if request.session is not None:
                flight.session = ascii(request.session[:_SESSION_CHARS])
            if request.progress:
                self._will_speak(flight)
            fields = await service.answer(request, body, flight.report)
            reply = wire.seal(flight.id, fields, service.riding(request))
            if len(reply) > wire.MAX_REPLY_BYTES:
                raise errors.TooLarge(
                    f"the answer to {flight.op} has {len(reply)} bytes, and {wire.MAX_REPLY_BYTES} fit; ask for less at once",
                    limit=wire.MAX_REPLY_BYTES,
                )
        except errors.RewinddError as error:
            return wire.encode_error(flight.id, error, service.riding(request) if request is not None else None), error.code
        except Exception:  # noqa: BLE001 - a bug in one request must not end the others; its traceback stays here
            _log.exception("a bug, in %s", flight.op)
            bug = errors.InternalError(f"a bug in rewindd, in {flight.op}; the daemon's log has the traceback")
            return wire.encode_error(flight.id, bug), bug.code
        return reply, "-"

    async def _answer_pulse(self, flight: _Flight, service: Service) -> None:
        """As a ping of anybody's; neither counted nor logged, as it is no work."""
        flight.id, flight.op = self._pulse.id, "ping"
        reply, _ = await self._answer(flight, self._pulse.question, service)
        self._send(flight.route, reply)

    async def _decode(self, flight: _Flight, body: bytes) -> Request:
        if flight.size <= _LARGE_BYTES:
            return wire.decode_request(body, flight.op)
        return await anyio.to_thread.run_sync(wire.decode_request, body, flight.op, limiter=self._large)

    def _refuse(self, flight: _Flight, error: errors.RewinddError) -> None:
        self._reply(flight, wire.encode_error(flight.id, error), error.code)

    def _reply(self, flight: _Flight, body: bytes, code: str) -> None:
        """Sends the reply, and writes the request's one line. An id is the caller's text, so it is quoted and ASCII here."""
        fate = self._send(flight.route, body)
        took_s = time.monotonic() - flight.began_s
        self._meter.answered(flight.op, "ok" if code == "-" else code, took_s)
        if _log.isEnabledFor(logging.INFO):
            log.answered(
                _log,
                f"{flight.op}/{flight.id!a}",
                f"request op={flight.op} session={flight.session} id={flight.id!a} peer_pid={flight.peer.pid if flight.peer else '-'}"
                f" ms={took_s * 1000:.1f} outcome={'ok' if code == '-' else 'error'} code={code} bytes_in={flight.size}"
                f" bytes_out={len(body)} reply={fate}",
            )

    def _send(self, route: tuple[bytes, ...], body: bytes) -> str:
        """Sends without ever waiting; returns `sent`, `gone` (the client left) or `slow` (it does not read: the message is dropped).

        Raises:
            zmq.ZMQError: the socket is broken.
        """
        large = len(body) > _LARGE_REPLY_BYTES
        if large and not self._unread.has_room(route[0], len(body)):
            self.counts.slow += 1
            return "slow"
        sent = cast("_Done", self._socket.send_multipart([*route, body], flags=zmq.NOBLOCK, copy=not large, track=large))
        error = sent.exception()
        if error is None:
            if large:
                self._unread.add(route[0], sent.result(), len(body))
            return "sent"
        if isinstance(error, zmq.Again):
            self.counts.slow += 1
            return "slow"
        if isinstance(error, zmq.ZMQError) and error.errno == errno.EHOSTUNREACH:
            self.counts.gone += 1
            return "gone"
        raise error

    def _will_speak(self, flight: _Flight) -> None:
        flight.speaks_s = anyio.current_time() + PROGRESS_S
        self._due.append(flight)
        self._became_due.set()

    async def _speak(self) -> None:
        """Sends each long request's progress when it is due. All wait equally long, so the queue is in order of time."""
        while True:
            if not self._due:
                self._became_due = anyio.Event()
                await self._became_due.wait()
            flight = self._due.popleft()
            if not flight.landed:
                await anyio.sleep_until(flight.speaks_s)
                self._say(flight)

    def _say(self, flight: _Flight) -> None:
        if flight.landed or flight.id is None:
            return
        said = flight.progress or Progress(done=0, total=0, what=flight.op)
        self._send(flight.route, wire.encode_progress(flight.id, said))
        self._will_speak(flight)

    async def _drain(self) -> None:
        if self.is_idle:
            return
        self._landed = anyio.Event()
        self._draining.deadline = anyio.current_time() + self._drain_s
        with self._draining:
            await self._landed.wait()
        if self._draining.cancelled_caught:
            _log.warning("%d requests were still in hand when the time to drain was over", len(self._in_hand))


class _Done(Protocol):
    """A future that is done, which is what a send that must not wait returns."""

    def exception(self) -> BaseException | None: ...

    def result(self) -> zmq.MessageTracker: ...

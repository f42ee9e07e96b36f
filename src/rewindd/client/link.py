"""The asynchronous end of the wire: one DEALER, any number of requests at a time, told apart by their numbers.

No task runs in the background. The one standing receive is a future that nobody awaits: its callback hands the reply to
whoever waits for that number, and arms the next. So a caller that is cancelled, by whatever means, can neither lose
another's reply nor leave its own in somebody's way, and a link may be opened in one task and closed in another.
"""

import logging
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
import zmq
import zmq.asyncio

from rewindd import errors
from rewindd.client import sockets
from rewindd.client.autostart import Starter
from rewindd.client.exchange import Exchange
from rewindd.protocol import wire
from rewindd.protocol.replies import Reply

if TYPE_CHECKING:
    from asyncio import Future

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Reply)

#: How long a connection may take to come up before we look again whether anybody listens.
LOOK_AGAIN_S = 0.5
#: Requests of one client on their way at once; the daemon answers `busy` above 64 of a peer, and cancelled ones still count there.
MAX_IN_FLIGHT = 48
#: How soon a full send queue is tried again; `MAX_IN_FLIGHT` makes that rare.
FULL_S = 0.01


@dataclass(slots=True)
class _Waiting:
    """Who waits for a number. The callbacks fill it in and set `news`; only its own task reads it.

    `connection`: the one that it was last sent over, 0 before that.
    """

    news: anyio.Event = field(default_factory=anyio.Event)
    connection: int = 0
    reply: tuple[wire.ReplyHead, bytes] | None = None
    progress: wire.Progress | None = None
    is_lost: bool = False


class Link:
    """The connection of an asynchronous client; made without a daemon, connected by the first request. `aclose` ends it.

    Made and used in one event loop. Connections are counted: what was sent over a lost one is sent again.
    """

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._address = sockets.endpoint(starter.socket_path)
        self._waiting: dict[wire.RequestId | None, _Waiting] = {}
        # The daemon counts those that wait apart, too.
        self._slots, self._waiting_slots = anyio.Semaphore(MAX_IN_FLIGHT), anyio.Semaphore(MAX_IN_FLIGHT)
        self._connecting = anyio.Lock()
        self._came_up = anyio.Event()
        self._connection = 0
        self._lost = 0
        self._is_up = self._is_attached = self._was_attached = self._closed = False
        self._context = zmq.asyncio.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        sockets.configure(self._dealer)
        self._monitor = self._dealer.get_monitor_socket(sockets.MONITORED)
        self._receiving = self._receive()
        self._watch()

    async def aclose(self) -> None:
        """Ends the connection; what waits fails. From any task; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._is_up = False
        for waiting in self._waiting.values():
            waiting.is_lost = True
            waiting.news.set()
        self._came_up.set()
        self._dealer.disable_monitor()
        self._monitor.close(linger=0)
        self._dealer.close(linger=0)
        with anyio.CancelScope(shield=True):  # it blocks until the sockets are gone: never in the loop
            await anyio.to_thread.run_sync(self._context.term)

    async def contact(self, exchange: Exchange[R]) -> None:
        """Returns when there is a connection. Raises the exchange's failure when there is none in time."""
        await self._connect(exchange)

    async def ask(self, exchange: Exchange[R]) -> R:
        """Sends the request until it is answered, and returns the answer.

        Raises:
            RewinddError: the one that the daemon answered, or the exchange's failure.
        """
        slots = self._waiting_slots if exchange.op in wire.LONG_POLLS else self._slots
        await anyio.lowlevel.checkpoint_if_cancelled()  # what was cancelled before is not sent
        await _take(slots, exchange)
        waiting = _Waiting()
        self._waiting[exchange.number] = waiting
        try:
            while True:
                await self._send(exchange, waiting)
                reply = await self._await(exchange, waiting)
                if reply is not None:
                    return exchange.answer(*reply)
                exchange.lost()
        finally:
            del self._waiting[exchange.number]
            slots.release()

    async def _send(self, exchange: Exchange[R], waiting: _Waiting) -> None:
        while True:
            await self._connect(exchange)
            try:
                cast("Future[None]", self._dealer.send(exchange.body, zmq.NOBLOCK)).result()  # NOBLOCK: it is done when it is returned
            except zmq.Again:
                if not exchange.remaining_s(time.monotonic()):
                    raise exchange.failure("the daemon takes no more requests") from None
                await anyio.sleep(FULL_S)
                continue
            waiting.connection = self._connection
            exchange.sent()
            return

    async def _await(self, exchange: Exchange[R], waiting: _Waiting) -> tuple[wire.ReplyHead, bytes] | None:
        """Returns the reply, or None when the connection was lost."""
        while True:
            with anyio.move_on_after(exchange.remaining_s(time.monotonic())):
                await waiting.news.wait()
            if waiting.news.is_set():
                waiting.news = anyio.Event()
            if waiting.reply is not None:
                return waiting.reply
            if waiting.is_lost:
                waiting.is_lost = False
                return None
            if waiting.progress is not None:
                exchange.heard(waiting.progress, time.monotonic())
                waiting.progress = None
            elif not exchange.remaining_s(time.monotonic()):
                raise exchange.failure(exchange.silence)

    async def _connect(self, exchange: Exchange[R]) -> None:
        while not self._is_up:
            if self._closed:
                raise exchange.failure("the client is closed")
            if not exchange.remaining_s(time.monotonic()):
                raise exchange.failure("no daemon to send it to")
            try:
                with anyio.move_on_after(exchange.remaining_s(time.monotonic())):
                    async with self._connecting:
                        await self._attach()
            except errors.Unavailable as exc:
                raise exchange.failure(exc.message) from exc

    async def _attach(self) -> None:
        """Connects, after starting a daemon if need be; the caller looks whether it came up."""
        if self._is_up:
            return
        self._detach()
        await self._ensure_daemon()
        self._dealer.connect(self._address)
        self._is_attached = self._was_attached = True
        with anyio.move_on_after(LOOK_AGAIN_S):
            await self._came_up.wait()

    async def _ensure_daemon(self) -> None:
        with closing(self._starter.ensure(may_wait=self._was_attached)) as steps:
            for step in steps:
                if callable(step):
                    await anyio.to_thread.run_sync(step)
                else:
                    await anyio.sleep(step)

    def _detach(self) -> None:
        """Forgets the connection and what is queued for it. What came by it must have been read."""
        if self._is_attached:
            self._dealer.disconnect(self._address)
        self._is_attached = False

    # From here on: callbacks of the loop. None of them awaits.

    def _receive(self) -> "Future[list[bytes]]":
        receiving = cast("Future[list[bytes]]", self._dealer.recv_multipart())
        receiving.add_done_callback(self._on_frames)
        return receiving

    def _on_frames(self, received: "Future[list[bytes]]") -> None:
        if self._closed or received.cancelled():
            return
        self._receiving = self._receive()
        self._deliver(received.result()[-1])
        if self._lost:
            self._tell_loss()

    def _deliver(self, body: bytes) -> None:
        try:
            head = wire.decode_reply_head(body)
        except errors.BadRequest as exc:
            logger.warning("dropped what is no reply: %s", exc.message)
            return
        waiting = self._waiting.get(head.id)
        if waiting is None:
            return  # its caller has gone
        if head.progress is not None:
            waiting.progress = head.progress
        else:
            waiting.reply = (head, body)
        waiting.news.set()

    def _watch(self) -> None:
        cast("Future[list[bytes]]", self._monitor.recv_multipart()).add_done_callback(self._on_event)

    def _on_event(self, received: "Future[list[bytes]]") -> None:
        if self._closed or received.cancelled():
            return
        self._watch()
        if sockets.is_up(received.result()):
            if not self._is_attached:  # libzmq had connected again by itself, before we took the loss in and let go of both
                return
            self._is_up = True
            self._connection += 1
            self._came_up.set()
            return
        self._is_up = False
        self._came_up = anyio.Event()
        self._lost = self._connection
        self._tell_loss()

    def _tell_loss(self) -> None:
        """Tells those who wait for replies by the lost connection; not before what came by it was handed over."""
        if self._receiving.done() or cast("int", self._dealer.get(zmq.EVENTS)) & zmq.POLLIN:
            return  # `_on_frames` comes here again
        for waiting in self._waiting.values():
            if 0 < waiting.connection <= self._lost and waiting.reply is None:
                waiting.is_lost = True
                waiting.news.set()
        self._lost = 0
        if not self._is_up:
            self._detach()


async def _take(slots: anyio.Semaphore, exchange: Exchange[R]) -> None:
    """Waits for a slot. Raises the exchange's failure when none gets free in time."""
    with suppress(anyio.WouldBlock):
        slots.acquire_nowait()
        return
    with anyio.move_on_after(exchange.remaining_s(time.monotonic())) as waited:
        await slots.acquire()
    if waited.cancelled_caught:
        raise exchange.failure(f"{MAX_IN_FLIGHT} requests of this client wait for their answers")

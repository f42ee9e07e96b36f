"""The blocking end of the wire: one DEALER, one request at a time. Knows no asyncio.

A `Line` may be used by several threads: a lock lets one request through at a time. It must not cross a `fork`.
"""

import threading
import time
from contextlib import closing
from typing import TypeVar

import zmq

from rewindd import errors
from rewindd.client import sockets
from rewindd.client.autostart import Starter
from rewindd.client.exchange import Exchange
from rewindd.protocol import wire
from rewindd.protocol.replies import Reply

R = TypeVar("R", bound=Reply)

#: How long a connection may take to come up before we look again whether anybody listens.
LOOK_AGAIN_S = 0.5


class Line:
    """The connection of a blocking client; made without a daemon, connected by the first request. `close` ends it."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._address = sockets.endpoint(starter.socket_path)
        self._lock = threading.Lock()
        self._context = zmq.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        sockets.configure(self._dealer)
        self._monitor = self._dealer.get_monitor_socket(sockets.MONITORED)
        self._poller = zmq.Poller()
        self._poller.register(self._dealer, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._is_up = False
        self._is_attached = False
        self._was_attached = False
        self._closed = False

    def close(self) -> None:
        """Ends the connection; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._dealer.disable_monitor()
            self._monitor.close(linger=0)
            self._dealer.close(linger=0)
            self._context.term()

    def contact(self, exchange: Exchange[R]) -> None:
        """Returns when there is a connection. Raises the exchange's failure when there is none in time."""
        with self._lock:
            self._connect(exchange)

    def ask(self, exchange: Exchange[R]) -> R:
        """Sends the request until it is answered, and returns the answer.

        Raises:
            RewinddError: the one that the daemon answered, or the exchange's failure.
        """
        with self._lock:
            while True:
                self._send(exchange)
                reply = self._await(exchange)
                if reply is not None:
                    return exchange.answer(*reply)
                exchange.lost()

    def _send(self, exchange: Exchange[R]) -> None:
        while True:
            self._connect(exchange)
            try:
                self._dealer.send(exchange.body, zmq.NOBLOCK)
            except zmq.Again:  # the connection went in this moment, and nothing was sent
                self._detach()
                continue
            exchange.sent()
            return

    def _await(self, exchange: Exchange[R]) -> tuple[wire.ReplyHead, bytes] | None:
        """Returns the reply, or None when the connection was lost. Replies to requests that were given up are dropped."""
        while True:
            was_lost = self._poll(exchange.remaining_s(time.monotonic()))
            for body in self._received():
                head = wire.decode_reply_head(body)
                if head.id != exchange.number:
                    continue
                if head.progress is None:
                    return head, body
                exchange.heard(head.progress, time.monotonic())
            if was_lost:
                return None
            if not exchange.remaining_s(time.monotonic()):
                raise exchange.failure(exchange.silence)

    def _connect(self, exchange: Exchange[R]) -> None:
        if self._closed:
            raise errors.Unavailable(f"{exchange.op}: the client is closed")
        self._poll(0)
        while not self._is_up:
            self._detach()
            self._ensure_daemon(exchange)
            self._dealer.connect(self._address)
            self._is_attached = self._was_attached = True
            self._wait_until_up(exchange)

    def _wait_until_up(self, exchange: Exchange[R]) -> None:
        look_again_s = time.monotonic() + LOOK_AGAIN_S
        while not self._is_up and time.monotonic() < look_again_s:
            self._poll(min(LOOK_AGAIN_S, exchange.remaining_s(time.monotonic())))
            self._check_time(exchange)

    def _detach(self) -> None:
        """Forgets the connection and what is queued for it. What came by it must have been read."""
        if self._is_attached:
            self._dealer.disconnect(self._address)
        self._is_attached = self._is_up = False

    def _ensure_daemon(self, exchange: Exchange[R]) -> None:
        try:
            self._run_starter(exchange)
        except errors.Unavailable as exc:
            raise exchange.failure(exc.message) from exc
        self._check_time(exchange)

    def _run_starter(self, exchange: Exchange[R]) -> None:
        with closing(self._starter.ensure(may_wait=self._was_attached)) as steps:
            for step in steps:
                if not exchange.remaining_s(time.monotonic()):
                    return
                if callable(step):
                    step()
                else:
                    time.sleep(step)

    def _check_time(self, exchange: Exchange[R]) -> None:
        if not self._is_up and not exchange.remaining_s(time.monotonic()):
            raise exchange.failure("no daemon to send it to")

    def _poll(self, timeout_s: float) -> bool:
        """Waits for a frame or an event; takes in the events. Returns True when a connection was lost."""
        self._poller.poll(int(timeout_s * 1000) + (timeout_s > 0))
        was_lost = False
        while True:
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return was_lost
            self._is_up = sockets.is_up(frames)
            was_lost = was_lost or not self._is_up

    def _received(self) -> list[bytes]:
        """Returns what has arrived; read after the events, so that a reply sent just before the daemon's end is found."""
        bodies: list[bytes] = []
        while True:
            try:
                frames = self._dealer.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return bodies
            bodies.append(frames[-1])

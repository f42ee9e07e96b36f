"""A daemon's life, from the listening socket to the last reply: signals, readiness, reload, idle end."""

import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import anyio

from rewindd import errors
from rewindd.daemon import log, refusal, textfile
from rewindd.daemon.config import Settings
from rewindd.daemon.doors import Doors
from rewindd.daemon.guard import Guard
from rewindd.daemon.notify import Notifier
from rewindd.daemon.reload import Tunable, Tuned
from rewindd.daemon.server import Server, Service
from rewindd.daemon.textfile import Source
from rewindd.model.capture import CaptureSettings
from rewindd.service.numbers.meter import Meter

_log = logging.getLogger(__name__)

#: How often a daemon looks whether its socket's file is still its own: systemd's socket may take its place, a cleaner of /tmp remove it.
_PLACE_S = 2.0
#: A daemon that is past its time but still needed looks again this often, or after its idle time if that is shorter.
_LOOK_AGAIN_S = 60.0


class Whole(Service, Tuned, Source, Protocol):
    """The service, as far as a daemon's life needs it."""

    async def admit(self, doors: Doors) -> None:
        """Has `doors` open one for each grant there is, and for each that is made from now on."""
        ...


class Running(Protocol):
    """The service's life (`rewindd.service.running`): opens the store and recovers, before it yields; closes it at the end."""

    def __call__(
        self, *, data_dir: str, socket: str, runtime_dir: str, on_stop: Callable[[], None], capture: CaptureSettings, meter: Meter
    ) -> AbstractAsyncContextManager[Whole]:
        """`on_stop` is called in the event loop when a client asks the daemon to end; `capture` is what is captured of a workspace.

        `meter` has what the server counts, for the service to tell.
        """
        ...


class _Stop:
    """The one way to end: says why once, and tells server, doors and service manager. Called again it ends the drain."""

    def __init__(self, server: Server, notifier: Notifier) -> None:
        self._server, self._notifier = server, notifier
        self._asked = False
        self.doors: Doors | None = None

    def ask(self, why: str) -> None:
        _log.info("ending at once: %s" if self._asked else "ending: %s", why)
        if not self._asked:
            self._notifier.stopping(f"ending: {why}")
        self._asked = True
        self._server.stop()
        if self.doors is not None:
            self.doors.stop()


async def live(settings: Settings, inherited: int | None, running: Running, notifier: Notifier, *, ends_when_idle: bool) -> None:
    """Listens, recovers, answers until it is asked to end, and drains.

    The socket listens before the service is open, so that who connects meanwhile waits instead of failing. A signal that comes
    before then is obeyed right after: recovery is not to be broken off.

    Raises:
        RewinddError, OSError: it could not start.
        ExceptionGroup: it ended though nobody asked; a bug.
    """
    meter, guard = Meter(), Guard(settings.allow_namespaces_of, checks=settings.check_namespaces)
    server = Server(settings.socket, inherited, meter=meter, guard=guard)
    stop = _Stop(server, notifier)
    is_open = False
    try:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with running(
                data_dir=settings.data_dir,
                socket=settings.socket,
                runtime_dir=os.path.dirname(settings.socket),
                on_stop=lambda: stop.ask("a client asked"),
                capture=settings.capture,
                meter=meter,
            ) as service:
                is_open = True
                _log.info("ready on %s, data in %s, pid %d", settings.socket, settings.data_dir, os.getpid())
                await _work(settings, server, guard, meter, service, stop, signals, notifier, ends_when_idle=ends_when_idle)
    except (errors.RewinddError, OSError) as error:
        if inherited is not None and not is_open:
            await refusal.answer(server, error)
        raise
    finally:
        await server.close()
    _log.info("ended: %s", server.counts)


async def _work(
    settings: Settings,
    server: Server,
    guard: Guard,
    meter: Meter,
    service: Whole,
    stop: _Stop,
    signals: AsyncIterator[signal.Signals],
    notifier: Notifier,
    *,
    ends_when_idle: bool,
) -> None:
    tunable = Tunable(settings, service)
    words = _Words(server, service, notifier)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_obey, signals, stop, tunable, guard, words)
        tasks.start_soon(words.keep_told)
        tasks.start_soon(_end_when_replaced, server, stop)
        tasks.start_soon(textfile.keep_written, tunable, service)
        tasks.start_soon(log.keep_written)
        if ends_when_idle:
            tasks.start_soon(_end_when_idle, server, service, stop, tunable)
        stop.doors = Doors(os.path.dirname(settings.socket), meter, tasks)
        await service.admit(stop.doors)
        await server.serve(service)
        await stop.doors.ended()
        tasks.cancel_scope.cancel()


class _Words:
    """Keeps the service manager told: ready once the first question came back, alive as long as they do."""

    def __init__(self, server: Server, service: Service, notifier: Notifier) -> None:
        self._server, self._service, self._notifier = server, service, notifier
        self._is_ready = False

    async def keep_told(self) -> None:
        """Beats, for ever; each word to the watchdog has an answer of socket, loop and store of its own before it."""
        if not self._notifier.is_heard:
            return
        await self._server.beat()
        self._is_ready = True
        self._notifier.ready(self._status())
        while self._notifier.beat_s is not None:
            await anyio.sleep(self._notifier.beat_s)
            await self._server.beat()
            self._notifier.alive(self._status())

    @asynccontextmanager
    async def reloading(self) -> AsyncIterator[None]:
        """Says so before and after. Before the daemon is ready there is nothing to say: `READY` would be too early."""
        if self._is_ready:
            self._notifier.reloading()
        yield
        if self._is_ready:
            self._notifier.ready(self._status())

    def _status(self) -> str:
        return f"answering requests: {self._server.counts.requests} so far, {self._service.active_sessions()} sessions active"


async def _obey(signals: AsyncIterator[signal.Signals], stop: _Stop, tunable: Tunable, guard: Guard, words: _Words) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            async with words.reloading():
                await tunable.reload()
                guard.tune(tunable.now.allow_namespaces_of, checks=tunable.now.check_namespaces)
        else:
            stop.ask(number.name)


async def _end_when_replaced(server: Server, stop: _Stop) -> None:
    """Else a daemon that nobody can reach would keep the store's lock from the one that they reach."""
    while True:
        if not server.has_its_place:
            stop.ask("the socket's file was removed, or is another's now")
            return
        await anyio.sleep(_PLACE_S)


async def _end_when_idle(server: Server, service: Service, stop: _Stop, tunable: Tunable) -> None:
    while True:
        left_s = server.last_request_s + (tunable.idle_exit_s or float("inf")) - time.monotonic()
        if left_s <= 0 and server.is_idle and not service.is_needed():
            stop.ask(f"nothing to do for {tunable.idle_exit_s} s")
            return
        await anyio.sleep(min(_LOOK_AGAIN_S, tunable.idle_exit_s or _LOOK_AGAIN_S, left_s if left_s > 0 else _LOOK_AGAIN_S))

"""A daemon's life, from the listening socket to the last reply: signals, readiness, reload, idle end."""

import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio
import anyio.to_thread

from rewindd import errors
from rewindd.daemon import config, log
from rewindd.daemon.config import Settings
from rewindd.daemon.notify import Notifier
from rewindd.daemon.server import Server, Service
from rewindd.model.capture import CaptureSettings

_log = logging.getLogger(__name__)

#: A daemon that is past its time but still needed looks again this often, or after its idle time if that is shorter.
_LOOK_AGAIN_S = 60.0


class Running(Protocol):
    """The service's life (`rewindd.service.running`): opens the store and recovers, before it yields; closes it at the end."""

    def __call__(
        self, *, data_dir: str, socket: str, runtime_dir: str, on_stop: Callable[[], None], capture: CaptureSettings
    ) -> AbstractAsyncContextManager[Service]:
        """`on_stop` is called in the event loop when a client asks the daemon to end; `capture` is what is captured of a workspace."""
        ...


class _Stop:
    """The one way to end: says why once, and tells server and service manager. Called again it ends the drain."""

    def __init__(self, server: Server, notifier: Notifier) -> None:
        self._server, self._notifier = server, notifier
        self._asked = False

    def ask(self, why: str) -> None:
        _log.info("ending at once: %s" if self._asked else "ending: %s", why)
        if not self._asked:
            self._notifier.stopping(f"ending: {why}")
        self._asked = True
        self._server.stop()


async def live(settings: Settings, inherited: int | None, running: Running, notifier: Notifier, *, ends_when_idle: bool) -> None:
    """Listens, recovers, answers until it is asked to end, and drains.

    The socket listens before the service is open, so that who connects meanwhile waits instead of failing. A signal that comes
    before then is obeyed right after: recovery is not to be broken off.

    Raises:
        RewinddError, OSError: it could not start.
        ExceptionGroup: it ended though nobody asked; a bug.
    """
    server = Server(settings.socket, inherited)
    stop = _Stop(server, notifier)
    try:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with running(
                data_dir=settings.data_dir,
                socket=settings.socket,
                runtime_dir=os.path.dirname(settings.socket),
                on_stop=lambda: stop.ask("a client asked"),
                capture=settings.capture,
            ) as service:
                _log.info("ready on %s, data in %s, pid %d", settings.socket, settings.data_dir, os.getpid())
                notifier.ready("answering requests")
                await _work(settings, server, service, stop, signals, ends_when_idle=ends_when_idle)
    finally:
        await server.close()
    _log.info("ended: %s", server.counts)


async def _work(
    settings: Settings, server: Server, service: Service, stop: _Stop, signals: AsyncIterator[signal.Signals], *, ends_when_idle: bool
) -> None:
    tunable = _Tunable(settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_obey, signals, stop, tunable)
        if ends_when_idle:
            tasks.start_soon(_end_when_idle, server, service, stop, tunable)
        await server.serve(service)
        tasks.cancel_scope.cancel()


class _Tunable:
    """What SIGHUP can change: all of it, or nothing when the file is wrong."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.idle_exit_s = settings.idle_exit_s

    async def reload(self) -> None:
        """Reads the configuration again. What the command line said stays.

        A new data directory, `[capture]` and `[store]` need a restart.
        """
        path = self._settings.config
        try:
            section = (await anyio.to_thread.run_sync(lambda: config.read(path, required=False))).daemon
        except errors.BadConfig as error:
            _log.error("the configuration was not changed: %s", error)
            return
        self.idle_exit_s = section.idle_exit_s
        if not self._settings.level_given:
            log.set_level(section.log_level or self._settings.default_level)
        _log.info("read %s again; data_dir, [capture] and [store] take effect at the next start", path)


async def _obey(signals: AsyncIterator[signal.Signals], stop: _Stop, tunable: _Tunable) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            await tunable.reload()
        else:
            stop.ask(number.name)


async def _end_when_idle(server: Server, service: Service, stop: _Stop, tunable: _Tunable) -> None:
    while True:
        left_s = server.last_request_s + (tunable.idle_exit_s or float("inf")) - time.monotonic()
        if left_s <= 0 and server.is_idle and not service.is_needed():
            stop.ask(f"nothing to do for {tunable.idle_exit_s} s")
            return
        await anyio.sleep(min(_LOOK_AGAIN_S, tunable.idle_exit_s or _LOOK_AGAIN_S, left_s if left_s > 0 else _LOOK_AGAIN_S))

"""The service's life: the store opened, what was interrupted recovered, then requests; at the end everything closed in order."""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from time import time_ns

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from rewindd.errors import RewinddError
from rewindd.model.capture import CaptureSettings
from rewindd.service import background, windows
from rewindd.service.bridge import Bridge
from rewindd.service.dispatch import KEPT_NS, Service
from rewindd.service.meter import Meter
from rewindd.service.recover import recover_all
from rewindd.service.retuning import open_feed, open_mounts
from rewindd.service.state import State
from rewindd.store import answers
from rewindd.store.blobs import Blobs
from rewindd.store.thread import StoreThread

log = logging.getLogger(__name__)

#: How often kept answers that are too old are forgotten.
PRUNE_S = 3600.0
#: Answers forgotten in one transaction.
PRUNE_ROWS = 500


@asynccontextmanager
async def running(
    *,
    data_dir: str,
    socket: str,
    runtime_dir: str,
    on_stop: Callable[[], None],
    capture: CaptureSettings,
    meter: Meter | None = None,
) -> AsyncIterator[Service]:
    """Opens the store and recovers before it yields the service; closes it in the end, after all later work is done.

    Raises:
        StoreCorrupt, StoreIO, StoreFull: the store cannot be opened.
    """
    store = await to_thread.run_sync(StoreThread, data_dir)
    watching = ExitStack()
    try:
        blobs = Blobs(data_dir)
        await to_thread.run_sync(blobs.sweep)
        home, data, runtime = await to_thread.run_sync(_real, "~", data_dir, runtime_dir)
        state = State(Bridge(store), blobs, data_dir=data, socket=socket, runtime_dir=runtime, home=home, capture=capture)
        state.feed = await to_thread.run_sync(open_feed) if capture.watch else None
        state.mounts = await to_thread.run_sync(open_mounts) if state.feed is not None else None
        watching.callback(_close_watching, state)
        await state.load_sessions()
        await recover_all(state)
        async with anyio.create_task_group() as group:
            state.later = partial(_start, group)
            async with anyio.create_task_group() as brief:
                state.meanwhile = partial(_start, brief)
                brief.start_soon(_prune, state)
                brief.start_soon(background.watch, state)
                yield Service(state, os.getpid(), on_stop, meter or Meter())
                await windows.end_all(state)
                brief.cancel_scope.cancel()
    finally:
        watching.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(store.close)


def _start(group: TaskGroup, work: Callable[[], Awaitable[None]]) -> None:
    group.start_soon(_carefully, work)


def _real(*paths: str) -> list[str]:
    """Workspaces are known by their real paths, so what is compared with them is too."""
    return [os.path.realpath(os.path.expanduser(path)) for path in paths]


async def _carefully(work: Callable[[], Awaitable[None]]) -> None:
    """Runs later work; that it failed is logged, and recovery at the next start does it again."""
    try:
        await work()
    except (RewinddError, OSError) as exc:
        log.warning("later work failed, it is done again at the next start: %s", exc)
    except Exception:  # a bug in one workspace's work must not end the daemon for all; its traceback is in the log
        log.exception("a bug, in later work")


def _close_watching(state: State) -> None:
    """A reload may have opened others than there were at the start."""
    for watching in (state.feed, state.mounts):
        if watching is not None:
            watching.close()


async def _prune(state: State) -> None:
    """Forgets kept answers after a day, from time to time."""
    while True:
        prune = partial(answers.prune, before_ns=time_ns() - KEPT_NS, limit=PRUNE_ROWS)
        while await state.bridge.transact(prune, bulk=True) == PRUNE_ROWS:
            continue
        await anyio.sleep(PRUNE_S)

"""The service's life: the store opened, what was interrupted recovered, then requests; at the end everything closed in order."""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from rewindd.errors import RewinddError, StoreError
from rewindd.model.capture import CaptureSettings
from rewindd.service.bridge import Bridge, from_reserve
from rewindd.service.capture import background, windows
from rewindd.service.capture.retuning import open_feed, open_mounts
from rewindd.service.clock import steady_ns
from rewindd.service.dispatch import KEPT_NS, Service
from rewindd.service.integrity import backing_up, drilling, scrubbing
from rewindd.service.numbers.meter import Meter
from rewindd.service.retention import keeping_house
from rewindd.service.rewinding.recover import recover_all
from rewindd.service.space import reserving
from rewindd.service.state import State
from rewindd.store import answers
from rewindd.store.blobs import Blobs
from rewindd.store.opening import loss_of
from rewindd.store.reserve import Reserve
from rewindd.store.thread import StoreThread

log = logging.getLogger(__name__)

#: How often kept answers that are too old are forgotten.
PRUNE_S = 3600.0
#: How long after a failure of the store what is done from time to time is begun anew.
AGAIN_S = 60.0
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
        reserve = await to_thread.run_sync(Reserve, data_dir, capture.reserve_bytes)
        state = State(Bridge(store, reserve), blobs, data_dir=data, socket=socket, runtime_dir=runtime, home=home, capture=capture)
        state.feed = await to_thread.run_sync(open_feed) if capture.watch else None
        state.mounts = await to_thread.run_sync(open_mounts) if state.feed is not None else None
        watching.callback(_close_watching, state)
        await state.bridge.work(blobs.strays.sweep, state.named_in_files)
        await state.load_sessions()
        await _look_after(state)
        with from_reserve():
            await recover_all(state)
        async with anyio.create_task_group() as group:
            state.later = partial(_start, group)
            async with anyio.create_task_group() as brief:
                state.meanwhile = partial(_start, brief)
                with from_reserve():  # what they note is little, and what they forget makes room
                    for work in (_prune, reserving.keep, backing_up.keep, scrubbing.keep, keeping_house.keep):
                        brief.start_soon(_again, work, state)
                brief.start_soon(background.watch, state)
                yield Service(state, os.getpid(), on_stop, meter or Meter())
                with from_reserve():
                    await windows.end_all(state)
                brief.cancel_scope.cancel()
            await backing_up.at_stop(state)
            await _carefully(partial(state.bridge.work, blobs.strays.end, state.named_in_files))
    finally:
        watching.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(store.close)


async def _look_after(state: State) -> None:
    """Takes up what an earlier life left: what was lost or recovered and not told yet, half-made trees, how far scrub and backup are."""
    loss = await state.bridge.transact(loss_of)
    state.care.loss = loss if loss is not None and not loss.is_told else None
    await state.recovered.load(state.bridge)
    await state.bridge.work(drilling.sweep, state)
    await backing_up.load(state)


def _start(group: TaskGroup, work: Callable[[], Awaitable[None]]) -> None:
    group.start_soon(_carefully, work)


def _real(*paths: str) -> list[str]:
    """Workspaces are known by their real paths, so what is compared with them is too."""
    return [os.path.realpath(os.path.expanduser(path)) for path in paths]


async def _carefully(work: Callable[[], Awaitable[object]]) -> None:
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


async def _again(work: Callable[[State], Awaitable[None]], state: State) -> None:
    """Does what goes on for ever; where the store fails it, begins it anew a while after: the disk is full for some time, say."""
    while True:
        try:
            await work(state)
        except (StoreError, OSError) as exc:
            log.warning("what the daemon does by itself is begun anew in %d s: %s", AGAIN_S, exc)
        await anyio.sleep(AGAIN_S)


async def _prune(state: State) -> None:
    """Forgets kept answers after a day, from time to time."""
    while True:
        prune = partial(answers.prune, before_ns=steady_ns() - KEPT_NS, limit=PRUNE_ROWS)
        try:
            while await state.bridge.transact(prune, bulk=True) == PRUNE_ROWS:
                continue
        except RewinddError as exc:  # a damaged page, or a full disk, must not end the daemon
            log.warning("old answers were not forgotten: %s", exc)
        await anyio.sleep(PRUNE_S)

"""Windows: what changes between a session's announced start and end of a command or a turn, and nobody else announced, is its own.

In memory only: the start of a daemon ends all of them. Nothing may leave one open for ever: each has a guard, a task that ends it
with the process it names, or after an hour.
"""

import logging
import os
from time import time_ns

import anyio

from rewindd.errors import BadRequest, RewinddError, UnknownWorkspace
from rewindd.model.session import Session
from rewindd.model.window import Window, WindowKind
from rewindd.protocol import replies
from rewindd.protocol.requests import CloseWindow, OpenWindow
from rewindd.service import names
from rewindd.service.asking.comparing import compare
from rewindd.service.asking.reading import changes_since, delta_of
from rewindd.service.capture import baseline
from rewindd.service.capture.holding import end_windows, own_windows
from rewindd.service.capture.observing import observe
from rewindd.service.locking import locked
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import Turn
from rewindd.service.words import choice
from rewindd.store import sessions
from rewindd.store.database import Connection
from rewindd.timeline.delta import contested, unowned

log = logging.getLogger(__name__)

#: A window ends after so long: its opener hangs, or forgot it. A longer command or turn opens another one.
LONGEST_S = 3600.0
#: How long a window waits for the workspace's first capture: a command must not hang because of us.
CAPTURE_S = 2.0
#: The largest process id there can be: proc_sys_kernel(5), pid_max, on 64-bit systems.
MAX_PID = 1 << 22


async def open_window(state: State, request: OpenWindow, session: Session, turn: Turn) -> bytes:
    """Looks at the tree, then opens a window; it ends the session's earlier one of the same kind, but for another process's.

    A process that is not there or another user's is not waited for: who names it may be in a container, where it has another number.

    Raises:
        BadRequest: the kind is none, or the process id cannot be one.
        UnknownWorkspace: the root is gone.
    """
    kind = choice(WindowKind, request.kind, "kind")
    if request.pid is not None and not 0 < request.pid <= MAX_PID:
        raise BadRequest(f"pid={request.pid}; a process has a number from 1 to {MAX_PID}", field="pid")
    tree = await state.tree(session.workspace)
    missing = await baseline.wait(state, tree, at_most_s=CAPTURE_S, report=turn.report)
    async with locked(state, tree):
        await observe(state, tree)
        window = Window(id=names.operation_id(), session=session.id, kind=kind, opened_at_ns=time_ns(), at=tree.position, pid=request.pid)
        reply = replies.Window(window=window.id, incomplete=missing)

        def write(db: Connection) -> bytes:
            sessions.seen(db, session.id, session.last_seen_at_ns)
            return turn.keep(db, reply)

        answer = await state.bridge.transact(write)
        end_windows(state, tree, own_windows(tree, session.id, kind))
        tree.windows[window.id] = window
        scope = state.guards[window.id] = anyio.CancelScope()
        state.meanwhile(lambda: _guard(state, tree, window, scope))
        return answer


async def close_window(state: State, request: CloseWindow, session: Session, turn: Turn) -> bytes:
    """Looks at the tree and ends a window; answers with what the session changed in it, or that it had ended before."""
    tree = await state.tree(session.workspace)
    reply = replies.WindowChanges(changes=[], ended=True)
    async with locked(state, tree):
        window = tree.windows.get(request.window)
        ended = [window] if window is not None and window.session == session.id else []
        for one in ended:
            try:
                await observe(state, tree)
            except UnknownWorkspace as exc:  # a window ends also where its workspace did
                log.debug("the last look of window %s: %s", one.id, exc)
            reply = await _changed(state, tree, one)

        def write(db: Connection) -> bytes:
            sessions.seen(db, session.id, session.last_seen_at_ns)
            return turn.keep(db, reply)

        answer = await state.bridge.transact(write)
        end_windows(state, tree, ended)
        return answer


async def end_all(state: State) -> None:
    """Ends every window, each after a last look; before the daemon ends, as the next one knows of none."""
    for tree in state.trees():
        for window in list(tree.windows.values()):
            await _end_by_itself(state, tree, window)


async def _changed(state: State, tree: Tree, window: Window) -> replies.WindowChanges:
    timeline = await changes_since(state, tree, window.at)
    return replies.WindowChanges(
        changes=await compare(state, await delta_of(state, timeline, window.session, window.at, tree.position)),
        unowned=len(unowned(timeline, window.at)),
        contested=len(contested(timeline, window.session, window.at)),
    )


async def _guard(state: State, tree: Tree, window: Window, scope: anyio.CancelScope) -> None:
    """Waits for the end of a window's process, or for its hour, and ends it; `scope` is cancelled when the window has ended."""
    with scope:
        with anyio.move_on_after(LONGEST_S) as hour:
            await _ended(state, window.pid)
        log.debug("window %s ends: %s", window.id, "its time is over" if hour.cancelled_caught else "its process ended")
    if not scope.cancel_called:
        await _end_by_itself(state, tree, window)


async def _ended(state: State, pid: int | None) -> None:
    """Returns when a process has ended; never where there is none to wait for."""
    process = None if pid is None else await state.bridge.work(_opened, pid)
    if process is None:
        await anyio.sleep_forever()
        return
    try:
        await anyio.wait_readable(process)
    finally:
        os.close(process)


def _opened(pid: int) -> int | None:
    """Returns a descriptor of a process, readable at its end (pidfd_open(2)); None where there is none, or another user's."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        if os.stat(f"/proc/{pid}").st_uid == os.geteuid():
            return process
    except OSError:
        pass
    os.close(process)
    return None


async def _end_by_itself(state: State, tree: Tree, window: Window) -> None:
    """Ends a window after a last look: what changed until now is its session's."""
    try:
        async with locked(state, tree):
            if window.id in tree.windows:
                await observe(state, tree)
                end_windows(state, tree, [window])
    except (RewinddError, OSError) as exc:
        log.warning("window %s of session %s ends without a last look: %s", window.id, window.session, exc)
    finally:
        end_windows(state, tree, [window])

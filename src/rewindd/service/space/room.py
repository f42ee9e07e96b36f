"""How much the store may still take in: up to its limit, and never what its file system is to keep free.

The file system is asked each time, as others fill it too. What the store holds only the daemon changes: it is counted now and then, and
what went through memory since then counts as stored.
"""

import os
from concurrent.futures import Future
from time import monotonic

from rewindd.model.capture import MIN_FREE_BYTES, MIN_FREE_PART, NO_ROOM, Room, binary
from rewindd.service.space.measured import MeasuredRoom
from rewindd.service.state import State
from rewindd.store.totals import totals

#: What was counted holds while no more content than this went through memory. So long after it is counted anew behind who asks: rows
#: and events grow the store, too.
HOLDS_BYTES = 16 << 20
HOLDS_S = 60.0
#: Where there is less left than this, it holds only so long: what was removed since makes room for the next.
NEAR_BYTES = 64 << 20
NEAR_S = 0.1


def room(state: State) -> Room:
    """Returns how many bytes of content may still be stored. For worker threads: now and then it asks the store's thread.

    Contents count as if none were compressed.

    Raises:
        StoreError: the store failed.
    """
    if state.bridge.reserve.is_spent:
        return Room(0, f"{NO_ROOM}: its file system is full")
    return min(_own(state), _free(state), key=lambda one: one.bytes)


def free(state: State) -> int:
    """Returns how many bytes of the store's file system may still be used, for copies too. For worker threads."""
    return _free(state).bytes


def _own(state: State) -> Room:
    """What the store's limit leaves."""
    limit_bytes, now_s = state.capture.max_store_bytes, monotonic()
    known = state.measured_room
    is_near = known is not None and limit_bytes - known.used_bytes < NEAR_BYTES and now_s - known.at_s >= NEAR_S
    # `handled_bytes` begins anew from time to time.
    if known is None or is_near or not 0 <= state.handled_bytes - known.handled_bytes < HOLDS_BYTES:
        known = _counted(state)
    elif now_s - known.at_s >= HOLDS_S:
        _count_behind(state)
    # What went through memory since may be stored already.
    used_bytes = known.used_bytes + state.handled_bytes - known.handled_bytes
    return Room(max(limit_bytes - used_bytes, 0), f"{NO_ROOM}: its limit is {binary(limit_bytes)} (max_bytes in [store])")


def _counted(state: State) -> MeasuredRoom:
    handled_bytes = state.handled_bytes
    state.measured_room = found = MeasuredRoom(monotonic(), handled_bytes, state.bridge.transact_here(totals)[0])
    return found


def _count_behind(state: State) -> None:
    """Counts without anybody waiting for it; where that fails it is tried again with the next question."""
    handled_bytes = state.handled_bytes

    def take(counted: "Future[tuple[int, int, int, int]]") -> None:
        if counted.exception() is None:
            state.measured_room = MeasuredRoom(monotonic(), handled_bytes, counted.result()[0])

    state.bridge.ask(totals).add_done_callback(take)


def _free(state: State) -> Room:
    """What the file system has left. One that does not say how much is not the reason to store nothing."""
    try:
        found = os.statvfs(state.data_dir)
    except OSError:
        return Room(state.capture.max_store_bytes, "")
    keep_bytes = state.capture.min_free_bytes or max(MIN_FREE_BYTES, found.f_blocks * found.f_frsize // MIN_FREE_PART)
    reason = f"{NO_ROOM}: its file system is to keep {binary(keep_bytes)} free (min_free_bytes in [store])"
    return Room(max(found.f_bavail * found.f_frsize - keep_bytes, 0), reason)

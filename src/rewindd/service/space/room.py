"""How much the store may still take in: up to its limit, and never what its file system is to keep free.

Measured at most ten times a second; what went through memory since then counts as stored.
"""

import os
from time import monotonic

from rewindd.model.capture import MIN_FREE_BYTES, MIN_FREE_PART, NO_ROOM, Room, binary
from rewindd.service.space.measured import MeasuredRoom
from rewindd.service.state import State
from rewindd.store.totals import totals

#: A measurement holds for so many seconds, and while no more content than this went through memory.
HOLDS_S = 0.1
HOLDS_BYTES = 16 << 20


def room(state: State) -> Room:
    """Returns how many bytes of content may still be stored. For worker threads: now and then it asks the store's thread.

    Contents count as if none were compressed.

    Raises:
        StoreError: the store failed.
    """
    known = state.measured_room
    if known is None or not _holds(known, state.handled_bytes):
        known = MeasuredRoom(monotonic(), state.handled_bytes, _measure(state))
        state.measured_room = known
    # What went through memory since may be stored already.
    return known.room._replace(bytes=max(known.room.bytes - (state.handled_bytes - known.handled_bytes), 0))


def free(state: State) -> int:
    """Returns how many bytes of the store's file system may still be used, for copies too. For worker threads."""
    return _free(state).bytes


def _holds(known: MeasuredRoom, handled_bytes: int) -> bool:
    """`handled_bytes` begins anew from time to time. Where there was no room, who makes some need not wait."""
    return known.room.bytes > 0 and monotonic() - known.at_s < HOLDS_S and 0 <= handled_bytes - known.handled_bytes < HOLDS_BYTES


def _measure(state: State) -> Room:
    if state.bridge.reserve.is_spent:
        return Room(0, f"{NO_ROOM}: its file system is full")
    limit_bytes = state.capture.max_store_bytes
    used_bytes = state.bridge.transact_here(totals)[0]
    own = Room(max(limit_bytes - used_bytes, 0), f"{NO_ROOM}: its limit is {binary(limit_bytes)} (max_bytes in [store])")
    return min(own, _free(state), key=lambda one: one.bytes)


def _free(state: State) -> Room:
    """What the file system has left. One that does not say how much is not the reason to store nothing."""
    try:
        found = os.statvfs(state.data_dir)
    except OSError:
        return Room(state.capture.max_store_bytes, "")
    keep_bytes = state.capture.min_free_bytes or max(MIN_FREE_BYTES, found.f_blocks * found.f_frsize // MIN_FREE_PART)
    reason = f"{NO_ROOM}: its file system is to keep {binary(keep_bytes)} free (min_free_bytes in [store])"
    return Room(max(found.f_bavail * found.f_frsize - keep_bytes, 0), reason)

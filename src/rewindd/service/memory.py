"""Memory: what a large request needed for a moment is given back, and what stays is not gone through over and over.

glibc keeps what was freed for later, in an arena for each thread (malloc(3)); a daemon that is idle most of the time should not.

Python's collector goes through all that it knows, while every thread waits: 12 ms with 40,000 paths in the indexes, 34 with 100,000.
They hold no cycles and are freed by their counts, so the collector is told to leave them alone (gc.freeze).
"""

import ctypes
import gc
from collections.abc import Iterable

from rewindd.model.index import Index

#: Bytes of content handled since the last time, from which it is worth the few milliseconds that giving back takes.
WORTH_BYTES = 8 << 20

#: Entries that are new to the collector before it is told again: it goes through so many in a millisecond. Beside more, an eighth of all.
NEW_ENTRIES = 4096

_libc = ctypes.CDLL(None)


def give_back() -> None:
    """Returns freed memory to the system, malloc_trim(3). Blocks for milliseconds. Without glibc it does nothing."""
    try:
        _libc.malloc_trim(0)
    except AttributeError:  # musl has no such function, and keeps less
        return


def settle(indexes: Iterable[Index], settled: int) -> int:
    """Tells the collector that what is in memory stays, if the indexes grew since they had `settled` entries; returns how many they had.

    Whatever else is in memory just then is left alone too: of that only a cycle that ends later is lost, hence not each time.
    """
    entries = sum(len(one) for one in indexes)
    if entries <= settled + max(NEW_ENTRIES, settled // 8):
        return settled
    gc.freeze()
    return entries

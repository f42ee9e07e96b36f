"""Memory given back: what a large request needed for a moment is not held for months.

glibc keeps what was freed for later, in an arena for each thread (malloc(3)); a daemon that is idle most of the time should not.
"""

import ctypes

#: Bytes of content handled since the last time, from which it is worth the few milliseconds that giving back takes.
WORTH_BYTES = 8 << 20

_libc = ctypes.CDLL(None)


def give_back() -> None:
    """Returns freed memory to the system, malloc_trim(3). Blocks for milliseconds. Without glibc it does nothing."""
    try:
        _libc.malloc_trim(0)
    except AttributeError:  # musl has no such function, and keeps less
        return

"""Whether the data directory is where a store is safe: not on another machine's file system, and not in memory without a word."""

import ctypes
import logging
import os

from rewindd.errors import BadConfig
from rewindd.model.filesystems import Fitness, fitness

#: struct statfs has 120 bytes on 64-bit Linux; its first word is f_type.
_STATFS_BYTES = 256

_libc = ctypes.CDLL(None, use_errno=True)
_libc.statfs.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
_log = logging.getLogger(__name__)


def check(data_dir: str, *, allows_network: bool) -> None:
    """Looks at the file system of the data directory, or of the nearest directory above that is there; a bad one is told in the log.

    Raises:
        BadConfig: it is another machine's, and that is not allowed: SQLite's locks and syncs cannot be relied on there.
    """
    found, words = fitness(kind_of(data_dir))
    if found is Fitness.REFUSED and not allows_network:
        raise BadConfig(
            f"the data directory {data_dir} is on {words}, and a store may be damaged there; name one on a disk of this machine "
            "(data_dir in [daemon]), or say allow_network_data_dir = true in [daemon] to use it all the same"
        )
    if found is not Fitness.FIT:
        _log.warning("the data directory %s is on %s", data_dir, words)


def kind_of(path: str) -> int:
    """Returns f_type of the file system that holds a path, or would; 0 where it does not say."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if _libc.statfs(os.fsencode(path), buffer) != 0:
        return 0
    return int(ctypes.c_long.from_buffer(buffer).value)

"""Where the errors of SQLite and of the file system become ours: the one place that knows their numbers."""

import errno
import sqlite3

from rewindd.errors import StoreCorrupt, StoreError, StoreFull, StoreIO

#: errno values that mean "no room": the disk's, the user's quota, a file's greatest size (write(2)).
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def is_failing(exc: OSError) -> bool:
    """True where the file system fails, or has no room: not where somebody named a place that cannot be had."""
    return exc.errno in _NO_ROOM or exc.errno in (errno.EIO, errno.EMFILE, errno.ENFILE)


def is_undecodable(exc: sqlite3.Error) -> bool:
    """True where a column's text is no UTF-8: of what is always written as such, a bit was flipped. It comes without a code."""
    return isinstance(exc, sqlite3.OperationalError) and str(exc).startswith("Could not decode to UTF-8")


def translated(exc: sqlite3.Error | OSError, doing: str) -> StoreError:
    """Returns our error for theirs; `doing` says what was tried, as in "committing a transaction"."""
    if isinstance(exc, sqlite3.Error):
        return _of_sqlite(exc, doing)
    if exc.errno in _NO_ROOM:
        return StoreFull(f"{doing}: no room on the store's file system ({exc}); free some space, then try again")
    return StoreIO(f"{doing}: {exc}")


def _of_sqlite(exc: sqlite3.Error, doing: str) -> StoreError:
    # Low byte: the primary result code; the rest says more (https://www.sqlite.org/rescode.html#extrc).
    # Errors of the Python layer (a closed connection, a wrong binding) have no code at all.
    primary = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(f"{doing}: no room for the store ({exc}); free some space, then try again")
    if primary in _DAMAGED or is_undecodable(exc):
        return StoreCorrupt(f"{doing}: store.db is damaged ({exc}); keep a copy of it before anything else")
    return StoreIO(f"{doing}: {exc}")

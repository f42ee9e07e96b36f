"""Where the errors of SQLite and of the file system become ours: the one place that knows their numbers."""

import errno
import sqlite3

from rewindd.errors import StoreCorrupt, StoreError, StoreFull, StoreIO

#: errno values that mean "no room": the disk's, the user's quota, a file's greatest size (write(2)).
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


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
    if primary in _DAMAGED:
        return StoreCorrupt(f"{doing}: store.db is damaged ({exc}); keep a copy of it before anything else")
    return StoreIO(f"{doing}: {exc}")

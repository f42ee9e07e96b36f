"""Contents that somebody put or found there while what nothing names is collected: they may be named by a row that commits later.

A collection begins to note them, waits for who was at it before, and spares what was noted since. In memory: what was under way when
the daemon died commits no row.
"""

import sqlite3
from collections.abc import Iterable


class Noting(sqlite3.Connection):
    """A connection that notes the contents that are put or looked for, while `wanted` is a set. For the store's thread."""

    wanted: set[bytes] | None = None


def note(db: sqlite3.Connection, digests: Iterable[bytes]) -> None:
    """Notes that these contents are wanted, where it is asked for."""
    if isinstance(db, Noting) and db.wanted is not None:
        db.wanted.update(digests)


def begin(db: sqlite3.Connection) -> None:
    """Begins to note, from nothing."""
    if isinstance(db, Noting):
        db.wanted = set()


def end(db: sqlite3.Connection) -> None:
    """Notes nothing any more."""
    if isinstance(db, Noting):
        db.wanted = None


def noted(db: sqlite3.Connection) -> set[bytes]:
    """Returns what was noted; empty where nothing is."""
    return db.wanted or set() if isinstance(db, Noting) else set()

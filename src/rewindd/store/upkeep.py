"""What the daemon does from time to time, and how far it is with it: a value for each such work, whose form is the work's own."""

from rewindd.store.records import Records
from rewindd.store.schema import Connection

_TABLE = Records("upkeep", ("name",), ("value",))


def find(db: Connection, name: str) -> bytes | None:
    """Returns what was noted under a name; None where nothing was, or where it is not as it was written: then it is begun anew."""
    found = _TABLE.sound(db, _value, "WHERE name = ?", (name,))
    return found[0] if found else None


def put(db: Connection, name: str, value: bytes) -> None:
    """Notes a value under a name, in the place of the one before."""
    _TABLE.put(db, [(name, value)])


def drop(db: Connection, name: str) -> None:
    """Forgets what was noted under a name; nothing there is no error."""
    db.execute("DELETE FROM upkeep WHERE name = ?", (name,))


def _value(name: str, value: bytes) -> bytes:
    return value

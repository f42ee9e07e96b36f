"""How much the store holds, counted as it grows: nobody walks a million rows for a `status`."""

from rewindd.store.schema import Connection


def totals(db: Connection) -> tuple[int, int, int, int]:
    """Returns bytes (used pages of the database, and blob files), and the number of blobs, rows of edits, and checkpoints."""
    values: dict[str, int] = dict(db.execute("SELECT name, value FROM totals").fetchall())
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
    used = (pages - free) * page_bytes + values["blob_file_bytes"]
    return used, values["blobs"], values["rows"], values["checkpoints"]


def value(db: Connection, name: str) -> int:
    """Returns one of the counts."""
    (found,) = db.execute("SELECT value FROM totals WHERE name = ?", (name,)).fetchone()
    return int(found)


def add(db: Connection, name: str, more: int) -> None:
    """Counts `more`, in the transaction that adds it."""
    if more:
        db.execute("UPDATE totals SET value = value + ? WHERE name = ?", (more, name))

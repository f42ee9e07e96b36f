"""Is the database sound? SQLite's own quick check, of each table that is small enough to be checked beside requests.

https://www.sqlite.org/pragma.html#pragma_quick_check. A part of that check cannot be broken off (before SQLite 3.41 no progress is told
while it walks a table's pages; 60 MB take it 20 ms when they are in memory), so a table's size is looked at first. Whether contents and
rows are what was written, their checksums say when they are read.
"""

import random
import sqlite3
from time import monotonic

from rewindd.store.schema import Connection

#: Seconds that the part of a check may take that can be broken off.
CHECK_S = 0.02
#: A table with more rows, or more bytes in its blobs, is not checked: some 10 ms.
MOST_ROWS = 10_000
MOST_BYTES = 16 << 20
#: Steps of SQLite's machine between two looks at the clock.
_STEPS = 1000
#: Findings of one table that are told.
MOST = 5
#: Seconds that the look at start takes, of a store of any size, and the rows of a large table that are looked for in it.
START_S = 0.1
PROBES = 50


def tables(db: Connection) -> list[str]:
    """Returns the names of all tables."""
    return [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]


def check(db: Connection, table: str) -> list[str] | None:
    """Returns what is wrong with a table and its indexes, nothing where it is sound; None where it is too large to tell now."""
    until_s = monotonic() + CHECK_S
    db.set_progress_handler(lambda: int(monotonic() > until_s), _STEPS)
    try:
        if not _is_small(db, table):
            return None
        found = [str(text) for (text,) in db.execute(f"PRAGMA quick_check('{table}')").fetchmany(MOST)]
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    except sqlite3.DatabaseError as exc:
        if exc.sqlite_errorcode != sqlite3.SQLITE_CORRUPT:
            raise
        return [f"{table}: {exc}"]
    finally:
        db.set_progress_handler(None, 0)
    return [f"{table}: {text}" for text in found if text != "ok"]


def check_whole(db: Connection) -> list[str] | None:
    """Returns what is wrong with the whole database, its unused pages too, where it has at most `MOST_BYTES`; None where it has more."""
    (pages,), (page_bytes,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA page_size").fetchone()
    if pages * page_bytes > MOST_BYTES:
        return None
    try:
        return [str(text) for (text,) in db.execute(f"PRAGMA quick_check({MOST})") if text != "ok"]
    except sqlite3.DatabaseError as exc:
        if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return [str(exc)]


def at_start(db: Connection) -> list[str]:
    """Returns what is wrong with the database as far as a tenth of a second tells: small tables whole, of large ones some rows.

    Each table is looked into, also when the time is over.
    """
    until_s = monotonic() + START_S
    found: list[str] = []
    try:
        whole = check_whole(db)
        if whole is not None:
            return whole
        for table in tables(db):
            checked = check(db, table) if monotonic() < until_s else None
            found += _probe(db, table) if checked is None else checked
    except sqlite3.DatabaseError as exc:
        found.append(str(exc))
    return found


def _probe(db: Connection, table: str) -> list[str]:
    """Looks for the first row, the last, and some in between, by each of the table's trees: so by all pages near their roots."""
    columns = db.execute(f"PRAGMA table_info('{table}')").fetchall()
    key = [name for at, name in sorted((at, name) for _, name, *_, at in columns if at)]
    orders = [("NOT INDEXED", key)]
    for _, name, _, origin, is_partial in db.execute(f"PRAGMA index_list('{table}')").fetchall():
        if origin != "pk" and not is_partial:
            orders.append((f"INDEXED BY {name}", [column for _, _, column in db.execute(f"PRAGMA index_info({name})")]))
    try:
        for how, order in orders:
            for direction in ("", " DESC"):
                by = ", ".join(f'"{column}"{direction}' for column in order)
                db.execute(f'SELECT * FROM "{table}" {how} ORDER BY {by} LIMIT 1').fetchall()
        if len(key) == 1:
            (first, last) = db.execute(f'SELECT min("{key[0]}"), max("{key[0]}") FROM "{table}"').fetchone()
            for number in random.sample(range(first, last + 1), min(PROBES, last + 1 - first)) if isinstance(first, int) else ():
                db.execute(f'SELECT * FROM "{table}" WHERE "{key[0]}" >= ? LIMIT 1', (number,)).fetchall()
    except sqlite3.DatabaseError as exc:
        return [f"{table}: {exc}"]
    return []


def _is_small(db: Connection, table: str) -> bool:
    """The length of a blob is in its row's first page: no content is read for it."""
    blobs = [name for _, name, kind, *_ in db.execute(f"PRAGMA table_info('{table}')") if kind == "BLOB"]
    lengths = " + ".join(f'coalesce(length("{name}"), 0)' for name in blobs) or "0"
    rows = size_bytes = 0
    for (length,) in db.execute(f'SELECT {lengths} FROM "{table}" LIMIT {MOST_ROWS + 1}'):
        rows, size_bytes = rows + 1, size_bytes + length
        if size_bytes > MOST_BYTES:
            return False
    return rows <= MOST_ROWS

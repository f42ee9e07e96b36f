"""All that the store has of a workspace, or what was said in a session, out of it: a page in a transaction.

Contents are not touched: those that nothing names any more are collected after it.
"""

from collections.abc import Sequence

from rewindd.faults import effect
from rewindd.model.ids import SessionId, WorkspaceId
from rewindd.store import totals
from rewindd.store.records import in_parts
from rewindd.store.schema import Connection

#: Rows that go in one transaction, and events that are looked at in one.
PAGE_ROWS = 500
PAGE_EVENTS = 2000

#: The tables that name a workspace by its number, with their keys; what names rows of others first.
_BY_NUMBER = {
    "toggles": ("workspace", "row", "at"),
    "edits": ("workspace", "seq"),
    "heads": ("workspace", "seq"),
    "stretches": ("workspace", "first"),
    "known": ("workspace", "path"),
    "left_out": ("workspace", "path"),
    "claims": ("workspace", "path", "session", "bracket"),
    "stakes": ("workspace", "session", "path"),
    "former_stakes": ("workspace", "path", "session"),
    "cursors": ("workspace", "session"),
    "checkpoints": ("number",),
}
_OF_OPERATIONS = ("operation_heads", "steps")
_COUNTED = {"edits": "rows", "checkpoints": "checkpoints"}


def page_of_workspace(db: Connection, workspace: WorkspaceId) -> int:
    """Forgets a page of what names the workspace, but for its sessions; returns how many rows that were, 0: nothing is left."""
    found: tuple[int] | None = db.execute("SELECT number FROM workspaces WHERE id = ?", (workspace,)).fetchone()
    if found is None:
        return 0
    for table, key in _BY_NUMBER.items():
        keys = ", ".join(key)
        some = f"SELECT {keys} FROM {table} WHERE workspace = ? LIMIT {PAGE_ROWS}"
        gone = db.execute(f"DELETE FROM {table} WHERE ({keys}) IN ({some})", found).rowcount
        if gone:
            totals.add(db, _COUNTED[table], -gone) if table in _COUNTED else None
            return gone
    ids = [id_ for (id_,) in db.execute(f"SELECT id FROM operations WHERE workspace = ? LIMIT {PAGE_ROWS}", (workspace,))]
    for part, marks in in_parts(ids):
        for table in _OF_OPERATIONS:
            db.execute(f"DELETE FROM {table} WHERE operation IN ({marks})", part)
        db.execute(f"DELETE FROM operations WHERE id IN ({marks})", part)
    if ids:
        return len(ids)
    some = f"SELECT number FROM barriers WHERE workspace = ? LIMIT {PAGE_ROWS}"
    return db.execute(f"DELETE FROM barriers WHERE number IN ({some})", (workspace,)).rowcount


def counts(db: Connection, id: WorkspaceId) -> tuple[int, int, int]:  # noqa: A002 - the word of the domain
    """Returns how many checkpoints, rows of its log and operations a workspace has."""
    number = "(SELECT number FROM workspaces WHERE id = :id)"
    query = f"""SELECT (SELECT count(*) FROM checkpoints WHERE workspace = {number}),
        (SELECT count(*) FROM edits WHERE workspace = {number}),
        (SELECT count(*) FROM operations WHERE workspace = :id)"""
    found: tuple[int, int, int] = db.execute(query, {"id": id}).fetchone()
    return found


def last_used(db: Connection, id: WorkspaceId) -> tuple[int, bool] | None:  # noqa: A002
    """Returns when a session of a workspace, or the workspace itself, last did something, wall clock; and whether it has a label.

    None where there is no such workspace.
    """
    query = """SELECT max(added_at_ns, coalesce((SELECT max(max(last_seen_at_ns, opened_at_ns)) FROM sessions WHERE workspace = :id), 0)),
        EXISTS (SELECT 1 FROM checkpoints WHERE workspace = number AND label IS NOT NULL AND automatic = 0)
        FROM workspaces WHERE id = :id"""
    found: tuple[int, int] | None = db.execute(query, {"id": id}).fetchone()
    return (found[0], bool(found[1])) if found is not None else None


def sessions_of(db: Connection, workspace: WorkspaceId) -> list[tuple[int, SessionId]]:
    """Returns the sessions of a workspace, with their numbers, newest first."""
    found = db.execute("SELECT number, id FROM sessions WHERE workspace = ? ORDER BY number DESC", (workspace,))
    return [(number, SessionId(id_)) for number, id_ in found]


def events_page(db: Connection, numbers: Sequence[int], after: int) -> int | None:
    """Forgets what was said in sessions, given by their numbers, in a page of the events behind `after`; returns where the next begins."""
    last: tuple[int | None] = db.execute(
        f"SELECT max(id) FROM (SELECT id FROM events WHERE id > ? ORDER BY id LIMIT {PAGE_EVENTS})", (after,)
    ).fetchone()
    if last[0] is None:
        return None
    for part, marks in in_parts(numbers):
        db.execute(f"DELETE FROM events WHERE id > ? AND id <= ? AND session IN ({marks})", (after, last[0], *part))
    return last[0]


def numbers_of(db: Connection, session: SessionId) -> list[int]:
    """Returns the numbers of a session's checkpoints."""
    query = "SELECT number FROM checkpoints WHERE session = (SELECT number FROM sessions WHERE id = ?) ORDER BY number"
    return [number for (number,) in db.execute(query, (session,))]


def count_events(db: Connection, number: int) -> int:
    """Returns how much was said in a session, given by its number."""
    (count,) = db.execute("SELECT count(*) FROM events WHERE session = ?", (number,)).fetchone()
    return int(count)


def secure(db: Connection, *, on: bool) -> None:
    """From now on what is deleted is overwritten, on pages that are not written otherwise, too (pragma.html#pragma_secure_delete)."""
    db.execute(f"PRAGMA secure_delete = {'ON' if on else 'FAST'}").fetchall()


def into_database(db: Connection) -> None:
    """Brings the write-ahead log into the database, and leaves nothing in it. Only in a bulk function, which runs alone.

    That cannot be done in a transaction: the one that this runs in is ended for it, and another one begun.
    """
    db.execute("RELEASE job")
    db.execute("COMMIT")
    try:
        effect("store.checkpoint")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        db.execute("BEGIN IMMEDIATE")
        db.execute("SAVEPOINT job")


def session(db: Connection, number: int) -> None:
    """Forgets a session of which nothing is left but itself."""
    db.execute("DELETE FROM sessions WHERE number = ?", (number,))


def workspace(db: Connection, id: WorkspaceId) -> None:  # noqa: A002 - the word of the domain
    """Forgets a workspace of which nothing is left but itself, and the grants for it."""
    db.execute("DELETE FROM grants WHERE workspace = ?", (id,))
    db.execute("DELETE FROM workspaces WHERE id = ?", (id,))

"""Git's HEAD by position: a row where it was first seen, one wherever it moved since, and one where a first capture was complete."""

from rewindd.model.githead import GitHead
from rewindd.model.ids import WorkspaceId
from rewindd.store.records import Records
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

_TABLE = Records("heads", ("workspace", "seq"), ("head", "at_ns"))


def add(db: Connection, workspace: WorkspaceId, seq: int, head: GitHead, at_ns: int) -> None:
    """Records what HEAD is from a position on; 0 for the first. `at_ns`: wall-clock time."""
    _TABLE.insert(db, [(number_of(db, workspace), seq, head.head, at_ns)])


def mark(db: Connection, workspace: WorkspaceId, seq: int, head: GitHead, at_ns: int) -> None:
    """Records the time of a position that no row of the log tells of, with what HEAD is there; nothing where a row here tells of it."""
    number = number_of(db, workspace)
    if db.execute("SELECT 1 FROM heads WHERE workspace = ? AND seq = ?", (number, seq)).fetchone() is None:
        _TABLE.insert(db, [(number, seq, head.head, at_ns)])


def at(db: Connection, workspace: WorkspaceId, position: int) -> GitHead | None:
    """Returns what HEAD was at a position; None where it was never looked at."""
    return _TABLE.find(db, _head, "WHERE workspace = ? AND seq <= ? ORDER BY seq DESC", (number_of(db, workspace), position))


def last(db: Connection, workspace: WorkspaceId) -> tuple[int | None, GitHead] | None:
    """Returns what HEAD was when it was last looked at, and since which position; None where it never was.

    One that is damaged says nothing of HEAD, and not since when.
    """
    number = number_of(db, workspace)
    found = _TABLE.sound(db, _since, "WHERE workspace = ? ORDER BY seq DESC LIMIT 1", (number,))
    if found:
        return found[0]
    is_damaged = db.execute("SELECT 1 FROM heads WHERE workspace = ? LIMIT 1", (number,)).fetchone() is not None
    return (None, GitHead(None)) if is_damaged else None


def position_at(db: Connection, workspace: WorkspaceId, at_ns: int) -> int:
    """Returns the last position here that is not newer than the time; 0 if there is none."""
    clause = "WHERE workspace = ? AND at_ns <= ? ORDER BY seq DESC"
    return _TABLE.find(db, _seq, clause, (number_of(db, workspace), at_ns)) or 0


def cut(db: Connection, workspace: WorkspaceId, position: int) -> int:
    """Forgets what HEAD was before the last move up to a position; returns how many rows went."""
    number = number_of(db, workspace)
    last = "SELECT max(seq) FROM heads WHERE workspace = ? AND seq <= ?"
    return db.execute(f"DELETE FROM heads WHERE workspace = ? AND seq < ({last})", (number, number, position)).rowcount


def _head(workspace: int, seq: int, head: str | None, at_ns: int) -> GitHead:
    return GitHead(head)


def _since(workspace: int, seq: int, head: str | None, at_ns: int) -> tuple[int, GitHead]:
    return seq, GitHead(head)


def _seq(workspace: int, seq: int, head: str | None, at_ns: int) -> int:
    return seq

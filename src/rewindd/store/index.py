"""The index: the last known version of every path, and the names that the rules leave out."""

from collections.abc import Iterable

from rewindd.model.ids import WorkspaceId
from rewindd.model.log import IndexEntry
from rewindd.paths import RelPath
from rewindd.store.codec import path_of, path_to_bytes, signature_of, signature_to_bytes, version_of, version_to_bytes
from rewindd.store.records import Records
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

_TABLE = Records("known", ("workspace", "path"), ("version", "signature", "since", "covered"))


def load(db: Connection, workspace: WorkspaceId) -> list[IndexEntry]:
    """Returns the whole index, by path as bytes."""
    return _TABLE.select(db, _entry, "WHERE workspace = ? ORDER BY path", (number_of(db, workspace),))


def put(db: Connection, workspace: WorkspaceId, entries: Iterable[IndexEntry]) -> None:
    """Adds or replaces the entries of these paths."""
    number = number_of(db, workspace)
    rows = (
        (number, path_to_bytes(e.path), version_to_bytes(e.version), signature_to_bytes(e.signature), e.since, e.covered) for e in entries
    )
    _TABLE.put(db, rows)


def remove(db: Connection, workspace: WorkspaceId, paths: Iterable[RelPath]) -> None:
    """Forgets these paths; one that is not there is no error."""
    number = number_of(db, workspace)
    db.executemany("DELETE FROM known WHERE workspace = ? AND path = ?", ((number, path_to_bytes(path)) for path in paths))


def left_out(db: Connection, workspace: WorkspaceId) -> set[RelPath]:
    """Returns the names that the rules left out when their directory was looked at."""
    found = db.execute("SELECT path FROM left_out WHERE workspace = ?", (number_of(db, workspace),))
    return {path_of(path) for (path,) in found}


def leave_out(db: Connection, workspace: WorkspaceId, paths: Iterable[RelPath]) -> None:
    """Notes names that the rules leave out."""
    number = number_of(db, workspace)
    db.executemany("INSERT OR IGNORE INTO left_out VALUES (?, ?)", ((number, path_to_bytes(path)) for path in paths))


def let_in(db: Connection, workspace: WorkspaceId, paths: Iterable[RelPath]) -> None:
    """Strikes names from what is left out; one that is not there is no error."""
    number = number_of(db, workspace)
    db.executemany("DELETE FROM left_out WHERE workspace = ? AND path = ?", ((number, path_to_bytes(path)) for path in paths))


def _entry(workspace: int, path: bytes, version: bytes, signature: bytes | None, since: int, covered: int | None) -> IndexEntry:
    return IndexEntry(path=path_of(path), version=version_of(version), signature=signature_of(signature), since=since, covered=covered)

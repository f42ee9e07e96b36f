"""The index: the last known version of every path, and the names that the rules leave out."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rewindd.model.ids import WorkspaceId
from rewindd.model.log import IndexEntry
from rewindd.paths import RelPath
from rewindd.store.codec import path_of, path_to_bytes, signature_of, signature_to_bytes, version_of, version_to_bytes
from rewindd.store.records import Records, is_sound
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

_TABLE = Records("known", ("workspace", "path"), ("version", "signature", "since", "covered"))


def load(db: Connection, workspace: WorkspaceId) -> list[IndexEntry]:
    """Returns the whole index, by path as bytes."""
    return _TABLE.select(db, _entry, "WHERE workspace = ? ORDER BY path", (number_of(db, workspace),))


class SoundPage(NamedTuple):
    """A page of the index without entries that are damaged. `last`: the path that the next page follows; None: this was the last.

    `is_damaged`: there was such an entry, so a path that is not in the index may have been there all the same.
    """

    entries: list[IndexEntry]
    last: RelPath | None
    is_damaged: bool


def sound(db: Connection, workspace: WorkspaceId, after: RelPath | None, limit: int) -> SoundPage:
    """Returns the `limit` entries whose paths follow `after` (None: the first); those that are damaged are left out and logged."""
    number, start = number_of(db, workspace), b"" if after is None else path_to_bytes(after)
    # Not only this workspace's: a row whose key was hit is out of order, and a search by that key would end there.
    rows = _TABLE.unchecked(db, "WHERE (workspace, path) > (?, ?) ORDER BY workspace, path LIMIT ?", (number, start, limit))
    entries: list[IndexEntry] = []
    is_damaged = False
    for row in rows:
        if not is_sound(row):
            _TABLE.tell(row)
            is_damaged = True
        elif row[0] != number:
            return SoundPage(entries, None, is_damaged)
        else:
            entries.append(_entry(*row[:-1]))  # type: ignore[arg-type]  # its checksum says that it is what was written
    return SoundPage(entries, entries[-1].path if entries and len(rows) == limit else None, is_damaged)


def page(db: Connection, workspace: WorkspaceId, after: RelPath | None, limit: int) -> list[IndexEntry]:
    """Returns the `limit` entries whose paths follow `after` (None: the first), by path as bytes."""
    start = b"" if after is None else path_to_bytes(after)
    return _TABLE.select(db, _entry, "WHERE workspace = ? AND path > ? ORDER BY path LIMIT ?", (number_of(db, workspace), start, limit))


def find(db: Connection, workspace: WorkspaceId, path: RelPath) -> IndexEntry | None:
    """Returns the entry of a path."""
    return _TABLE.find(db, _entry, "WHERE workspace = ? AND path = ?", (number_of(db, workspace), path_to_bytes(path)))


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


def left_out(db: Connection, workspace: WorkspaceId) -> dict[RelPath, str]:
    """Returns the names that rules and limits left out when their directory was looked at, with the reason of each."""
    found = db.execute("SELECT path, reason FROM left_out WHERE workspace = ? ORDER BY path", (number_of(db, workspace),))
    return {path_of(path): reason for path, reason in found}


def leave_out(db: Connection, workspace: WorkspaceId, reasons: Mapping[RelPath, str]) -> None:
    """Notes names that are left out, and why."""
    number = number_of(db, workspace)
    rows = ((number, path_to_bytes(path), reason) for path, reason in reasons.items())
    db.executemany("INSERT OR REPLACE INTO left_out VALUES (?, ?, ?)", rows)


def let_in(db: Connection, workspace: WorkspaceId, paths: Iterable[RelPath]) -> None:
    """Strikes names from what is left out; one that is not there is no error."""
    number = number_of(db, workspace)
    db.executemany("DELETE FROM left_out WHERE workspace = ? AND path = ?", ((number, path_to_bytes(path)) for path in paths))


def _entry(workspace: int, path: bytes, version: bytes, signature: bytes | None, since: int, covered: int | None) -> IndexEntry:
    return IndexEntry(path=path_of(path), version=version_of(version), signature=signature_of(signature), since=since, covered=covered)

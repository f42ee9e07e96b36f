"""What takes how much: contents by workspace and path, a page of the rows that name them at a time."""

from collections.abc import Sequence
from typing import NamedTuple

from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.store.codec import path_of, version_of
from rewindd.store.schema import Connection

PAGE_ROWS = 1000
#: The tables, with what is behind the workspace in their keys, and the version that counts.
_TABLES = {"known": ("path", "version"), "edits": ("seq", "after")}
TABLES = tuple(_TABLES)


class Use(NamedTuple):
    """A version of a path: the number of its workspace, its digest, its size in bytes."""

    workspace: int
    path: RelPath
    digest: bytes
    size: int


def page(db: Connection, table: str, after: tuple[int, bytes | int] | None) -> tuple[tuple[int, bytes | int] | None, Sequence[Use]]:
    """Returns the files' versions of a page of rows behind `after`, and where the next page begins; None behind the last."""
    key, version = _TABLES[table]
    where = f"WHERE (workspace, {key}) > (?, ?)" if after is not None else ""
    rows = db.execute(
        f"SELECT workspace, {key}, path, {version} FROM {table} NOT INDEXED {where} ORDER BY workspace, {key} LIMIT {PAGE_ROWS}",
        after or (),
    ).fetchall()
    versions = ((workspace, path, version_of(stored)) for workspace, _, path, stored in rows)
    found = [Use(workspace, path_of(path), one.digest, one.size) for workspace, path, one in versions if isinstance(one, File)]
    return (rows[-1][0], rows[-1][1]) if len(rows) == PAGE_ROWS else None, found

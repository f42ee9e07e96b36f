"""Renames found in the log: where a file that somebody made was before."""

from collections.abc import Iterable
from functools import partial

from rewindd.model.log import Row
from rewindd.paths import RelPath
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import edits
from rewindd.store.database import Connection
from rewindd.timeline import renames

#: Renames that one answer goes back through, and files made at one path for which it looks for one.
MAX_RENAMES = 16
#: Positions on each side that are looked through in one transaction, and how often, further away each time: both halves of a rename are in
#: one look at the tree, and a directory of so many files may have been renamed in it.
REACH = 1_000
PARTS = 6


async def origins(state: State, tree: Tree, rows: Iterable[Row]) -> dict[int, Row]:
    """Returns, by the position of each row that made a file, the deletion that it came from; not of those that came from none."""
    made = [row for row in rows if renames.is_made(row)][-MAX_RENAMES:]
    found = {row.seq: await _origin(state, tree, row) for row in made}
    return {seq: gone for seq, gone in found.items() if gone is not None}


async def followed(state: State, tree: Tree, path: RelPath, rows: list[Row], limit: int | None) -> list[Row]:
    """Returns rows of a path, and those of the paths that its file had before it was renamed, up to then; the newest `limit` of all."""
    known = {row.seq: row for row in rows}
    behind = [row for row in rows if row.path == path]
    for _ in range(MAX_RENAMES):
        found = await origins(state, tree, behind)
        behind = []
        for gone in found.values():
            read = partial(_rows, tree=tree, gone=gone, limit=-1 if limit is None else limit)
            behind += [row for row in await state.bridge.transact(read, bulk=True) if row.seq not in known]
            known |= {row.seq: row for row in behind}
        if not behind:
            break
    newest = [known[seq] for seq in sorted(known)]
    return newest if limit is None else newest[-limit:]


async def _origin(state: State, tree: Tree, made: Row) -> Row | None:
    for part in range(PARTS):
        found = renames.origin(made, await state.bridge.transact(partial(_gone, tree=tree, made=made, part=part), bulk=True))
        if found is not None:
            return found
    return None


def _gone(db: Connection, tree: Tree, made: Row, part: int) -> list[Row]:
    starts = made.seq - (part + 1) * REACH, made.seq + part * REACH
    return [row for after in starts for row in edits.gone(db, tree.workspace.id, made.after, after, after + REACH)]


def _rows(db: Connection, tree: Tree, gone: Row, limit: int) -> list[Row]:
    workspace = tree.workspace.id
    return edits.at(db, workspace, edits.newest_of(db, workspace, gone.path, gone.seq, limit))

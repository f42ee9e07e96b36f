"""Workspaces: where they are, and the one sequence of numbers that positions in their logs come from."""

import os
from typing import Any, NamedTuple

from rewindd.errors import UnknownWorkspace
from rewindd.model.ids import WorkspaceId
from rewindd.model.session import Baseline, Workspace
from rewindd.store.codec import place_of, place_to_bytes
from rewindd.store.records import Records, named
from rewindd.store.schema import Connection

_TABLE = Records("workspaces", ("number",), ("id", "root", "place", "added_at_ns", "position", "baseline", "replaced"))


class _Row(NamedTuple):
    """A row as it is stored."""

    number: int
    id: str
    root: bytes
    place: bytes
    added_at_ns: int
    position: int
    baseline: int
    replaced: int


def add(db: Connection, workspace: Workspace, at_ns: int) -> None:
    """Adds a workspace with an empty log; `at_ns` is wall-clock time."""
    (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM workspaces").fetchone()
    place = place_to_bytes(workspace.device, workspace.inode, workspace.born_ns)
    _TABLE.insert(db, [_Row(number, workspace.id, os.fsencode(workspace.root), place, at_ns, 0, workspace.baseline, 0)])


def find(db: Connection, id: WorkspaceId) -> Workspace | None:  # noqa: A002 - the word of the domain
    """Returns the workspace with that id."""
    return _TABLE.find(db, _workspace, "WHERE id = ?", (id,))


def all_of(db: Connection) -> list[Workspace]:
    """Returns all workspaces, in the order in which they were added; not one whose row is damaged, which must not keep others away."""
    return _TABLE.sound(db, _workspace, "ORDER BY number")


def ids_by_number(db: Connection) -> dict[int, WorkspaceId]:
    """Returns the ids of all workspaces by the numbers that the larger tables know them by."""
    return {number: WorkspaceId(id_) for number, id_ in named(db, "SELECT number, id FROM workspaces")}


def move(db: Connection, id: WorkspaceId, root: str) -> None:  # noqa: A002
    """Says where the workspace's root is now; it is the same directory, and found by that path. Raises UnknownWorkspace."""
    _TABLE.put(db, [_row(db, id)._replace(root=os.fsencode(root), replaced=0)])


def place(db: Connection, id: WorkspaceId, device: int, inode: int, born_ns: int) -> None:  # noqa: A002
    """Says that another directory is the workspace's root now, at the same path. Raises UnknownWorkspace."""
    _TABLE.put(db, [_row(db, id)._replace(place=place_to_bytes(device, inode, born_ns))])


def displace(db: Connection, id: WorkspaceId) -> None:  # noqa: A002
    """Says that another workspace has its path now. Raises UnknownWorkspace."""
    _TABLE.put(db, [_row(db, id)._replace(replaced=1)])


def has_history(db: Connection, id: WorkspaceId) -> bool:  # noqa: A002
    """Returns whether the workspace has a position to go back to: a checkpoint, or a row of its log. Raises UnknownWorkspace."""
    number = number_of(db, id)
    query = "SELECT EXISTS (SELECT 1 FROM edits WHERE workspace = ?) OR EXISTS (SELECT 1 FROM checkpoints WHERE workspace = ?)"
    (found,) = db.execute(query, (number, number)).fetchone()
    return bool(found)


def captured(db: Connection, id: WorkspaceId, baseline: Baseline) -> None:  # noqa: A002
    """Says how far the first capture of the whole workspace is. Raises UnknownWorkspace."""
    _TABLE.put(db, [_row(db, id)._replace(baseline=int(baseline))])


def position(db: Connection, id: WorkspaceId) -> int:  # noqa: A002
    """Returns the log's last allotted number; 0 when there is none. Raises UnknownWorkspace."""
    return _row(db, id).position


def allot(db: Connection, id: WorkspaceId, count: int) -> int:  # noqa: A002
    """Returns the first of `count` new consecutive numbers of the log. Raises UnknownWorkspace."""
    row = _row(db, id)
    _TABLE.put(db, [row._replace(position=row.position + count)])
    return row.position + 1


def number_of(db: Connection, id: WorkspaceId) -> int:  # noqa: A002
    """Returns the number by which the larger tables know it. Raises UnknownWorkspace."""
    found: tuple[int] | None = db.execute("SELECT number FROM workspaces WHERE id = ?", (id,)).fetchone()
    if found is None:
        raise UnknownWorkspace(f"no workspace {id!r}; `rewindctl status` lists them")
    return found[0]


def _row(db: Connection, id_: WorkspaceId) -> _Row:
    found = _TABLE.find(db, _Row, "WHERE id = ?", (id_,))
    if found is None:
        raise UnknownWorkspace(f"no workspace {id_!r}; `rewindctl status` lists them")
    return found


def _workspace(*columns: Any) -> Workspace:
    row = _Row(*columns)
    device, inode, born_ns = place_of(row.place)
    return Workspace(
        id=WorkspaceId(row.id),
        root=os.fsdecode(row.root),
        device=device,
        inode=inode,
        born_ns=born_ns,
        baseline=Baseline(row.baseline),
        replaced=bool(row.replaced),
    )

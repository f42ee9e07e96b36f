"""Workspaces: where they are, and the one sequence of numbers that positions in their logs come from."""

import os

from rewindd.errors import UnknownWorkspace
from rewindd.model.ids import WorkspaceId
from rewindd.model.session import Workspace
from rewindd.store.codec import place_of, place_to_bytes
from rewindd.store.records import Field, Records
from rewindd.store.schema import Connection

_TABLE = Records("workspaces", ("number",), ("id", "root", "place", "added_at_ns", "position"))


def add(db: Connection, workspace: Workspace, at_ns: int) -> None:
    """Adds a workspace with an empty log; `at_ns` is wall-clock time."""
    (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM workspaces").fetchone()
    place = place_to_bytes(workspace.device, workspace.inode, workspace.born_ns)
    _TABLE.insert(db, [(number, workspace.id, os.fsencode(workspace.root), place, at_ns, 0)])


def find(db: Connection, id: WorkspaceId) -> Workspace | None:  # noqa: A002 - the word of the domain
    """Returns the workspace with that id."""
    return _TABLE.find(db, _workspace, "WHERE id = ?", (id,))


def all_of(db: Connection) -> list[Workspace]:
    """Returns all workspaces, in the order in which they were added."""
    return _TABLE.select(db, _workspace, "ORDER BY number")


def move(db: Connection, id: WorkspaceId, root: str) -> None:  # noqa: A002
    """Says where the workspace's root is now; it is the same directory. Raises UnknownWorkspace."""
    number, _, place, added_at_ns, position_ = _row(db, id)
    _TABLE.put(db, [(number, id, os.fsencode(root), place, added_at_ns, position_)])


def position(db: Connection, id: WorkspaceId) -> int:  # noqa: A002
    """Returns the log's last allotted number; 0 when there is none. Raises UnknownWorkspace."""
    return _row(db, id)[4]


def allot(db: Connection, id: WorkspaceId, count: int) -> int:  # noqa: A002
    """Returns the first of `count` new consecutive numbers of the log. Raises UnknownWorkspace."""
    number, root, place, added_at_ns, last = _row(db, id)
    _TABLE.put(db, [(number, id, root, place, added_at_ns, last + count)])
    return last + 1


def number_of(db: Connection, id: WorkspaceId) -> int:  # noqa: A002
    """Returns the number by which the larger tables know it. Raises UnknownWorkspace."""
    found: tuple[int] | None = db.execute("SELECT number FROM workspaces WHERE id = ?", (id,)).fetchone()
    if found is None:
        raise UnknownWorkspace(f"no workspace {id!r}; `rewindctl status` lists them")
    return found[0]


def _row(db: Connection, id_: WorkspaceId) -> tuple[int, bytes, bytes, int, int]:
    found = _TABLE.find(db, _fields, "WHERE id = ?", (id_,))
    if found is None:
        raise UnknownWorkspace(f"no workspace {id_!r}; `rewindctl status` lists them")
    return found


def _fields(number: int, id_: str, root: bytes, place: bytes, added_at_ns: int, position_: int) -> tuple[int, bytes, bytes, int, int]:
    return number, root, place, added_at_ns, position_


def _workspace(number: int, id_: str, root: bytes, place: bytes, *rest: Field) -> Workspace:
    device, inode, born_ns = place_of(place)
    return Workspace(id=WorkspaceId(id_), root=os.fsdecode(root), device=device, inode=inode, born_ns=born_ns)

"""Barriers: a row for the point, and the checkpoints that name it (`checkpoints`), one for each session that was open then."""

from collections.abc import Iterable
from dataclasses import replace

from rewindd.errors import StoreCorrupt
from rewindd.model.ids import BarrierId, WorkspaceId
from rewindd.model.session import Barrier
from rewindd.store import checkpoints
from rewindd.store.codec import missing_of, missing_to_bytes
from rewindd.store.records import Field, Records, in_parts
from rewindd.store.schema import Connection

_TABLE = Records("barriers", ("number",), ("id", "workspace", "label", "seq", "created_at_ns", "incomplete", "members"))


def add(db: Connection, barrier: Barrier) -> None:
    """Adds a barrier; its id is free, and its checkpoints are added by the caller, in the same transaction."""
    b = barrier
    (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM barriers").fetchone()
    _TABLE.insert(db, [(number, b.id, b.workspace, b.label, b.seq, b.created_at_ns, missing_to_bytes(b.incomplete), len(b.members))])


def find(db: Connection, workspace: WorkspaceId, id: BarrierId) -> Barrier | None:  # noqa: A002 - the word of the domain
    """Returns the workspace's barrier of that id. Raises StoreCorrupt where it is not whole any more."""
    found = _select(db, "WHERE workspace = ? AND id = ?", (workspace, id))
    return found[0] if found else None


def with_label(db: Connection, workspace: WorkspaceId, label: str) -> list[Barrier]:
    """Returns the workspace's barriers of that label, in order of creation. Raises StoreCorrupt where one is not whole."""
    return _select(db, "WHERE workspace = ? AND label = ? ORDER BY number", (workspace, label))


def with_prefix(db: Connection, workspace: WorkspaceId, prefix: str, limit: int = 10) -> list[Barrier]:
    """Returns at most `limit` of the workspace's barriers whose id starts with `prefix`, by id. Raises StoreCorrupt: one is not whole."""
    # Ids are ASCII: DEL is behind them all, so this is a range of the index.
    clause = "WHERE id >= ? AND id < ? || char(127) AND workspace = ? ORDER BY id LIMIT ?"
    return _select(db, clause, (prefix, prefix, workspace, limit))


def of_workspace(db: Connection, workspace: WorkspaceId, limit: int | None = None) -> list[Barrier]:
    """Returns the newest `limit` barriers of a workspace (None: all), in order of creation. Raises StoreCorrupt where one is not whole."""
    return _select(db, "WHERE workspace = ? ORDER BY number DESC LIMIT ?", (workspace, -1 if limit is None else limit))[::-1]


def drop(db: Connection, ids: Iterable[BarrierId]) -> None:
    """Forgets barriers; their checkpoints are the caller's."""
    for part, marks in in_parts(sorted(set(ids))):
        db.execute(f"DELETE FROM barriers WHERE id IN ({marks})", part)


def _select(db: Connection, clause: str, parameters: tuple[Field, ...]) -> list[Barrier]:
    return [_whole(db, *row) for row in _TABLE.select(db, _row, clause, parameters)]


def _whole(db: Connection, barrier: Barrier, members: int) -> Barrier:
    """The barrier with its members: all of them, or it is none."""
    found = checkpoints.of_barrier(db, barrier.workspace, barrier.id)
    if len(found) != members:
        raise StoreCorrupt(
            f"barriers, row id {barrier.id}: {len(found)} of its {members} checkpoints are there; keep a copy of store.db",
            table="barriers",
            row=barrier.id,
        )
    return replace(barrier, members={one.session: one.id for one in found})


def _row(
    number: int, id_: str, workspace: str, label: str | None, seq: int, created_at_ns: int, incomplete: bytes | None, members: int
) -> tuple[Barrier, int]:
    barrier = Barrier(
        id=BarrierId(id_),
        workspace=WorkspaceId(workspace),
        label=label,
        seq=seq,
        created_at_ns=created_at_ns,
        incomplete=missing_of(incomplete),
        members={},
    )
    return barrier, members

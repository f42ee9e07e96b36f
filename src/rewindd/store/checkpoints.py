"""Checkpoints: small immutable rows. Numbers stand for sessions and workspaces in them, to keep a save below 1 KiB."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rewindd.model.ids import BarrierId, CheckpointId, EventId, SessionId, WorkspaceId
from rewindd.model.session import Checkpoint, Missing
from rewindd.store import sessions, totals, workspaces
from rewindd.store.codec import missing_of, missing_to_bytes, stats_of, stats_to_bytes
from rewindd.store.records import Field, Records, in_parts
from rewindd.store.schema import Connection

#: As large as the number of any checkpoint: SQLite's largest (https://www.sqlite.org/datatype3.html).
NEWEST = (1 << 63) - 1

_TABLE = Records(
    "checkpoints",
    ("number",),
    (
        *("uid", "id", "session", "workspace", "label", "parent", "base_seq", "seq", "event", "stats", "created_at_ns"),
        *("automatic", "files", "insertions", "deletions", "incomplete", "barrier"),
    ),
)


def add(db: Connection, workspace: WorkspaceId, checkpoint: Checkpoint) -> None:
    """Adds a checkpoint; its id is free in its session.

    Raises:
        UnknownWorkspace: there is no such workspace.
        UnknownSession: there is no such session.
    """
    (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM checkpoints").fetchone()
    _TABLE.insert(db, [_fields(db, number, workspaces.number_of(db, workspace), checkpoint)])
    totals.add(db, "checkpoints", 1)


def find(db: Connection, session: SessionId, id: CheckpointId) -> Checkpoint | None:  # noqa: A002 - the word of the domain
    """Returns the session's checkpoint of that id. Raises UnknownSession."""
    found = _of_session(db, session, "AND id = :id", id=id)
    return found[0] if found else None


def number_of(db: Connection, session: SessionId, id: CheckpointId) -> int | None:  # noqa: A002
    """Returns the number of the session's checkpoint of that id: those of all sessions are in order of creation. Raises UnknownSession."""
    found: tuple[int] | None = db.execute(
        "SELECT number FROM checkpoints WHERE session = ? AND id = ?", (sessions.number_of(db, session), id)
    ).fetchone()
    return found[0] if found is not None else None


def first_at(db: Connection, session: SessionId, seq: int) -> Checkpoint | None:
    """Returns the session's first checkpoint at position `seq` or after it. Raises UnknownSession."""
    found = _of_session(db, session, "AND seq >= :seq ORDER BY seq, number LIMIT 1", seq=seq)
    return found[0] if found else None


def after(db: Connection, session: SessionId, seq: int) -> list[Checkpoint]:
    """Returns the session's checkpoints at position `seq` or after it, by position, but for damaged ones. Raises UnknownSession."""
    return _listed(db, session, "AND seq >= :seq ORDER BY seq, number", seq=seq)


def with_label(db: Connection, session: SessionId, label: str) -> list[Checkpoint]:
    """Returns the session's checkpoints of that label, in order of creation. Raises UnknownSession."""
    return _of_session(db, session, "AND label = :label ORDER BY number", label=label)


def with_prefix(db: Connection, session: SessionId, prefix: str, limit: int = 10) -> list[Checkpoint]:
    """Returns at most `limit` of the session's checkpoints whose id starts with `prefix`, by id. Raises UnknownSession."""
    # Ids are ASCII: DEL is behind them all, so this is a range of the index.
    clause = "AND id >= :prefix AND id < :prefix || char(127) ORDER BY id LIMIT :limit"
    return _of_session(db, session, clause, prefix=prefix, limit=limit)


def of_session(db: Connection, session: SessionId, limit: int | None = None) -> list[Checkpoint]:
    """Returns the session's newest `limit` checkpoints (None: all), in order of creation, but for damaged ones. Raises UnknownSession."""
    return _listed(db, session, "ORDER BY number DESC LIMIT :limit", limit=-1 if limit is None else limit)[::-1]


def of_line(db: Connection, line: Sequence[tuple[SessionId, int | None]], limit: int | None = None) -> list[Checkpoint]:
    """Returns the newest `limit` checkpoints (None: all) of these sessions, each up to that number (None: all), in order of creation.

    Damaged ones are left out.

    Raises:
        UnknownSession: there is no such session.
    """
    names = {sessions.number_of(db, session): session for session, _ in line}
    most = -1 if limit is None else limit
    part = "SELECT number FROM (SELECT number FROM checkpoints WHERE session = ? AND number <= ? ORDER BY number DESC LIMIT ?)"
    clause = f"WHERE number IN ({' UNION ALL '.join([part] * len(line))}) ORDER BY number DESC LIMIT ?"
    fields = [field for number, (_, last) in zip(names, line, strict=True) for field in (number, NEWEST if last is None else last, most)]
    return _TABLE.sound(db, partial(_checkpoint, names), clause, (*fields, most))[::-1]


def of_workspace(db: Connection, workspace: WorkspaceId, limit: int | None = None) -> list[Checkpoint]:
    """Returns the newest `limit` checkpoints of all sessions of a workspace (None: all), in order of creation, but for damaged ones.

    Raises:
        UnknownWorkspace: there is no such workspace.
    """
    read = partial(_checkpoint, sessions.ids_of(db, workspace))
    fields = (workspaces.number_of(db, workspace), -1 if limit is None else limit)
    return _TABLE.sound(db, read, "WHERE workspace = ? ORDER BY number DESC LIMIT ?", fields)[::-1]


def numbered(
    db: Connection, workspace: WorkspaceId, names: Mapping[int, SessionId], after: int, limit: int
) -> list[tuple[int, Checkpoint]]:
    """Returns the first `limit` checkpoints of a workspace behind number `after`, with their numbers; not one that is damaged.

    `names`: the workspace's sessions (`sessions.ids_of`); what is of a newer one is left out.
    """

    def read(*columns: Any) -> tuple[int, Checkpoint | None]:
        return columns[0], _checkpoint(names, *columns) if columns[3] in names else None

    clause = "WHERE workspace = ? AND number > ? ORDER BY number LIMIT ?"
    found = _TABLE.sound(db, read, clause, (workspaces.number_of(db, workspace), after, limit))
    return [(number, one) for number, one in found if one is not None]


def lack(db: Connection, workspace: WorkspaceId, found: Iterable[tuple[int, Checkpoint]], missing: Missing) -> None:
    """Says of checkpoints, given with their numbers, that they lack a path: all else of them stays."""
    of = workspaces.number_of(db, workspace)
    for number, one in found:
        _TABLE.put(db, [_fields(db, number, of, replace(one, incomplete=(*one.incomplete, missing)))])


def drop(db: Connection, numbers: Iterable[int]) -> int:
    """Forgets checkpoints, by their numbers; returns how many there were."""
    gone = 0
    for part, marks in in_parts(sorted(set(numbers))):
        gone += db.execute(f"DELETE FROM checkpoints WHERE number IN ({marks})", part).rowcount
    totals.add(db, "checkpoints", -gone)
    return gone


def of_barrier(db: Connection, workspace: WorkspaceId, barrier: BarrierId) -> list[Checkpoint]:
    """Returns a barrier's checkpoints, one a session, in order of creation."""
    return _TABLE.select(db, partial(_checkpoint, sessions.ids_of(db, workspace)), "WHERE barrier = ? ORDER BY number", (barrier,))


def highest(db: Connection) -> int:
    """Returns the highest number of a checkpoint; 0 where there is none."""
    (found,) = db.execute("SELECT coalesce(max(number), 0) FROM checkpoints").fetchone()
    return int(found)


def newest_number(db: Connection, workspace: WorkspaceId) -> int:
    """Returns the number of a workspace's newest checkpoint; 0 where it has none. Raises UnknownWorkspace."""
    query = "SELECT coalesce(max(number), 0) FROM checkpoints WHERE workspace = ?"
    (found,) = db.execute(query, (workspaces.number_of(db, workspace),)).fetchone()
    return int(found)


def from_number(db: Connection, number: int) -> tuple[WorkspaceId, Checkpoint] | None:
    """Returns the first checkpoint of that number or a higher one, and its workspace; None behind the last."""
    found = _TABLE.find(db, _columns, "WHERE number >= ? ORDER BY number", (number,))
    if found is None:
        return None
    (session,) = db.execute("SELECT id FROM sessions WHERE number = ?", (found[3],)).fetchone()
    (workspace,) = db.execute("SELECT id FROM workspaces WHERE number = ?", (found[4],)).fetchone()
    return WorkspaceId(workspace), _checkpoint({found[3]: SessionId(session)}, *found)


def count(db: Connection) -> int:
    """Returns how many checkpoints the store holds."""
    return totals.value(db, "checkpoints")


def _fields(db: Connection, number: int, workspace: int, checkpoint: Checkpoint) -> tuple[Field, ...]:
    c = checkpoint
    position: tuple[Field, ...] = (c.base_seq, c.seq, c.event, stats_to_bytes(c.stats), c.created_at_ns)
    counts: tuple[Field, ...] = (int(c.automatic), c.files, c.insertions, c.deletions)
    of = sessions.number_of(db, c.session), workspace
    return (number, c.uid, c.id, *of, c.label, c.parent, *position, *counts, missing_to_bytes(c.incomplete), c.barrier)


def _of_session(db: Connection, session: SessionId, clause: str, **fields: Field) -> list[Checkpoint]:
    number = sessions.number_of(db, session)
    read = partial(_checkpoint, {number: session})
    return _TABLE.select(db, read, f"WHERE session = :session {clause}", {"session": number, **fields})


def _columns(*columns: Any) -> tuple[Any, ...]:
    return columns


def _listed(db: Connection, session: SessionId, clause: str, **fields: Field) -> list[Checkpoint]:
    """As `_of_session`, where a damaged row must not keep the others away."""
    number = sessions.number_of(db, session)
    return _TABLE.sound(db, partial(_checkpoint, {number: session}), f"WHERE session = :session {clause}", {"session": number, **fields})


def _checkpoint(
    names: Mapping[int, SessionId],
    number: int,
    uid: str,
    id_: str,
    session: int,
    workspace: int,
    label: str | None,
    parent: str | None,
    base_seq: int,
    seq: int,
    event: int | None,
    stats: bytes,
    created_at_ns: int,
    automatic: int,
    files: int,
    insertions: int,
    deletions: int,
    incomplete: bytes | None,
    barrier: str | None,
) -> Checkpoint:
    return Checkpoint(
        uid=uid,
        id=CheckpointId(id_),
        session=names[session],
        label=label,
        parent=CheckpointId(parent) if parent is not None else None,
        base_seq=base_seq,
        seq=seq,
        event=EventId(event) if event is not None else None,
        stats=stats_of(stats),
        created_at_ns=created_at_ns,
        automatic=bool(automatic),
        files=files,
        insertions=insertions,
        deletions=deletions,
        incomplete=missing_of(incomplete),
        barrier=BarrierId(barrier) if barrier is not None else None,
    )

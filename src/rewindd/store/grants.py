"""Grants: what each lets in, until when, and what was used of it."""

import os
from dataclasses import replace

from rewindd.model.grant import Grant, GrantedOps
from rewindd.model.ids import GrantId, WorkspaceId
from rewindd.store.records import Field, Records
from rewindd.store.schema import Connection

_TABLE = Records(
    "grants",
    ("number",),
    ("id", "workspace", "ops", "inside", "quota_bytes", "created_at_ns", "ends_at_ns", "revoked_at_ns", "used_bytes"),
)


def add(db: Connection, grant: Grant) -> None:
    """Adds a grant; its id is free."""
    (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM grants").fetchone()
    _TABLE.insert(db, [_row(number, grant)])


def find(db: Connection, id: GrantId) -> Grant | None:  # noqa: A002 - the word of the domain
    """Returns the grant of that id, also one that has ended."""
    return _TABLE.find(db, _grant, "WHERE id = ?", (id,))


def live(db: Connection, now_ns: int) -> list[Grant]:
    """Returns the grants that are neither revoked nor over, oldest first."""
    return _TABLE.select(db, _grant, "WHERE revoked_at_ns IS NULL AND ends_at_ns > ? ORDER BY number", (now_ns,))


def revoke(db: Connection, id: GrantId, at_ns: int) -> Grant | None:  # noqa: A002
    """Ends a grant, and returns it; None where there is none. One that was revoked before stays as it is."""
    found = find(db, id)
    if found is None or found.revoked_at_ns is not None:
        return found
    return _rewrite(db, replace(found, revoked_at_ns=at_ns))


def spend(db: Connection, id: GrantId, used_bytes: int) -> Grant | None:  # noqa: A002
    """Counts bytes that were added through a grant, and returns it as it is then; None where there is none."""
    found = find(db, id)
    if found is None or not used_bytes:
        return found
    return _rewrite(db, replace(found, used_bytes=found.used_bytes + used_bytes))


def _rewrite(db: Connection, grant: Grant) -> Grant:
    (number,) = db.execute("SELECT number FROM grants WHERE id = ?", (grant.id,)).fetchone()
    _TABLE.put(db, [_row(number, grant)])
    return grant


def _row(number: int, grant: Grant) -> tuple[Field, ...]:
    g = grant
    ops, inside = " ".join(sorted(op.value for op in g.ops)), os.fsencode(g.inside)
    return (number, g.id, g.workspace, ops, inside, g.quota_bytes, g.created_at_ns, g.ends_at_ns, g.revoked_at_ns, g.used_bytes)


def _grant(
    number: int,
    id_: str,
    workspace: str,
    ops: str,
    inside: bytes,
    quota_bytes: int,
    created_at_ns: int,
    ends_at_ns: int,
    revoked_at_ns: int | None,
    used_bytes: int,
) -> Grant:
    return Grant(
        id=GrantId(id_),
        workspace=WorkspaceId(workspace),
        ops=frozenset(GrantedOps(word) for word in ops.split()),
        inside=os.fsdecode(inside),
        quota_bytes=quota_bytes,
        created_at_ns=created_at_ns,
        ends_at_ns=ends_at_ns,
        revoked_at_ns=revoked_at_ns,
        used_bytes=used_bytes,
    )

"""Grants in the store: found as they were added, used up, ended."""

import dataclasses

from rewindd.model.grant import Grant, GrantedOps
from rewindd.model.ids import GrantId, WorkspaceId
from rewindd.model.session import Workspace
from rewindd.store import grants, workspaces
from rewindd.store.database import Connection

GRANT = Grant(
    id=GrantId("g1"),
    workspace=WorkspaceId("w"),
    ops=frozenset({GrantedOps.SAVE, GrantedOps.LIST}),
    inside="/box/\udcff",
    quota_bytes=100,
    created_at_ns=5,
    ends_at_ns=10,
)


def added(db: Connection) -> None:
    """A workspace with a grant."""
    workspaces.add(db, Workspace(id=WorkspaceId("w"), root="/w", device=1, inode=2), 0)
    grants.add(db, GRANT)


def test_as_it_was_added(db: Connection) -> None:
    """Every field comes back, paths byte for byte."""
    added(db)
    assert grants.find(db, GRANT.id) == GRANT
    assert grants.find(db, GrantId("other")) is None


def test_while_it_lasts(db: Connection) -> None:
    """It is live to before its end; a clock that is a little behind its start does not end it."""
    added(db)
    assert [bool(grants.live(db, at)) for at in (4, 5, 9, 10)] == [True, True, True, False]
    assert [GRANT.is_live(at) for at in (4, 9, 10)] == [True, True, False]


def test_revoked(db: Connection) -> None:
    """It ends once: a second time changes nothing; it can still be found."""
    added(db)
    ended = dataclasses.replace(GRANT, revoked_at_ns=7)
    assert grants.revoke(db, GRANT.id, 7) == ended
    assert grants.revoke(db, GRANT.id, 8) == ended
    assert grants.find(db, GRANT.id) == ended
    assert grants.live(db, 6) == []
    assert grants.revoke(db, GrantId("other"), 7) is None


def test_spent(db: Connection) -> None:
    """What is used adds up."""
    added(db)
    assert [found.used_bytes for size in (3, 0, 4) if (found := grants.spend(db, GRANT.id, size)) is not None] == [3, 3, 7]
    assert grants.find(db, GRANT.id) == dataclasses.replace(GRANT, used_bytes=7)
    assert grants.spend(db, GrantId("other"), 1) is None

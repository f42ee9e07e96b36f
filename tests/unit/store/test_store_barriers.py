"""Barriers: found by id, label and prefix in their workspace, with all of their checkpoints or not at all."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rewindd.errors import StoreCorrupt
from rewindd.model.ids import BarrierId, CheckpointId, SessionId, WorkspaceId
from rewindd.model.session import Barrier, Checkpoint, Missing, Session, Workspace
from rewindd.paths import RelPath
from rewindd.store import barriers, checkpoints, sessions, workspaces
from rewindd.store.database import Connection

Make = Callable[..., Barrier]


@pytest.fixture
def make(db: Connection, workspace: Workspace, session: Session, make_checkpoint: Callable[..., Checkpoint]) -> Make:
    """Makes a barrier of two sessions and puts it into the store."""
    other = replace(session, id=SessionId("other"))
    sessions.add(db, other)

    def put(id_: str, label: str | None = None, members: tuple[Session, ...] = (session, other)) -> Barrier:
        found = {one.id: CheckpointId(f"of-{id_}") for one in members}
        missing = (Missing(path=RelPath("a\udcff"), reason="gone"),)
        barrier = Barrier(id=BarrierId(id_), workspace=workspace.id, label=label, seq=7, created_at_ns=8, incomplete=missing, members=found)
        barriers.add(db, barrier)
        for one, checkpoint in found.items():
            checkpoints.add(db, workspace.id, make_checkpoint(id=checkpoint, session=one, barrier=barrier.id))
        return barrier

    return put


def test_found_by_id_label_and_prefix(db: Connection, workspace: Workspace, make: Make) -> None:
    """A barrier comes back as it was, each in its own way, and in order of creation; none of another workspace does."""
    first, second, third = make("abcd1", "x"), make("abcd2", "x"), make("abce", None, ())
    assert [barriers.find(db, workspace.id, one.id) for one in (first, second, third)] == [first, second, third]
    assert barriers.find(db, workspace.id, BarrierId("abcd")) is None
    assert barriers.with_label(db, workspace.id, "x") == [first, second]
    assert barriers.with_prefix(db, workspace.id, "abcd") == [first, second]
    assert barriers.with_prefix(db, workspace.id, "abcd", 1) == [first]
    assert barriers.of_workspace(db, workspace.id) == [first, second, third]
    assert barriers.of_workspace(db, workspace.id, 1) == [third]
    elsewhere = replace(workspace, id=WorkspaceId("elsewhere"), root="/elsewhere")
    workspaces.add(db, elsewhere, 1)
    assert barriers.find(db, elsewhere.id, first.id) is None
    assert barriers.with_prefix(db, elsewhere.id, "abc") == barriers.with_label(db, elsewhere.id, "x") == []
    assert barriers.of_workspace(db, elsewhere.id) == []


def test_its_checkpoints(db: Connection, workspace: Workspace, make: Make) -> None:
    """A barrier's checkpoints are one a session, and say that they are its."""
    barrier = make("one")
    found = checkpoints.of_barrier(db, workspace.id, barrier.id)
    assert {one.session: one.id for one in found} == barrier.members
    assert {one.barrier for one in found} == {barrier.id}


def test_one_that_is_not_whole(db: Connection, workspace: Workspace, make: Make) -> None:
    """A barrier that lacks a checkpoint is damage: nobody is rewound to a part of it."""
    barrier = make("one")
    db.execute("DELETE FROM checkpoints WHERE session = (SELECT number FROM sessions WHERE id = 'other')")
    with pytest.raises(StoreCorrupt, match="barriers, row id one: 1 of its 2"):
        barriers.find(db, workspace.id, barrier.id)

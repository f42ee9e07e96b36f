"""Git's HEAD by position."""

import pytest

from rewindd.errors import StoreCorrupt
from rewindd.model.githead import GitHead
from rewindd.model.ids import WorkspaceId
from rewindd.model.session import Workspace
from rewindd.store import heads, workspaces
from rewindd.store.database import Connection


@pytest.fixture
def moves(db: Connection, workspace: Workspace) -> WorkspaceId:
    """A workspace whose HEAD was `a`, `b` from position 5 on, and none from 9 on."""
    for seq, head, at_ns in ((0, "a", 100), (5, "b", 200), (9, None, 300)):
        heads.add(db, workspace.id, seq, GitHead(head), at_ns)
    return workspace.id


@pytest.mark.parametrize(("position", "head"), [(0, "a"), (4, "a"), (5, "b"), (8, "b"), (9, None), (99, None)])
def test_at_a_position(db: Connection, moves: WorkspaceId, position: int, head: str | None) -> None:
    """HEAD is what the last row that is not newer says."""
    assert heads.at(db, moves, position) == GitHead(head)


@pytest.mark.parametrize(("at_ns", "position"), [(99, 0), (100, 0), (199, 0), (200, 5), (10_000, 9)])
def test_by_time(db: Connection, moves: WorkspaceId, at_ns: int, position: int) -> None:
    """The position of a time is that of the last move before it."""
    assert heads.position_at(db, moves, at_ns) == position


def test_the_last(db: Connection, moves: WorkspaceId) -> None:
    """The last is the newest, and `None` for a repository that is gone is not `None` for never looked at."""
    assert heads.last(db, moves) == (9, GitHead(None))
    other = Workspace(id=WorkspaceId("other"), root="/other", device=1, inode=2)
    workspaces.add(db, other, 1)
    assert heads.last(db, other.id) is None
    assert heads.at(db, other.id, 7) is None


def test_a_flipped_bit(db: Connection, moves: WorkspaceId) -> None:
    """A row that is not as it was written is not used."""
    db.execute("UPDATE heads SET head = 'c' WHERE seq = 5")
    with pytest.raises(StoreCorrupt, match="heads"):
        heads.at(db, moves, 6)

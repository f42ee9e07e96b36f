"""Stakes in the store: those of open sessions, and what is kept of them when a session is closed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rewindd.model.ids import CheckpointId, SessionId
from rewindd.model.session import Checkpoint, Session, Workspace
from rewindd.model.stakes import Stake
from rewindd.paths import RelPath
from rewindd.store import checkpoints, sessions, stakes
from rewindd.store.database import Connection

Stakes = set[tuple[str, str, int, bool]]


@pytest.fixture
def two(db: Connection, session: Session) -> tuple[SessionId, SessionId]:
    """Two sessions, the first with a checkpoint at position 7, the second with none."""
    other = replace(session, id=SessionId("other"))
    sessions.add(db, other)
    return session.id, other.id


@pytest.fixture
def stake(db: Connection, workspace: Workspace) -> Callable[..., None]:
    def put(session: SessionId, path: str, since: int, *, deep: bool = False) -> None:
        stakes.put(db, workspace.id, [Stake(path=RelPath(path), session=session, since=since, deep=deep)])

    return put


def former(db: Connection, workspace: Workspace, *paths: str) -> Stakes:
    return {(one.path, one.session, one.since, one.deep) for one in stakes.former(db, workspace.id, [RelPath(path) for path in paths])}


def end(db: Connection, workspace: Workspace, session: SessionId, limit: int = 100) -> None:
    while stakes.end(db, workspace.id, session, limit) == limit:
        continue


def test_what_is_kept(
    db: Connection,
    workspace: Workspace,
    two: tuple[SessionId, SessionId],
    stake: Callable[..., None],
    make_checkpoint: Callable[..., Checkpoint],
) -> None:
    """Those that a checkpoint was made after, part by part; found on their paths, deep ones on all below. The first position counts."""
    one, other = two
    checkpoints.add(db, workspace.id, make_checkpoint(session=one, seq=7))
    checkpoints.add(db, workspace.id, make_checkpoint(session=other, id=CheckpointId("a"), uid="a", seq=99, automatic=True))
    for number, path in enumerate(("a/b", "a/c", "a/late", "z")):
        stake(one, path, 5 + number)
    stake(one, "a", 3, deep=True)
    stake(other, "a/b", 1)
    end(db, workspace, one, 2)
    end(db, workspace, other)
    assert stakes.load(db, workspace.id) == []
    assert former(db, workspace, "a/b") == {("a/b", one, 5, False), ("a", one, 3, True)}
    assert former(db, workspace, "a/late", "z") == {("a/late", one, 7, False), ("a", one, 3, True)}
    assert former(db, workspace, "a") == {("a", one, 3, True)}
    assert former(db, workspace, "a/b/deeper", ".") == {("a", one, 3, True)}

    checkpoints.add(db, workspace.id, make_checkpoint(session=one, id=CheckpointId("b"), uid="b", seq=50))
    stake(one, "a/b", 40, deep=True)
    stake(one, "z", 41)
    end(db, workspace, one)
    assert former(db, workspace, "a/b", "z") == {("a/b", one, 5, True), ("a", one, 3, True), ("z", one, 41, False)}


def test_what_goes(
    db: Connection,
    workspace: Workspace,
    two: tuple[SessionId, SessionId],
    stake: Callable[..., None],
    make_checkpoint: Callable[..., Checkpoint],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of sessions that have no checkpoint after a position, page by page, and no others."""
    monkeypatch.setattr(stakes, "PAGE_FORMER", 3)
    one, other = two
    checkpoints.add(db, workspace.id, make_checkpoint(session=one, seq=7))
    checkpoints.add(db, workspace.id, make_checkpoint(session=other, id=CheckpointId("a"), uid="a", seq=20))
    names = [f"f{number}" for number in range(10)]
    for name in names:
        stake(one, name, 1)
        stake(other, name, 2)
    end(db, workspace, one)
    end(db, workspace, other)

    def drop(position: int) -> None:
        after = stakes.drop_former(db, workspace.id, position, None)
        while after is not None:
            after = stakes.drop_former(db, workspace.id, position, after)

    drop(6)
    assert former(db, workspace, *names) == {(name, session, since, False) for name in names for session, since in ((one, 1), (other, 2))}
    drop(7)
    assert former(db, workspace, *names) == {(name, other, 2, False) for name in names}
    drop(20)
    assert former(db, workspace, *names) == set()

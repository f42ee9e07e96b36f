"""Stakes in the store: those of open sessions, and what is kept of them when a session is closed."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from rewindd.model.ids import CheckpointId, SessionId
from rewindd.model.session import Checkpoint, Session, Workspace
from rewindd.model.stakes import Stake
from rewindd.paths import ROOT, RelPath
from rewindd.store import checking, checkpoints, sessions, stakes
from rewindd.store.database import Connection
from rewindd.store.stakes import Asked

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
    named = [RelPath(path) for path in paths]
    return asked(
        db, workspace, [*(Asked(path=path, seq=0) for path in named), *(Asked(path=path, seq=0, deep=True) for path in above(named))]
    )


def above(paths: Iterable[RelPath]) -> set[RelPath]:
    return {ROOT, *(higher for path in paths for higher in path.ancestors)} - {*paths}


def asked(db: Connection, workspace: Workspace, questions: list[Asked]) -> Stakes:
    found: Stakes = set()
    while questions:
        page, questions = stakes.former(db, workspace.id, questions)
        found |= {(one.path, one.session, one.since, one.deep) for one in page}
    return found


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
    """Those of sessions that have no checkpoint left at or after them, page by page, and no others; and those below a path."""
    monkeypatch.setattr(stakes, "PAGE_FORMER", 3)
    one, other = two
    checkpoints.add(db, workspace.id, make_checkpoint(session=one, seq=7))
    checkpoints.add(db, workspace.id, make_checkpoint(session=one, id=CheckpointId("a"), uid="a", seq=8, automatic=True))
    checkpoints.add(db, workspace.id, make_checkpoint(session=other, id=CheckpointId("b"), uid="b", seq=10))
    checkpoints.add(db, workspace.id, make_checkpoint(session=other, id=CheckpointId("c"), uid="c", seq=20))
    names = [f"f{number}" for number in range(10)]
    for name in names:
        stake(one, name, 1)
        stake(other, name, 2 if name < "f5" else 11)
    end(db, workspace, one)
    end(db, workspace, other)

    def drop(*ids: str) -> None:
        checkpoints.drop(
            db, [number for id_ in ids for session in two if (number := checkpoints.number_of(db, session, CheckpointId(id_)))]
        )
        after = stakes.drop_former(db, workspace.id, None)
        while after is not None:
            after = stakes.drop_former(db, workspace.id, after)

    of_one, of_other = {(name, one, 1, False) for name in names}, {(name, other, 2 if name < "f5" else 11, False) for name in names}
    drop()
    assert former(db, workspace, *names) == of_one | of_other
    drop("c")
    assert former(db, workspace, *names) == of_one | {found for found in of_other if found[2] == 2}
    drop(make_checkpoint().id)
    assert former(db, workspace, *names) == {found for found in of_other if found[2] == 2}
    assert [stakes.drop_former_below(db, workspace.id, RelPath(path)) for path in ("f1", "f1", "f")] == [1, 0, 0]
    assert former(db, workspace, *names) == {(name, other, 2, False) for name in ("f0", "f2", "f3", "f4")}


def test_what_is_below(
    db: Connection, workspace: Workspace, two: tuple[SessionId, SessionId], make_checkpoint: Callable[..., Checkpoint]
) -> None:
    """With a directory goes what is in it, and nothing beside it whose name begins as its does."""
    one, _ = two
    checkpoints.add(db, workspace.id, make_checkpoint(session=one, seq=7))
    names = ("d", "d/a", "d/b/c", "d.x", "d0", "e")
    stakes.put(db, workspace.id, [Stake(path=RelPath(name), session=one, since=1) for name in names])
    end(db, workspace, one)
    assert [stakes.drop_former_below(db, workspace.id, RelPath("d")) for _ in range(2)] == [3, 0]
    assert {path for path, *_ in former(db, workspace, *names)} == {"d.x", "d0", "e"}


def test_pages(
    db: Connection,
    workspace: Workspace,
    session: Session,
    make_checkpoint: Callable[..., Checkpoint],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many sessions had a path, and however many paths are asked for: no answer is of more rows than a page, or of more paths."""
    monkeypatch.setattr(stakes, "PAGE_FORMER", 4)
    monkeypatch.setattr(stakes, "PART_ASKED", 3)
    names = [RelPath(f"f{number}") for number in range(7)]
    for number in range(6):
        one = replace(session, id=SessionId(f"s{number}"))
        sessions.add(db, one)
        checkpoints.add(db, workspace.id, make_checkpoint(session=one.id, uid=f"{number}", seq=number))
        stakes.put(db, workspace.id, [Stake(path=name, session=one.id, since=0) for name in names[:5]])
        end(db, workspace, one.id)
    questions, found, pages = [Asked(path=name, seq=2) for name in names], list[Stake](), 0
    while questions:
        page, questions = stakes.former(db, workspace.id, questions)
        assert len(page) <= 4
        found, pages = [*found, *page], pages + 1
    assert pages == 8, "30 rows, 4 at a time; the paths that nobody had are in the last"
    assert {(stake.path, stake.session) for stake in found} == {(name, f"s{number}") for name in names[:5] for number in range(2, 6)}
    assert len(found) == 20


def test_a_damaged_one_is_left_out(
    db: Connection, workspace: Workspace, two: tuple[SessionId, SessionId], make_checkpoint: Callable[..., Checkpoint]
) -> None:
    """And keeps no other one from being found; a check of the table names it."""
    one, other = two
    for session in two:
        checkpoints.add(db, workspace.id, make_checkpoint(session=session, uid=session, seq=7))
        stakes.put(db, workspace.id, [Stake(path=RelPath("f"), session=session, since=1)])
        end(db, workspace, session)
    db.execute("UPDATE former_stakes SET since = 0 WHERE session = (SELECT number FROM sessions WHERE id = ?)", (one,))
    assert former(db, workspace, "f") == {("f", other, 1, False)}
    assert [bad.table for bad in checking.page(db, "former_stakes", None).bad] == ["former_stakes"]

"""The edit log, its toggles, the index, the claims, and the workspaces they belong to."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from msgspec import structs

from rewindd.errors import UnknownWorkspace
from rewindd.model.ids import OperationId, SessionId, WorkspaceId
from rewindd.model.log import NOBODY, IndexEntry, Row, Signature, Source, Toggle
from rewindd.model.session import Claim, Workspace
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File, Symlink, Version
from rewindd.paths import LinkTarget, RelPath
from rewindd.store import claims, edits, index, workspaces
from rewindd.store.database import Connection

_ODD = RelPath("caf\udce9/\udcff\n\x7f")
_SIGNATURE = Signature(device=2**40, inode=2**64 - 1, size=2**50, mtime_ns=-1, ctime_ns=2**62, mode=0o100644, links=3, racy=True)


def _seqs(rows: Sequence[Row]) -> list[int]:
    return [row.seq for row in rows]


def test_workspaces(db: Connection, workspace: Workspace) -> None:
    """A workspace is found by id; two may have the same root, and one may move."""
    assert workspaces.find(db, workspace.id) == workspace
    clone = replace(workspace, id=WorkspaceId("w2"), inode=7)
    workspaces.add(db, clone, 2)
    assert workspaces.all_of(db) == [workspace, clone]
    workspaces.move(db, workspace.id, "/moved")
    assert workspaces.find(db, workspace.id) == replace(workspace, root="/moved")


def test_positions(db: Connection, workspace: Workspace) -> None:
    """Numbers are allotted once, in order, for each workspace of its own."""
    other = replace(workspace, id=WorkspaceId("w2"))
    workspaces.add(db, other, 2)
    assert workspaces.position(db, workspace.id) == 0
    assert workspaces.allot(db, workspace.id, 3) == 1
    assert workspaces.allot(db, workspace.id, 1) == 4
    assert workspaces.position(db, workspace.id) == 4
    assert workspaces.position(db, other.id) == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda db: workspaces.position(db, WorkspaceId("none")),
        lambda db: workspaces.allot(db, WorkspaceId("none"), 1),
        lambda db: workspaces.move(db, WorkspaceId("none"), "/"),
        lambda db: edits.append(db, WorkspaceId("none"), []),
        lambda db: index.load(db, WorkspaceId("none")),
        lambda db: claims.load(db, WorkspaceId("none")),
    ],
)
def test_unknown_workspace(db: Connection, ask: Callable[[Connection], object]) -> None:
    """A workspace that is not there is an error, never an empty log."""
    with pytest.raises(UnknownWorkspace):
        ask(db)


@pytest.mark.parametrize(
    "version", [UNKNOWN, ABSENT, File(b"\xff" * 32, 2**40, 0o7777), Symlink(LinkTarget("../\udcff")), Directory(0o2755)]
)
@pytest.mark.parametrize("owner", [NOBODY, (SessionId("a"),), (SessionId("a"), SessionId("b"))])
def test_row_comes_back(
    db: Connection, workspace: Workspace, make_row: Callable[..., Row], version: Version, owner: tuple[SessionId, ...]
) -> None:
    """A row comes back as it was, whatever the version, the owner, the bytes of its path."""
    row = make_row(path=_ODD, before=version, after=version, owner=owner, source=Source.EFFECT, operation=OperationId("o"))
    edits.append(db, workspace.id, [row])
    assert edits.since(db, workspace.id, 0) == [row]


@pytest.fixture
def log(db: Connection, workspace: Workspace, make_row: Callable[..., Row]) -> list[Row]:
    """Ten rows on five paths, beside another workspace's on the same paths."""
    paths = ["a", "a/b", "a.b", "a0", "z"]
    rows = [make_row(seq=n, path=RelPath(paths[n % 5]), at_ns=10 * n) for n in range(1, 11)]
    edits.append(db, workspace.id, rows)
    other = replace(workspace, id=WorkspaceId("other"))
    workspaces.add(db, other, 2)
    edits.append(db, other.id, [make_row(seq=n, path=RelPath(path)) for n, path in enumerate(paths, 1)])
    return rows


def test_histories_of_paths(db: Connection, workspace: Workspace, log: list[Row]) -> None:
    """Complete histories, by position, of these paths alone; a path twice counts once."""
    assert _seqs(edits.of_paths(db, workspace.id, [RelPath("z"), RelPath("a"), RelPath("z")])) == [4, 5, 9, 10]
    assert edits.of_paths(db, workspace.id, []) == []
    many = [RelPath(f"none/{n}") for n in range(1200)]
    assert _seqs(edits.of_paths(db, workspace.id, [*many, RelPath("a/b")])) == [1, 6]


def test_costs_follow_the_paths(db: Connection, workspace: Workspace, make_row: Callable[..., Row]) -> None:
    """Questions about few paths or the newest rows read few rows, however long the log is."""
    edits.append(db, workspace.id, [make_row(seq=n, path=RelPath(f"d{n % 100}/f{n}"), at_ns=n) for n in range(1, 20_001)])
    edits.add_toggles(db, workspace.id, OperationId("o"), [Toggle(n, 20_001, False) for n in range(1, 5000)])
    path = RelPath("d7/f7")
    asked: list[Callable[[], Sequence[object]]] = [
        lambda: edits.of_paths(db, workspace.id, [path]),
        lambda: edits.newest(db, workspace.id, path, None),
        lambda: edits.newest(db, workspace.id, RelPath("d7"), 3),
        lambda: edits.newest(db, workspace.id, None, 3),
        lambda: edits.since(db, workspace.id, 19_990),
        lambda: edits.toggles_of_paths(db, workspace.id, [path]),
        lambda: [edits.position_at(db, workspace.id, 19_990)],
    ]
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 100

    db.set_progress_handler(count, 100)
    for ask in asked:
        steps = 0
        assert ask()
        # A walk over all rows takes 100,000 steps of SQLite's machine and more.
        assert steps < 10_000
    db.set_progress_handler(None, 0)


def test_rows_since(db: Connection, workspace: Workspace, log: list[Row]) -> None:
    """After a position, up to and with another."""
    assert edits.since(db, workspace.id, 7) == log[7:]
    assert _seqs(edits.since(db, workspace.id, 2, 5)) == [3, 4, 5]
    assert edits.since(db, workspace.id, 10) == []


def test_newest(db: Connection, workspace: Workspace, log: list[Row]) -> None:
    """The newest rows of a path and what is below it, not of names that merely begin like it."""
    assert _seqs(edits.newest(db, workspace.id, None, 3)) == [8, 9, 10]
    assert edits.newest(db, workspace.id, RelPath("."), None) == log
    assert _seqs(edits.newest(db, workspace.id, RelPath("a"), None)) == [1, 5, 6, 10]
    assert _seqs(edits.newest(db, workspace.id, RelPath("a"), 2)) == [6, 10]


def test_position_at_a_time(db: Connection, workspace: Workspace, log: list[Row], make_row: Callable[..., Row]) -> None:
    """The last row not newer than a time, also where a clock was set back."""
    assert edits.position_at(db, workspace.id, 9) == 0
    assert edits.position_at(db, workspace.id, 30) == 3
    assert edits.position_at(db, workspace.id, 39) == 3
    assert edits.position_at(db, workspace.id, 1000) == 10
    edits.append(db, workspace.id, [make_row(seq=11, at_ns=35)])
    assert edits.position_at(db, workspace.id, 36) == 11


def test_toggles(db: Connection, workspace: Workspace, log: list[Row]) -> None:
    """Toggles are found by the paths of their rows, by operation, and by position."""
    first, second = [Toggle(1, 11, False), Toggle(2, 11, False)], [Toggle(1, 12, True), Toggle(3, 12, False)]
    edits.add_toggles(db, workspace.id, OperationId("o1"), first)
    edits.add_toggles(db, workspace.id, OperationId("o2"), second)
    assert edits.toggles_of_paths(db, workspace.id, [RelPath("a/b")]) == [first[0], second[0]]
    assert edits.toggles_of_paths(db, workspace.id, [RelPath("a.b"), RelPath("a0"), RelPath("z")]) == [first[1], second[1]]
    assert edits.toggles_of_operation(db, workspace.id, OperationId("o2")) == second
    whole = [*first, *second]
    for start in range(len(whole)):
        after = (whole[start - 1].at, whole[start - 1].row) if start else (10, 1 << 60)
        assert edits.toggles_page(db, workspace.id, after, 100) == whole[start:]
        assert edits.toggles_page(db, workspace.id, after, 1) == whole[start : start + 1]
    assert edits.toggles_page(db, workspace.id, (12, 1 << 60), 100) == []
    rows, toggles = edits.with_toggles(db, workspace.id, [1, 4])
    assert (_seqs(rows), toggles) == ([1, 4], [first[0], second[0]])
    assert edits.toggles_of_paths(db, WorkspaceId("other"), [RelPath("a/b")]) == []


def test_index(db: Connection, workspace: Workspace) -> None:
    """The index holds one entry a path, the last that was put."""
    first = IndexEntry(path=_ODD, version=File(b"1" * 32, 1, 0o644), signature=_SIGNATURE, since=3)
    second = IndexEntry(path=RelPath("dir"), version=Directory(0o755), signature=None, since=4, covered=9)
    index.put(db, workspace.id, [second, first])
    assert index.load(db, workspace.id) == [first, second]
    index.put(db, workspace.id, [structs.replace(first, version=ABSENT, signature=None, since=5)])
    assert index.load(db, workspace.id) == [structs.replace(first, version=ABSENT, signature=None, since=5), second]
    index.remove(db, workspace.id, [_ODD, RelPath("none")])
    assert index.load(db, workspace.id) == [second]


def test_left_out(db: Connection, workspace: Workspace) -> None:
    """Names are left out, with the last reason told, until they are let in."""
    index.leave_out(db, workspace.id, {_ODD: "one", RelPath("node_modules"): "two"})
    index.leave_out(db, workspace.id, {_ODD: "another"})
    index.let_in(db, workspace.id, [RelPath("node_modules"), RelPath("none")])
    assert index.left_out(db, workspace.id) == {_ODD: "another"}


def test_claims(db: Connection, workspace: Workspace) -> None:
    """One claim a path, session and bracket; a newer one of the same replaces it."""
    snapshot = Claim(path=_ODD, session=SessionId("s1"), bracket=None, at_ns=1)
    bracket = replace(snapshot, bracket="b1", at_ns=2)
    other = replace(snapshot, session=SessionId("s2"), at_ns=3)
    claims.put(db, workspace.id, [other, bracket, snapshot])
    assert claims.load(db, workspace.id) == [snapshot, bracket, other]
    claims.put(db, workspace.id, [replace(snapshot, at_ns=9)])
    assert claims.load(db, workspace.id) == [bracket, other, replace(snapshot, at_ns=9)]
    claims.drop(db, workspace.id, [snapshot, other])
    assert claims.load(db, workspace.id) == [bracket]

"""What the log and the index say of the past: by path, by directory, from a position on and back from it."""

from collections.abc import Callable

import pytest

from rewindd.model.log import IndexEntry, Row, Source
from rewindd.model.session import Workspace
from rewindd.model.versions import ABSENT, UNKNOWN, Directory
from rewindd.paths import ROOT, RelPath
from rewindd.store import blobs, edits, index
from rewindd.store.database import Connection

#: In the order of their rows; what is beside `d`, by bytes, is not in it.
PATHS = ["d", "d/a", "d.x", "d/a/b", "d0", "caf\udce9", "d/a", "d"]


@pytest.fixture
def log(db: Connection, workspace: Workspace, make_row: Callable[..., Row]) -> list[Row]:
    """A row for each of `PATHS`, numbered from 1."""
    rows = [make_row(seq=seq, path=RelPath(path)) for seq, path in enumerate(PATHS, 1)]
    edits.append(db, workspace.id, rows)
    return rows


@pytest.mark.parametrize(
    ("path", "seq", "limit", "expected"),
    [("d", 99, 99, [8, 7, 4, 2, 1]), ("d", 8, 2, [7, 4]), ("d/a", 99, 99, [7, 4, 2]), (".", 4, 99, [3, 2, 1]), ("none", 99, 99, [])],
)
def test_back_from(db: Connection, workspace: Workspace, log: list[Row], path: str, seq: int, limit: int, expected: list[int]) -> None:
    """Newest first, a path and what is below it, nothing beside it; of the root everything."""
    del log
    assert [row.seq for row in edits.back_from(db, workspace.id, RelPath(path), seq, limit)] == expected


@pytest.mark.parametrize(
    ("path", "seq", "expected"),
    [("d", 0, {"d", "d/a", "d/a/b"}), ("d", 4, {"d", "d/a"}), ("d/a", 7, set()), (".", 5, {"caf\udce9", "d/a", "d"})],
)
def test_paths_since(db: Connection, workspace: Workspace, log: list[Row], path: str, seq: int, expected: set[str]) -> None:
    """The paths with a row after a position, at or below one."""
    del log
    assert edits.paths_since(db, workspace.id, RelPath(path), seq) == expected


def test_following(db: Connection, workspace: Workspace, log: list[Row]) -> None:
    """The first row after a position, for each path of a range of bytes."""
    found = edits.following(db, workspace.id, 1, RelPath("d"), RelPath("d/a/b"))
    assert {str(path): row.seq for path, row in found.items()} == {"d": 8, "d.x": 3, "d/a": 2, "d/a/b": 4}
    assert edits.following(db, workspace.id, 8, RelPath("d"), RelPath("d")) == {}
    assert edits.first_of(db, workspace.id, RelPath("d/a")) == log[1]
    assert edits.first_of(db, workspace.id, RelPath("e")) is None


def test_last_deletion(db: Connection, workspace: Workspace, make_row: Callable[..., Row]) -> None:
    """The newest row by which something at or below went, whoever did it; what only became known to be absent did not go."""
    rows = [
        make_row(seq=1, path=RelPath("d/a"), after=ABSENT),
        make_row(seq=2, path=RelPath("d/b"), after=ABSENT, source=Source.EFFECT),
        make_row(seq=3, path=RelPath("d/c"), before=UNKNOWN, after=ABSENT, source=Source.FIRST_SEEN),
        make_row(seq=4, path=RelPath("d0"), after=ABSENT),
        make_row(seq=5, path=RelPath("d/a"), before=ABSENT),
    ]
    edits.append(db, workspace.id, rows)
    found = {path: edits.last_deletion(db, workspace.id, RelPath(path)) for path in ("d", "d/a", "d/c", ".")}
    assert found == {"d": rows[1], "d/a": rows[0], "d/c": None, ".": rows[3]}


def test_pages_of_the_index(db: Connection, workspace: Workspace) -> None:
    """By bytes, each path once, from the one after the last."""
    names = ["a", "a-b", "a/b", "b", "caf\udce9"]
    entries = [IndexEntry(path=RelPath(name), version=Directory(0o755), signature=None, since=1) for name in (*names, ROOT)]
    index.put(db, workspace.id, entries)
    told: list[str] = []
    after: RelPath | None = None
    while page := index.page(db, workspace.id, after, 2):
        told += [entry.path for entry in page]
        after = page[-1].path
    assert told == [".", *names]
    assert index.find(db, workspace.id, RelPath("a/b")) == entries[2]
    assert index.find(db, workspace.id, RelPath("a/c")) is None


def test_sizes_of_contents(db: Connection) -> None:
    """Of those that are stored."""
    one, two, none = bytes(32), bytes([1]) * 32, bytes([2]) * 32
    blobs.put_inline(db, [(one, 3, 0, b"abc")])
    blobs.put_file(db, two, 1 << 40, 5)
    assert blobs.sizes_of(db, [one, two, none, one]) == {one: 3, two: 1 << 40}

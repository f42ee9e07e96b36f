"""Damage in rows, indexes and contents is found by a walk through the tables, whatever bit it is, and named."""

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from rewindd.model.log import IndexEntry, Row
from rewindd.model.session import Checkpoint, Session, Workspace
from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.store import blobs, checking, checkpoints, contents, edits, index, packs, touching
from rewindd.store.blobs import Blobs
from rewindd.store.checking import BadRow, Page
from rewindd.store.database import Connection, open_database
from rewindd.store.records import Records
from rewindd.store.schema import MIGRATIONS
from rewindd.store.touching import Reach


def walked(db: Connection, table: str, rows: int = 7) -> list[Page]:
    """Returns all pages of a table, and the longer ones where one did not begin as the one before ended."""
    pages: list[Page] = []
    before = after = None
    for _ in range(1000):
        page = checking.page(db, table, after, rows=rows)
        pages.append(page)
        if page.is_torn:
            pages.append(checking.page(db, table, before, rows=4 * rows))
        if page.last is None:
            return pages
        before, after = after, page.last
    raise AssertionError("the walk does not end")


def bad(db: Connection, table: str) -> list[BadRow]:
    return [one for page in walked(db, table) for one in page.bad]


@pytest.fixture
def log(db: Connection, workspace: Workspace, make_row: Callable[..., Row]) -> Connection:
    """A hundred rows of ten paths, whose contents are stored."""
    stored = [(f"content {n}".encode()) for n in range(100)]
    blobs.put_inline(db, [(blake3(one).digest(), len(one), blobs.RAW, one) for one in stored])
    rows = [
        make_row(seq=n + 1, path=RelPath(f"p{n % 10}"), after=File(blake3(one).digest(), len(one), 0o644)) for n, one in enumerate(stored)
    ]
    edits.append(db, workspace.id, rows)
    index.put(db, workspace.id, [IndexEntry(path=row.path, version=row.after, signature=None, since=row.seq) for row in rows[90:]])
    return db


def test_every_table_with_a_checksum_is_known() -> None:
    """No table that has a checksum is forgotten by the walk."""
    db = sqlite3.connect(":memory:")
    for migration in MIGRATIONS:
        migration(db)
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    checked = {name for name in names if "checksum" in {column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")}}
    assert set(checking.tables()) == checked == Records.known.keys()


def test_a_sound_table(log: Connection) -> None:
    """Each row is compared once, and nothing is found."""
    pages = walked(log, "edits")
    assert sum(page.rows for page in pages) == 100
    assert [page.bad for page in pages if page.bad or page.absent or page.is_torn] == []


@pytest.mark.parametrize("column", ["workspace", "seq", "path", "before", "after", "owner", "source", "since", "at_ns", "checksum"])
def test_a_flipped_value(log: Connection, column: str) -> None:
    """A value that changed, of whatever column, is found and its row named; also where the row stands elsewhere by that."""
    log.execute("PRAGMA foreign_keys = OFF")
    (value,) = log.execute(f"SELECT {column} FROM edits WHERE seq = 42").fetchone()
    flipped = value ^ 1 << 40 if isinstance(value, int) else value[:-1] + (b"\x7f" if isinstance(value, bytes) else "\x7f")
    log.execute(f"UPDATE edits SET {column} = ? WHERE seq = 42", (flipped,))
    found = bad(log, "edits")
    assert {one.why for one in found} == {"not as it was written"}
    assert len({one.name for one in found}) == 1


def test_a_value_of_another_kind(log: Connection) -> None:
    """Text that is no UTF-8 any more, and a number that became a fraction, are damage and no error."""
    log.execute("UPDATE edits SET source = CAST(x'ff41' AS TEXT) WHERE seq = 3")
    log.execute("UPDATE edits SET at_ns = 0.5 WHERE seq = 4")
    assert {one.values["seq"] for one in bad(log, "edits")} == {3, 4}


def test_an_index_that_lost_a_row(log: Connection, directory: str) -> None:
    """A row that an index does not find is found: a question by path would not see it."""
    log.execute("PRAGMA writable_schema = ON")
    log.execute("UPDATE sqlite_schema SET sql = sql || ' WHERE seq <> 42' WHERE name = 'edits_of_path'")
    log.execute("PRAGMA writable_schema = RESET")
    log.execute("REINDEX edits_of_path")
    log.execute("PRAGMA writable_schema = ON")
    log.execute("UPDATE sqlite_schema SET sql = replace(sql, ' WHERE seq <> 42', '') WHERE name = 'edits_of_path'")
    log.execute("PRAGMA writable_schema = RESET")
    log.close()
    db = open_database(directory)
    assert [(one.values["seq"], one.why) for one in bad(db, "edits")] == [(42, "its index edits_of_path does not find it")]
    db.close()


def test_a_row_whose_content_is_not_there(log: Connection) -> None:
    """A content that a row names and the store has not is found."""
    (digest,) = log.execute("SELECT digest FROM blobs WHERE number = 7").fetchone()
    log.execute("DELETE FROM blobs WHERE number = 7")
    assert {one for page in walked(log, "edits") for one in page.absent} == {digest}


def test_a_partial_index(db: Connection, session: Session, make_checkpoint: Callable[..., Checkpoint], workspace: Workspace) -> None:
    """A row that is in no part of a partial index is none that is missing there."""
    checkpoints.add(db, workspace.id, make_checkpoint(label=None))
    checkpoints.add(db, workspace.id, make_checkpoint(label="x", uid="v" * 32, id="other"))
    assert (bad(db, "checkpoints"), bad(db, "sessions")) == ([], [])


def damaged(db: Connection, directory: str) -> dict[bytes, str]:
    """Returns what is wrong with which contents."""
    found: dict[bytes, str] = {}
    after = 0
    while (page := contents.page(db, after)).stored:
        unpacked: dict[int, bytes] = {}
        for one in page.stored:
            what = contents.damage(page, one, unpacked)
            if what is not None:
                found[one.digest] = what
        after = page.stored[-1].number
    return found


def test_every_bit_of_a_content(db: Connection, directory: str) -> None:
    """Whatever bit of a stored content flips, of one alone or of a pack, is found; the others are as they were."""
    parts = [b"one\n" * 400, b"two\n" * 300, bytes(range(256))]
    blobs.put_inline(db, [Blobs(directory).inline(parts[0])])
    (pack,) = packs.packed((blake3(one).digest(), one) for one in parts[1:])
    blobs.put_pack(db, pack)
    assert damaged(db, directory) == {}
    digests = [blake3(one).digest() for one in parts]
    for table, touched in (("blobs", set(digests[:1])), ("packs", set(digests[1:]))):
        (data,) = db.execute(f"SELECT data FROM {table} WHERE number = 1").fetchone()
        for at in random.Random(1).sample(range(len(data) * 8), 64):
            changed = bytearray(data)
            changed[at // 8] ^= 1 << at % 8
            db.execute(f"UPDATE {table} SET data = ? WHERE number = 1", (bytes(changed),))
            found = damaged(db, directory)
            # A bit that no decoder looks at (a frame's unused bits) changes nothing that comes out.
            assert found.keys() <= touched
            assert found or {one: blobs.get(db, one) for one in touched} == {
                blake3(part).digest(): part for part in parts if blake3(part).digest() in touched
            }
        db.execute(f"UPDATE {table} SET data = ? WHERE number = 1", (data,))
    assert damaged(db, directory) == {}


@pytest.mark.parametrize(("column", "value"), [("digest", b"x" * 32), ("size", 3), ("encoding", 1), ("encoding", 3), ("data", None)])
def test_every_column_of_a_content(db: Connection, directory: str, column: str, value: object) -> None:
    """A content's row is under its digest, too."""
    blobs.put_inline(db, [(blake3(b"abcd").digest(), 4, blobs.RAW, b"abcd")])
    db.execute(f"UPDATE blobs SET {column} = ?", (value,))
    assert len(damaged(db, directory)) == 1


def test_a_content_is_mended(db: Connection, directory: str) -> None:
    """A good copy takes the place of a damaged content, and of one whose row is gone; counts stay right."""
    good = Blobs(directory).inline(b"good\n" * 50)
    blobs.put_inline(db, [good])
    db.execute("UPDATE blobs SET data = x'00'")
    contents.mend(db, good)
    assert blobs.get(db, good.digest) == b"good\n" * 50
    db.execute("DELETE FROM blobs")
    contents.mend(db, good)
    assert (blobs.get(db, good.digest), damaged(db, directory)) == (b"good\n" * 50, {})


def test_what_was_removed_meanwhile_is_not_damaged(db: Connection) -> None:
    """A content whose row went, or is another one's now, since it was fetched is looked for in vain."""
    blobs.put_inline(db, [(b"d" * 32, 4, blobs.RAW, b"abcd")])
    (one,) = contents.page(db, 0).stored
    assert contents.is_there(db, one)
    db.execute("UPDATE blobs SET encoding = 2, data = NULL")
    assert not contents.is_there(db, one)
    db.execute("DELETE FROM blobs")
    assert not contents.is_there(db, one)


def reached(db: Connection, *reaches: Reach) -> list[str]:
    return [str(one.id) for one in touching.touched(db, [reaches], 0)[0]]


def test_which_checkpoints_a_content_touches(log: Connection, workspace: Workspace, make_checkpoint: Callable[..., Checkpoint]) -> None:
    """Those whose files held it, and those whose changes are from or to it; no others."""
    for n, (base, seq) in enumerate([(0, 10), (10, 20), (20, 30), (30, 40)]):
        checkpoints.add(log, workspace.id, make_checkpoint(uid=f"{n}", id=f"c{n}", base_seq=base, seq=seq))
    # Row 15 is of p4; the next one of p4 is 25.
    digest = blake3(b"content 14").digest()
    held, after = touching.holders(log, {digest}, None)
    assert ([(one.path, one.first, one.last) for one in held], after) == ([("p4", 15, 24)], None)
    assert reached(log, *(one.reach for one in held)) == ["c1", "c2"]
    assert touching.holders_now(log, {blake3(b"content 99").digest()}, None)[0][0].is_now


def test_which_checkpoints_a_row_touches(log: Connection, workspace: Workspace, make_checkpoint: Callable[..., Checkpoint]) -> None:
    """Those from before it: who goes back to them reads the log down to there. One that is saved after it does not need it."""
    for n, (base, seq) in enumerate([(0, 10), (10, 20), (20, 30)]):
        checkpoints.add(log, workspace.id, make_checkpoint(uid=f"{n}", id=f"c{n}", base_seq=base, seq=seq))
    log.execute("UPDATE edits SET at_ns = 0 WHERE seq = 15")
    (row,) = bad(log, "edits")
    reach = touching.reach_of(log, row)
    assert reach is not None
    assert reached(log, reach) == ["c0", "c1"]
    log.execute("UPDATE checkpoints SET label = 'x' WHERE id = 'c1'")
    (row,) = bad(log, "checkpoints")
    reach = touching.reach_of(log, row)
    assert reach is not None
    assert reached(log, reach) == ["c1"]


def test_a_row_of_no_workspace_touches_all(log: Connection, workspace: Workspace, make_checkpoint: Callable[..., Checkpoint]) -> None:
    """Whose a row was whose workspace's number was hit nobody can tell; so all checkpoints from before it are named."""
    checkpoints.add(log, workspace.id, make_checkpoint(base_seq=0, seq=10))
    log.execute("PRAGMA foreign_keys = OFF")
    log.execute("UPDATE edits SET workspace = workspace + 4096 WHERE seq = 15")
    (row,) = {one.name: one for one in bad(log, "edits")}.values()
    reach = touching.reach_of(log, row)
    assert reach is not None
    assert len(reached(log, reach)) == 1


def test_a_page_takes_some_milliseconds(log: Connection, workspace: Workspace, make_row: Callable[..., Row], tmp_path: Path) -> None:
    """A page of a long log has no more rows than fit into the time that others may wait."""
    edits.append(log, workspace.id, [make_row(seq=n) for n in range(101, 3000)])
    assert 2 <= checking.page(log, "edits", None).rows <= checking.PAGE_ROWS

"""docs/store.md says what the schema, its settings and the checksums are."""

import re
import sqlite3
import zlib
from pathlib import Path

import msgspec
import pytest

from rewindd.model.ids import WorkspaceId
from rewindd.model.session import Workspace
from rewindd.store import blobs, compression, database, schema, workspaces
from rewindd.store.database import open_database
from support.store_page import PAGE, columns_of_the_store


def built() -> dict[str, list[str]]:
    """Returns the columns of a new store, table by table, in their order."""
    db = sqlite3.connect(":memory:")
    for migration in schema.MIGRATIONS:
        migration(db)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {table: [column for _, column, *_ in db.execute(f"PRAGMA table_info({table})")] for table in tables}


@pytest.mark.parametrize("table", built())
def test_every_table(table: str) -> None:
    """Each table has a section with exactly its columns, in their order."""
    assert columns_of_the_store()[table] == built()[table]


def test_no_other_table() -> None:
    """The page has no table that is not there."""
    assert columns_of_the_store().keys() == built().keys()


def test_the_settings(tmp_path: Path) -> None:
    """The settings of the page are those of an open store, and its version and application id those of the code."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\w .:]+)", PAGE.read_text().split("### Checksums")[0], re.MULTILINE))
    db = open_database(str(tmp_path))
    words = {"auto_vacuum": {"INCREMENTAL": 2}, "synchronous": {"FULL": 2}, "foreign_keys": {"ON": 1}}
    for name in ("page_size", "auto_vacuum", "journal_mode", "synchronous", "foreign_keys", "locking_mode"):
        (found,) = db.execute(f"PRAGMA {name}").fetchone()
        said = rows[name].partition(":")[0].strip()
        assert str(found) == str(words.get(name, {}).get(said, said)).lower(), name
    db.close()
    assert int(rows["application_id"].split()[0], 16) == database.APPLICATION_ID
    assert f"the version of the format: {len(schema.MIGRATIONS)}" in PAGE.read_text()
    assert f"more than {blobs.INLINE_BYTES} bytes" in PAGE.read_text()


def test_the_checksum(tmp_path: Path) -> None:
    """A row's checksum is computed as the page says: by SQLite, zlib and MessagePack alone."""
    db = open_database(str(tmp_path))
    workspaces.add(db, Workspace(id=WorkspaceId("w"), root="/a/\udcff", device=7, inode=8, born_ns=9), 5)
    *fields, checksum = db.execute("SELECT * FROM workspaces").fetchone()
    assert fields[2] == b"/a/\xff"
    assert zlib.crc32(msgspec.msgpack.encode(fields)) == checksum
    db.close()


def test_a_blob_file(tmp_path: Path) -> None:
    """A large content lies where and as the page says, and is what the page's recipe makes of it."""
    parts = iter([b"ab" * 200_000, b""])
    digest, size = blobs.Blobs(str(tmp_path)).stream_in(lambda _: next(parts))
    stored = (tmp_path / "blobs" / digest.hex()[:2] / digest.hex()).read_bytes()
    assert stored[:4] == b"rwb1"
    assert int.from_bytes(stored[4:12], "little") == size == 400_000
    decompressor = compression.ZstdDecompressor()
    assert decompressor.decompress(stored[12:]) == b"ab" * 200_000
    assert decompressor.eof
    assert not decompressor.unused_data

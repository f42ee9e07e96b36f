"""Contents that nothing names: found by reading what may name one, and taken out of the store, a page in a transaction.

Roots are the log's rows, the index, and the steps of operations that are not over. Each function is one transaction of some
milliseconds, and the store is right after each of them: what goes first is the row, then the file, and a file without a row does no harm.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rewindd.errors import StoreCorrupt
from rewindd.store import packs, totals, wanted
from rewindd.store.blobs import FILE, PACKED, get
from rewindd.store.codec import digest_in
from rewindd.store.records import Field, decoding_all, in_parts
from rewindd.store.schema import Connection

#: Rows and contents of one transaction, and bytes of contents that go in one: some milliseconds.
PAGE_ROWS = 2000
PAGE_BLOBS = 1000
COLLECT_BLOBS = 64
COLLECT_BYTES = 1 << 20
#: Pages of the database that are given back to the file system in one transaction: 512 KiB.
VACUUM_PAGES = 64
#: A pack is written anew when more than so much of it is of nobody any more, in percent.
HOLE_PERCENT = 25

Key = tuple[Field, ...]
#: The columns that hold versions, of the tables whose rows name contents, by the key that these are walked by. The index first, the log
#: last: what moves from the one to the other meanwhile is met there.
_NAMING: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "known": (("workspace", "path"), ("version",)),
    "steps": (("operation", "number"), ("expect", "target")),
    "edits": (("workspace", "seq"), ("before", "after")),
}
NAMING = tuple(_NAMING)


@dataclass(frozen=True, slots=True)
class Stored:
    """A content as it lies in the store: `stored_bytes` in the database; `pack`, None: it is in none."""

    number: int
    digest: bytes
    size: int
    is_in_file: bool
    stored_bytes: int
    pack: int | None


@dataclass(frozen=True, slots=True)
class Collected:
    """What went: contents, their bytes, those of which a file is left to be removed, and the packs that have holes now."""

    contents: int = 0
    freed_bytes: int = 0
    files: tuple[bytes, ...] = ()
    packs: frozenset[int] = frozenset()


def named(db: Connection, table: str, after: Key | None) -> tuple[Key | None, list[bytes]]:
    """Returns the contents that a page of a table names, behind the key `after`, as often as they are; and where the next page begins.

    The values are taken as they are: a damaged row rather names a content too many.
    """
    key, columns = _NAMING[table]
    keys, values = ", ".join(key), ", ".join(f"CAST({column} AS BLOB)" for column in columns)
    where = f"WHERE ({keys}) > ({', '.join('?' * len(key))})" if after is not None else ""
    query = f"SELECT {keys}, {values} FROM {table} NOT INDEXED {where} ORDER BY {keys} LIMIT {PAGE_ROWS}"
    with decoding_all(db):
        rows = db.execute(query, after or ()).fetchall()
    found = [digest for row in rows for version in row[len(key) :] if (digest := digest_in(version or b"")) is not None]
    return tuple(rows[-1][: len(key)]) if len(rows) == PAGE_ROWS else None, found


def stored(db: Connection, after: int) -> list[Stored]:
    """Returns a page of the contents whose numbers follow `after`; none behind the last."""
    place = f"CASE encoding WHEN {PACKED} THEN data END"
    query = f"""SELECT number, digest, size, encoding, coalesce(length(data), 0), {place} FROM blobs NOT INDEXED
        WHERE number > ? ORDER BY number LIMIT {PAGE_BLOBS}"""
    rows = db.execute(query, (after,)).fetchall()
    return [
        Stored(number, digest, size, encoding == FILE, length, packs.place_of(place)[0] if place is not None else None)
        for number, digest, size, encoding, length, place in rows
        if isinstance(digest, bytes) and (place is None or len(place) == 16)
    ]


def collect(db: Connection, digests: Collection[bytes], file_bytes: Mapping[bytes, int]) -> Collected:
    """Takes contents out, of `COLLECT_BLOBS` at most, that nothing named when it was looked for; not those that somebody wants since.

    `file_bytes`: what the files of those that are in one take. They are the caller's to remove, after the commit.
    """
    spared = wanted.noted(db)
    contents = freed = in_files = 0
    files: list[bytes] = []
    holed: set[int] = set()
    for part, marks in in_parts(digest for digest in digests if digest not in spared):
        place = f"CASE encoding WHEN {PACKED} THEN data END"
        query = f"SELECT digest, size, encoding, coalesce(length(data), 0), {place} FROM blobs WHERE digest IN ({marks})"
        for digest, size, encoding, length, where in db.execute(query, part).fetchall():
            contents += 1
            if encoding == FILE:
                files.append(digest)
                in_files += file_bytes.get(digest, size)
            elif where is not None:
                holed.add(packs.place_of(where)[0])
            else:
                freed += length
        db.execute(f"DELETE FROM blobs WHERE digest IN ({marks})", part)
    totals.add(db, "blobs", -contents)
    totals.add(db, "blob_file_bytes", -min(in_files, totals.value(db, "blob_file_bytes")))
    return Collected(contents, freed + in_files, tuple(files), frozenset(holed))


def members(db: Connection, wanted_packs: Collection[int], after: int) -> tuple[int | None, dict[int, list[tuple[bytes, int]]]]:
    """Returns which contents of these packs a page of the contents holds, with their sizes; and where the next page begins."""
    query = f"SELECT number, digest, size, data FROM blobs NOT INDEXED WHERE number > ? AND encoding = {PACKED} ORDER BY number LIMIT ?"
    rows = db.execute(query, (after, PAGE_BLOBS)).fetchall()
    found: dict[int, list[tuple[bytes, int]]] = {}
    for _, digest, size, data in rows:
        number = packs.place_of(data)[0] if isinstance(data, bytes) and len(data) == 16 else None
        if number is not None and number in wanted_packs:
            found.setdefault(number, []).append((digest, size))
    return rows[-1][0] if len(rows) == PAGE_BLOBS else None, found


def repack(db: Connection, number: int, held: Iterable[tuple[bytes, int]], *, at_all: bool = False) -> int:
    """Removes a pack that nothing is in, or writes one with holes anew; returns the bytes that it takes less.

    `at_all`: however small the holes are. One that is damaged is left alone: what is whole in it must not go with it.
    """
    found: tuple[int, int] | None = db.execute("SELECT size, length(data) FROM packs WHERE number = ?", (number,)).fetchone()
    if found is None:
        return 0
    size, length = found
    listed = [one for one in held if _is_in(db, one[0], number)]
    if not listed:
        db.execute("DELETE FROM packs WHERE number = ?", (number,))
        return length
    if not at_all and size - sum(size for _, size in listed) <= size * HOLE_PERCENT // 100:
        return 0
    try:
        contents = [(digest, content) for digest, _ in listed if isinstance(content := get(db, digest), bytes)]
    except StoreCorrupt:
        return 0
    for fresh in packs.packed(contents):
        for digest, _, place in packs.put(db, fresh):
            db.execute("UPDATE blobs SET data = ? WHERE digest = ?", (place, digest))
        length -= len(fresh.data)
    db.execute("DELETE FROM packs WHERE number = ?", (number,))
    return length


def vacuum(db: Connection) -> int:
    """Gives some of the database's free pages back to the file system; returns how many are left.

    The file becomes shorter when the log is next brought into it.
    """
    db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    (left,) = db.execute("PRAGMA freelist_count").fetchone()
    return int(left)


def begin(db: sqlite3.Connection) -> None:
    """Begins to note what is put or looked for, for `collect` to spare."""
    wanted.begin(db)


def end(db: sqlite3.Connection) -> None:
    """Notes nothing any more."""
    wanted.end(db)


def _is_in(db: Connection, digest: bytes, number: int) -> bool:
    found: tuple[bytes] | None = db.execute(f"SELECT data FROM blobs WHERE digest = ? AND encoding = {PACKED}", (digest,)).fetchone()
    return found is not None and packs.place_of(found[0])[0] == number

"""Are the rows what was written, and does every index find them? A page of a table at a time, for `verify` and the scrub.

SQLite's own check cannot be broken off within a table, and sees no flipped bit in a value. So each row is compared with its
checksum, each index is asked for each row, and each content that a row names must be there. Nothing is changed here. The pages of
a walk are transactions of their own: rows may come, go and change in between.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic

from rewindd.store import (
    answers,
    barriers,
    checkpoints,
    claims,
    contents,
    edits,
    events,
    grants,
    heads,
    index,
    operations,
    sessions,
    stakes,
    stretches,
    upkeep,
)
from rewindd.store.codec import digest_in
from rewindd.store.records import Field, Records, decoding_all, is_sound
from rewindd.store.schema import Connection

#: What one page takes at most: rows, bytes of their values, seconds.
PAGE_ROWS = 200
PAGE_BYTES = 256 << 10
PAGE_S = 0.003

#: The modules whose tables are checked; to import them makes their tables known.
_OWNERS = (answers, barriers, checkpoints, claims, edits, events, grants, heads, index, operations, sessions, stakes, stretches, upkeep)
#: The columns that hold versions, whose contents must be there.
_NAMING = {"edits": ("before", "after"), "known": ("version",), "steps": ("expect", "target")}

Key = tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that is not as it was written, or that an index does not find. `values`: its columns by name, for what they are still worth.

    `name`: its key, as a person reads it.
    """

    table: str
    name: str
    why: str
    values: dict[str, Field]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page of a table showed. `last`: where the next one begins; None where this was the last.

    `absent`: contents that rows name and the store has not. `is_torn`: it does not begin with the row that was asked for: that is gone, or
    out of order, and then so is what is near it; a longer page from before it shows which.
    """

    rows: int
    last: Key | None
    is_torn: bool = False
    bad: tuple[BadRow, ...] = ()
    absent: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class _Index:
    """An index of a table. `condition`: of a partial one, which rows are in it."""

    name: str
    columns: tuple[str, ...]
    condition: str | None


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a table is walked: by what its own tree is ordered by."""

    key: tuple[str, ...]
    indexes: tuple[_Index, ...]


def tables() -> list[str]:
    """Returns the names of the tables whose rows have checksums, in the order of their names."""
    return sorted(Records.known)


def page(db: Connection, table: str, after: Key | None, *, rows: int = PAGE_ROWS) -> Page:
    """Checks the rows of a table from the key `after` on (None: from the first on), as many as a page takes, `rows` at most.

    Begins with the row `after` itself, which the page before ended with: a key that a flipped bit has put out of order can hide others
    from a search for what is behind it, and shows so.

    Raises:
        StoreCorrupt, sqlite3.DatabaseError: the table's own structure is damaged.
    """
    records, shape = Records.known[table], shape_of(db, table)
    found = _read(db, table, records, shape, after, rows)
    bad = [_bad(records, table, row, "not as it was written") for _, row in found if not is_sound(row)]
    sound = [(key, row) for key, row in found if is_sound(row)]
    keys = [key for key, _ in sound]
    if any(one >= other for one, other in pairwise(keys)):
        bad.append(BadRow(table=table, name=f"after {after}", why="out of order", values={}))
    if sound:
        bad += _unindexed(db, table, records, shape, keys[0], keys[-1])
    is_torn = after is not None and (not found or found[0][0] != after)
    # On by the last key that can be trusted; where there is only damage, by what that says.
    ends = [key for key in (*keys[-1:], *(key for key, _ in found[-1:])) if key != after and _can_be_asked_for(key)]
    return Page(
        rows=len(found) - (after is not None and not is_torn),
        last=ends[0] if ends else None,
        is_torn=is_torn,
        bad=tuple(bad),
        absent=_absent(db, table, records, [row for _, row in sound]),
    )


def _can_be_asked_for(key: Key) -> bool:
    """A text that is no UTF-8 any more is in no parameter of a question."""
    return all(not isinstance(part, str) or part.isascii() for part in key)


def shape_of(db: Connection, table: str) -> _Shape:
    """Returns how a table is walked; read from the database, whose indexes are not known here."""
    with_key = sorted((at, name) for _, name, *_, at in db.execute(f"PRAGMA table_info({table})") if at)
    indexes = []
    for _, name, _, origin, _ in db.execute(f"PRAGMA index_list({table})").fetchall():
        if origin == "pk":
            continue
        columns = tuple(column for _, _, column in db.execute(f"PRAGMA index_info({name})"))
        (text,) = db.execute("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?", (name,)).fetchone()
        _, _, condition = (text or "").partition(" WHERE ")
        indexes.append(_Index(name, columns, condition or None))
    return _Shape(tuple(name for _, name in with_key), tuple(indexes))


def _read(db: Connection, table: str, records: Records, shape: _Shape, after: Key | None, rows: int) -> list[tuple[Key, tuple[Field, ...]]]:
    key, until_s = ", ".join(shape.key), monotonic() + PAGE_S
    where = f"WHERE ({key}) >= ({', '.join('?' * len(shape.key))})" if after is not None else ""
    query = f"SELECT {key}, {', '.join(records.columns)}, checksum FROM {table} NOT INDEXED {where} ORDER BY {key} LIMIT {rows}"
    found: list[tuple[Key, tuple[Field, ...]]] = []
    size = 0
    with decoding_all(db):
        for row in db.execute(query, after or ()):
            found.append((row[: len(shape.key)], row[len(shape.key) :]))
            size += sum(len(field) for field in row if isinstance(field, bytes | str))
            # Two at least: the first is the one that the page before ended with.
            if len(found) > 1 and (size > PAGE_BYTES or monotonic() > until_s):
                break
    return found


def _unindexed(db: Connection, table: str, records: Records, shape: _Shape, first: Key, last: Key) -> Iterator[BadRow]:
    """Yields the rows between two keys that an index of the table does not find."""
    key, marks = ", ".join(shape.key), ", ".join("?" * len(shape.key))
    for one in shape.indexes:
        same = " AND ".join(f"other.{column} IS {table}.{column}" for column in (*one.columns, *shape.key))
        also = f" AND ({one.condition})" if one.condition else ""
        found = f"EXISTS (SELECT 1 FROM {table} AS other INDEXED BY {one.name} WHERE {same}{also})"
        query = f"""SELECT {", ".join(records.columns)}, checksum FROM {table} NOT INDEXED
            WHERE ({key}) >= ({marks}) AND ({key}) <= ({marks}){also} AND NOT {found} ORDER BY {key}"""
        with decoding_all(db):
            for row in db.execute(query, (*first, *last)).fetchall():
                if is_sound(row):
                    yield _bad(records, table, row, f"its index {one.name} does not find it")


def _absent(db: Connection, table: str, records: Records, rows: Sequence[tuple[Field, ...]]) -> frozenset[bytes]:
    columns = [records.columns.index(name) for name in _NAMING.get(table, ())]
    if not columns:
        return frozenset()
    versions = (row[column] for row in rows for column in columns)
    named = {digest for version in versions if isinstance(version, bytes) and (digest := digest_in(version)) is not None}
    return frozenset(contents.absent(db, named))


def _bad(records: Records, table: str, row: tuple[Field, ...], why: str) -> BadRow:
    return BadRow(table=table, name=records.name_of(row), why=why, values=dict(zip(records.columns, row, strict=False)))

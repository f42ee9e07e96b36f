"""Rows with a checksum: written with it, and never read without looking at it.

SQLite does not notice a flipped bit in a row's values (`integrity_check` passes), and what is in these rows decides what is
done to people's files.
"""

import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import ClassVar, TypeVar

import msgspec

from rewindd.errors import StoreCorrupt
from rewindd.store.schema import Connection
from rewindd.store.seam import is_undecodable

T = TypeVar("T")
#: What a column holds.
Field = int | str | bytes | None

#: Values in one `IN (…)`: few statements for many values, and far below SQLite's limit of 32,766 parameters.
_PART = 500

_encoder = msgspec.msgpack.Encoder()
_log = logging.getLogger(__name__)


class Records:
    """One table: how its rows are put, found, and checked. `key` and `values` are its columns, the checksum left out.

    `columns`: those that are under the checksum, in its order.
    """

    #: Every table that is known by now, by its name: for who looks at all of them.
    known: ClassVar[dict[str, "Records"]] = {}

    def __init__(self, table: str, key: tuple[str, ...], values: tuple[str, ...]) -> None:
        self.columns = columns = (*key, *values)
        self.known[table] = self
        self._table = table
        self._key = key
        self._select = f"SELECT {', '.join(columns)}, checksum FROM {table} "
        self._insert = f"INSERT INTO {table} ({', '.join(columns)}, checksum) VALUES ({', '.join('?' * (len(columns) + 1))})"
        fresh = ", ".join(f"{column} = excluded.{column}" for column in (*values, "checksum"))
        self._put = f"{self._insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {fresh}"

    def insert(self, db: Connection, rows: Iterable[tuple[Field, ...]]) -> None:
        """Adds rows; each is a tuple of all columns in order. Raises sqlite3.IntegrityError where the key is taken."""
        db.executemany(self._insert, ((*row, checksum(row)) for row in rows))

    def put(self, db: Connection, rows: Iterable[tuple[Field, ...]]) -> None:
        """Adds rows, or rewrites those whose key is there."""
        db.executemany(self._put, ((*row, checksum(row)) for row in rows))

    def select(
        self, db: Connection, read: Callable[..., T], clause: str, parameters: tuple[Field, ...] | Mapping[str, Field] = ()
    ) -> list[T]:
        """Returns `read(*columns)` for the rows that `clause` names (`WHERE … ORDER BY …`), as the clause orders them.

        Raises:
            StoreCorrupt: a row is not as it was written; the message names table and key.
        """
        try:
            rows = db.execute(self._select + clause, parameters).fetchall()
        except sqlite3.OperationalError as exc:
            # A text that is no UTF-8 any more comes back like this, without a code.
            if not is_undecodable(exc):
                raise
            raise StoreCorrupt(f"{self._table}: a row's text is not as it was written; keep a copy of store.db", table=self._table) from exc
        return [read(*self._checked(row)) for row in rows]

    def sound(
        self, db: Connection, read: Callable[..., T], clause: str, parameters: tuple[Field, ...] | Mapping[str, Field] = ()
    ) -> list[T]:
        """Returns `select` without the rows that are not as they were written, which the log names.

        For what is read as a whole, where one row must not keep all others from being used; not where a row that is not
        there says something by that.
        """
        found: list[T] = []
        for row in self.unchecked(db, clause, parameters):
            if is_sound(row):
                found.append(read(*row[:-1]))
            else:
                self.tell(row)
        return found

    def unchecked(self, db: Connection, clause: str, parameters: tuple[Field, ...] | Mapping[str, Field] = ()) -> list[tuple[Field, ...]]:
        """Returns the rows that `clause` names as they are, their checksums last, for the caller to look at (`is_sound`)."""
        with decoding_all(db):
            return db.execute(self._select + clause, parameters).fetchall()

    def tell(self, row: tuple[Field, ...]) -> None:
        """Has the log name a damaged row that is left out."""
        _log.error("%s, row %s: not as it was written, and left out; `rewindctl verify` tells more", self._table, self.name_of(row))

    def find(
        self, db: Connection, read: Callable[..., T], clause: str, parameters: tuple[Field, ...] | Mapping[str, Field] = ()
    ) -> T | None:
        """Returns the first of `select`, or None."""
        found = self.select(db, read, f"{clause} LIMIT 1", parameters)
        return found[0] if found else None

    def _checked(self, row: tuple[Field, ...]) -> tuple[Field, ...]:
        fields = row[:-1]
        if checksum(fields) != row[-1]:
            key = self.name_of(row)
            raise StoreCorrupt(f"{self._table}, row {key}: not as it was written; keep a copy of store.db", table=self._table, row=key)
        return fields

    def name_of(self, row: tuple[object, ...]) -> str:
        """Returns what names a row, given with its columns in order, to a person: its key."""
        return ", ".join(f"{name} {readable(value)}" for name, value in zip(self._key, row, strict=False))


def is_sound(row: tuple[Field, ...]) -> bool:
    """Returns whether a row, its checksum last, is as it was written."""
    try:
        return checksum(row[:-1]) == row[-1]
    except UnicodeEncodeError:  # a text that is no UTF-8 any more, as `decoding_all` gives it
        return False


def named(db: Connection, query: str, parameters: tuple[Field, ...] = ()) -> list[tuple[int, str]]:
    """Returns the numbers and names that a query selects, of rows whose checksum is not looked at.

    A name of which a bit was flipped names nobody, and must not keep what the other rows name from being used: where it is no UTF-8 any
    more it comes with escapes.
    """
    try:
        return db.execute(query, parameters).fetchall()
    except sqlite3.OperationalError as exc:
        if not is_undecodable(exc):
            raise
    db.text_factory = _escaped
    try:
        return db.execute(query, parameters).fetchall()
    finally:
        db.text_factory = str


@contextmanager
def decoding_all(db: Connection) -> Iterator[None]:
    """In the block a text that is no UTF-8 is no error, which would cost all rows beside it, but has lone surrogates."""
    db.text_factory = _decoded
    try:
        yield
    finally:
        db.text_factory = str


def _decoded(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")


def _escaped(stored: bytes) -> str:
    return stored.decode("utf-8", "backslashreplace")


def checksum(fields: tuple[Field, ...]) -> int:
    """Returns the CRC-32 of the fields' canonical encoding: MessagePack, as an array."""
    return zlib.crc32(_encoder.encode(fields))


def in_parts(values: Iterable[Field]) -> Iterator[tuple[tuple[Field, ...], str]]:
    """Yields the values in parts for `IN (…)`, each with its question marks."""
    rest = iter(values)
    while part := tuple(islice(rest, _PART)):
        yield part, ",".join("?" * len(part))


def readable(value: object) -> str:
    """Returns a column's value for a person, whatever became of it."""
    if isinstance(value, bytes):
        return ascii(value.decode("utf-8", "backslashreplace"))
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else str(value)

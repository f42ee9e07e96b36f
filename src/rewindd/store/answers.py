"""Answers kept under their request's key, so that a request sent twice has its effect once."""

from blake3 import blake3

from rewindd.store.compression import pack, unpack
from rewindd.store.records import Records
from rewindd.store.schema import Connection

_TABLE = Records("answers", ("name",), ("at_ns", "digest", "answer"))
#: Bytes of the digest that stands for session and key: no two of them meet by chance, and a save stays below 1 KiB.
_NAME_BYTES = 16


def find(db: Connection, session: str, key: str) -> tuple[bytes, bytes] | None:
    """Returns the digest of the request's body and the encoded answer. `session` is "" for requests without one."""
    return _TABLE.find(db, _answer, "WHERE name = ?", (name(session, key),))


def put(db: Connection, session: str, key: str, digest: bytes, answer: bytes, at_ns: int) -> None:
    """Keeps an answer; the key is free, or its answer is replaced."""
    _TABLE.put(db, [(name(session, key), at_ns, digest, pack(answer))])


def drop(db: Connection, session: str, key: str) -> None:
    """Forgets the answer under a key: the key is free again."""
    db.execute("DELETE FROM answers WHERE name = ?", (name(session, key),))


def prune(db: Connection, before_ns: int, limit: int | None = None) -> int:
    """Forgets the answers given before that time, the oldest first, `limit` of them at most; returns how many it were."""
    clause = "SELECT number FROM answers WHERE at_ns < ? ORDER BY at_ns LIMIT ?"
    removed = db.execute(f"DELETE FROM answers WHERE number IN ({clause})", (before_ns, -1 if limit is None else limit))
    return removed.rowcount


def clear(db: Connection) -> int:
    """Forgets all answers but those of operations that are under way; returns how many it were."""
    return db.execute("DELETE FROM answers WHERE digest NOT IN (SELECT digest FROM answers WHERE answer = ?)", (pack(b""),)).rowcount


def names(db: Connection) -> list[bytes]:
    """Returns the names of the answers that are kept."""
    return [found for (found,) in db.execute("SELECT name FROM answers")]


def name(session: str, key: str) -> bytes:
    """Returns what stands for a session and a key."""
    # NUL is in no session's id, so no two pairs look the same joined.
    return blake3(f"{session}\0{key}".encode()).digest(length=_NAME_BYTES)


def _answer(_: bytes, at_ns: int, digest: bytes, answer: bytes) -> tuple[bytes, bytes]:
    return digest, unpack(answer)

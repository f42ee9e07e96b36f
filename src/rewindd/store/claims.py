"""Claims: which session's the next change of a path is."""

from collections.abc import Iterable

from rewindd.model.ids import SessionId, WorkspaceId
from rewindd.model.session import Claim
from rewindd.store.codec import path_of, path_to_bytes
from rewindd.store.records import Records
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

_TABLE = Records("claims", ("workspace", "path", "session", "bracket"), ("at_ns", "deep"))
#: A snapshot's claim names no bracket; NULL would never be equal to itself in a key.
_NO_BRACKET = ""


def load(db: Connection, workspace: WorkspaceId) -> list[Claim]:
    """Returns all claims of a workspace, oldest first; one that is damaged has ended."""
    return _TABLE.sound(db, _claim, "WHERE workspace = ? ORDER BY at_ns, path", (number_of(db, workspace),))


def put(db: Connection, workspace: WorkspaceId, claims: Iterable[Claim]) -> None:
    """Adds claims; one that a session already has with the same bracket on the same path gets the new time."""
    number = number_of(db, workspace)
    _TABLE.put(db, ((number, path_to_bytes(c.path), c.session, c.bracket or _NO_BRACKET, c.at_ns, int(c.deep)) for c in claims))


def drop(db: Connection, workspace: WorkspaceId, claims: Iterable[Claim]) -> None:
    """Ends claims, by path, session and bracket; one that is not there is no error."""
    number = number_of(db, workspace)
    keys = ((number, path_to_bytes(c.path), c.session, c.bracket or _NO_BRACKET) for c in claims)
    db.executemany("DELETE FROM claims WHERE workspace = ? AND path = ? AND session = ? AND bracket = ?", keys)


def _claim(workspace: int, path: bytes, session: str, bracket: str, at_ns: int, deep: int) -> Claim:
    return Claim(path=path_of(path), session=SessionId(session), bracket=bracket or None, at_ns=at_ns, deep=bool(deep))

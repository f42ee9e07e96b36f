"""Stakes and cursors: of what each open session is to be told, and how far it has taken note."""

from collections.abc import Iterable, Mapping

from rewindd.model.ids import SessionId, WorkspaceId
from rewindd.model.stakes import Stake
from rewindd.store import sessions
from rewindd.store.codec import path_of, path_to_bytes
from rewindd.store.records import Records
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

_STAKES = Records("stakes", ("workspace", "session", "path"), ("since", "deep"))
_CURSORS = Records("cursors", ("workspace", "session"), ("seq",))


def load(db: Connection, workspace: WorkspaceId) -> list[Stake]:
    """Returns all stakes of a workspace; not those that are damaged, or of a session that is."""
    ids = sessions.ids_of(db, workspace)

    def stake(workspace: int, session: int, path: bytes, since: int, deep: int) -> Stake | None:
        whose = ids.get(session)
        return Stake(path=path_of(path), session=whose, since=since, deep=bool(deep)) if whose is not None else None

    found = _STAKES.sound(db, stake, "WHERE workspace = ?", (number_of(db, workspace),))
    return [one for one in found if one is not None]


def put(db: Connection, workspace: WorkspaceId, stakes: Iterable[Stake]) -> None:
    """Adds stakes, or rewrites those that their sessions have on these paths. Raises UnknownSession."""
    listed = list(stakes)
    if not listed:
        return
    number = number_of(db, workspace)
    numbers = {one: sessions.number_of(db, one) for one in {stake.session for stake in listed}}
    _STAKES.put(db, ((number, numbers[one.session], path_to_bytes(one.path), one.since, int(one.deep)) for one in listed))


def cursors(db: Connection, workspace: WorkspaceId) -> dict[SessionId, int]:
    """Returns how far each session took note, for those that ever did."""
    ids = sessions.ids_of(db, workspace)

    def cursor(workspace: int, session: int, seq: int) -> tuple[SessionId | None, int]:
        return ids.get(session), seq

    found = _CURSORS.sound(db, cursor, "WHERE workspace = ?", (number_of(db, workspace),))
    return {session: seq for session, seq in found if session is not None}


def acknowledge(db: Connection, workspace: WorkspaceId, noted: Mapping[SessionId, int]) -> None:
    """Notes how far sessions took note. Raises UnknownSession."""
    number = number_of(db, workspace)
    _CURSORS.put(db, ((number, sessions.number_of(db, session), seq) for session, seq in noted.items()))


def end(db: Connection, workspace: WorkspaceId, session: SessionId, limit: int) -> int:
    """Forgets `limit` of a session's stakes, and its cursor with the last of them; returns how many stakes there were to forget."""
    key = (number_of(db, workspace), sessions.number_of(db, session))
    some = "SELECT path FROM stakes WHERE workspace = ? AND session = ? LIMIT ?"
    gone = db.execute(f"DELETE FROM stakes WHERE workspace = ? AND session = ? AND path IN ({some})", (*key, *key, limit)).rowcount
    if gone < limit:
        db.execute("DELETE FROM cursors WHERE workspace = ? AND session = ?", key)
    return gone

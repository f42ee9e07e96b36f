"""Stakes and cursors: of what each open session is to be told, and how far it has taken note; and the stakes that closed ones had."""

from collections.abc import Collection, Iterable, Mapping

from rewindd.model.ids import SessionId, WorkspaceId
from rewindd.model.stakes import Stake
from rewindd.paths import ROOT, RelPath
from rewindd.store import sessions
from rewindd.store.codec import path_of, path_to_bytes
from rewindd.store.records import Records, in_parts
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

#: Former stakes that are looked at in one transaction, some milliseconds.
PAGE_FORMER = 1000

#: Path and session, as they are stored.
_Key = tuple[bytes, int]

_STAKES = Records("stakes", ("workspace", "session", "path"), ("since", "deep"))
_FORMER = Records("former_stakes", ("workspace", "path", "session"), ("since", "deep"))
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
    """Ends `limit` of a session's stakes, and its cursor with the last of them; returns how many stakes there were to end.

    What a checkpoint of the session was made after is kept as a former stake: that checkpoint may rest on it. Raises UnknownSession.
    """
    key = (number_of(db, workspace), sessions.number_of(db, session))
    ending = _STAKES.sound(db, _plain, "WHERE workspace = ? AND session = ? ORDER BY path LIMIT ?", (*key, limit))
    _keep_former(db, *key, ending)
    some = "SELECT path FROM stakes WHERE workspace = ? AND session = ? ORDER BY path LIMIT ?"
    gone = db.execute(f"DELETE FROM stakes WHERE workspace = ? AND session = ? AND path IN ({some})", (*key, *key, limit)).rowcount
    if gone < limit:
        db.execute("DELETE FROM cursors WHERE workspace = ? AND session = ?", key)
    return gone


def former(db: Connection, workspace: WorkspaceId, paths: Collection[RelPath]) -> list[Stake]:
    """Returns the stakes that sessions had in these paths when they were closed: on them, and deep ones above them."""
    named = {path_to_bytes(path) for path in paths}
    above = {path_to_bytes(higher) for path in paths for higher in (*path.ancestors, ROOT)} - named
    ids: dict[int, SessionId | None] = {}

    def stake(workspace: int, path: bytes, session: int, since: int, deep: int) -> Stake | None:
        if session not in ids:
            ids[session] = sessions.id_of(db, session)
        whose = ids[session]
        return Stake(path=path_of(path), session=whose, since=since, deep=bool(deep)) if whose is not None else None

    number, found = number_of(db, workspace), list[Stake | None]()
    for part, marks in in_parts(sorted(named)):
        found += _FORMER.sound(db, stake, f"WHERE workspace = ? AND path IN ({marks})", (number, *part))
    for part, marks in in_parts(sorted(above)):
        found += _FORMER.sound(db, stake, f"WHERE workspace = ? AND path IN ({marks}) AND deep = 1", (number, *part))
    return [one for one in found if one is not None]


def drop_former(db: Connection, workspace: WorkspaceId, position: int, after: _Key | None) -> _Key | None:
    """Forgets former stakes of sessions that have no checkpoint of their own after `position`, in a page of all of the workspace's.

    `after`: where the page before ended; None: there was none. Returns where this one did; None: it was the last.
    """
    number = number_of(db, workspace)
    behind = after if after is not None else (b"", -1)
    page = f"WHERE workspace = ? AND (path, session) > (?, ?) ORDER BY path, session LIMIT {PAGE_FORMER}"
    keys: list[_Key] = db.execute(f"SELECT path, session FROM former_stakes {page}", (number, *behind)).fetchall()
    if not keys:
        return None
    later = "SELECT 1 FROM checkpoints WHERE session = former_stakes.session AND seq > ? AND automatic = 0"
    within = "workspace = ? AND (path, session) > (?, ?) AND (path, session) <= (?, ?)"
    db.execute(f"DELETE FROM former_stakes WHERE {within} AND NOT EXISTS ({later})", (number, *behind, *keys[-1], position))
    return keys[-1] if len(keys) == PAGE_FORMER else None


def _keep_former(db: Connection, workspace: int, session: int, ending: Iterable[tuple[bytes, int, int]]) -> None:
    """Keeps those that the session's newest checkpoint was made after. Where it had one on the path before, the first position counts."""
    newest = "SELECT seq FROM checkpoints WHERE session = ? AND automatic = 0 ORDER BY seq DESC LIMIT 1"
    found: tuple[int] | None = db.execute(newest, (session,)).fetchone()
    kept = {path: (since, deep) for path, since, deep in ending if found is not None and since <= found[0]}
    for part, marks in in_parts(list(kept)):
        clause = f"WHERE workspace = ? AND session = ? AND path IN ({marks})"
        for path, since, deep in _FORMER.sound(db, _plain_former, clause, (workspace, session, *part)):
            kept[path] = min(since, kept[path][0]), max(deep, kept[path][1])
    _FORMER.put(db, ((workspace, path, session, since, deep) for path, (since, deep) in kept.items()))


def _plain(workspace: int, session: int, path: bytes, since: int, deep: int) -> tuple[bytes, int, int]:
    return path, since, deep


def _plain_former(workspace: int, path: bytes, session: int, since: int, deep: int) -> tuple[bytes, int, int]:
    return path, since, deep

"""Stakes and cursors: of what each open session is to be told, and how far it has taken note; and the stakes that closed ones had."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rewindd.model.ids import SessionId, WorkspaceId
from rewindd.model.stakes import Stake
from rewindd.paths import RelPath
from rewindd.store import sessions
from rewindd.store.codec import path_of, path_to_bytes
from rewindd.store.records import Field, Records, in_parts, is_sound
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

#: Former stakes that are looked at in one transaction, and paths that are asked for: some 4 ms each.
PAGE_FORMER = 500
PART_ASKED = 500

#: Path and session, as they are stored.
_Key = tuple[bytes, int]

_STAKES = Records("stakes", ("workspace", "session", "path"), ("since", "deep"))
_FORMER = Records("former_stakes", ("workspace", "path", "session"), ("since", "deep"))
_CURSORS = Records("cursors", ("workspace", "session"), ("seq",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which former stakes in a path are asked for: of sessions with a checkpoint at or after position `seq`; `deep`: only deep ones.

    `behind`: the number of the session up to which they were read; -1: none was.
    """

    path: RelPath
    seq: int
    deep: bool = False
    behind: int = -1


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


def has_former(db: Connection, workspace: WorkspaceId) -> bool:
    """Returns whether any session that was closed had a stake in the workspace. Raises UnknownWorkspace."""
    return db.execute("SELECT 1 FROM former_stakes WHERE workspace = ? LIMIT 1", (number_of(db, workspace),)).fetchone() is not None


def former(db: Connection, workspace: WorkspaceId, asked: Sequence[Asked]) -> tuple[list[Stake], list[Asked]]:
    """Returns a page of the stakes that are asked for, but for damaged ones, and what is still to be asked. Raises UnknownWorkspace."""
    number, found, rest, room = number_of(db, workspace), list[Stake](), list(asked[PART_ASKED:]), PAGE_FORMER
    newest: dict[int, int] = {}
    for at, one in enumerate(asked[:PART_ASKED]):
        key = number, path_to_bytes(one.path), one.behind
        rows = _FORMER.unchecked(db, f"WHERE workspace = ? AND path = ? AND session > ? ORDER BY session LIMIT {room}", key)
        found += [stake for row in rows if (stake := _former(db, one, newest, row)) is not None]
        room -= len(rows)
        if not room:
            rest = [replace(one, behind=_number(rows[-1][2])), *asked[at + 1 :]]
            break
    return found, rest


def drop_former(db: Connection, workspace: WorkspaceId, after: _Key | None) -> _Key | None:
    """Forgets former stakes of sessions that have no checkpoint of their own at or after them, in a page of all of the workspace's.

    `after`: where the page before ended; None: there was none. Returns where this one did; None: it was the last. Raises UnknownWorkspace.
    """
    number = number_of(db, workspace)
    behind = after if after is not None else (b"", -1)
    page = f"WHERE workspace = ? AND (path, session) > (?, ?) ORDER BY path, session LIMIT {PAGE_FORMER}"
    keys: list[_Key] = db.execute(f"SELECT path, session FROM former_stakes {page}", (number, *behind)).fetchall()
    if not keys:
        return None
    later = "SELECT 1 FROM checkpoints WHERE session = former_stakes.session AND seq >= since AND automatic = 0"
    within = "workspace = ? AND (path, session) > (?, ?) AND (path, session) <= (?, ?)"
    db.execute(f"DELETE FROM former_stakes WHERE {within} AND NOT EXISTS ({later})", (number, *behind, *keys[-1]))
    return keys[-1] if len(keys) == PAGE_FORMER else None


def drop_former_below(db: Connection, workspace: WorkspaceId, path: RelPath) -> int:
    """Forgets a page of the former stakes in a path and what is below it; returns how many, 0: none is left. Raises UnknownWorkspace."""
    stored = path_to_bytes(path)
    # "0" is the byte after "/", so the range holds nothing beside it.
    within = "workspace = ? AND (path = ? OR (path > ? AND path < ?))"
    some = f"SELECT workspace, path, session FROM former_stakes WHERE {within} LIMIT {PAGE_FORMER}"
    key = (number_of(db, workspace), stored, stored + b"/", stored + b"0")
    return db.execute(f"DELETE FROM former_stakes WHERE (workspace, path, session) IN ({some})", key).rowcount


def _former(db: Connection, asked: Asked, newest: dict[int, int], row: tuple[Field, ...]) -> Stake | None:
    """Returns a row's stake, where that is asked for; `newest`: positions of sessions' newest checkpoints, as they are found."""
    if not is_sound(row):
        _FORMER.tell(row)
        return None
    session, since, deep = (_number(one) for one in row[2:5])
    if session not in newest:
        newest[session] = _newest(db, session)
    if newest[session] < max(since, asked.seq) or (asked.deep and not deep):
        return None
    whose = sessions.id_of(db, session)
    return Stake(path=asked.path, session=whose, since=since, deep=bool(deep)) if whose is not None else None


def _number(field: Field) -> int:
    """A number of a row; where damage made something else of it, what is behind all numbers, as SQLite has it."""
    return field if isinstance(field, int) else (1 << 63) - 1


def _keep_former(db: Connection, workspace: int, session: int, ending: Iterable[tuple[bytes, int, int]]) -> None:
    """Keeps those that the session's newest checkpoint was made after. Where it had one on the path before, the first position counts."""
    newest = _newest(db, session)
    kept = {path: (since, deep) for path, since, deep in ending if since <= newest}
    for part, marks in in_parts(list(kept)):
        clause = f"WHERE workspace = ? AND session = ? AND path IN ({marks})"
        for path, since, deep in _FORMER.sound(db, _plain_former, clause, (workspace, session, *part)):
            kept[path] = min(since, kept[path][0]), max(deep, kept[path][1])
    _FORMER.put(db, ((workspace, path, session, since, deep) for path, (since, deep) in kept.items()))


def _newest(db: Connection, session: int) -> int:
    """Returns the position of a session's newest checkpoint, not counting automatic ones; -1 where it has none."""
    query = "SELECT seq FROM checkpoints WHERE session = ? AND automatic = 0 ORDER BY seq DESC LIMIT 1"
    found: tuple[int] | None = db.execute(query, (session,)).fetchone()
    return found[0] if found is not None else -1


def _plain(workspace: int, session: int, path: bytes, since: int, deep: int) -> tuple[bytes, int, int]:
    return path, since, deep


def _plain_former(workspace: int, path: bytes, session: int, since: int, deep: int) -> tuple[bytes, int, int]:
    return path, since, deep

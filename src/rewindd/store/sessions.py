"""Sessions, and where each stands."""

from dataclasses import replace

from rewindd.errors import UnknownSession
from rewindd.model.conversation import Stats
from rewindd.model.ids import CheckpointId, GrantId, SessionId, WorkspaceId
from rewindd.model.session import Attribution, Capture, Head, Session
from rewindd.store.codec import head_of, head_to_bytes, stats_of, stats_to_bytes
from rewindd.store.records import Field, Records, is_sound, named, readable
from rewindd.store.schema import Connection

_TABLE = Records(
    "sessions",
    ("number",),
    (
        *("id", "workspace", "agent", "parent", "origin", "granted", "capture", "attribution", "imported"),
        *("start_seq", "opened_at_ns", "last_seen_at_ns", "closed_at_ns", "head", "stats"),
    ),
)


def add(db: Connection, session: Session) -> None:
    """Adds a session; its id is free."""
    (number,) = db.execute("SELECT coalesce(max(number), 0) + 1 FROM sessions").fetchone()
    _TABLE.insert(db, [_row(number, session)])


def find(db: Connection, id: SessionId) -> Session | None:  # noqa: A002 - the word of the domain
    """Returns the session with that id, open or closed."""
    return _TABLE.find(db, _session, "WHERE id = ?", (id,))


def of_workspace(db: Connection, workspace: WorkspaceId | None, *, closed: bool) -> list[Session]:
    """Returns the sessions of a workspace (None: of all), oldest first: the open ones, with `closed` those too that are closed.

    Not one whose row is damaged, which must not keep others away.
    """
    return listed(db, workspace, closed=closed)[0]


def listed(db: Connection, workspace: WorkspaceId | None, *, closed: bool) -> tuple[list[Session], list[str]]:
    """Returns the same, and the ids, as far as they can be read, of those whose rows are damaged."""
    conditions = [*(["workspace = ?"] if workspace is not None else []), *(["closed_at_ns IS NULL"] if not closed else [])]
    clause = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    found: list[Session] = []
    damaged: list[str] = []
    for row in _TABLE.unchecked(db, f"{clause}ORDER BY number", (workspace,) if workspace is not None else ()):
        if is_sound(row):
            found.append(_session(*row[:-1]))  # type: ignore[arg-type]  # the columns are as they were written
        else:
            _TABLE.tell(row)
            damaged.append(readable(row[1]))
    return found, damaged


def salvaged(db: Connection, id: SessionId, at_ns: int) -> Session | None:  # noqa: A002
    """Returns what can be used of a session whose row is damaged: closed at `at_ns`, without a head. None where no row has that id."""
    for row in _TABLE.unchecked(db, "WHERE id = ?", (id,)):
        _, stored, workspace, agent, _, _, granted, capture, *_ = row
        return Session(
            id=SessionId(readable(stored)),
            workspace=WorkspaceId(readable(workspace)),
            agent=readable(agent),
            parent=None,
            origin=None,
            grant=GrantId(granted) if isinstance(granted, str) else None,
            capture=Capture.WORKSPACE if capture == Capture.WORKSPACE.value else Capture.SNAPSHOTS,
            attribution=Attribution.DECLARED,
            imported=False,
            start_seq=0,
            opened_at_ns=at_ns,
            last_seen_at_ns=at_ns,
            closed_at_ns=at_ns,
            head=Head(checkpoint=None, event=None),
            stats=Stats(start_time_ns=at_ns),
        )
    return None


def rewrite(db: Connection, session: Session) -> None:
    """Writes a session's row anew, whatever is in it. Raises UnknownSession."""
    _rewrite(db, session)


def opened(db: Connection) -> list[Session]:
    """Returns all open sessions, oldest first; not one whose row is damaged, which must not keep others away."""
    return _TABLE.sound(db, _session, "WHERE closed_at_ns IS NULL ORDER BY number")


def stand(db: Connection, id: SessionId, head: Head, stats: Stats, seen_at_ns: int | None = None) -> None:  # noqa: A002
    """Says where the session stands now, and when it made its last request, where that is known anew. Raises UnknownSession."""
    known = _one(db, id)
    _rewrite(db, replace(known, head=head, stats=stats, last_seen_at_ns=known.last_seen_at_ns if seen_at_ns is None else seen_at_ns))


def restart(db: Connection, id: SessionId, start_seq: int, closed_at_ns: int) -> None:  # noqa: A002
    """Says that the session, which is closed, has nothing before this position. Raises UnknownSession."""
    _rewrite(db, replace(_one(db, id), start_seq=start_seq, closed_at_ns=closed_at_ns))


def seen(db: Connection, id: SessionId, at_ns: int) -> None:  # noqa: A002
    """Notes the time of the session's last request. Raises UnknownSession."""
    _rewrite(db, replace(_one(db, id), last_seen_at_ns=at_ns))


def close(db: Connection, id: SessionId, at_ns: int) -> None:  # noqa: A002
    """Closes the session. Raises UnknownSession."""
    _rewrite(db, replace(_one(db, id), closed_at_ns=at_ns))


def reopen(db: Connection, session: Session) -> Session:
    """Makes it an open session again, with the capture and attribution that `session` has; returns it as it is. Raises UnknownSession.

    Where it stands is not `session`'s word: it may have moved since that was read.
    """
    again = replace(_one(db, session.id), closed_at_ns=None, capture=session.capture, attribution=session.attribution)
    _rewrite(db, again)
    return again


def of_grant(db: Connection, grant: GrantId) -> list[Session]:
    """Returns the sessions that were opened through a grant, open and closed ones, oldest first."""
    return _TABLE.select(db, _session, "WHERE granted = ? ORDER BY number", (grant,))


def granted(db: Connection, workspace: WorkspaceId) -> dict[SessionId, GrantId]:
    """Returns the sessions of a workspace that were opened through grants, and through which."""
    found = _TABLE.sound(db, _session, "WHERE granted IS NOT NULL AND workspace = ?", (workspace,))
    return {one.id: one.grant for one in found if one.grant is not None}


def count_open(db: Connection) -> int:
    """Returns how many sessions are open."""
    (count,) = db.execute("SELECT count(*) FROM sessions WHERE closed_at_ns IS NULL").fetchone()
    return int(count)


def number_of(db: Connection, id: SessionId) -> int:  # noqa: A002
    """Returns the number by which the larger tables know it. Raises UnknownSession."""
    found: tuple[int] | None = db.execute("SELECT number FROM sessions WHERE id = ?", (id,)).fetchone()
    if found is None:
        raise UnknownSession(f"no session {id!r}; `rewindctl session list --all` shows them")
    return found[0]


def id_of(db: Connection, number: int) -> SessionId | None:
    """Returns the id of the session with that number; None where there is none, or it cannot be read."""
    found = named(db, "SELECT number, id FROM sessions WHERE number = ?", (number,))
    return SessionId(found[0][1]) if found else None


def ids_of(db: Connection, workspace: WorkspaceId) -> dict[int, SessionId]:
    """Returns the ids of all sessions of a workspace by number."""
    return {number: SessionId(id_) for number, id_ in named(db, "SELECT number, id FROM sessions WHERE workspace = ?", (workspace,))}


def page(db: Connection, workspace: WorkspaceId, after: int, limit: int) -> list[tuple[int, Session]]:
    """Returns so many sessions of a workspace behind a number, with theirs; in order. Raises StoreCorrupt."""
    clause = "WHERE workspace = ? AND number > ? ORDER BY number LIMIT ?"
    return _TABLE.select(db, lambda number, *rest: (number, _session(number, *rest)), clause, (workspace, after, limit))


def _one(db: Connection, id_: SessionId) -> Session:
    session = find(db, id_)
    if session is None:
        raise UnknownSession(f"no session {id_!r}; `rewindctl session list --all` shows them")
    return session


def _rewrite(db: Connection, session: Session) -> None:
    _TABLE.put(db, [_row(number_of(db, session.id), session)])


def _row(number: int, session: Session) -> tuple[Field, ...]:
    s = session
    named: tuple[Field, ...] = (s.id, s.workspace, s.agent, s.parent, s.origin, s.grant)
    kinds: tuple[Field, ...] = (s.capture.value, s.attribution.value, int(s.imported))
    times: tuple[Field, ...] = (s.start_seq, s.opened_at_ns, s.last_seen_at_ns, s.closed_at_ns)
    return (number, *named, *kinds, *times, head_to_bytes(s.head), stats_to_bytes(s.stats))


def _session(
    number: int,
    id_: str,
    workspace: str,
    agent: str,
    parent: str | None,
    origin: str | None,
    granted: str | None,
    capture: str,
    attribution: str,
    imported: int,
    start_seq: int,
    opened_at_ns: int,
    last_seen_at_ns: int,
    closed_at_ns: int | None,
    head: bytes,
    stats: bytes,
) -> Session:
    return Session(
        id=SessionId(id_),
        workspace=WorkspaceId(workspace),
        agent=agent,
        parent=SessionId(parent) if parent is not None else None,
        origin=CheckpointId(origin) if origin is not None else None,
        grant=GrantId(granted) if granted is not None else None,
        capture=Capture(capture),
        attribution=Attribution(attribution),
        imported=bool(imported),
        start_seq=start_seq,
        opened_at_ns=opened_at_ns,
        last_seen_at_ns=last_seen_at_ns,
        closed_at_ns=closed_at_ns,
        head=head_of(head),
        stats=stats_of(stats),
    )

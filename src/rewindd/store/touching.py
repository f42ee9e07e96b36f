"""What damage means: the checkpoints that need a row or a content, and the paths that hold it. A page at a time, as `checking`.

A checkpoint needs a content that its files held from its parent's position to its own, and a row of the log that is after its
parent's position: whoever goes back reads the log from now to there. Rather one too many is named than one too few: a row that
is not as it was written says of itself only what it says now.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from rewindd.model.ids import CheckpointId, SessionId, WorkspaceId
from rewindd.paths import RelPath
from rewindd.store.checking import BadRow
from rewindd.store.codec import digest_in, path_of
from rewindd.store.records import Field, decoding_all
from rewindd.store.schema import Connection

#: Rows of one page: some three milliseconds.
PAGE_ROWS = 1000
#: The end of the log: as large as any position.
END = (1 << 63) - 1

#: By what names a workspace's number and a position in tables whose rows are read from now back to a checkpoint.
_IN_THE_LOG = {"edits": "seq", "toggles": "at", "operations": "at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which checkpoints something is needed by: those of a workspace whose way from parent to themselves meets `first` to `last`.

    Or those of some sessions, from an event on; those of a barrier; one alone, by its number. `workspace` None: of any.
    """

    workspace: int | None = None
    first: int = 0
    last: int = END
    sessions: frozenset[int] | None = None
    event: int = 0
    barrier: str | None = None
    number: int | None = None

    def meets(self, one: "_Raw") -> bool:
        """Returns whether a checkpoint is one of them."""
        if self.number is not None:
            return one.number == self.number
        if self.barrier is not None:
            return one.barrier == self.barrier
        if self.sessions is not None:
            return one.session in self.sessions and (one.event or 0) >= self.event
        return self.workspace in (None, one.workspace) and one.base_seq <= self.last and one.seq >= self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A path that holds a content, or held it, from one position to another; `is_now`: as far as the index knows it still does."""

    digest: bytes
    workspace: int
    path: RelPath
    first: int
    last: int
    is_now: bool

    @property
    def reach(self) -> Reach:
        """Which checkpoints need it there."""
        return Reach(workspace=self.workspace, first=self.first, last=self.last)


class Touched(NamedTuple):
    """A checkpoint that something touches, by the place of that in what was asked about."""

    which: int
    session: SessionId
    id: CheckpointId
    label: str | None


class _Raw(NamedTuple):
    """A checkpoint's row, as far as damage is judged by; unchecked."""

    number: int
    session: int
    workspace: int
    id: str
    label: str | None
    base_seq: int
    seq: int
    event: int | None
    barrier: str | None


def workspaces_by_number(db: Connection) -> dict[int, WorkspaceId]:
    """Returns the ids of all workspaces by the numbers that rows have; unchecked."""
    with decoding_all(db):
        return {number: WorkspaceId(id_) for number, id_ in db.execute("SELECT number, id FROM workspaces NOT INDEXED")}


def reach_of(db: Connection, bad: BadRow) -> Reach | None:
    """Returns which checkpoints a damaged row is needed by; None where it is none, or cannot be told."""
    values = bad.values
    workspace = _workspace(db, values.get("workspace"))
    match bad.table:
        case "edits" | "toggles" | "operations":
            at = values.get(_IN_THE_LOG[bad.table])
            until = _switched_until(db, workspace, values.get("path")) if bad.table == "edits" else 0
            return Reach(workspace=workspace, last=max(at, until) - 1 if isinstance(at, int) and at > 0 else END)
        case "heads":
            seq = values.get("seq")
            return Reach(workspace=workspace, first=seq if isinstance(seq, int) else 0)
        case "known":
            return Reach(workspace=workspace, first=_last_row(db, workspace, values.get("path")))
        case "workspaces":
            return Reach(workspace=_number(values.get("number")))
        case "sessions":
            number = _number(values.get("number"))
            return Reach(sessions=frozenset() if number is None else frozenset({number}))
        case "events":
            return Reach(sessions=_family(db, values.get("session")), event=_number(values.get("id")) or 0)
        case "checkpoints":
            return Reach(number=_number(values.get("number")))
        case "barriers":
            return Reach(barrier=str(values.get("id")))
        case _:
            return None


def holders(db: Connection, digests: Set[bytes], after: tuple[Field, ...] | None) -> tuple[list[Held], tuple[Field, ...] | None]:
    """Returns where the log says that contents were, from a page of its rows on, and the key that the next page begins behind."""
    start = after or (-1, -1)
    query = (
        f"SELECT workspace, seq, path, before, after FROM edits WHERE (workspace, seq) > (?, ?) ORDER BY workspace, seq LIMIT {PAGE_ROWS}"
    )
    rows = db.execute(query, start).fetchall()
    held: list[Held] = []
    for workspace, seq, path, before, now in rows:
        if _digest(now) in digests:
            last = _next_row(db, workspace, path, seq) - 1
            held.append(Held(digest=now[5:37], workspace=workspace, path=path_of(path), first=seq, last=last, is_now=False))
        if _digest(before) in digests:
            # From when on is what the row before says; where there is none, it was so since it was first seen.
            first = _previous_row(db, workspace, path, seq)
            held.append(Held(digest=before[5:37], workspace=workspace, path=path_of(path), first=first, last=seq - 1, is_now=False))
    return held, rows[-1][:2] if len(rows) == PAGE_ROWS else None


def holders_now(db: Connection, digests: Set[bytes], after: tuple[Field, ...] | None) -> tuple[list[Held], tuple[Field, ...] | None]:
    """Returns where the index says that contents are, a page of it, and the key that the next page begins behind."""
    start = after or (-1, b"")
    query = f"""SELECT workspace, path, version, since FROM known
        WHERE (workspace, path) > (?, ?) ORDER BY workspace, path LIMIT {PAGE_ROWS}"""
    rows = db.execute(query, start).fetchall()
    held = [
        Held(digest=version[5:37], workspace=workspace, path=path_of(path), first=since, last=END, is_now=True)
        for workspace, path, version, since in rows
        if _digest(version) in digests
    ]
    return held, rows[-1][:2] if len(rows) == PAGE_ROWS else None


def touched(db: Connection, reaches: Sequence[Sequence[Reach]], after: int) -> tuple[list[Touched], int | None]:
    """Returns which of a page of all checkpoints meet which of the reaches, and the number that the next page begins behind."""
    query = f"""SELECT number, session, workspace, id, label, base_seq, seq, event, barrier FROM checkpoints NOT INDEXED
        WHERE number > ? ORDER BY number LIMIT {PAGE_ROWS}"""
    with decoding_all(db):
        rows = [_Raw(*row) for row in db.execute(query, (after,))]
        names: Mapping[int, str] = dict(db.execute("SELECT number, id FROM sessions NOT INDEXED").fetchall())
    found = [
        Touched(which, SessionId(_said(names.get(one.session))), CheckpointId(_said(one.id)), _said(one.label) or None)
        for one in rows
        if _is_readable(one)
        for which, listed in enumerate(reaches)
        if any(reach.meets(one) for reach in listed)
    ]
    return found, rows[-1].number if len(rows) == PAGE_ROWS else None


def _is_readable(one: _Raw) -> bool:
    """A row that is damaged itself is named by its own finding."""
    return all(isinstance(field, int) for field in (one.session, one.workspace, one.base_seq, one.seq, one.event or 0))


def _said(value: object) -> str:
    """A text of a row as it can be said, whatever became of it."""
    return str(value if value is not None else "").encode("utf-8", "backslashreplace").decode()


def _digest(version: object) -> bytes | None:
    return digest_in(version) if isinstance(version, bytes) else None


def _number(value: Field) -> int | None:
    return value if isinstance(value, int) else None


def _family(db: Connection, session: Field) -> frozenset[int]:
    """The numbers of a session and of those that were opened from it, and so on: forks share its conversation."""
    query = """WITH RECURSIVE kin (number, id) AS (SELECT number, id FROM sessions WHERE number = ? UNION
        SELECT one.number, one.id FROM sessions AS one JOIN kin ON one.parent = kin.id) SELECT number FROM kin"""
    with decoding_all(db):
        return frozenset(number for (number,) in db.execute(query, (session,)))


def _workspace(db: Connection, named: Field) -> int | None:
    """The number of a workspace that a row names by its number or by its id; None where there is no such: then it may be any."""
    asked = named.encode(errors="replace").decode() if isinstance(named, str) else named
    found: tuple[int] | None = db.execute("SELECT number FROM workspaces WHERE number = :one OR id = :one", {"one": asked}).fetchone()
    return found[0] if found is not None else None


def _last_row(db: Connection, workspace: int | None, path: Field) -> int:
    (found,) = db.execute("SELECT max(seq) FROM edits WHERE workspace = ? AND path = ?", (workspace, path)).fetchone()
    return found or 0


def _switched_until(db: Connection, workspace: int | None, path: Field) -> int:
    """Where a row of the path, or of one below, was last switched: who goes back across that reads the whole history of such a path."""
    if not isinstance(path, bytes):
        return END
    query = """SELECT max(at) FROM toggles WHERE workspace = :workspace AND row IN (SELECT seq FROM edits
        WHERE workspace = :workspace AND (path = :path OR path > :first AND path < :last))"""
    below = {"first": path + b"/", "last": path + b"0"}
    (found,) = db.execute(query, {"workspace": workspace, "path": path, **below}).fetchone()
    return found or 0


def _next_row(db: Connection, workspace: int, path: bytes, seq: int) -> int:
    (found,) = db.execute("SELECT min(seq) FROM edits WHERE workspace = ? AND path = ? AND seq > ?", (workspace, path, seq)).fetchone()
    return found if found is not None else END


def _previous_row(db: Connection, workspace: int, path: bytes, seq: int) -> int:
    (found,) = db.execute("SELECT max(seq) FROM edits WHERE workspace = ? AND path = ? AND seq < ?", (workspace, path, seq)).fetchone()
    return found or 0

"""What retention asks of the store before it lets checkpoints and operations go, and how they go."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rewindd.model.ids import BarrierId, CheckpointId, OperationId, SessionId, WorkspaceId
from rewindd.model.operation import Operation
from rewindd.model.session import Session
from rewindd.store import barriers, checkpoints, operations, sessions, stretches
from rewindd.store.codec import head_of
from rewindd.store.records import in_parts
from rewindd.store.schema import Connection
from rewindd.store.stretches import Stretch

#: How many operations of a session can be taken back, at least.
UNDO_DEPTH = 20
#: Sessions that are looked at in one transaction.
PAGE_SESSIONS = 50
#: Operations that go in one transaction.
PAGE_OPERATIONS = 200
#: Checkpoints whose positions are read in one transaction.
PAGE_POSITIONS = 2000


@dataclass(frozen=True, slots=True)
class Stands:
    """What a session needs: checkpoints by their ids, of whatever session, and positions of the log; with each, why."""

    session: SessionId
    checkpoints: Mapping[CheckpointId, str]
    positions: Collection[int]


@dataclass(frozen=True, slots=True)
class Since:
    """A moment of the store: what came after it has higher numbers."""

    operation: int
    session: int


def now(db: Connection) -> Since:
    """Returns this moment."""
    (operation,) = db.execute("SELECT coalesce(max(number), 0) FROM operations").fetchone()
    (session,) = db.execute("SELECT coalesce(max(number), 0) FROM sessions").fetchone()
    return Since(operation, session)


def stands(db: Connection, workspace: WorkspaceId, after: int) -> tuple[int | None, list[Stands]]:
    """Returns what a page of a workspace's sessions needs, behind number `after`; and where the next page begins."""
    page = sessions.page(db, workspace, after, PAGE_SESSIONS)
    return page[-1][0] if len(page) == PAGE_SESSIONS else None, [_stands(db, one) for _, one in page]


def positions(db: Connection, workspace: WorkspaceId, after: int) -> list[tuple[int, int, int]]:
    """Returns number, parent's position and position of a page of a workspace's checkpoints, behind number `after`."""
    query = f"""SELECT number, base_seq, seq FROM checkpoints WHERE workspace = (SELECT number FROM workspaces WHERE id = ?)
        AND number > ? ORDER BY number LIMIT {PAGE_POSITIONS}"""
    return [(number, base, seq) for number, base, seq in db.execute(query, (workspace, after))]


def drop(
    db: Connection,
    workspace: WorkspaceId,
    going: Mapping[int, CheckpointId],
    of: Iterable[BarrierId],
    found: Iterable[Stretch],
    since: Since,
) -> int:
    """Forgets checkpoints, given by number, and barriers, and notes the stretches that may be swept then; returns how many went.

    Not those that somebody went back to, or forked from, `since` it was decided that they may go.
    """
    spared = _named_since(db, workspace, since)
    stretches.add(db, workspace, found)
    gone = checkpoints.drop(db, (number for number, id_ in going.items() if id_ not in spared))
    barriers.drop(db, of)
    return gone


def drop_whole(db: Connection, numbers: Collection[int]) -> int:
    """Forgets checkpoints, given by number, and the barriers that they are of; returns how many checkpoints went."""
    for part, marks in in_parts(sorted(numbers)):
        of = f"SELECT barrier FROM checkpoints WHERE number IN ({marks}) AND barrier IS NOT NULL"
        db.execute(f"DELETE FROM barriers WHERE id IN ({of})", part)
    return checkpoints.drop(db, numbers)


def drop_operations(db: Connection, workspace: WorkspaceId, session: SessionId, until: int) -> int:
    """Forgets those of a session's oldest operations, up to position `until`, that nobody can take back and the log does not name."""
    kept = {one.id for one in undoable(db, session)}
    found = [one for one in operations.over(db, session, PAGE_OPERATIONS) if one.id not in kept and one.at <= until]
    return operations.drop(db, [one.id for one in found if not operations.is_named(db, workspace, one)])


def undoable(db: Connection, session: SessionId) -> list[Operation]:
    """Returns the operations of a session that can be taken back, with what they took back themselves."""
    found = {one.id: one for one in operations.newest(db, session, UNDO_DEPTH)}
    asked: list[OperationId] = [one.undoes for one in found.values() if one.undoes is not None]
    while asked:
        id_ = asked.pop()
        one = operations.find(db, id_) if id_ not in found else None
        if one is not None:
            found[one.id] = one
            asked += [one.undoes] if one.undoes is not None else []
    return list(found.values())


def split(db: Connection, workspace: WorkspaceId, stays: Collection[int]) -> list[Stretch]:
    """Returns the stretches that are to be swept, cut at the positions that can be asked for still; noted so from now on."""
    found: list[Stretch] = []
    while (one := stretches.unswept(db, workspace)) is not None:
        first, last = one
        stretches.drop(db, workspace, one)
        for seq in sorted(seq for seq in stays if first <= seq <= last):
            found += [(first, seq - 1)] if first < seq else []
            first = seq + 1
        found += [(first, last)] if first <= last else []
    stretches.add(db, workspace, found)
    return found


def _stands(db: Connection, session: Session) -> Stands:
    needed, head = dict[CheckpointId, str](), session.head
    positions = {session.start_seq} if head.checkpoint is None else set[int]()
    for one in undoable(db, session.id):
        positions |= {one.at - 1, one.at} if one.at else set()
        moves = operations.moves(db, one.id)
        stood = [one.from_head, one.to_head, *(head for move in moves for head in (move.from_head, move.to_head))]
        needed |= {head.checkpoint: "an operation that can be undone stands on it" for head in stood if head.checkpoint is not None}
    if session.origin is not None:
        needed[session.origin] = "a fork goes on from it"
    if head.checkpoint is not None:
        needed[head.checkpoint] = "the head of a session"
    return Stands(session.id, needed, positions)


def _named_since(db: Connection, workspace: WorkspaceId, since: Since) -> set[str]:
    """Every checkpoint that is a head now, and what newer operations and sessions stand on."""
    found = {head_of(head).checkpoint for (head,) in db.execute("SELECT DISTINCT head FROM sessions WHERE workspace = ?", (workspace,))}
    for pair in db.execute("SELECT from_head, to_head FROM operations WHERE number > ?", (since.operation,)):
        found |= {head_of(head).checkpoint for head in pair}
    query = "SELECT from_head, to_head FROM operation_heads WHERE operation IN (SELECT id FROM operations WHERE number > ?)"
    for pair in db.execute(query, (since.operation,)):
        found |= {head_of(head).checkpoint for head in pair}
    origins = db.execute("SELECT origin FROM sessions WHERE number > ? AND origin IS NOT NULL", (since.session,))
    return {str(one) for one in found if one is not None} | {origin for (origin,) in origins}

"""Conversations: each event once, in a chain that forks share."""

from collections.abc import Iterable, Sequence

from rewindd.errors import StoreCorrupt
from rewindd.model.conversation import Event, EventKind, StoredEvent
from rewindd.model.ids import EventId, SessionId
from rewindd.store.codec import event_of, event_to_bytes
from rewindd.store.records import Records, in_parts
from rewindd.store.schema import Connection
from rewindd.store.sessions import number_of
from rewindd.timeline.prompts import Told

_TABLE = Records("events", ("id",), ("session", "parent", "depth", "at_ns", "kind", "body"))

#: A parent is older than its child; where a flipped bit says otherwise, the walk must still end.
_CHAIN = """WHERE id IN (
    WITH RECURSIVE line (id) AS (VALUES (?) UNION ALL SELECT parent FROM events JOIN line USING (id) WHERE parent < events.id)
    SELECT id FROM line)
    ORDER BY id"""


def append(db: Connection, session: SessionId, parent: EventId | None, events: Sequence[Event], at_ns: int) -> EventId | None:
    """Adds events after `parent` (None: as a conversation's first ones) and returns the last one's id; `parent` if there are none.

    Raises:
        UnknownSession: there is no such session.
        StoreCorrupt: there is no event `parent`.
    """
    if not events:
        return parent
    number, depth = number_of(db, session), _depth(db, parent)
    (first,) = db.execute("SELECT coalesce(max(id), 0) + 1 FROM events").fetchone()
    before = [parent, *range(first, first + len(events) - 1)]
    _TABLE.insert(
        db,
        ((first + n, number, before[n], depth + 1 + n, at_ns, event.kind.value, event_to_bytes(event)) for n, event in enumerate(events)),
    )
    return EventId(first + len(events) - 1)


def chain(db: Connection, last: EventId | None) -> list[StoredEvent]:
    """Returns a conversation from its first event to `last`; none for None.

    Raises:
        StoreCorrupt: an event is damaged, or one of the chain is missing.
    """
    if last is None:
        return []
    # Ids grow along a chain: a parent is always there before its child.
    found = _TABLE.select(db, _stored, _CHAIN, (last,))
    if not found:
        raise _missing(last)
    parent: EventId | None = None
    for expected, (depth, stored) in enumerate(found):
        if depth != expected or stored.parent != parent:
            raise _missing(stored.parent)
        parent = stored.id
    return [stored for _, stored in found]


def told(db: Connection, lasts: Iterable[EventId]) -> dict[EventId, Told]:
    """Returns the events of the conversations that end in these, branches and all, without what they say: 20 ms for 10,000."""
    found: dict[EventId, Told] = {}
    for part, marks in in_parts(set(lasts)):
        rows = db.execute(f"""WITH RECURSIVE line (id) AS (SELECT id FROM events WHERE id IN ({marks}) UNION
            SELECT parent FROM events JOIN line USING (id) WHERE parent < events.id)
            SELECT id, parent, at_ns, kind FROM events WHERE id IN (SELECT id FROM line)""", part)  # fmt: skip
        found.update((EventId(id_), Told(parent, at_ns, EventKind(kind))) for id_, parent, at_ns, kind in rows)
    return found


def find(db: Connection, ids: Iterable[EventId]) -> list[StoredEvent]:
    """Returns these events, by number; one that is not there is not in it. Raises StoreCorrupt for one that is damaged."""
    found: list[StoredEvent] = []
    for part, marks in in_parts(set(ids)):
        found += [stored for _, stored in _TABLE.select(db, _stored, f"WHERE id IN ({marks})", part)]
    return sorted(found, key=lambda stored: stored.id)


def _depth(db: Connection, parent: EventId | None) -> int:
    """Returns how many events are before `parent`; -1 before the first."""
    if parent is None:
        return -1
    found: tuple[int] | None = db.execute("SELECT depth FROM events WHERE id = ?", (parent,)).fetchone()
    if found is None:
        raise _missing(parent)
    return found[0]


def _missing(event: EventId | None) -> StoreCorrupt:
    return StoreCorrupt(f"events, row id {event}: missing from its chain; keep a copy of store.db", table="events", row=str(event))


def _stored(id_: int, session: int, parent: int | None, depth: int, at_ns: int, kind: str, body: bytes) -> tuple[int, StoredEvent]:
    return depth, StoredEvent(
        id=EventId(id_), parent=EventId(parent) if parent is not None else None, event=event_of(kind, body), at_ns=at_ns
    )

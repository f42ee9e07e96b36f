"""Conversations: events appended to a session's chain, and counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import time_ns

from rewindd.errors import BadRequest, HeadMoved
from rewindd.model.conversation import Counts, Event, EventKind, Stats, StoredEvent, ToolCallRecord
from rewindd.model.ids import EventId
from rewindd.model.session import Head, Session
from rewindd.protocol import replies
from rewindd.protocol.requests import Base, EventBody, Record, StatsDelta
from rewindd.service.asking import render
from rewindd.service.state import State
from rewindd.service.turn import Turn
from rewindd.service.words import choice
from rewindd.store import checkpoints, events, sessions
from rewindd.store.database import Connection

NS_PER_S = 1_000_000_000
#: A number of nanoseconds, tokens or messages that fits into SQLite's signed 64 bits, with room to add.
MAX_COUNT = 1 << 53


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a chain of events says, from its start (or its last clearing) on."""

    user_prompts: list[str]
    assistant_responses: list[str]
    tool_calls: list[ToolCallRecord]


async def record(state: State, request: Record, session: Session, turn: Turn) -> bytes:
    """Appends events and counts them; durable on return.

    Raises:
        HeadMoved: the session is not where the caller believes it.
        BadRequest: an event of an unknown kind, or a count that is negative or absurd.
    """
    await check_base(state, session, request.base)
    added, stats = parse(request.events), counted(session.stats, request.events, request.stats)

    def write(db: Connection) -> tuple[bytes, Head]:
        last = events.append(db, session.id, session.head.event, added, time_ns())
        head = Head(checkpoint=session.head.checkpoint, event=last)
        sessions.stand(db, session.id, head, stats, session.last_seen_at_ns)
        reply = replies.Recorded(recorded=len(added), stats=render.stats(stats), head=head.checkpoint, event=head.event)
        return turn.keep(db, reply), head

    answer, head = await state.bridge.transact(write)
    state.stood(session, head, stats)
    return answer


async def check_base(state: State, session: Session, base: Base | None) -> None:
    """Raises HeadMoved when the caller knows another head or last event than the session has.

    A head is still good where nothing but barriers came after it: they say where the session stood, and moved nothing.
    """
    if base is None or (base.head, base.event) == (session.head.checkpoint, session.head.event):
        return
    if base.event == session.head.event and await state.bridge.transact(lambda db: _is_same_place(db, session, base)):
        return
    raise HeadMoved(
        f"session {session.id!r} has moved on since you looked (its head is {session.head.checkpoint or 'its start'}); look again",
        head=session.head.checkpoint,
        event=session.head.event,
    )


def parse(bodies: Sequence[EventBody]) -> list[Event]:
    """Returns the events of a request. Raises BadRequest for an unknown kind."""
    return [_event(body) for body in bodies]


def counted(stats: Stats, bodies: Sequence[EventBody], delta: StatsDelta | None) -> Stats:
    """Returns statistics with what the caller counted, or where it says nothing, with each event counted."""
    if delta is None:
        for body in bodies:
            stats = stats.plus(_counts(body))
        return stats
    more = Counts(messages=delta.messages, tool_calls=delta.tool_calls, duration_ns=_ns(delta.duration_s), tokens=delta.tokens)
    if not all(0 <= n < MAX_COUNT for n in (more.messages, more.tool_calls, more.tokens)):
        raise BadRequest("a count is negative or absurd", field="stats")
    return stats.plus(more)


def transcript(chain: Sequence[StoredEvent]) -> Transcript:
    """Returns what a chain says."""
    last_clear = max((n for n, stored in enumerate(chain) if stored.event.kind is EventKind.CLEAR), default=-1)
    said = [stored.event for stored in chain[last_clear + 1 :]]
    return Transcript(
        [event.text for event in said if event.kind is EventKind.USER_PROMPT],
        [event.text for event in said if event.kind is EventKind.ASSISTANT_RESPONSE],
        [event.tool_call for event in said if event.tool_call is not None],
    )


async def transcript_to(state: State, last: EventId | None) -> Transcript:
    """Returns the conversation from its start up to an event."""
    return transcript(await state.bridge.transact(lambda db: events.chain(db, last)))


def _is_same_place(db: Connection, session: Session, base: Base) -> bool:
    """True where the session's head leads to the base's over checkpoints of barriers alone, all at the same event."""
    wanted = session.head.checkpoint
    while wanted is not None:
        found = checkpoints.find(db, session.id, wanted)
        if found is None or found.barrier is None or found.event != base.event:
            return False
        if found.parent == base.head:
            return True
        wanted = found.parent
    return False


def _event(body: EventBody) -> Event:
    kind = choice(EventKind, body.kind, "kind")
    if kind is EventKind.TOOL_CALL:
        return Event(kind=kind, tool_call=ToolCallRecord(body.tool_name, body.arguments, body.result, body.success))
    return Event(kind=kind, text=body.text)


def _counts(body: EventBody) -> Counts:
    if not 0 <= body.tokens < MAX_COUNT:
        raise BadRequest("tokens is negative or absurd", field="tokens")
    if body.kind == EventKind.TOOL_CALL.value:
        return Counts(tool_calls=1, duration_ns=_ns(body.duration_s), tokens=body.tokens)
    if body.kind == EventKind.CLEAR.value:
        return Counts()
    return Counts(messages=1, duration_ns=_ns(body.duration_s), tokens=body.tokens)


def _ns(seconds: float) -> int:
    if not 0 <= seconds < MAX_COUNT / NS_PER_S:
        raise BadRequest("duration_s is negative or absurd", field="duration_s")
    return round(seconds * NS_PER_S)

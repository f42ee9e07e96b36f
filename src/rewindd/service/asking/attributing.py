"""Whose the log's rows are, in words that people know: the agent, the operation that wrote it, the turn it was made in."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rewindd.model.conversation import StoredEvent
from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import Row
from rewindd.model.operation import Operation
from rewindd.model.session import Session
from rewindd.protocol import replies
from rewindd.service.asking import positions, render
from rewindd.service.state import State
from rewindd.store import checkpoints, events, operations
from rewindd.store.database import Connection
from rewindd.timeline.prompts import Prompt, Prompts, Stretch

#: Characters of a prompt's first line that are told.
PROMPT_CHARS = 80
#: Rows whose place in a conversation is looked up in one transaction.
PART_ROWS = 200


async def edited(state: State, rows: Sequence[Row]) -> list[replies.EditInfo]:
    """Returns rows of the log as they are told."""
    doers = await state.bridge.transact(lambda db: _doers(db, rows))
    ids = {*(owner for row in rows for owner in row.owner), *(doer.session for doer in doers.values())}
    agents: Mapping[str, str] = {one: (await state.session(one)).agent for one in ids}
    prompts = await prompts_of(state, rows)
    return [render.edit(row, agents, doers, prompts) for row in rows]


async def prompts_of(state: State, rows: Iterable[Row]) -> dict[int, Prompt]:
    """Returns the turn in which each row was made, by its position; of those that are one session's own, where it is known."""
    by_session: dict[SessionId, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.seq):
        if len(row.owner) == 1 and row.source.is_content:
            by_session.setdefault(row.owner[0], []).append(row)
    found: dict[int, Prompt] = {}
    for id_, own in by_session.items():
        found |= await _of_session(state, await state.session(id_), own)
    return found


async def _of_session(state: State, session: Session, rows: Sequence[Row]) -> dict[int, Prompt]:
    line = await positions.lineage(state, session)
    places: list[tuple[Row, Stretch]] = []
    for start in range(0, len(rows), PART_ROWS):
        part = rows[start : start + PART_ROWS]
        places += await state.bridge.transact(lambda db, part=part: list(_stretches(db, line, part)))  # type: ignore[misc]  # a loop's value
    ends = {stretch.end for _, stretch in places if stretch.end is not None}
    told = Prompts(await state.bridge.transact(lambda db: events.told(db, ends)))
    chosen = {row.seq: prompt for row, stretch in places if (prompt := told.of(stretch, row.at_ns)) is not None}
    said = await state.bridge.transact(lambda db: events.find(db, chosen.values()))
    texts = {one.id: _excerpt(one) for one in said}
    return {seq: Prompt(told.number(prompt), texts[prompt]) for seq, prompt in chosen.items() if prompt in texts}


def _stretches(db: Connection, line: Sequence[Session], rows: Sequence[Row]) -> Iterator[tuple[Row, Stretch]]:
    """Yields each row with the part of the conversation that its checkpoint took in; where none did yet, with what came since the head."""
    session, covered, stretch = line[0], -1, Stretch(start=None, end=None)
    for row in rows:
        if row.seq > covered and not stretch.is_open:
            found = checkpoints.first_at(db, session.id, row.seq)
            if found is None:
                head = positions.head_of(db, line)
                stretch = Stretch(start=head.event if head is not None else None, end=session.head.event, is_open=True)
            else:
                parent = positions.parent_of(db, line, found)
                covered, stretch = found.seq, Stretch(start=parent.event if parent is not None else None, end=found.event)
        yield row, stretch


def _excerpt(stored: StoredEvent) -> str:
    lines = stored.event.text.strip().splitlines()
    first = lines[0].strip() if lines else ""
    return first if len(first) <= PROMPT_CHARS else f"{first[: PROMPT_CHARS - 1].rstrip()}…"


def _doers(db: Connection, rows: Iterable[Row]) -> dict[OperationId, Operation]:
    """The operations that wrote some of these rows."""
    named = {row.operation for row in rows if row.operation is not None}
    found = (operations.find(db, one) for one in named)
    return {operation.id: operation for operation in found if operation is not None}

"""`record`: events of a conversation, from stdin."""

import math
import sys
from collections.abc import Iterator

import click
import msgspec

from rewindd.cli import choose
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command
from rewindd.cli.render import human
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.words import count
from rewindd.errors import BadRequest, RewinddError, TooLarge
from rewindd.model.conversation import EventKind
from rewindd.protocol.replies import Recorded
from rewindd.protocol.requests import Base, EventBody, Record
from rewindd.protocol.wire import MAX_REQUEST_BYTES

#: Bytes of input that go into one request: its limit, less what the envelope and msgpack's headers may take.
BATCH_BYTES = MAX_REQUEST_BYTES - (1 << 20)


class _Line(msgspec.Struct, frozen=True):
    """One line of input. `arguments` and `result` are text; any other JSON is kept as its own text."""

    kind: str
    text: str | None = None
    tool_name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw(b'""')
    result: msgspec.Raw = msgspec.Raw(b'""')
    success: bool = True
    tokens: int = 0
    duration_s: float = 0.0


@click.command("record", cls=Command)
@click.pass_obj
def record_command(run: Invocation) -> None:
    """Append events to the conversation: NDJSON from stdin. Nothing is recorded unless every line can be."""
    session = choose.to_change(run)
    if sys.stdin is not None and sys.stdin.isatty():
        run.screen.say("one JSON object a line; ^D ends")
    batches = list(_batches(_events()))
    total = 0
    last: Recorded | None = None
    for batch in batches or [[]]:
        try:
            # The batches after the first go where that one ended, or nowhere: another process may record in between.
            base = Base(head=last.head, event=last.event) if last is not None else None
            last = run.ask(Record(session=session, events=batch, base=base), Recorded)
        except RewinddError:
            if total:
                run.screen.warn(f"{total} events were recorded before this:")
            raise
        total += last.recorded
    assert last is not None
    if run.screen.json:
        run.screen.print(line({"recorded": total, "stats": plain(last.stats), "head": last.head, "event": last.event}))
    else:
        run.screen.say(f"recorded {count(total, 'event')}; so far {human.statistics(last.stats)}")


def parse(number: int, content: bytes) -> EventBody:
    """Returns the event of one line, the `number`-th.

    Raises:
        BadRequest: it is none; the message names the line and the field.
    """
    try:
        found = msgspec.json.decode(content, type=_Line)
        event = EventBody(
            kind=found.kind,
            text=found.text or "",
            tool_name=found.tool_name or "",
            arguments=_text(found.arguments),
            result=_text(found.result),
            success=found.success,
            tokens=found.tokens,
            duration_s=found.duration_s,
        )
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BadRequest(f"line {number} of stdin is no event: {exc}") from exc
    wrong = _wrong(found)
    if wrong:
        raise BadRequest(f"line {number} of stdin is no event: {wrong}")
    return event


def _events() -> Iterator[tuple[int, EventBody]]:
    """Returns each event with the bytes of its line."""
    if sys.stdin is None:
        return
    for number, content in enumerate(sys.stdin.buffer, 1):
        if content.strip():
            if len(content) > BATCH_BYTES:
                raise TooLarge(f"line {number} of stdin has {len(content)} bytes; an event has at most {BATCH_BYTES}", limit=BATCH_BYTES)
            yield len(content), parse(number, content)


def _batches(events: Iterator[tuple[int, EventBody]]) -> Iterator[list[EventBody]]:
    """Returns the events in lists that fit into a request each: but for its headers, an event's msgpack is no longer than its JSON."""
    batch: list[EventBody] = []
    held = 0
    for length, event in events:
        size = length + 200
        if batch and held + size > BATCH_BYTES:
            yield batch
            batch, held = [], 0
        batch.append(event)
        held += size
    if batch:
        yield batch


def _text(value: msgspec.Raw) -> str:
    content = bytes(value).strip()
    return msgspec.json.decode(content, type=str) if content.startswith(b'"') else content.decode()


def _wrong(found: _Line) -> str | None:
    """Returns what the line lacks, None when it is an event."""
    known = [kind.value for kind in EventKind]
    if found.kind not in known:
        return f"kind={found.kind[:80]!r}; it is one of {', '.join(known)}"
    is_call = found.kind == EventKind.TOOL_CALL.value
    if is_call and not found.tool_name:
        return "a tool_call without `tool_name`"
    if not is_call and found.text is None and found.kind != EventKind.CLEAR.value:
        return f"a {found.kind} without `text`"
    if found.tokens < 0 or not math.isfinite(found.duration_s) or found.duration_s < 0:
        return "`tokens` and `duration_s` count up from 0"
    return None

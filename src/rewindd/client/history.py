"""What a session said, on the client's side: the conversation and its statistics, and what of them did not travel yet.

Plain synchronous bookkeeping: nothing here waits or sends, so an agent can note things from anywhere. The lists hold what
was added through this handle and is still part of the conversation: a rewind takes it from them, an undo brings it back.
What was said before the handle was opened is for `Session.load`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rewindd import errors
from rewindd.model.conversation import ToolCallRecord
from rewindd.protocol import replies
from rewindd.protocol.requests import EventBody, StatsDelta

#: Bytes of events that go in one request. A request's limit is four times that, for what msgpack adds and the other fields.
BATCH_BYTES = 4 << 20
#: Bytes of text in one event: with it a request is still below its limit. It cannot be cut: that would be a silent loss.
MAX_EVENT_BYTES = 15 << 20

Duration = timedelta | float


@dataclass(slots=True)
class SessionStats:
    """Statistics of a session: sums since `start_time`."""

    start_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    total_messages: int = 0
    total_tool_calls: int = 0
    total_duration: timedelta = timedelta()
    estimated_tokens: int = 0

    @classmethod
    def new(cls) -> "SessionStats":
        """Returns empty statistics that start now."""
        return cls()

    @classmethod
    def of(cls, stats: replies.Stats) -> "SessionStats":
        """Returns what the daemon told."""
        duration = timedelta(seconds=stats.total_duration_s)
        return cls(stats.start_time, stats.total_messages, stats.total_tool_calls, duration, stats.estimated_tokens)

    @property
    def total_duration_s(self) -> float:
        """The total duration in seconds."""
        return self.total_duration.total_seconds()

    def record_message(self, tokens: int, duration: Duration) -> None:
        """Counts one message. `duration`: a timedelta, or seconds."""
        self.total_messages += 1
        self.estimated_tokens += tokens
        self.total_duration += _timedelta(duration)

    def record_tool_call(self) -> None:
        """Counts one call of a tool."""
        self.total_tool_calls += 1

    @staticmethod
    def format_duration(duration: timedelta) -> str:
        """Returns `59s` below a minute, `1m 0s` below an hour, then `1h 1m`."""
        seconds = int(duration.total_seconds())
        if seconds < 60:
            return f"{seconds}s"
        if seconds < 3600:
            return f"{seconds // 60}m {seconds % 60}s"
        return f"{seconds // 3600}h {seconds % 3600 // 60}m"

    def since(self, other: "SessionStats") -> StatsDelta:
        """Returns what was counted since `other`; statistics only grow, so what was set back counts as nothing."""
        return StatsDelta(
            messages=max(0, self.total_messages - other.total_messages),
            tool_calls=max(0, self.total_tool_calls - other.total_tool_calls),
            duration_s=max(0.0, (self.total_duration - other.total_duration).total_seconds()),
            tokens=max(0, self.estimated_tokens - other.estimated_tokens),
        )

    def become(self, stats: "SessionStats", more: StatsDelta) -> None:
        """Takes the values of `stats` with `more` counted in."""
        self.start_time = stats.start_time
        self.total_messages = stats.total_messages + more.messages
        self.total_tool_calls = stats.total_tool_calls + more.tool_calls
        self.total_duration = stats.total_duration + timedelta(seconds=more.duration_s)
        self.estimated_tokens = stats.estimated_tokens + more.tokens

    def copy(self) -> "SessionStats":
        """Returns the same values, to compare with later."""
        return SessionStats(self.start_time, self.total_messages, self.total_tool_calls, self.total_duration, self.estimated_tokens)


@dataclass(frozen=True, slots=True)
class _Said:
    """Events that were taken in together, and what was said before them."""

    before: "_Said | None"
    events: tuple[EventBody, ...]


class SessionHistory:
    """The conversation as this handle added to it: three lists to read, and methods to add to them.

    Text that is no valid Unicode (lone surrogates) travels with `?` in their place.
    """

    def __init__(self, stats: SessionStats) -> None:
        self.user_prompts: list[str] = []
        self.assistant_responses: list[str] = []
        self.tool_calls: list[ToolCallRecord] = []
        self._stats = stats
        self._unsent: list[EventBody] = []
        self._said: _Said | None = None
        self._at_event: dict[int, _Said | None] = {}

    def add_user_message(self, text: str, *, tokens: int | None = None, duration: Duration | None = None) -> None:
        """Adds a prompt; with `tokens` or `duration` (a timedelta, or seconds) it also counts as a message.

        Raises:
            TooLarge: the text does not fit into a request.
        """
        self._add(EventBody(kind="user_prompt", text=_portable(text)))
        self._count_message(tokens, duration)

    def add_assistant_message(self, text: str, *, tokens: int | None = None, duration: Duration | None = None) -> None:
        """Adds a response; as `add_user_message`."""
        self._add(EventBody(kind="assistant_response", text=_portable(text)))
        self._count_message(tokens, duration)

    def add_tool_call(self, record: ToolCallRecord, *, duration: Duration | None = None) -> None:
        """Adds a call of a tool; with `duration` it is also counted.

        Raises:
            TooLarge: its texts do not fit into a request.
        """
        self._add(
            EventBody(
                kind="tool_call",
                tool_name=_portable(record.tool_name),
                arguments=_portable(record.arguments),
                result=_portable(record.result),
                success=record.success,
            )
        )
        if duration is not None:
            self._stats.record_tool_call()
            self._stats.total_duration += _timedelta(duration)

    def clear(self) -> None:
        """Starts the conversation anew. Checkpoints keep what was before."""
        self._add(EventBody(kind="clear"))

    @property
    def unsent(self) -> int:
        """How many events did not travel yet."""
        return len(self._unsent)

    def batch(self) -> list[EventBody]:
        """Returns the oldest unsent events, as many as one request takes. They stay unsent until `sent` says otherwise."""
        total = 0
        for number, event in enumerate(self._unsent):
            total += size_bytes(event)
            if number and total > BATCH_BYTES:
                return self._unsent[:number]
        return list(self._unsent)

    def sent(self, count: int, event: int | None) -> None:
        """Says that the oldest `count` events are recorded, and that the conversation's last event is now `event`."""
        self.took(tuple(self._unsent[:count]), event)
        del self._unsent[:count]

    def took(self, events: tuple[EventBody, ...], event: int | None) -> None:
        """Says that these events are recorded, the last of them as `event`."""
        self._said = _Said(self._said, events) if events else self._said
        if event is not None:
            self._at_event[event] = self._said

    def show(self, events: tuple[EventBody, ...]) -> None:
        """Adds events to the lists that were recorded without having been unsent."""
        for event in events:
            self._append(event)

    def stand_at(self, event: int | None) -> None:
        """Says that the conversation was taken to `event` (None: to its start): the lists follow.

        An event that is older than all that this handle added leaves nothing of it; a newer one that the handle does not
        know was added by somebody else, after it.
        """
        if event in self._at_event:
            self._said = self._at_event[event]
        elif event is None or event < min(self._at_event, default=event + 1):
            self._said = None
        self._rebuild()

    def _rebuild(self) -> None:
        runs: list[tuple[EventBody, ...]] = []
        said = self._said
        while said is not None:
            runs.append(said.events)
            said = said.before
        self._forget_shown()
        for run in reversed(runs):
            self.show(run)
        self.show(tuple(self._unsent))

    def _add(self, event: EventBody) -> None:
        if size_bytes(event) > MAX_EVENT_BYTES:
            raise errors.TooLarge(f"{event.kind}: one event takes at most {MAX_EVENT_BYTES} bytes of text", limit=MAX_EVENT_BYTES)
        self._unsent.append(event)
        self._append(event)

    def _append(self, event: EventBody) -> None:
        if event.kind == "user_prompt":
            self.user_prompts.append(event.text)
        elif event.kind == "assistant_response":
            self.assistant_responses.append(event.text)
        elif event.kind == "tool_call":
            self.tool_calls.append(ToolCallRecord(event.tool_name, event.arguments, event.result, event.success))
        else:
            self._forget_shown()

    def _forget_shown(self) -> None:
        self.user_prompts.clear()
        self.assistant_responses.clear()
        self.tool_calls.clear()

    def _count_message(self, tokens: int | None, duration: Duration | None) -> None:
        if tokens is not None or duration is not None:
            self._stats.record_message(tokens or 0, duration or timedelta())


def size_bytes(event: EventBody) -> int:
    """Returns the bytes of an event's texts in UTF-8, near enough to what it takes on the wire."""
    texts = (event.text, event.tool_name, event.arguments, event.result)
    return 64 + sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


def _portable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _timedelta(duration: Duration) -> timedelta:
    return duration if isinstance(duration, timedelta) else timedelta(seconds=duration)

"""Conversations and their statistics: what a session said, and how much of it there was.

Times are nanoseconds since the epoch, durations nanoseconds; nothing here asks a clock.
"""

import enum
from dataclasses import dataclass

from rewindd.model.ids import EventId


class EventKind(enum.Enum):
    """What one item of a conversation is. `CLEAR` starts the conversation anew, without forgetting what was before."""

    USER_PROMPT = "user_prompt"
    ASSISTANT_RESPONSE = "assistant_response"
    TOOL_CALL = "tool_call"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """One call of a tool: its name, its arguments and its result as text, and whether it succeeded."""

    tool_name: str
    arguments: str
    result: str
    success: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One item of a conversation. `tool_call` is set for tool calls, `text` for the others."""

    kind: EventKind
    text: str = ""
    tool_call: ToolCallRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event in its chain; `parent` is the one before it, None for the first."""

    id: EventId
    parent: EventId | None
    event: Event
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Statistics of a session at a moment. `start_time_ns` is since the epoch; the others are sums since then."""

    start_time_ns: int
    total_messages: int = 0
    total_tool_calls: int = 0
    total_duration_ns: int = 0
    estimated_tokens: int = 0

    def plus(self, more: "Counts") -> "Stats":
        """Returns these statistics with `more` counted in."""
        return Stats(
            start_time_ns=self.start_time_ns,
            total_messages=self.total_messages + more.messages,
            total_tool_calls=self.total_tool_calls + more.tool_calls,
            total_duration_ns=self.total_duration_ns + more.duration_ns,
            estimated_tokens=self.estimated_tokens + more.tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is to be added to a session's statistics."""

    messages: int = 0
    tool_calls: int = 0
    duration_ns: int = 0
    tokens: int = 0

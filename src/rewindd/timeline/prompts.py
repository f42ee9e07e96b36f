"""Which turn of a conversation a change was made in: from the prompts that were told, and when. Pure.

What is known is when an event was told, not when it was said: an agent may tell its prompt before it works, or with the save at the end.
So a change belongs to the last prompt that was told before it and since its checkpoint's parent; where none was, to the first one that
was told after it and with its checkpoint; where that brought none, to the last one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rewindd.model.conversation import EventKind
from rewindd.model.ids import EventId


@dataclass(frozen=True, slots=True)
class Told:
    """An event without what it says. `at_ns`: when it was told, wall clock."""

    parent: EventId | None
    at_ns: int
    kind: EventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The part of a conversation that a change belongs to: after event `start` up to `end`; None: from and at the conversation's beginning.

    `is_open`: no checkpoint has taken it in yet, so more of it may be told.
    """

    start: EventId | None
    end: EventId | None
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was asked in a turn, cut, and which turn of its conversation that is."""

    number: int
    text: str


class Prompts:
    """The prompts of some conversations, branches and all: a number for each, counted from the conversation's start or last clearing."""

    def __init__(self, told: Mapping[EventId, Told]) -> None:
        self._told = told
        self._last: dict[EventId, EventId | None] = {}
        self._numbers: dict[EventId, int] = {}
        for event, one in sorted(told.items()):  # a parent's number is lower than its child's
            before = self._last.get(one.parent) if one.parent is not None else None
            if one.kind is EventKind.USER_PROMPT:
                self._numbers[event] = 1 + (self._numbers[before] if before is not None else 0)
                before = event
            self._last[event] = None if one.kind is EventKind.CLEAR else before

    def number(self, prompt: EventId) -> int:
        """Returns which prompt of its conversation it is: 1 for the first."""
        return self._numbers[prompt]

    def of(self, stretch: Stretch, at_ns: int) -> EventId | None:
        """Returns the prompt that a change of that time belongs to; None where none is known."""
        last = self._last.get(stretch.end) if stretch.end is not None else None
        prompt, first = last, None
        while prompt is not None and prompt > (stretch.start or 0):
            if self._told[prompt].at_ns <= at_ns:
                return prompt
            first = prompt
            parent = self._told[prompt].parent
            prompt = self._last.get(parent) if parent is not None else None
        if first is not None:
            return first
        return None if stretch.is_open else last

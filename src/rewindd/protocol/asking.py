"""What requests are made of: what every one may carry, and the parts that several have.

Paths are bytes (msgpack bin) on the wire and `os.fsdecode`d `str` here. Unknown fields are ignored; a new field needs a default.
"""

from typing import Annotated, ClassVar

import msgspec

from rewindd.paths import FsText

#: Elements of a list in one request: decoding more takes long enough to be felt by others. More paths go into several requests.
MAX_ELEMENTS = 100_000
Paths = Annotated[list[FsText], msgspec.Meta(max_length=MAX_ELEMENTS)]
Words = Annotated[list[str], msgspec.Meta(max_length=8)]


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller believes the session's head and last event to be; otherwise `head-moved`."""

    head: str | None = None
    event: int | None = None


class EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it travels. `kind`: user_prompt, assistant_response, tool_call or clear."""

    kind: str
    text: str = ""
    tool_name: str = ""
    arguments: str = ""
    result: str = ""
    success: bool = True
    tokens: int = 0
    duration_s: float = 0.0


Events = Annotated[list[EventBody], msgspec.Meta(max_length=MAX_ELEMENTS)]


class StatsDelta(msgspec.Struct, frozen=True, kw_only=True):
    """What to add to the statistics. Where a request has events and no delta, the daemon counts the events itself."""

    messages: int = 0
    tool_calls: int = 0
    duration_s: float = 0.0
    tokens: int = 0


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What every request may carry. `deadline_ms` is CLOCK_MONOTONIC in milliseconds; `progress` asks for progress frames.

    `noticed`: the position up to which the caller took note of the session's notices.
    """

    op: ClassVar[str]
    #: True when it changes something: it may carry a `key`, and is answered once for each.
    mutates: ClassVar[bool] = False
    session: str | None = None
    key: str | None = None
    deadline_ms: float | None = None
    progress: bool = False
    noticed: int | None = None

"""What was found when it was last measured how much the store may still take in (`service.space.room`)."""

from typing import NamedTuple


class Room(NamedTuple):
    """How many bytes of content the store may still take in, and what is said of content that is more."""

    bytes: int
    reason: str


class MeasuredRoom(NamedTuple):
    """What `room` found: when (monotonic seconds), and at which `handled_bytes`."""

    at_s: float
    handled_bytes: int
    room: Room

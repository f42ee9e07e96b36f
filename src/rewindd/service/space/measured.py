"""What was found when it was last measured how much the store may still take in (`service.space.room`)."""

from typing import NamedTuple

from rewindd.model.capture import Room


class MeasuredRoom(NamedTuple):
    """What `room` found: when (monotonic seconds), and at which `handled_bytes`."""

    at_s: float
    handled_bytes: int
    room: Room

"""What was found when it was last counted how much the store holds (`service.space.room`)."""

from typing import NamedTuple


class MeasuredRoom(NamedTuple):
    """What was counted: when (monotonic seconds), at which `handled_bytes`, and what the store held, in bytes."""

    at_s: float
    handled_bytes: int
    used_bytes: int

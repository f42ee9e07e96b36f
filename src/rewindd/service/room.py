"""Interim room."""

from typing import NamedTuple

from rewindd.service.state import State


class Room(NamedTuple):
    bytes: int | None
    reason: str


def room(state: State) -> Room:
    return Room(None, "")

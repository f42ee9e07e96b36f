"""The sessions of a game, what each did, and what was counted."""

from dataclasses import dataclass, field

from rewindd.client.blocking_session import Session
from support.witness import Operation, Point


@dataclass(slots=True)
class Tally:
    """What was counted."""

    steps: int = 0
    edits: int = 0
    saves: int = 0
    rewinds: int = 0
    undos: int = 0
    exact: int = 0
    refused: int = 0
    kept: int = 0
    #: Rewinds that changed a path in which others' later changes stayed.
    kept_hunks: int = 0

    def add(self, more: "Tally") -> None:
        """Counts another game's in."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(more, name))

    def __str__(self) -> str:
        return (
            f"{self.steps} steps, {self.edits} changes, {self.saves} saves, {self.rewinds} rewinds of which {self.kept_hunks} kept "
            f"others' hunks, {self.undos} undos and redos ({self.exact} at once, to the byte), {self.refused} refused, "
            f"{self.kept} paths kept"
        )


@dataclass(slots=True)
class Player:
    """One session and what it did."""

    zone: int
    session: Session
    points: list[Point] = field(default_factory=list)
    done: list[Operation] = field(default_factory=list)
    #: Undone operations, the newest last, that a redo takes back; a save or a rewind ends that.
    can_redo: list[Operation] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The session's id."""
        return str(self.session.id)

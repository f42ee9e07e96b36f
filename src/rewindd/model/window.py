"""Windows, as values: a session said that a shell command or a turn of its begins, and will say when it ends."""

import enum
from dataclasses import dataclass

from rewindd.model.ids import SessionId


class WindowKind(enum.Enum):
    """What goes on in it."""

    COMMAND = "command"
    TURN = "turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """An open window. `at`: the log's position when it was opened. `pid`: the process whose end closes it, None: none."""

    id: str
    session: SessionId
    kind: WindowKind
    opened_at_ns: int
    at: int
    pid: int | None

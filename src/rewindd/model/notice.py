"""Notices: what others did to what a session works on, as values."""

import enum
from dataclasses import dataclass

from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import NOBODY, OperationKind, Owner
from rewindd.paths import RelPath


class NoticeKind(enum.Enum):
    """What happened. `CLAIM_TAKEN`: another session claimed the path, which ended the claim of the one that is told.

    `GAP`: more happened than was followed for the session; its notice stands for all of that.
    """

    CHANGED = "changed"
    REWOUND = "rewound"
    RESTORED = "restored"
    UNDONE = "undone"
    REDONE = "redone"
    CLAIM_TAKEN = "claim-taken"
    GAP = "gap"


#: What an operation's effect is to those who are told of it.
KIND_OF = {
    OperationKind.REWIND: NoticeKind.REWOUND,
    OperationKind.RESTORE: NoticeKind.RESTORED,
    OperationKind.UNDO: NoticeKind.UNDONE,
    OperationKind.REDO: NoticeKind.REDONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that a session is to be told. The same value serves all who are told.

    `seq` is its position in the log: that of the row, or one that a taken claim has of its own. `change` is the word for what became
    of the path, "" where nothing did. `by`: whose it was; nobody's, one session's, or contested by several. A gap is of all positions
    after `after`, up to `seq`. `before`: where in the log the path is still as it was, where an operation replaced
    something. `losing`: the sessions whose work it took back there.
    """

    seq: int
    path: RelPath
    kind: NoticeKind
    change: str = ""
    by: Owner = NOBODY
    operation: OperationId | None = None
    at_ns: int
    after: int | None = None
    before: int | None = None
    losing: Owner = NOBODY

    @property
    def session(self) -> SessionId | None:
        """The one session whose it was; None where it was nobody's or cannot be told."""
        return self.by[0] if len(self.by) == 1 else None

    @property
    def contested(self) -> Owner:
        """The sessions that it may be of, where that is several."""
        return self.by if len(self.by) > 1 else NOBODY

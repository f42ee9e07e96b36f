"""One type per kind of id, and which ids a caller may choose."""

import re
from typing import NewType

from rewindd.errors import BadRequest

SessionId = NewType("SessionId", str)
WorkspaceId = NewType("WorkspaceId", str)
CheckpointId = NewType("CheckpointId", str)
OperationId = NewType("OperationId", str)
BarrierId = NewType("BarrierId", str)
PlanId = NewType("PlanId", str)
GrantId = NewType("GrantId", str)
#: The number of an event in the store; events of all sessions share the numbers.
EventId = NewType("EventId", int)

#: What a caller may choose as an id: it is safe as a file name and on a command line.
_CHOSEN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
MAX_LABEL_CHARS = 1000


def check_chosen(what: str, given: str) -> str:
    """Returns `given` when a caller may use it as an id.

    Raises:
        BadRequest: it is empty, over 128 characters, starts with `.` or `-`, or has a character outside `A-Za-z0-9._-`.
    """
    if not _CHOSEN.fullmatch(given):
        raise BadRequest(f"{given[:160]!r} is no {what}: 1 to 128 of A-Z a-z 0-9 . _ - not starting with `.` or `-`", field=what)
    return given

"""What a session is told of others: notices, and overlaps."""

from datetime import datetime

import msgspec

from rewindd.paths import RelPath


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What another did to a path that the session claimed or changed. `text` says it whole, and can be handed to a model.

    `told`: the session whose notice it is. `kind`: changed, rewound, restored, undone, redone, claim-taken, gap. `change`: added, modified,
    deleted, type, mode. `session_id`: None where nobody announced it; `contested`: the sessions it may be of, where that is several. A
    `gap` stands for all positions after `after`. `patch`: a unified diff, where it was asked for; `cut`: it is longer.
    """

    seq: int
    told: str
    path: RelPath
    kind: str
    change: str | None
    session_id: str | None
    agent: str | None
    operation_id: str | None
    contested: list[str]
    at: datetime
    text: str
    after: int | None = None
    patch: str | None = None
    cut: bool = False
    binary: bool = False


class Notices(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is to be told, oldest first. `cursor` acknowledges all of it; `more`: there is more after it."""

    events: list[Notice]
    cursor: int
    more: bool = False


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """A path that another active session changed and did not save yet. `at`: its last change; `text`: a warning to be handed to a model."""

    path: RelPath
    session_id: str
    agent: str | None
    at: datetime
    change: str
    text: str

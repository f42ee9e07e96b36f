"""Grants: what a sandboxed agent may ask through a socket of its own."""

import enum
from collections.abc import Collection
from dataclasses import dataclass

from rewindd.model.ids import GrantId, SessionId, WorkspaceId

#: Seconds that a grant lasts where nobody said: a working day's session, not the next day's.
DEFAULT_TTL_S = 12 * 3600
#: Seconds that one can last.
MAX_TTL_S = 366 * 24 * 3600
#: Bytes that its sessions may add where nobody said.
DEFAULT_QUOTA_BYTES = 1 << 30


class GrantedOps(enum.Enum):
    """What a grant can let in, in the words that people know; `service/doors/doorway.py` says which operations each stands for."""

    SNAPSHOT = "snapshot"
    SAVE = "save"
    LIST = "list"
    DIFF = "diff"
    REWIND = "rewind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One workspace, some operations, until a time. Only its use changes, and that it is revoked.

    `inside`: the workspace's root as it is called in the sandbox. `used_bytes`: what its sessions added to the store so far, of
    `quota_bytes`. Its times are of the wall clock.
    """

    id: GrantId
    workspace: WorkspaceId
    ops: frozenset[GrantedOps]
    inside: str
    quota_bytes: int
    created_at_ns: int
    ends_at_ns: int
    revoked_at_ns: int | None = None
    used_bytes: int = 0

    def is_live(self, now_ns: int) -> bool:
        """True while it lets anything in. A clock that was set back makes it no younger than its socket is: see `daemon/doors`."""
        return self.revoked_at_ns is None and now_ns < self.ends_at_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """That a request came through a grant, and the sessions that were opened through it: all others are strangers to it."""

    grant: GrantId
    workspace: WorkspaceId
    sessions: frozenset[SessionId]

    def is_own(self, owners: Collection[SessionId]) -> bool:
        """True for work of the grant's sessions alone; nobody's is not theirs."""
        return bool(owners) and self.sessions.issuperset(owners)

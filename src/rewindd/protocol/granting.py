"""The wire's requests about grants: sockets of their own, for agents in sandboxes. Named in `requests` too."""

from rewindd.model.grant import DEFAULT_QUOTA_BYTES, DEFAULT_TTL_S
from rewindd.paths import FsText
from rewindd.protocol.asking import Request, Words


class MakeGrant(Request, frozen=True, kw_only=True):
    """Makes a socket of its own for an agent in a sandbox: of the workspace that holds `directory`, and for these `ops` only.

    `ops` empty: all that a grant can let in. `inside`: what the workspace's root is called in the sandbox; None: as here. `outside`: the
    root as the caller knows it, which is checked. `device` and `inode`: what the caller sees at `directory`.
    """

    op = "grant"
    mutates = True
    directory: FsText
    device: int | None = None
    inode: int | None = None
    ops: Words = []
    ttl_s: float = float(DEFAULT_TTL_S)
    inside: FsText | None = None
    outside: FsText | None = None
    quota_bytes: int = DEFAULT_QUOTA_BYTES


class ListGrants(Request, frozen=True, kw_only=True):
    """Asks for the grants that let something in now."""

    op = "grants"


class RevokeGrant(Request, frozen=True, kw_only=True, rename={"id": "grant_id"}):
    """Ends a grant now, and closes its socket. On the wire its id is `grant_id`: `id` is the request's."""

    op = "grant.revoke"
    mutates = True
    id: str

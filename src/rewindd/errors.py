"""Every error that rewindd raises, on either side of the socket.

A leaf has a `code` from a closed list (docs/protocol.md), a message that names the object and the next step, and fields.
The groups say who must act. `from_wire` turns a reply's error back into the same class, so a caller catches what the daemon raised.
"""

from collections.abc import Mapping
from typing import ClassVar

FieldValue = str | int | float | bool | None | list[str] | list[dict[str, str]]


class RewinddError(Exception):
    """The base of all; catch this to catch everything of ours.

    `fields` are also attributes: `error.candidates`. They are plain data, as they travel.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **fields: FieldValue) -> None:
        super().__init__(message)
        self.message = message
        self.fields: Mapping[str, FieldValue] = fields

    def __getattr__(self, name: str) -> FieldValue:
        fields = self.__dict__.get("fields", {})
        if name in fields:
            value: FieldValue = fields[name]
            return value
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


class RequestError(RewinddError):
    """The caller asked for something that cannot be; asking again changes nothing."""


class ConflictError(RewinddError):
    """The world moved since the caller looked; look again, then decide."""


class StoreError(RewinddError):
    """The store is damaged or full; nothing was changed."""


class TransportError(RewinddError):
    """Raised by the client: no daemon, or no answer. Only `Unavailable` also comes from a daemon, one that cannot start."""


class BusyError(RewinddError):
    """Not now; the same request may succeed in a moment."""

    retryable = True


class BadRequest(RequestError, ValueError):
    """A field is missing, of a wrong type, or out of its range."""

    code = "bad-request"


class UnknownOp(RequestError):
    """The daemon has no such operation."""

    code = "unknown-op"


class TooLarge(RequestError):
    """A request or reply exceeds its limit in bytes."""

    code = "too-large"


class UnsupportedVersion(RequestError):
    """The protocol version is not one the daemon speaks."""

    code = "unsupported-version"


class UnknownCheckpoint(RequestError, LookupError):
    """No checkpoint has that id, label or prefix."""

    code = "unknown-checkpoint"


class UnknownSession(RequestError, LookupError):
    """No session has that id, or none is open here."""

    code = "unknown-session"


class UnknownWorkspace(RequestError, LookupError):
    """The directory does not exist, is no directory, or is no workspace."""

    code = "unknown-workspace"


class UnknownPath(RequestError, LookupError):
    """Nothing is known of the path, or not at that position, or it was not there then."""

    code = "unknown-path"


class AmbiguousCheckpoint(RequestError):
    """Several checkpoints match; `candidates` names them."""

    code = "ambiguous-checkpoint"


class AmbiguousSession(RequestError):
    """Several sessions are open here; `candidates` names them."""

    code = "ambiguous-session"


class NothingToUndo(RequestError):
    """There is no rewind to undo, or no undo to redo."""

    code = "nothing-to-undo"


class OutsideWorkspace(RequestError):
    """A path leaves the workspace: by `..`, by being elsewhere, or through a symlink."""

    code = "outside-workspace"


class RefusedRoot(RequestError):
    """The directory must not be a workspace (`/`, an ancestor of the home directory, the daemon's own)."""

    code = "refused-root"


class NotPermitted(RequestError, PermissionError):
    """The path is never touched (below `.git`), or the peer may not ask this."""

    code = "not-permitted"


class BadConfig(RequestError):
    """The configuration cannot be used; the message names the key."""

    code = "bad-config"


class Conflict(ConflictError):
    """Somebody else's later work is in the way; nothing was touched. `conflicts` lists path and reason."""

    code = "conflict"


class HeadMoved(ConflictError):
    """The session, or the tree that a plan was made for, is not as the caller knew it."""

    code = "head-moved"


class GitHeadMoved(ConflictError):
    """Git's HEAD is another than at the position: a checkout or commit came in between. Carries `then` and `now`."""

    code = "git-head-moved"


class AlreadyExists(ConflictError):
    """The id is taken: by another session, workspace, agent or checkpoint."""

    code = "already-exists"


class NotQuiet(ConflictError):
    """Files are being changed right now; say yes to go on all the same."""

    code = "not-quiet"


class StoreCorrupt(StoreError):
    """A row or blob does not have the checksum it was written with."""

    code = "store-corrupt"


class StoreFull(StoreError, OSError):
    """There is no room for what the request would store; nothing was changed."""

    code = "store-full"


class StoreIO(StoreError, OSError):
    """Reading or writing the store failed; nothing was changed."""

    code = "io-error"


class StoreNewer(StoreError):
    """A newer rewindd wrote the store; this one must not touch it."""

    code = "store-newer"


class InternalError(RewinddError):
    """A bug in rewindd; the daemon's log has the traceback."""

    code = "internal"


class Unavailable(TransportError, ConnectionError):
    """There is no daemon on the socket, and none could be started; nothing was done."""

    code = "unavailable"
    retryable = True


class Timeout(TransportError, TimeoutError):
    """The daemon said nothing for as long as the caller was ready to wait; it did not get the request."""

    code = "timeout"
    retryable = True


class OutcomeUnknown(TransportError):
    """The request may have been carried out; ask `list` or `status` before doing it again."""

    code = "outcome-unknown"


class Busy(BusyError):
    """The session, workspace or daemon has as much in hand as it takes."""

    code = "busy"


class Expired(BusyError):
    """The request's deadline passed before it was looked at; it had no effect."""

    code = "expired"


class ShuttingDown(BusyError):
    """The daemon is ending and takes no new work."""

    code = "shutting-down"


class OverQuota(BusyError):
    """The sessions of a grant added as much as they may."""

    code = "over-quota"


def _leaves(base: type[RewinddError]) -> list[type[RewinddError]]:
    return [leaf for child in base.__subclasses__() for leaf in ([child, *_leaves(child)] if "code" in vars(child) else _leaves(child))]


#: Every code and its class; the closed list.
BY_CODE: Mapping[str, type[RewinddError]] = {leaf.code: leaf for leaf in _leaves(RewinddError)}


def from_wire(code: str, message: str, fields: Mapping[str, FieldValue]) -> RewinddError:
    """Returns the error a reply names; a code this version does not know becomes `InternalError` and says so."""
    leaf = BY_CODE.get(code)
    if leaf is None:
        return InternalError(f"{message} (unknown error code {code!r})", **fields)
    return leaf(message, **fields)

"""One request being answered: what was asked, by whom, and the promise that its effect happens once for each key."""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from time import monotonic

import msgspec
from blake3 import blake3

from rewindd.errors import BadRequest, Expired
from rewindd.model.grant import Through
from rewindd.model.ids import SessionId
from rewindd.protocol import wire
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request
from rewindd.service.clock import steady_ns
from rewindd.store import answers
from rewindd.store.database import Connection

#: Length of a kept request digest in bytes: enough to notice that a key came with another body.
DIGEST_BYTES = 16
#: Characters of a key.
MAX_KEY_CHARS = 128


class TurnsNeeded(Exception):
    """Nothing was done yet: the request is about more sessions than it holds the turns of, and is to be begun anew with these too."""

    def __init__(self, sessions: Set[SessionId]) -> None:
        super().__init__(*sorted(sessions))
        self.sessions = sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request and what goes with it. `report` takes progress; `scope` is the session that its key is unique in.

    `held`: the sessions whose turn the request has; only these it may change. `through`: the grant that it came through; None: the
    daemon's own socket.
    """

    request: Request
    digest: bytes
    report: Callable[[wire.Progress], None]
    held: Set[SessionId] = frozenset()
    through: Through | None = None

    @property
    def scope(self) -> str:
        """The session that the request's key belongs to; for requests about none "", or the grant, whose name no session can have."""
        return self.request.session or ("" if self.through is None else f"grant:{self.through.grant}")

    def need(self, sessions: Iterable[SessionId]) -> None:
        """Raises TurnsNeeded unless the request has the turns of all these sessions. Called before anything is done."""
        missing = frozenset(sessions) - self.held
        if missing:
            raise TurnsNeeded(missing)

    @property
    def name(self) -> bytes | None:
        """What stands for the key, among those of all sessions; None for a request without one."""
        return answers.name(self.scope, self.request.key) if self.request.key is not None else None

    def keep(self, db: Connection, reply: Reply) -> bytes:
        """Encodes a reply and, in the caller's transaction, keeps it under the request's key. Returns it encoded."""
        encoded = wire.encode_reply(reply)
        if self.request.key is not None:
            answers.put(db, self.scope, self.request.key, self.digest, encoded, steady_ns())
        return encoded

    def kept(self, db: Connection) -> bytes | None:
        """Returns the answer that was given under this key, None when there is none; empty while it is not known.

        Raises:
            BadRequest: the key was used for another request.
        """
        if self.request.key is None:
            return None
        found = answers.find(db, self.scope, self.request.key)
        if found is None:
            return None
        digest, answer = found
        if digest != self.digest:
            raise BadRequest(f"the key {self.request.key!r} was used for another request; a new request needs a new key")
        return answer


def digest_of(request: Request) -> bytes:
    """Returns the digest of what a request asks, without what may differ when it is sent again."""
    bare = msgspec.structs.replace(request, deadline_ms=None, progress=False, noticed=None)
    return blake3(wire.encode_request(bare, 0)).digest(length=DIGEST_BYTES)


def check_key(key: str | None) -> None:
    """Raises BadRequest for a key that is empty or over-long."""
    if key is not None and not 0 < len(key) <= MAX_KEY_CHARS:
        raise BadRequest(f"a key has 1 to {MAX_KEY_CHARS} characters")


def check_deadline(request: Request) -> None:
    """Raises Expired where nobody waits any more.

    CLOCK_MONOTONIC is one clock for all processes of a boot outside time namespaces (clock_gettime(2)).
    """
    if request.deadline_ms is not None and request.deadline_ms < monotonic() * 1000:
        raise Expired(f"{request.op}: its deadline had passed before it was looked at; nothing was done")

"""One request being answered: what was asked, by whom, and the promise that its effect happens once for each key."""

from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns

import msgspec
from blake3 import blake3

from rewindd.errors import BadRequest
from rewindd.protocol import wire
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request
from rewindd.store import answers
from rewindd.store.database import Connection

#: Length of a kept request digest in bytes: enough to notice that a key came with another body.
DIGEST_BYTES = 16
#: Characters of a key.
MAX_KEY_CHARS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request and what goes with it. `report` takes progress; `scope` is the session that its key is unique in."""

    request: Request
    digest: bytes
    report: Callable[[wire.Progress], None]

    @property
    def scope(self) -> str:
        """The session that the request's key belongs to; "" for requests about none."""
        return self.request.session or ""

    def keep(self, db: Connection, reply: Reply) -> bytes:
        """Encodes a reply and, in the caller's transaction, keeps it under the request's key. Returns it encoded."""
        encoded = wire.encode_reply(reply)
        if self.request.key is not None:
            answers.put(db, self.scope, self.request.key, self.digest, encoded, time_ns())
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
    bare = msgspec.structs.replace(request, deadline_ms=None, progress=False)
    return blake3(wire.encode_request(bare, 0)).digest(length=DIGEST_BYTES)


def check_key(key: str | None) -> None:
    """Raises BadRequest for a key that is empty or over-long."""
    if key is not None and not 0 < len(key) <= MAX_KEY_CHARS:
        raise BadRequest(f"a key has 1 to {MAX_KEY_CHARS} characters")

"""The wire's requests that read what was, in pieces, or what is told. Named in `requests` too."""

from typing import Annotated

import msgspec

from rewindd.paths import FsText
from rewindd.protocol.asking import MAX_ELEMENTS, Request


class ShowPath(Request, frozen=True, kw_only=True):
    """Asks for one path as it was at a position."""

    op = "show.path"
    position: str
    path: FsText


class Blame(Request, frozen=True, kw_only=True):
    """Asks which row each line of a file came from: now, or as the file was at a position."""

    op = "blame"
    path: FsText
    position: str | None = None


class ListTree(Request, frozen=True, kw_only=True):
    """Asks for the whole tree as it was at a position: `limit` paths after `after`, in order."""

    op = "tree"
    position: str
    after: FsText | None = None
    limit: int = 10_000


class ReadBlobs(Request, frozen=True, kw_only=True):
    """Asks for whole small contents: of the blobs in order, as many as fit into one answer, one at least."""

    op = "read.many"
    blobs: Annotated[list[str], msgspec.Meta(max_length=MAX_ELEMENTS)]


class ReadBlob(Request, frozen=True, kw_only=True):
    """Asks for `length` bytes of a blob from `offset`."""

    op = "read"
    blob: str
    offset: int = 0
    length: int = 1 << 20


class ReadEvents(Request, frozen=True, kw_only=True):
    """Asks for the session's notices after a position (None: its cursor); waits `wait_ms` where there is none.

    `ack`: `after` acknowledges; false leaves them to the session's own reader. `diff` asks for patches. `waiter`: the caller's name for
    itself; its next request is answered in the place of this one, where this one still waits.
    """

    op = "events"
    after: int | None = None
    wait_ms: int = 0
    limit: int = 100
    diff: bool = False
    ack: bool = True
    waiter: str | None = None

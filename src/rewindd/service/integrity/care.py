"""What is known of how the store is looked after: the scrub, the backup, what was lost. Read from the store, and changed with it."""

from dataclasses import dataclass, field
from time import monotonic

import anyio
import msgspec

from rewindd.store.opening import Loss


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What one scrub compared and found; `ended_at_ns` 0 while it is under way. `phase` and `key`, a MessagePack array: how far it is."""

    begun_at_ns: int
    ended_at_ns: int = 0
    rows: int = 0
    blobs: int = 0
    damage: tuple[str, ...] = ()
    damage_count: int = 0
    healed: int = 0
    phase: str = ""
    key: bytes = b""


class Scrub(msgspec.Struct, frozen=True, array_like=True):
    """The scrub that is under way, and the last one that was finished. `since_ns`: from when on the first one is counted."""

    since_ns: int
    now: Outcome | None = None
    last: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """How much the store holds, or held: rows, checkpoints and contents, and the bytes of its database."""

    rows: int
    checkpoints: int
    blobs: int
    database_bytes: int


@dataclass(slots=True)
class Care:
    """All of it. `asked_s`: when somebody last asked for something, in monotonic seconds. `backed_up`: what the last backup holds.

    `loss`: what was lost when the store came back from its backup; None: nothing, or it was told. `copying`: held while the whole
    store is copied.
    """

    asked_s: float = field(default_factory=monotonic)
    scrub: Scrub | None = None
    backed_up: Holding | None = None
    loss: Loss | None = None
    copying: anyio.Lock = field(default_factory=anyio.Lock)

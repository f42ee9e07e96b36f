"""The wire's requests about whether the store is what was written, and copies of it; and what the replies to them are made of."""

from datetime import datetime
from typing import Annotated

import msgspec

from rewindd.paths import FsText
from rewindd.protocol.asking import Request

#: Checkpoints that one request has written out at most.
MAX_DRILLS = 100


class Verify(Request, frozen=True, kw_only=True):
    """Asks whether every row and content is what was written; contents that a workspace still has are put right from there.

    `sample`: of all contents, how many are read, in percent, chosen at random. `drill`: so many checkpoints, chosen at random, are
    written out beside the store and compared.
    """

    op = "verify"
    sample: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100.0
    drill: Annotated[int, msgspec.Meta(ge=0, le=MAX_DRILLS)] = 0


class MakeBackup(Request, frozen=True, kw_only=True):
    """Copies the whole store to `directory` (absolute), which is not there, or empty: a data directory of its own."""

    op = "backup"
    mutates = True
    directory: FsText


class CheckpointRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which checkpoint is meant."""

    session_id: str
    id: str
    label: str | None


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not what was written. `kind`: row, content, structure or drill.

    `paths`: where the content is or was, absolute; some of them. `checkpoints`: the newest of the `checkpoints_count` that need it.
    `healed_from`: the file that had the content still; it is put right. nil: it is damaged now as before.
    """

    kind: str
    message: str
    table: str | None = None
    row: str | None = None
    blob: str | None = None
    paths: list[FsText] = []
    checkpoints: list[CheckpointRef] = []
    checkpoints_count: int = 0
    healed_from: FsText | None = None


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared, and what is damaged: the first of `damage_count`, of which `healed` are whole again. `bytes` of contents."""

    rows: int
    blobs: int
    bytes: int
    drills: int
    damage: list[Damage]
    damage_count: int
    healed: int
    took_s: float


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """The copy that was made. `linked`: content files that are the store's own, by a second name; `copied` the others.

    `damage`: what is wrong with the structure of the database, and so with the copy's.
    """

    directory: FsText
    bytes: int
    rows: int
    checkpoints: int
    blobs: int
    linked: int
    copied: int
    damage: list[str]


class ScrubInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The scrub. `state`: off, waiting or running. `done` of `total` rows and contents of the one that is under way.

    `ended_at`: when the last one was over, and what it compared and found: `damage` the first of `damage_count`, in words.
    """

    state: str
    done: int
    total: int
    ended_at: datetime | None
    rows: int
    blobs: int
    damage: list[str]
    damage_count: int
    healed: int


class LossInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The store came back from its backup of `backup_at`. `rows` and `checkpoints`: how many were lost; nil: nobody can tell.

    `kept_as`: the damaged database, which is kept; empty where there was none left. `first`: the newest of the lost checkpoints.
    """

    at: datetime
    reason: str
    kept_as: FsText
    backup_at: datetime
    rows: int | None
    checkpoints: int | None
    first: list[CheckpointRef]

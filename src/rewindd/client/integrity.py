"""The calls about whether the store is what was written, and copies of it."""

import os
import uuid

from rewindd.client.calls import AnyPath, fs_text
from rewindd.client.exchange import OnProgress
from rewindd.client.seat import Steps, Work, ask
from rewindd.paths import FsText
from rewindd.protocol import replies, requests


class SkippedVerification(replies.Verified, frozen=True, kw_only=True):
    """A verification that was not made: nothing is known."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedBackup(replies.BackedUp, frozen=True, kw_only=True):
    """A backup that was not made."""

    skipped: str

    def __bool__(self) -> bool:
        return False


def verify(sample: float, drill: int, *, on_progress: OnProgress | None) -> Work[replies.Verified]:
    """Has rows and contents compared with what was written."""
    request = requests.Verify(sample=sample, drill=drill)
    return Work(steps=ask(request, replies.Verified), placeholder=_not_verified, on_progress=on_progress)


def backup(directory: AnyPath, *, on_progress: OnProgress | None) -> Work[replies.BackedUp]:
    """Has the whole store copied to a directory."""
    where = FsText(os.path.abspath(fs_text(directory)))

    def steps() -> Steps[replies.BackedUp]:
        return (yield from ask(requests.MakeBackup(directory=where, key=uuid.uuid4().hex), replies.BackedUp))

    return Work(steps=steps(), placeholder=lambda reason: _not_backed_up(where, reason), on_progress=on_progress)


def _not_verified(reason: str) -> replies.Verified:
    return SkippedVerification(rows=0, blobs=0, bytes=0, drills=0, damage=[], damage_count=0, healed=0, took_s=0.0, skipped=reason)


def _not_backed_up(directory: FsText, reason: str) -> replies.BackedUp:
    return SkippedBackup(directory=directory, bytes=0, rows=0, checkpoints=0, blobs=0, linked=0, copied=0, damage=[], skipped=reason)

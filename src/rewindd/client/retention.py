"""The calls about what is kept: what goes by the rules, what nothing names, and what must not be there at all."""

import os

from rewindd.client.calls import AnyPath, fs_text
from rewindd.client.exchange import OnProgress
from rewindd.client.seat import Work, ask
from rewindd.paths import FsText
from rewindd.protocol import replies, requests


class SkippedPrune(replies.Pruned, frozen=True, kw_only=True):
    """A prune that was not made."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedCollection(replies.Collected, frozen=True, kw_only=True):
    """A collection that was not made."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class NotForgotten(replies.Forgotten, frozen=True, kw_only=True):
    """Nothing was erased."""

    skipped: str

    def __bool__(self) -> bool:
        return False


def prune(directory: AnyPath | None, *, dry_run: bool, on_progress: OnProgress | None) -> Work[replies.Pruned]:
    """Has what is not kept dropped, or only told."""
    where = None if directory is None else FsText(os.path.abspath(fs_text(directory)))

    def skipped(reason: str) -> replies.Pruned:
        return SkippedPrune(dry_run=dry_run, workspaces=[], dropped=0, rows=0, contents=0, freed_bytes=0, took_s=0.0, skipped=reason)

    request = requests.Prune(directory=where, dry_run=dry_run)
    return Work(steps=ask(request, replies.Pruned), placeholder=skipped, on_progress=on_progress)


def gc(*, on_progress: OnProgress | None) -> Work[replies.Collected]:
    """Has contents removed that nothing names."""

    def skipped(reason: str) -> replies.Collected:
        return SkippedCollection(contents=0, freed_bytes=0, store_bytes=0, longest_ms=0.0, took_s=0.0, skipped=reason)

    return Work(steps=ask(requests.Collect(), replies.Collected), placeholder=skipped, on_progress=on_progress)


def forget(what: AnyPath, *, dry_run: bool, on_progress: OnProgress | None) -> Work[replies.Forgotten]:
    """Has something erased, or only told."""
    named = FsText(fs_text(what))
    path = FsText(os.path.abspath(named))

    def skipped(reason: str) -> replies.Forgotten:
        counts = dict.fromkeys(("paths", "rows", "checkpoints", "events", "contents"), 0)
        return NotForgotten(kind="", name=named, dry_run=dry_run, also_at=[], still_there=[], took_s=0.0, skipped=reason, **counts)

    request = requests.Forget(what=named, path=path, dry_run=dry_run)
    return Work(steps=ask(request, replies.Forgotten), placeholder=skipped, on_progress=on_progress)

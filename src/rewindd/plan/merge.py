"""Three-way merge of versions, field by field: kind, mode, content.

Equal sides need no merge; unequal changes of one field clash. The content of text files is merged by whoever is asked to
(`MergeText`), so that this stays pure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rewindd.model.versions import File, Unknown, Version

#: Merges the contents of three files (base, ours, theirs); returns the result with any mode, or None where it conflicts.
MergeText = Callable[[File, File, File], File | None]

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Merge:
    """One run to be taken back or put back: merge(base, current, theirs)."""

    base: Version
    theirs: Version


@dataclass(frozen=True, slots=True)
class Clash:
    """Why a path cannot be brought where it should be without losing somebody's work."""

    reason: str


def merge_versions(base: Version, ours: Version, theirs: Version, merge_text: MergeText) -> Version | Clash:
    """Returns `ours` with the change from `base` to `theirs` made to it."""
    if theirs in (base, ours):
        return ours
    if ours == base:
        return theirs
    if isinstance(base, File) and isinstance(ours, File) and isinstance(theirs, File):
        return _merge_files(base, ours, theirs, merge_text)
    if isinstance(ours, Unknown):
        return Clash("not known any more")
    return Clash(
        f"{theirs.kind.value} wanted, changed to {ours.kind.value} since"
        if theirs.kind != ours.kind
        else f"the {ours.kind.value} was changed since"
    )


def _merge_files(base: File, ours: File, theirs: File, merge_text: MergeText) -> Version | Clash:
    mode = _merge_field(base.mode, ours.mode, theirs.mode)
    if mode is None:
        return Clash("the mode was changed since")
    whole = _merge_field((base.digest, base.size), (ours.digest, ours.size), (theirs.digest, theirs.size))
    if whole is not None:
        return File(*whole, mode)
    merged = merge_text(base, ours, theirs)
    return Clash("the same lines were changed since") if merged is None else File(merged.digest, merged.size, mode)


def _merge_field(base: F, ours: F, theirs: F) -> F | None:
    """Returns the merged field, or None when both sides changed it, differently."""
    if theirs in (base, ours):
        return ours
    return theirs if ours == base else None


def merge_all(start: Version, merges: tuple[Merge, ...], merge_text: MergeText) -> Version | Clash:
    """Returns `start` with each run merged in, in order; the first clash ends it."""
    current = start
    for merge in merges:
        merged = merge_versions(merge.base, current, merge.theirs, merge_text)
        if isinstance(merged, Clash):
            return merged
        current = merged
    return current

"""What to look at, and what a look found: the values that an observation takes and gives."""

from collections.abc import Collection, Set
from dataclasses import dataclass, field, replace
from typing import TypeVar

from msgspec import structs

from rewindd.model.log import Signature
from rewindd.model.versions import Version
from rewindd.paths import ROOT, RelPath
from rewindd.tree.look import Look, Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to look at.

    Attributes:
        paths: these themselves.
        trees: these, with everything known below.
        judge: directories in which rules changed without anybody seeing it.
        anew: whether the rules let more in by now is asked too.
    """

    paths: Collection[RelPath] = ()
    trees: Collection[RelPath] = ()
    judge: Set[RelPath] = frozenset()
    anew: bool = False

    @property
    def is_everything(self) -> bool:
        """True when the whole workspace is wanted."""
        return ROOT in self.trees


EVERYTHING = Wanted(trees=(ROOT,))


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """A name that the index does not know, found in a covered directory.

    `since`: the position since which it was absent; None where the rules had left it out, so that it is only first seen.
    """

    path: RelPath
    version: Version
    signature: Signature | None
    content: bytes | None
    since: int | None


@dataclass(slots=True, kw_only=True)
class Observation:
    """What an observation found. Where the index says the same, nothing is here.

    Attributes:
        changed: known paths whose version or signature differs from the index; an equal version is a mere refresh.
        new: names that the index does not know, parents before what is in them.
        now_left_out: names that rules or limits leave out and that were not known to be, with the reason.
        ended: known paths among these: what is known of them and of all below ends here.
        struck: names that were left out and are gone, or are let in.
        unseen: what could not be looked at. One that the index does not know must be entered as UNKNOWN: what turns up there
            later was not absent before.
        left: changed paths that were left as they were last known, with the reason; to be looked at again.
        deferred: paths of which the content was too much to be read now, or listed: to be read, and looked at again. A new name among
            them that was absent until now is nowhere else here; whatever else is, is `unseen` too.
        listed: directories whose entries were all looked at or reported: what is new among them is covered from now on.
    """

    changed: list[Look] = field(default_factory=list)
    new: list[New] = field(default_factory=list)
    now_left_out: dict[RelPath, str] = field(default_factory=dict)
    ended: list[RelPath] = field(default_factory=list)
    struck: set[RelPath] = field(default_factory=set)
    unseen: list[Unseen] = field(default_factory=list)
    left: dict[RelPath, str] = field(default_factory=dict)
    listed: set[RelPath] = field(default_factory=set)
    deferred: set[RelPath] = field(default_factory=set)

    def distrust(self, unsure: Set[RelPath]) -> None:
        """Makes signatures prove nothing, so that the next look lists these directories again.

        Those of the `unsure`, of what was not seen, and of the directories that it is in.
        """
        doubted = {*(seen.path for seen in self.unseen), *self.left, *self.deferred}
        if doubted or unsure:
            racy = {path.parent for path in doubted} | doubted | unsure
            self.changed = [_doubted(seen) if seen.path in racy else seen for seen in self.changed]
            self.new = [_doubted(seen) if seen.path in racy else seen for seen in self.new]


_Seen = TypeVar("_Seen", Look, New)


def _doubted(seen: _Seen) -> _Seen:
    return replace(seen, signature=structs.replace(seen.signature, racy=True)) if seen.signature is not None else seen

"""Line counts of changes, remembered: a turn's save asks what was counted when the change was looked at."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from rewindd.model.versions import Version

#: Changes that are remembered: some hundred bytes each, the work of many turns.
LIMIT = 4096

Span = tuple[Version, Version]
#: Lines inserted and deleted; None where they are not counted: a side is binary, or too large to compare.
Count = tuple[int, int] | None


class Counts:
    """Counts by what was before and after; the one used longest ago goes first. For the event loop only."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._counts: OrderedDict[Span, Count] = OrderedDict()

    def of(self, spans: Iterable[Span]) -> dict[Span, Count]:
        """Returns those of the counts that are remembered, also of what was counted the other way round."""
        found: dict[Span, Count] = {}
        for before, after in spans:
            if (before, after) in self._counts:
                found[before, after] = self._counts[before, after]
                self._counts.move_to_end((before, after))
            elif (after, before) in self._counts:
                counted = self._counts[after, before]
                # As many lines stay, seen from either side: `timeline.lines` finds a longest common subsequence.
                found[before, after] = None if counted is None else (counted[1], counted[0])
                self._counts.move_to_end((after, before))
        return found

    def keep(self, counts: Mapping[Span, Count]) -> None:
        """Remembers counts."""
        self._counts.update(counts)
        while len(self._counts) > self._limit:
            self._counts.popitem(last=False)

    def clear(self) -> None:
        """Forgets all of them."""
        self._counts.clear()

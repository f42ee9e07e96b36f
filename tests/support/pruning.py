"""The log of a world as retention leaves it, by the pure rules that the store follows, for comparison with the whole one."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from rewindd.model.log import Row, Toggle
from rewindd.timeline.history import Timeline
from rewindd.timeline.joining import Joining, Switches, cuts
from support.world import World


def pruned(world: World, kept: Iterable[int], dropped: Iterable[int]) -> Timeline:
    """Returns the world's log where only the positions `kept`, and now, can be asked for; `dropped` ones could be."""
    stays = sorted({*kept, world.position})
    rows = {row.seq: row for row in world.rows}
    toggles = list(world.toggles)
    stretches = {bisect_left(stays, seq) for seq in dropped if seq < world.position}
    for stretch in sorted(stretches):
        last = stays[stretch]
        first = stays[stretch - 1] + 1 if stretch else 0
        if stretch == 0:
            _cut(world, rows, toggles, last)
        else:
            _join(rows, toggles, first, last)
        toggles = [toggle for toggle in toggles if toggle.row in rows]
    return Timeline(rows.values(), toggles, world.operations, world.index, world.position)


def _cut(world: World, rows: dict[int, Row], toggles: list[Toggle], until: int) -> None:
    switched = {toggle.row for toggle in toggles}
    paths = {rows[seq].path for seq in switched if seq in rows}
    of_paths = [row for row in rows.values() if row.path in paths and row.seq <= until]
    earlier = cuts(until, of_paths, toggles, world.operations)
    for row in list(rows.values()):
        if row.seq <= earlier.get(row.path, until):
            del rows[row.seq]


def _join(rows: dict[int, Row], toggles: list[Toggle], first: int, last: int) -> None:
    switches: defaultdict[int, set[tuple[int, bool]]] = defaultdict(set)
    for toggle in toggles:
        switches[toggle.row].add((toggle.at, toggle.on))
    joining = Joining()
    for seq in sorted(seq for seq in rows if first <= seq <= last):
        of_row: Switches = frozenset(switches[seq])
        taken = joining.take(rows[seq], of_row)
        if taken is not None:
            rows[seq] = taken[0]
            del rows[taken[1]]

"""Checkpoints as a tree of marks, oldest on top: which one was made from which, and where the head is.

The line that leads to the head stays leftmost of its siblings. A parent's lane stays open until its last child; a child that
is not the last turns off to a lane of its own:

    o c1
    |-o aside
    * c2  (the head)
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Node:
    """A checkpoint in the tree. `is_head`: it is marked, and the line to it is kept straight."""

    key: Hashable
    parent: Hashable | None
    is_head: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """What the tree is drawn with, two cells a lane."""

    node: str
    head: str
    down: str
    turn: str
    cross: str
    end: str
    along: str


UNICODE = Marks(node="○", head="●", down="│", turn="├", cross="┼", end="╮", along="─")
ASCII = Marks(node="o", head="*", down="|", turn="|", cross="+", end="\\", along="-")


@dataclass(frozen=True, slots=True)
class Row:
    """What stands before a checkpoint, and the line below it where its lane splits."""

    before: str
    below: str | None = None


def draw(nodes: Sequence[Node], marks: Marks = UNICODE) -> list[Row]:
    """Returns a row for each node; parents come before their children, and one that is not there makes its child a root."""
    return _Drawing(nodes, marks).rows()


@dataclass(slots=True)
class _Lane:
    """A vertical line on its way down: to the child `to`, or while that is None to each remaining child of `parent`."""

    parent: Hashable
    to: Hashable | None = None


@dataclass(slots=True)
class _Drawing:
    nodes: Sequence[Node]
    marks: Marks
    lanes: list[_Lane | None] = field(default_factory=list)
    children: dict[Hashable, list[Hashable]] = field(default_factory=dict)
    straight: set[Hashable] = field(default_factory=set)

    def rows(self) -> list[Row]:
        parents = {node.key: node.parent for node in self.nodes}
        for node in self.nodes:
            if node.parent in parents:
                self.children.setdefault(node.parent, []).append(node.key)
        for node in self.nodes:
            key: Hashable | None = node.key if node.is_head else None
            while key in parents and key not in self.straight:
                self.straight.add(key)
                key = parents[key]
        return [self._row(node) for node in self.nodes]

    def _row(self, node: Node) -> Row:
        from_lane = self._lane_to(node)
        lane = from_lane
        if lane is None:
            lane = self._free_lane(0)
        elif self._turns_off(node, lane):
            lane = self._free_lane(lane + 1)
        before = self._line(node, from_lane, lane)
        split = self._go_on(node, lane)
        while self.lanes and self.lanes[-1] is None:
            self.lanes.pop()
        return Row(before, split)

    def _lane_to(self, node: Node) -> int | None:
        if node.parent is None:
            return None
        for number, lane in enumerate(self.lanes):
            if lane is not None and lane.to == node.key:
                return number
        for number, lane in enumerate(self.lanes):
            if lane is not None and lane.to is None and lane.parent == node.parent:
                return number
        return None

    def _turns_off(self, node: Node, lane: int) -> bool:
        """True when the lane goes on to further children of the node's parent."""
        found = self.lanes[lane]
        if found is None or found.to is not None:
            return False
        mine = {other.to for other in self.lanes if other is not None and other.to is not None}
        rest = [child for child in self.children[found.parent] if child not in mine]
        return rest[-1] != node.key

    def _free_lane(self, start: int) -> int:
        for number in range(start, len(self.lanes)):
            if self.lanes[number] is None:
                return number
        self.lanes.extend([None] * (start + 1 - len(self.lanes) if len(self.lanes) <= start else 1))
        return len(self.lanes) - 1

    def _go_on(self, node: Node, lane: int) -> str | None:
        """Sets the node's lane to what comes below it; returns the line that splits it, where it must be split."""
        children = self.children.get(node.key, [])
        if not children:
            self.lanes[lane] = None
            return None
        favoured = next((child for child in children if child in self.straight), children[-1])
        if favoured == children[-1]:
            self.lanes[lane] = _Lane(node.key)
            return None
        self.lanes[lane] = _Lane(node.key, to=favoured)
        other = self._free_lane(lane + 1)
        self.lanes[other] = _Lane(node.key)
        return self._joined(lane, other, self.marks.end)

    def _line(self, node: Node, from_lane: int | None, lane: int) -> str:
        mark = self.marks.head if node.is_head else self.marks.node
        if from_lane is not None and from_lane != lane:
            return self._joined(from_lane, lane, mark)
        shown = [self.marks.down if other is not None else " " for other in self.lanes]
        shown[lane] = mark
        return " ".join(shown).rstrip()

    def _joined(self, start: int, end: int, last: str) -> str:
        """Returns a line on which lane `start` reaches over to lane `end`, which shows `last`."""
        line = []
        for number, other in enumerate(self.lanes):
            inside = start < number < end
            cell = self.marks.along if inside else " "
            if other is not None:
                cell = self.marks.cross if inside else self.marks.down
            cell = {start: self.marks.turn, end: last}.get(number, cell)
            line.append(cell + (self.marks.along if start <= number < end else " "))
        return "".join(line).rstrip()

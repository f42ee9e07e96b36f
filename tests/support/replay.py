"""What a path should hold, told without merging: every line knows the rows that made and removed it.

A line stands when the row that made it is live and no row that removed it is. `None` for a row means: it was so when the
path was first seen, and no operation changes that.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from rewindd.model.versions import ABSENT, Directory, File, Kind, Symlink, Version
from rewindd.paths import LinkTarget

By = int | None
Put = Callable[[str, int], File]


@dataclass(slots=True)
class Line:
    """One line, wherever it is or was."""

    text: str
    born: By
    died: set[By] = field(default_factory=set)

    def stands(self, live: Collection[int]) -> bool:
        """True when it is there with these rows live."""
        return (self.born is None or self.born in live) and not any(by is None or by in live for by in self.died)

    def changed_by(self, rows: Collection[int]) -> bool:
        """True when one of these rows made or removed it."""
        return self.born in rows or any(by in rows for by in self.died)


@dataclass(slots=True)
class Body:
    """A file, symlink or directory from its making to its removal. `lines` holds every line it ever had, in order."""

    kind: Kind
    born: By
    died: set[By] = field(default_factory=set)
    lines: list[Line] = field(default_factory=list)
    modes: list[tuple[By, int]] = field(default_factory=list)
    target: str = ""

    def stands(self, live: Collection[int]) -> bool:
        """True when it is there with these rows live."""
        return (self.born is None or self.born in live) and not any(by is None or by in live for by in self.died)

    def changed_by(self, rows: Collection[int]) -> bool:
        """True when one of these rows made or removed it."""
        return self.born in rows or any(by in rows for by in self.died)

    def mode(self, live: Collection[int]) -> int:
        """The mode that the last live row set."""
        return next(mode for by, mode in reversed(self.modes) if by is None or by in live)

    def text(self, live: Collection[int]) -> list[str]:
        """The lines that stand."""
        return [line.text for line in self.lines if line.stands(live)]

    def visible(self, live: Collection[int]) -> list[int]:
        """Where in `lines` those that stand are."""
        return [n for n, line in enumerate(self.lines) if line.stands(live)]


@dataclass(slots=True)
class Story:
    """All bodies that a path had, in the order in which they came; where none stands, the path is absent."""

    bodies: list[Body] = field(default_factory=list)

    def body(self, live: Collection[int]) -> Body | None:
        """The newest body that stands with these rows live."""
        return next((body for body in reversed(self.bodies) if body.stands(live)), None)

    def replace(self, live: Collection[int], body: Body | None, by: By) -> None:
        """The row `by` puts another body, or none, in the place of the one that stands."""
        for old in self.bodies:
            if old.stands(live) and (by is None or old is self.body(live)):
                old.died.add(by)
        if body is not None:
            self.bodies.append(body)

    def version(self, live: Collection[int], put: Put) -> Version:
        """What the path should be with these rows live."""
        body = self.body(live)
        if body is None:
            return ABSENT
        if body.kind is Kind.FILE:
            return put("".join(body.text(live)), body.mode(live))
        if body.kind is Kind.SYMLINK:
            return Symlink(LinkTarget(body.target))
        return Directory(body.mode(live))


def is_masked(story: Story, before: Collection[int], after: Collection[int]) -> bool:
    """True when switching from one set of live rows to the other leaves something as it is that a switched row had changed.

    Another row made the same change: a merge cannot tell the two apart, once one of them was switched.
    """
    rows = {*before} ^ {*after}
    things: list[Line | Body] = [*story.bodies, *(line for body in story.bodies for line in body.lines)]
    return any(thing.changed_by(rows) and thing.stands(before) == thing.stands(after) for thing in things)


def insert(body: Body, live: Collection[int], at: int, texts: list[str], by: By) -> None:
    """Puts new lines before the `at`-th that stands: right behind the one before it."""
    seen = body.visible(live)
    where = seen[at - 1] + 1 if at else 0
    body.lines[where:where] = [Line(text, by) for text in texts]


def remove(body: Body, live: Collection[int], start: int, stop: int, by: By) -> None:
    """Removes lines `start` to `stop` of those that stand."""
    for n in body.visible(live)[start:stop]:
        body.lines[n].died.add(by)


def gap(body: Body, rows: Collection[int], others: Collection[int]) -> int:
    """How many lines that neither changed lie, at the least, between a line that `rows` changed and one that `others` did."""
    best, since = len(body.lines) + 1, {True: -1, False: -1}
    untouched = 0
    for line in body.lines:
        marks = [mine for mine in (True, False) if line.changed_by(rows if mine else others)]
        for mine in marks:
            if since[not mine] >= 0:
                best = min(best, untouched - since[not mine])
            if len(marks) == 2:
                best = 0
        for mine in marks:
            since[mine] = untouched
        if not marks and line.born is None and not line.died:
            untouched += 1
    return best


def body_of(version: Version, text: str, by: By) -> Body:
    """A new body that looks like this version."""
    if isinstance(version, File):
        lines = [Line(line, by) for line in text.splitlines(keepends=True)]
        return Body(Kind.FILE, by, lines=lines, modes=[(None, version.mode)])
    if isinstance(version, Symlink):
        return Body(Kind.SYMLINK, by, target=version.target)
    assert isinstance(version, Directory)
    return Body(Kind.DIRECTORY, by, modes=[(None, version.mode)])

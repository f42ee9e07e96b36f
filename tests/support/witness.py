"""Who wrote what in a tree, told without the daemon: the referee of the agents' state machine.

Every change is an act with a number and an author, told to the story of its path (`replay`). A rewind, undo or redo switches acts,
by the rules of docs/design.md, "The one idea"; the story then says what the path must hold. Nothing here merges or plans.
"""

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from rewindd.model.versions import Kind
from support.replay import Body, Line, Story

Acts = frozenset[int]
#: Sessions: one, none (a person's act), or several who had announced it all.
Authors = tuple[str, ...]
#: A path as `desk.photograph` tells it; None: absent.
Seen = tuple[str, int, bytes] | None
#: Hunks nearer than this, in lines that neither side changed, may be a conflict.
NEAR_LINES = 3
NONE: Acts = frozenset()


class Act(NamedTuple):
    """One change of one path: by whom, and which acts were live on the path right after it."""

    number: int
    path: str
    authors: Authors
    after: Acts


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A checkpoint: what was live of its session's, alone or with others, and how many acts there were."""

    id: str
    session: str
    parent: str | None
    own: Mapping[str, Acts]
    shared: Mapping[str, Acts]
    acts: int


@dataclass(slots=True, kw_only=True)
class Operation:
    """A rewind, undo or redo that was applied. `before`: what was live just before it; `paths` None: all."""

    id: str
    session: str
    kind: str
    paths: tuple[str, ...] | None
    before: dict[str, Acts]
    after: dict[str, Acts] = field(default_factory=dict)
    undoes: "Operation | None" = None
    is_undone: bool = False

    def concerns(self, path: str) -> bool:
        """True for a path that it was asked about."""
        return self.paths is None or is_below(path, self.paths)


class Conflict(NamedTuple):
    """A path that was refused or kept, and the reason."""

    path: str
    reason: str


@dataclass(slots=True)
class Witness:
    """The stories of one tree, and which acts are live."""

    stories: dict[str, Story] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    live: dict[str, Acts] = field(default_factory=dict)
    #: Directories that an operation made or removed without an act to explain it: they may be there or not.
    loose: set[str] = field(default_factory=set)
    #: Paths whose newest change on disk was an operation's.
    written: set[str] = field(default_factory=set)

    def story(self, path: str) -> Story:
        """The story of a path; it begins absent."""
        return self.stories.setdefault(path, Story())

    def body(self, path: str) -> Body | None:
        """What stands there now."""
        return self.story(path).body(self.live_of(path))

    def live_of(self, path: str) -> Acts:
        """The live acts of a path."""
        return self.live.get(path, NONE)

    @property
    def next(self) -> int:
        """The number of the next act."""
        return len(self.acts) + 1

    def tell(self, path: str, authors: Authors) -> Act:
        """The next act is done: it is live from now on."""
        number = self.next
        self.live[path] = self.live_of(path) | {number}
        self.acts.append(Act(number, path, authors, self.live[path]))
        self.written.discard(path)
        return self.acts[-1]

    def authors(self, number: int) -> Authors:
        """Whose an act is."""
        return self.acts[number - 1].authors

    def owned(self, acts: Iterable[int], session: str) -> Acts:
        """Those acts that are the session's alone."""
        return frozenset(one for one in acts if self.authors(one) == (session,))

    def shared(self, acts: Iterable[int], session: str) -> Acts:
        """Those acts that are the session's, or may be."""
        return frozenset(one for one in acts if session in self.authors(one))

    def point(self, id: str, session: str, parent: str | None) -> Point:  # noqa: A002 - the word of the domain
        """A checkpoint of a session as it stands now."""
        own = {path: self.owned(acts, session) for path, acts in self.live.items()}
        shared = {path: self.shared(acts, session) for path, acts in self.live.items()}
        return Point(id=id, session=session, parent=parent, own=own, shared=shared, acts=len(self.acts))

    def told(self, path: str, live: Acts | None = None) -> Seen:
        """What the path must hold with these acts live, or those that are."""
        acts = self.live_of(path) if live is None else live
        body = self.story(path).body(acts)
        if body is None:
            return None
        if body.kind is Kind.FILE:
            return "file", body.mode(acts), "".join(body.text(acts)).encode()
        if body.kind is Kind.SYMLINK:
            return "symlink", 0, body.target.encode()
        return "directory", body.mode(acts), b""

    # ---- what an operation wants

    def rewound(self, session: str, to: Point | None, paths: tuple[str, ...] | None, *, with_shared: bool = False) -> dict[str, Acts]:
        """What a rewind wants live: everybody else's acts as now, the session's as they were; `to` None: at its start."""
        wanted: dict[str, Acts] = {}
        of_session = self.shared if with_shared else self.owned
        then = ({} if to is None else to.shared if with_shared else to.own).get
        for path, now in self.live.items():
            if paths is None or is_below(path, paths):
                wanted[path] = (now - of_session(now, session)) | then(path, NONE)
        return wanted

    def taken_back(self, of: Operation) -> dict[str, Acts]:
        """What taking an operation back wants live: the session's acts as just before it, its switches of others' inverted."""
        wanted: dict[str, Acts] = {}
        for path, now in self.live.items():
            before, after = of.before.get(path, NONE), of.after.get(path, NONE)
            if not (of.concerns(path) or before != after):
                continue
            off, on = before - after, after - before
            others = (now - on) | off
            wanted[path] = (others - self.owned(others | now, of.session)) | self.owned(before, of.session)
        return wanted

    # ---- what came of it

    def switch(self, wanted: Mapping[str, Acts], kept: Iterable[str], made: Iterable[str], changed: Iterable[str]) -> None:
        """An operation was applied, but for what it kept. `made`: directories that others of its paths needed."""
        for path, acts in wanted.items():
            if path not in kept:
                self.live[path] = acts
        for path in made:
            self._make(path)
        self.written |= set(changed)

    def _make(self, path: str) -> None:
        """A directory was made again: its removal is taken back, where that was the last that happened to it."""
        of_path = [act for act in self.acts if act.path == path]
        last = of_path[-1] if of_path and path not in self.written else None
        if last is not None and last.number in self.live_of(path):
            before = self.told(path, last.after - {last.number})
            if before is not None and before[0] == "directory":
                self.live[path] = self.live_of(path) - {last.number}
        told = self.told(path)
        if told is None or told[0] != "directory":
            self.loose.add(path)

    def differing(self, found: Mapping[str, Seen]) -> list[str]:
        """The paths that are not as their stories say, each with both."""
        wrong: list[str] = []
        for path in sorted({*found, *self.stories}):
            told, seen = self.told(path), found.get(path)
            if not self._is_as_told(path, told, seen):
                wrong.append(f"{path}: {shown(seen)} found, {shown(told)} told (live: {sorted(self.live_of(path))})")
        return wrong

    def _is_as_told(self, path: str, told: Seen, seen: Seen) -> bool:
        if told == seen:
            return True
        if path in self.loose and all(one is None or one[0] == "directory" for one in (told, seen)):
            return True
        # A directory to which somebody gave a mode may stay where whoever made it took that back.
        live = self.live_of(path)
        if (told is None) != (seen is None) and (readings := self._readings(path, live)):
            return (seen is not None) in readings or (seen is not None and self._are_homeless(path, live))
        # Where a path was removed and made again, a mode passes from one file to the next.
        again = len(self.story(path).bodies) > 1
        return again and told is not None and seen is not None and (told[0], told[2]) == (seen[0], seen[2])

    def _readings(self, path: str, live: Acts) -> set[bool]:
        """Whether a path that was only ever a directory is there, by either reading; nothing for others.

        Made several times, one is as good as another: a removal meant the one that its author saw, or whichever is there.
        """
        story = self.story(path)
        if any(one.kind is not Kind.DIRECTORY for one in story.bodies):
            return set()
        return {story.body(live) is not None, _comes_to_something(story, live)}

    # ---- whether a conflict is one

    def is_excused(self, conflict: Conflict, wanted: Mapping[str, Acts], session: str, since: int) -> bool:
        """True for a conflict that the design allows: hunks near each other, fields that clash, whose it is cannot be told.

        `since`: how many acts there were at the target.
        """
        path, now = conflict.path, self.live_of(conflict.path)
        shared = [one for one in now if one > since and len(self.authors(one)) > 1 and session in self.authors(one)]
        if conflict.reason.startswith("contested"):
            return bool(set(shared) & wanted.get(path, now))
        if conflict.reason.startswith("its directory"):
            return any(not self._is_directory(above, wanted) for above in parents(path))
        if conflict.reason.startswith("the directory is still used"):
            return any(one != path and is_below(one, (path,)) and self.told(one, wanted.get(one)) for one in self.stories)
        then = wanted.get(path, now)
        if self._are_homeless(path, then) or len(self._readings(path, then)) > 1:
            return True
        if conflict.reason.startswith("the same change was made by several"):
            return self._is_shared(path, now, then)
        return any(self._clashes(self.acts[one - 1], now, then) for one in now ^ then)

    def _are_homeless(self, path: str, live: Acts) -> bool:
        """True when some of these acts changed what then would not be there: it was deleted for one, and edited for another."""
        gone = [body for body in self.story(path).bodies if not body.stands(live)]
        return any(thing.changed_by(live) for body in gone for thing in body.lines) or any(
            by in live for body in gone for by, _ in body.modes
        )

    def _is_shared(self, path: str, now: Acts, wanted: Acts) -> bool:
        """True when an act that is switched and one that is not made the same change: of a line, or by making or removing the path."""
        switched, others = now ^ wanted, now & wanted
        bodies = self.story(path).bodies
        things: list[Body | Line] = [*bodies, *(line for body in bodies for line in body.lines)]
        if any(thing.died & switched and thing.died & others for thing in things):
            return True
        born, died = {body.born for body in bodies}, set().union(*(body.died for body in bodies))
        return any(one & switched and one & others for one in (born, died))

    def _is_directory(self, path: str, wanted: Mapping[str, Acts]) -> bool:
        told = [self.told(path), self.told(path, wanted.get(path))]
        return all(one is not None and one[0] == "directory" for one in told)

    def _clashes(self, act: Act, now: Acts, wanted: Acts) -> bool:
        """True when switching an act meets what others, later or earlier, made of the same thing."""
        before, after = act.after - {act.number}, act.after
        base = after if act.number in now else before
        others = (base ^ now) - (now ^ wanted)
        theirs = base ^ others
        story = self.story(act.path)
        bodies = [story.body(live) for live in (before, after, base, theirs)]
        if bodies[2] is not bodies[3] or (bodies[0] is not bodies[1] and self.told(act.path, theirs) != self.told(act.path, base)):
            return True
        body = bodies[2]
        if body is None:
            return False
        modes = {by for by, _ in body.modes}
        if act.number in modes and modes & others:
            return True
        return distance(body.lines, before, after, base, theirs) <= NEAR_LINES


def _comes_to_something(story: Story, live: Acts) -> bool:
    """True when the last live act that made or removed a path made it."""
    done = [(body.born or 0, True) for body in story.bodies] + [(by or 0, False) for body in story.bodies for by in body.died]
    return max((one for one in done if one[0] in live or one[0] == 0), default=(0, False))[1]


def distance(lines: Iterable[Line], before: Acts, after: Acts, base: Acts, theirs: Acts) -> float:
    """How many lines that neither changed lie, at the least, between what one side changed and what the other did."""
    best, unchanged = float("inf"), 0
    last: dict[bool, int] = {}
    for line in lines:
        marks = [True] * (line.stands(before) != line.stands(after)) + [False] * (line.stands(base) != line.stands(theirs))
        last.update(dict.fromkeys(marks, unchanged))
        best = min([best, *(unchanged - last[not mark] for mark in marks if (not mark) in last)])
        if not marks and line.stands(base):
            unchanged += 1
    return best


def parents(path: str) -> list[str]:
    """The directories above a path."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def is_below(path: str, tops: Iterable[str]) -> bool:
    """True for one of the paths, and what is below one."""
    return any(path == top or path.startswith(f"{top}/") for top in tops)


def shown(seen: Seen) -> str:
    """One path's state, to read."""
    if seen is None:
        return "nothing"
    kind, mode, content = seen
    return f"{kind} {stat.S_IMODE(mode):o} {content.decode(errors='replace')!r}"

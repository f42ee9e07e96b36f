"""The final steps of a rewind: after the merges were run, and after checking that what comes out is a tree.

`settle` resolves each draft to a target or a reason to leave it, makes directories that a restored path needs, keeps
directories that somebody still uses, and names the result with a `PlanId`: the digest of the steps and of the versions that
they expect to find.
"""

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from blake3 import blake3

from rewindd.model.ids import PlanId, SessionId
from rewindd.model.index import Index
from rewindd.model.log import OnConflict
from rewindd.model.session import Missing
from rewindd.model.versions import ABSENT, UNKNOWN, Absent, Directory, Unknown, Version
from rewindd.paths import ROOT, RelPath, encode_path
from rewindd.plan.draft import Draft, Exact, Keep, Merged
from rewindd.plan.merge import Clash
from rewindd.plan.naming import Names, listed
from rewindd.timeline.history import Seqs, Timeline

#: The mode of a directory that is made because something below it comes back, and of which no mode is known: as `mkdir -p` under umask 022.
PARENT_MODE = 0o755
#: Why a directory stays that was to go: something in it stays.
NOT_EMPTY = "not-empty"
#: Hex digits of a plan's id: 64 bits are enough to notice a change by accident, and fit on a command line.
PLAN_ID_DIGITS = 16


class Action(enum.Enum):
    """What becomes of a path on disk."""

    RESTORE = "restore"
    REMOVE = "remove"
    MERGE = "merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One path that shall go from `expect` to `target`, and the rows that this takes back (`off`) or puts back (`on`).

    Where both versions are equal only the rows are switched. `others`: the sessions whose later work on the path stays, or goes too.
    """

    path: RelPath
    expect: Version
    target: Version
    off: Seqs
    on: Seqs
    action: Action
    why: str
    others: tuple[SessionId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The whole of it. With `conflicts`, nothing may be done. `kept` paths stay, and so do their rows.

    `firm`: of the conflicts, those that `overwrite` does not end either.
    """

    decisions: tuple[Decision, ...]
    kept: tuple[Missing, ...]
    conflicts: tuple[Missing, ...]
    plan: PlanId
    firm: tuple[RelPath, ...] = ()


def settle(
    timeline: Timeline,
    drafts: Iterable[Draft],
    merged: Mapping[RelPath, Version | Clash],
    index: Index,
    on_conflict: OnConflict,
    names: Names | None = None,
) -> Settled:
    """Returns the final steps.

    Args:
        drafts: what is wanted of each path.
        merged: what came of the merges, for each draft whose way is `Merged`.
        index: the last known version of every path of the workspace.
        names: what sessions are called, for the words.
    """
    work = _Work(timeline, index, names or Names())
    for draft in drafts:
        work.resolve(draft, merged.get(draft.path), on_conflict)
    work.add_parents(on_conflict)
    work.keep_used_directories(on_conflict)
    decisions = tuple(work.decisions[path] for path in sorted(work.decisions))
    kept, conflicts, firm = tuple(work.kept), tuple(work.conflicts), tuple(work.firm)
    return Settled(decisions=decisions, kept=kept, conflicts=conflicts, plan=_plan_id(decisions, conflicts), firm=firm)


#: What a rewind of something other than files settles.
NOTHING = Settled(decisions=(), kept=(), conflicts=(), plan=PlanId(blake3(b"").hexdigest()[:PLAN_ID_DIGITS]))


class _Work:
    """The decisions as they come together; lives for one `settle`."""

    def __init__(self, timeline: Timeline, index: Index, names: Names) -> None:
        self._timeline, self._index, self._names = timeline, index, names
        self.decisions: dict[RelPath, Decision] = {}
        self.kept: list[Missing] = []
        self.conflicts: list[Missing] = []
        self.firm: list[RelPath] = []
        self._refused: set[RelPath] = set()

    def resolve(self, draft: Draft, merged: Version | Clash | None, on_conflict: OnConflict) -> None:
        """Turns one draft into a decision, something kept, or a conflict."""
        way = draft.way
        if isinstance(way, Keep):
            self.kept.append(Missing(path=draft.path, reason=way.reason))
            return
        target: Version | Clash
        if isinstance(way, Merged):
            target = Clash("not merged") if merged is None else merged
        else:
            target = way.version if isinstance(way, Exact) else way
        wanted, why = draft.wanted, draft.why
        if isinstance(target, Clash):
            if on_conflict is not OnConflict.OVERWRITE or draft.fallback is None:
                reason = self._names.standing(target.reason, draft.others) if isinstance(way, Merged) else target.reason
                # A clash that was found before any merge is one that overwriting passes by, unless it is asked for already.
                is_firm = draft.fallback is None and (isinstance(way, Merged) or on_conflict is OnConflict.OVERWRITE)
                self._refuse(draft.path, reason, on_conflict, is_firm=is_firm)
                return
            target, wanted = draft.fallback.version, draft.fallback.wanted
            why = self._names.why("overwritten with what it was then", gone=listed((*draft.others, *draft.gone)))
        self.decisions[draft.path] = Decision(
            path=draft.path,
            expect=draft.current,
            target=target,
            off=draft.live - wanted,
            on=wanted - draft.live,
            action=_action(target, merged_from=isinstance(way, Merged)),
            why=why,
            others=listed((*draft.others, *draft.gone)),
        )

    def add_parents(self, on_conflict: OnConflict) -> None:
        """Makes every directory that a restored path needs and that is known to be gone; anything else in its place is a conflict."""
        for path in sorted(self.decisions):
            decision = self.decisions.get(path)
            if decision is None or isinstance(decision.target, (Absent, Unknown)):
                continue
            missing = self._missing_parents(path)
            obstacle = self._obstacle(missing[-1].parent if missing else path.parent, missing)
            if obstacle is not None:
                del self.decisions[path]
                self._refuse(path, obstacle, on_conflict, is_firm=True)
                continue
            for parent in missing:
                self._make(parent, path)

    def _missing_parents(self, path: RelPath) -> list[RelPath]:
        """The directories above a path that will not be there, the nearest first."""
        missing: list[RelPath] = []
        parent = path.parent
        while parent != ROOT and isinstance(self._final(parent), Absent):
            missing.append(parent)
            parent = parent.parent
        return missing

    def _obstacle(self, standing: RelPath, missing: list[RelPath]) -> str | None:
        """Why directories cannot be made: what stands above them is none, or one of them clashes and is left as it is."""
        final = self._final(standing)
        if standing != ROOT and not isinstance(final, (Directory, Unknown)):
            reason = f"its directory {standing} is a {final.kind.value}"
            return f"{reason} then" if standing in self.decisions else self._names.standing(f"{reason} now", self._makers(standing))
        left = next((parent for parent in missing if parent in self._refused), None)
        return None if left is None else f"its directory {left} stays absent"

    def keep_used_directories(self, on_conflict: OnConflict) -> None:
        """Keeps each directory that was to go while something in it stays; where a file was to take its place, that is a conflict."""
        going = {
            path
            for path, decision in self.decisions.items()
            if isinstance(decision.expect, Directory) and not isinstance(decision.target, Directory)
        }
        if not going:
            return
        inside = [path for path in self._inside(going) if not isinstance(self._final(path), (Absent, Unknown))]
        used = {path.parent for path in inside}
        for path in sorted(going, key=lambda path: path.depth, reverse=True):
            if path not in used:
                continue
            replaced = not isinstance(self.decisions[path].target, Absent)
            del self.decisions[path]
            used.add(path.parent)
            if replaced:
                self._refuse(path, self._still_used("the directory is still used", path, inside), on_conflict, is_firm=True)
            else:
                self.kept.append(Missing(path=path, reason=self._still_used(NOT_EMPTY, path, inside)))

    def _still_used(self, reason: str, directory: RelPath, inside: Iterable[RelPath]) -> str:
        """Why a directory stays, with the sessions whose entries are in it as far as the log at hand knows."""
        entries = (path for path in inside if path.below(directory))
        whose = listed(owner for path in entries for owner in self._makers(path))
        return f"{reason}: entries of {self._names.sessions(whose)}" if whose else reason

    def _makers(self, path: RelPath) -> tuple[SessionId, ...]:
        """Whose the newest live row of a path is."""
        live = self._timeline.live(self._timeline.position, path)
        return next((row.owner for row in reversed(self._timeline.rows(path)) if row.seq in live), ())

    def _inside(self, directories: Collection[RelPath]) -> Iterator[RelPath]:
        """The paths right in some directories, known or decided."""
        for directory in directories:
            yield from self._index.inside(directory)
        yield from (path for path in self.decisions if path.parent in directories)

    def _final(self, path: RelPath) -> Version:
        decision = self.decisions.get(path)
        if decision is not None:
            return decision.target
        entry = self._index.get(path)
        return entry.version if entry else UNKNOWN

    def _make(self, parent: RelPath, needed_by: RelPath) -> None:
        """Decides that a directory shall be there: it is left, or its removal taken back where that is the last that happened to it."""
        earlier = self.decisions.pop(parent, None)
        if earlier is not None and isinstance(earlier.expect, Directory):
            self.kept.append(Missing(path=parent, reason=NOT_EMPTY))
            return
        self.kept = [missing for missing in self.kept if missing.path != parent]
        rows = self._timeline.rows(parent)
        last = rows[-1] if rows else None
        off: Seqs = earlier.off if earlier else frozenset()
        on: Seqs = earlier.on if earlier else frozenset()
        target: Version = Directory(PARENT_MODE)
        if last is not None and isinstance(last.before, Directory):
            target = last.before
            if last.seq in self._timeline.live(self._timeline.position, parent):
                off = off | {last.seq}
        self.decisions[parent] = Decision(
            path=parent,
            expect=self._timeline.current(parent) if rows else ABSENT,
            target=target,
            off=off,
            on=on,
            action=Action.RESTORE,
            why=f"needed by {needed_by}",
        )

    def _refuse(self, path: RelPath, reason: str, on_conflict: OnConflict, *, is_firm: bool) -> None:
        self._refused.add(path)
        (self.kept if on_conflict is OnConflict.KEEP else self.conflicts).append(Missing(path=path, reason=reason))
        if is_firm:
            self.firm.append(path)


def _action(target: Version, *, merged_from: bool) -> Action:
    if isinstance(target, Absent):
        return Action.REMOVE
    return Action.MERGE if merged_from else Action.RESTORE


def _plan_id(decisions: Iterable[Decision], conflicts: Iterable[Missing]) -> PlanId:
    steps = [(d.path, d.expect, d.target, sorted(d.off), sorted(d.on)) for d in decisions]
    told = msgspec.msgpack.encode((steps, [(c.path, c.reason) for c in conflicts]), enc_hook=encode_path)
    return PlanId(blake3(told).hexdigest()[:PLAN_ID_DIGITS])

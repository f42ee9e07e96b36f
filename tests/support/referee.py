"""Does what sessions ask for by the pure core, and checks everything that the design promises of it."""

import random
from dataclasses import dataclass, field

from rewindd.model.ids import SessionId
from rewindd.model.index import Index
from rewindd.model.log import OnConflict, Owner, Scope
from rewindd.model.versions import Absent, Directory, File, Unknown, Version
from rewindd.paths import ROOT, RelPath
from rewindd.plan.draft import Aim, Draft, Merged, merge, rewind, undo
from rewindd.plan.merge import Clash, MergeText
from rewindd.plan.restore import restore
from rewindd.plan.settle import Settled, settle
from support.diff3 import merge3
from support.replay import gap, is_masked
from support.world import Done, Mark, World


class Wrong(AssertionError):
    """A path holds what the replay of its live rows does not give."""


@dataclass(slots=True)
class Figures:
    """What was counted."""

    acts: int = 0
    saves: int = 0
    rewinds: int = 0
    restores: int = 0
    undos: int = 0
    immediate: int = 0
    merged: int = 0
    conflicts: int = 0
    kept: int = 0
    #: Merged paths that came out wrong, without a conflict.
    wrong: int = 0
    #: Those of them where another row had made the very change that was switched: the known limit of merging run by run.
    masked: int = 0
    #: Merged paths, and those that came out wrong, by how many unchanged lines lay between the two sides' changes.
    by_gap: dict[int, list[int]] = field(default_factory=dict)

    @property
    def operations(self) -> int:
        """All that was done."""
        return self.acts + self.saves + self.rewinds + self.restores + self.undos

    def add(self, more: "Figures") -> None:
        """Counts another world's in."""
        for name in ("acts", "saves", "rewinds", "restores", "undos", "immediate", "merged", "conflicts", "kept", "wrong", "masked"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        for lines, (all_, wrong) in more.by_gap.items():
            mine = self.by_gap.setdefault(lines, [0, 0])
            mine[0] += all_
            mine[1] += wrong


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved moment, and the parent's."""

    session: SessionId
    mark: Mark
    base: Mark


@dataclass(slots=True)
class Referee:
    """Carries operations out on one world."""

    world: World
    random: random.Random
    same_is_clean: bool = False
    text: MergeText | None = None
    #: True when lines repeat: then a merge may take one for another.
    repeats: bool = False
    figures: Figures = field(default_factory=Figures)
    heads: dict[SessionId, Mark] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    #: Paths of which a merge switched a row whose change another row had made too.
    masked: set[RelPath] = field(default_factory=set)
    said: str = ""

    def merge_text(self, base: File, ours: File, theirs: File) -> File | None:
        """Merges three contents of the world's."""
        if self.text is not None:
            return self.text(base, ours, theirs)
        lines = [self.world.text(version).splitlines(keepends=True) for version in (base, ours, theirs)]
        merged = merge3(*lines, same_is_clean=self.same_is_clean)
        return None if merged is None else self.world.put("".join(merged), 0)

    def save(self, session: SessionId) -> None:
        """Makes a checkpoint."""
        self.figures.saves += 1
        mark = self.world.mark()
        self.checkpoints.append(Checkpoint(session, mark, self.heads[session]))
        self.heads[session] = mark

    def rewind(self, session: SessionId, checkpoint: Checkpoint, aim: Aim, *, before: bool) -> Done | None:
        """Rewinds and checks what came of it; None when it conflicts."""
        self.figures.rewinds += 1
        target = checkpoint.base if before else checkpoint.mark
        assert aim.seq == target.seq
        timeline = self.world.timeline()
        drafts = rewind(timeline, aim)
        was = self.world.mark()
        done, settled = self._carry_out(session, drafts, aim.on_conflict, aim.paths)
        if done is None:
            return None
        kept = {missing.path for missing in settled.kept} | set(done.kept)
        if aim.scope is Scope.WORKSPACE:
            self._check_state(aim, target, was, kept, done)
        else:
            self._check_session(aim, target, was, kept, done)
        self.heads[session] = target
        self.done.append(done)
        return done

    def restore(self, session: SessionId, target: Mark, paths: tuple[RelPath, ...]) -> Done | None:
        """Brings paths, and all below, back as they were; checks what came of it. None when something is in the way."""
        self.figures.restores += 1
        wanted = dict.fromkeys(self._concerned(paths), target.seq)
        was = self.world.mark()
        done, settled = self._carry_out(session, restore(self.world.timeline(), wanted), OnConflict.FAIL, ())
        if done is None:
            return None
        kept = {missing.path for missing in settled.kept} | set(done.kept)
        for path in self._concerned(None):
            then = target.known(path)
            if path in done.made:
                assert isinstance(was.known(path), Absent), f"{path}: made, and was there"
            elif path in wanted and path not in kept and not isinstance(then, Absent | Unknown) and then != was.known(path):
                assert self.world.known(path) == then, f"{path}: not as it was then"
                assert self.world.live_of(path) == target.live.get(path, frozenset()), f"{path}: other rows are live than were then"
                self.world.forget(path, target.seq)
            else:
                assert self.world.known(path) == was.known(path), f"{path}: changed by a restore of something else"
                assert self.world.live_of(path) == was.live.get(path, frozenset()), f"{path}: its rows were switched"
        self.done.append(done)
        return done

    def undo(self, session: SessionId, of: Done, on_conflict: OnConflict = OnConflict.MERGE) -> Done | None:
        """Takes an operation back and checks what came of it; None when it conflicts."""
        self.figures.undos += 1
        timeline = self.world.timeline()
        drafts = undo(timeline, session, of.at, of.paths)
        was = self.world.mark()
        done, settled = self._carry_out(session, drafts, on_conflict, of.paths)
        if done is None:
            return None
        kept = {missing.path for missing in settled.kept} | set(done.kept)
        for path in self._concerned(of.paths):
            off, on = timeline.toggled(of.at, path)
            now, then = was.live.get(path, frozenset()), of.before.live.get(path, frozenset())
            wanted = (now - on) | off
            wanted = (wanted - self.world.owned(wanted | now, session)) | self.world.owned(then, session)
            if path not in kept and path not in done.made and self.world.live_of(path) != wanted:
                assert on_conflict is OnConflict.OVERWRITE, f"{path}: undone to other rows than just before"
                assert self.world.on_disk(path) == of.before.known(path)
            if on_conflict is OnConflict.OVERWRITE:
                self.world.forget(path, of.at)
        self.done.append(done)
        return done

    def undo_at_once(self, done: Done) -> Done:
        """Takes back the newest operation: the files are as they were, byte for byte, and so are the live rows."""
        self.figures.immediate += 1
        before = done.before
        back = self.undo(done.session, done)
        assert back is not None, "an immediate undo conflicts"
        for path in {*before.index, *self.world.index}:
            was, now = before.known(path), self.world.known(path)
            assert was == now, f"{path}: not as before the operation: {was} {now}"
            if path not in done.made:
                assert self.world.live_of(path) == before.live.get(path, frozenset()), f"{path}: other rows are live"
        return back

    def check(self) -> None:
        """Every known path holds what the replay of its live rows gives; the disk is a tree."""
        for path, story in self.world.stories.items():
            if not self.world.is_known(path):
                continue
            told, found = story.version(self.world.live_of(path), self.world.put), self.world.on_disk(path)
            if path not in self.world.remade and not _same(told, found, exact=len(story.bodies) == 1):
                raise Wrong(f"{path}: {self._shown(found)} found, {self._shown(told)} told")
        for path in self.world.disk:
            assert path.parent == ROOT or isinstance(self.world.on_disk(path.parent), Directory), f"{path}: its parent is no directory"

    def _carry_out(
        self, session: SessionId, drafts: list[Draft], on_conflict: OnConflict, paths: tuple[RelPath, ...] | None
    ) -> tuple[Done | None, Settled]:
        merged: dict[RelPath, Version | Clash] = {}
        for draft in drafts:
            if isinstance(draft.way, Merged):
                merged[draft.path] = merge(draft.current, draft.way, self.merge_text)
        timeline = self.world.timeline()
        settled = settle(timeline, drafts, merged, Index(self.world.index.values()), on_conflict)
        again = settle(timeline, drafts, merged, Index(self.world.index.values()), on_conflict)
        assert again.plan == settled.plan
        self._check_settled(settled)
        self.figures.kept += len(settled.kept)
        if settled.conflicts:
            assert on_conflict is not OnConflict.KEEP, "`keep` conflicts"
            self.figures.conflicts += 1
            self._check_conflicts(drafts, settled)
            return None, settled
        gaps = self._gaps(drafts, merged)
        done = self.world.apply(session, settled, paths)
        self._judge(gaps)
        return done, settled

    def _gaps(self, drafts: list[Draft], merged: dict[RelPath, Version | Clash]) -> dict[RelPath, int]:
        gaps: dict[RelPath, int] = {}
        for draft in drafts:
            if not isinstance(draft.way, Merged) or not draft.way.merges or isinstance(merged[draft.path], Clash):
                continue
            body = self.world.stories[draft.path].body(draft.live)
            rows = draft.live ^ draft.wanted
            others = frozenset(row.seq for row in self.world.rows if row.path == draft.path) - rows
            if is_masked(self.world.stories[draft.path], draft.live, draft.wanted):
                self.masked.add(draft.path)
            gaps[draft.path] = min(4, gap(body, rows, others)) if body else 4
        return gaps

    def _judge(self, gaps: dict[RelPath, int]) -> None:
        self.figures.merged += len(gaps)
        for path, lines in gaps.items():
            counted = self.figures.by_gap.setdefault(lines, [0, 0])
            counted[0] += 1
            story = self.world.stories[path]
            told = story.version(self.world.live_of(path), self.world.put)
            if path not in self.world.remade and not _same(told, self.world.on_disk(path), exact=len(story.bodies) == 1):
                counted[1] += 1
                self.figures.wrong += 1
                self.figures.masked += path in self.masked
                self.said = f"{path}: {self._shown(self.world.on_disk(path))} found, {self._shown(told)} told"

    def _check_settled(self, settled: Settled) -> None:
        """Each path is in one place, and the tree with the decisions made to it is a tree."""
        decided = [decision.path for decision in settled.decisions]
        told = decided + [missing.path for missing in settled.kept + settled.conflicts]
        assert len(told) == len(set(told)), f"told twice: {sorted(path for path in told if told.count(path) > 1)}"
        final = {path: entry.version for path, entry in self.world.index.items()}
        final |= {decision.path: decision.target for decision in settled.decisions}
        for decision in settled.decisions:
            path, target = decision.path, decision.target
            assert not isinstance(target, Unknown), f"{path}: made unknown"
            if isinstance(target, Absent) and not isinstance(decision.expect, Absent):
                assert path in self.world.knew_absent, f"{path}: removed, and never known to be absent"
        if settled.conflicts:
            return
        for path, version in final.items():
            if not isinstance(version, Absent | Unknown) and path.parent in final:
                assert isinstance(final[path.parent], Directory | Unknown), f"{path}: settled below what is no directory"

    def _check_conflicts(self, drafts: list[Draft], settled: Settled) -> None:
        """Text conflicts only where changes of both sides touch, or may have."""
        by_path = {draft.path: draft for draft in drafts}
        for path, reason in ((missing.path, missing.reason) for missing in settled.conflicts):
            if not reason.startswith("the same lines were changed since") or self.repeats:
                continue
            draft = by_path[path]
            bodies = self.world.stories[path].bodies
            body = bodies[-1]
            rows = draft.live ^ draft.wanted
            others = frozenset(row.seq for row in self.world.rows if row.path == path) - rows
            views = sum(row.path == path and row.source.is_view for row in self.world.rows)
            assert len(bodies) > 1 or views > 1 or gap(body, rows, others) == 0, f"{path}: conflicts, and nothing touches"

    def _check_state(self, aim: Aim, target: Mark, was: Mark, kept: set[RelPath], done: Done) -> None:
        for path in self._concerned(aim.paths):
            then = target.known(path)
            if path in done.made or path in kept:
                assert path in done.made or self.world.known(path) == was.known(path), f"{path}: kept, and changed"
            elif isinstance(then, Unknown):
                assert self.world.known(path) == was.known(path), f"{path}: changed, and not known then"
            else:
                assert self.world.known(path) == then, f"{path}: not as the workspace was then"
                assert self.world.live_of(path) == target.live.get(path, frozenset()), f"{path}: other rows are live than were then"
                self.world.forget(path, target.seq)

    def _check_session(self, aim: Aim, target: Mark, was: Mark, kept: set[RelPath], done: Done) -> None:
        for path in {*self._concerned(None)}:
            now, then = was.live.get(path, frozenset()), target.live.get(path, frozenset())
            known = was.known(path)
            if path in done.made:
                continue
            if path in kept or path not in self._concerned(aim.paths) or isinstance(known, Unknown):
                assert self.world.live_of(path) == now, f"{path}: its rows were switched"
                assert self.world.known(path) == known, f"{path}: it was changed"
                continue
            wanted = (now - self._taken(now, aim)) | self._taken(then, aim)
            if aim.also_external:
                nobodys = {row for row in now if not self.world.owners[row]}
                wanted = (wanted - nobodys) | {row for row in then if not self.world.owners[row]}
            if aim.on_conflict is OnConflict.OVERWRITE:
                self.world.forget(path, target.seq)
            if self.world.live_of(path) != wanted:
                assert aim.on_conflict is OnConflict.OVERWRITE, f"{path}: other rows are live than should be"
                self._check_overwritten(path, aim, target)

    def _taken(self, rows: frozenset[int], aim: Aim) -> frozenset[int]:
        """Those rows that a rewind takes as its session's."""
        return frozenset(row for row in rows if _is_of(aim, self.world.owners[row]))

    def _check_overwritten(self, path: RelPath, aim: Aim, target: Mark) -> None:
        if not isinstance(target.known(path), Unknown):
            assert self.world.on_disk(path) == target.known(path), f"{path}: not as it was then"
            return
        first = next(row for row in self.world.rows if row.path == path and row.seq > target.seq and _is_of(aim, row.owner))
        assert self.world.on_disk(path) == first.before, f"{path}: not as the session found it"

    def _concerned(self, paths: tuple[RelPath, ...] | None) -> list[RelPath]:
        with_rows = {row.path for row in self.world.rows}
        return sorted(path for path in with_rows if paths is None or any(path.below(top) for top in paths))

    def _shown(self, version: Version) -> str:
        return repr(self.world.text(version)) + f" {version.mode:o}" if isinstance(version, File) else repr(version)


def _is_of(aim: Aim, owner: Owner) -> bool:
    """True when a change is the session's alone, or its children's, or, where that was said, contested and theirs too."""
    theirs = [one in (aim.session, *aim.children) for one in owner]
    return any(theirs) and (all(theirs) or aim.with_shared)


def _same(told: Version, found: Version, *, exact: bool) -> bool:
    """True when a path holds what it should.

    Where it was removed and made again, modes pass from one file to the next, and one directory is as good as another.
    """
    if exact or told == found:
        return told == found
    if isinstance(told, File) and isinstance(found, File):
        return told.digest == found.digest
    return isinstance(told, Directory | Absent) and isinstance(found, Directory | Absent)

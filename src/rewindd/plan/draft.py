"""What a rewind or an undo wants of each path, before any merge was run.

`L`, the rows that shall be live afterwards, decides everything: where the log holds a version with just these rows live, that
version comes back byte for byte; else the runs that differ are merged out of and into what is on disk.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rewindd.model.ids import SessionId
from rewindd.model.log import OnConflict, Row, Scope
from rewindd.model.versions import Unknown, Version
from rewindd.paths import RelPath
from rewindd.plan.merge import Clash, Merge, MergeText, merge_all
from rewindd.timeline.history import Seqs, Timeline


@dataclass(frozen=True, slots=True)
class Exact:
    """The path becomes this version, byte for byte."""

    version: Version


@dataclass(frozen=True, slots=True)
class Route:
    """A version to start from, and the runs to merge into it, in this order."""

    start: Version
    merges: tuple[Merge, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """The path's present version with these runs merged, in this order.

    `check` is a second way to the same rows, from another recorded version: see `merge`.
    """

    merges: tuple[Merge, ...]
    check: Route | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The path stays as it is; its rows stay as they are."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What `overwrite` makes of a path that clashes."""

    version: Version
    wanted: Seqs


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One path: where it stands (`current`, `live`), the rows `wanted` live, how to get there, and what to do if that clashes."""

    path: RelPath
    current: Version
    live: Seqs
    wanted: Seqs
    way: Exact | Merged | Keep | Clash
    why: str
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a rewind is asked: of whom, to which position, how much. `paths` None is everything."""

    session: SessionId
    seq: int
    scope: Scope
    also_external: bool = False
    on_conflict: OnConflict = OnConflict.MERGE
    paths: tuple[RelPath, ...] | None = None


def rewind(timeline: Timeline, aim: Aim) -> list[Draft]:
    """Returns what a rewind to `aim.seq` wants of each path it concerns, by path."""
    of_path = _by_session if aim.scope is Scope.SESSION else _by_workspace
    drafts = (of_path(timeline, path, aim) for path in concerned(timeline.paths, aim.paths))
    return [draft for draft in drafts if draft is not None]


def undo(
    timeline: Timeline, session: SessionId, at: int, paths: tuple[RelPath, ...] | None, why: str = "as before the rewind"
) -> list[Draft]:
    """Returns what taking back the operation at position `at` wants of each path.

    The session's own rows as they were just before it, the operation's toggles of others' rows inverted; later rows of
    others stay. What the operation did elsewhere than in `paths` (a directory made again for what came back) is taken back too.
    """
    touched = (path for path in timeline.paths if timeline.is_touched(at, path))
    drafts = (_undone(timeline, path, session, at, why) for path in sorted({*concerned(timeline.paths, paths), *touched}))
    return [draft for draft in drafts if draft is not None]


def concerned(paths: Iterable[RelPath], chosen: tuple[RelPath, ...] | None) -> list[RelPath]:
    """Those of `paths` that are chosen or lie below a chosen one; all, when none are chosen."""
    return [path for path in paths if chosen is None or any(path.below(top) for top in chosen)]


def content(timeline: Timeline, path: RelPath, wanted: Seqs) -> Exact | Merged:
    """content(p, L): the newest version at which just these rows were live, or the merges that lead there from disk."""
    version = timeline.newest(path, wanted)
    if not isinstance(version, Unknown):
        return Exact(version)
    live = timeline.live(timeline.position, path)
    others = [moment for moment in timeline.moments(path) if moment.live != live and not isinstance(moment.version, Unknown)]
    nearest = min(others, key=lambda moment: (len(moment.live ^ wanted), -moment.seq), default=None)
    check = Route(nearest.version, _merges(timeline, path, nearest.live, wanted)) if nearest is not None else None
    return Merged(_merges(timeline, path, live, wanted), check)


def merge(current: Version, way: Merged, merge_text: MergeText) -> Version | Clash:
    """Returns what the merges come to, started from the present version.

    Where two rows make the same change, taking one of them back changes nothing on disk, and from then on the versions do not
    tell which of the two is meant: a merge may bring back what somebody removed. So it is done a second time from the nearest
    other version that is recorded; two results that differ are a conflict.
    """
    result = merge_all(current, way.merges, merge_text)
    if isinstance(result, Clash) or way.check is None:
        return result
    second = merge_all(way.check.start, way.check.merges, merge_text)
    return result if isinstance(second, Clash) or second == result else Clash("the same change was made by several")


def _merges(timeline: Timeline, path: RelPath, live: Seqs, wanted: Seqs) -> tuple[Merge, ...]:
    """The runs to take back, newest first, then those to put back, oldest first."""
    back = [Merge(run.after, run.before) for run in reversed(timeline.runs(path, live - wanted))]
    forth = [Merge(run.before, run.after) for run in timeline.runs(path, wanted - live)]
    return (*back, *forth)


def _by_session(timeline: Timeline, path: RelPath, aim: Aim) -> Draft | None:
    now = timeline.live(timeline.position, path)
    wanted = (now - timeline.owned(now, path, aim.session)) | timeline.own(aim.session, aim.seq, path)
    if aim.also_external:
        wanted = (wanted - timeline.nobodys(timeline.position, path)) | timeline.nobodys(aim.seq, path)
    shared = _shared(timeline, path, now, aim)
    if wanted == now and not shared:
        return None
    current = timeline.current(path)
    why = "own work put back"
    if back := now - wanted:
        why = "own work after it taken back" if back & timeline.owned(back, path, aim.session) else "nobody's changes after it taken back"
    way: Exact | Merged | Keep | Clash = content(timeline, path, wanted)
    if isinstance(current, Unknown):
        way = Keep("outside the rules now")
    elif shared:
        way = Clash(f"contested between {', '.join(shared)}")
    elif aim.on_conflict is OnConflict.FAIL and (others := _others(timeline, path, wanted, aim)):
        way = Clash(f"changed since by {', '.join(others)}")
    fallback = _overwrite(timeline, path, aim)
    return Draft(path=path, current=current, live=now, wanted=wanted, way=way, why=why, fallback=fallback)


def _by_workspace(timeline: Timeline, path: RelPath, aim: Aim) -> Draft | None:
    now, then = timeline.live(timeline.position, path), timeline.live(aim.seq, path)
    current, version = timeline.current(path), timeline.state(aim.seq, path)
    if isinstance(version, Unknown):
        way: Exact | Keep = Keep("not known at that point")
    elif isinstance(current, Unknown):
        way = Keep("outside the rules now")
    elif version == current and now == then:
        return None
    else:
        way = Exact(version)
    return Draft(path=path, current=current, live=now, wanted=then, way=way, why="as the workspace was then")


def _undone(timeline: Timeline, path: RelPath, session: SessionId, at: int, why: str) -> Draft | None:
    now, before = timeline.live(timeline.position, path), timeline.live(at - 1, path)
    off, on = timeline.toggled(at, path)
    wanted = ((now - on) | off) - timeline.owned(now | off, path, session) | timeline.owned(before, path, session)
    if wanted == now and not timeline.is_touched(at, path):
        return None
    current = timeline.current(path)
    way: Exact | Merged | Keep = _as_before(timeline, path, at, wanted) or content(timeline, path, wanted)
    if isinstance(current, Unknown):
        way = Keep("outside the rules now")
    if isinstance(way, Exact) and way.version == current and wanted == now:
        return None
    fallback = Fallback(version=version, wanted=before) if not isinstance(version := timeline.state(at - 1, path), Unknown) else None
    return Draft(path=path, current=current, live=now, wanted=wanted, way=way, why=why, fallback=fallback)


def _as_before(timeline: Timeline, path: RelPath, at: int, wanted: Seqs) -> Exact | None:
    """The version just before the operation, where that is what is wanted.

    An operation may have changed the version and no row (a parent made for what it restored): the newest moment with
    these rows would then be its own.
    """
    earlier = timeline.just_before(path, at)
    if earlier is not None and earlier.live == wanted and not isinstance(earlier.version, Unknown):
        return Exact(earlier.version)
    return None


def _shared(timeline: Timeline, path: RelPath, now: Seqs, aim: Aim) -> list[str]:
    """The sessions of contested rows after the target that may be this session's."""
    rows = [row for row in timeline.rows(path) if row.seq in now and row.seq > aim.seq]
    return sorted({owner for row in rows if len(row.owner) > 1 and aim.session in row.owner for owner in row.owner})


def _others(timeline: Timeline, path: RelPath, wanted: Seqs, aim: Aim) -> list[str]:
    """Who else changed the path after the target, of the work that would stay."""
    later: list[Row] = [row for row in timeline.rows(path) if row.seq in wanted and row.seq > aim.seq and row.owner != (aim.session,)]
    return sorted({owner for row in later for owner in row.owner or ("somebody unknown",)})


def _overwrite(timeline: Timeline, path: RelPath, aim: Aim) -> Fallback | None:
    """The path as it was at the target; where that is unknown, as it was before the session first touched it after."""
    version = timeline.state(aim.seq, path)
    if not isinstance(version, Unknown):
        return Fallback(version=version, wanted=timeline.live(aim.seq, path))
    first = next((row for row in timeline.rows(path) if row.seq > aim.seq and row.owner == (aim.session,)), None)
    return Fallback(version=first.before, wanted=timeline.live(first.seq - 1, path)) if first else None

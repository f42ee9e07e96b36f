"""What a rewind or an undo wants of each path, before any merge was run.

`L`, the rows that shall be live afterwards, decides everything: where the log holds a version with just these rows live, that
version comes back byte for byte; else the runs that differ are merged out of and into what is on disk.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rewindd.model.ids import SessionId
from rewindd.model.log import OnConflict, Owner, Scope
from rewindd.model.versions import ABSENT, Kind, Unknown, Version
from rewindd.paths import RelPath
from rewindd.plan.merge import Clash, Merge, MergeText, merge_all
from rewindd.plan.naming import Names, listed
from rewindd.timeline.history import Seqs, Timeline

#: Operations make directories, and leave them, without a row for it.
_WITHOUT_A_ROW = {Kind.ABSENT, Kind.DIRECTORY}


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

    `check` is a second way to the same rows, from another recorded version; `kind`, what the path must be with these rows: see `merge`.
    """

    merges: tuple[Merge, ...]
    check: Route | None = None
    kind: Kind | None = None


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
    """One path: where it stands (`current`, `live`), the rows `wanted` live, how to get there, and what to do if that clashes.

    `others`: the sessions whose later work on the path stays, or is in the way; `gone`: the others whose work goes too.
    """

    path: RelPath
    current: Version
    live: Seqs
    wanted: Seqs
    way: Exact | Merged | Keep | Clash
    why: str
    fallback: Fallback | None = None
    others: tuple[SessionId, ...] = ()
    gone: tuple[SessionId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a rewind is asked: of whom, to which position, how much. `paths` None is everything.

    `children`: the sub-agents whose own work goes with the session's. `with_shared`: contested work in which one of these takes part
    is theirs too. `names`: what sessions are called, for the words.
    """

    session: SessionId
    seq: int
    scope: Scope
    also_external: bool = False
    on_conflict: OnConflict = OnConflict.MERGE
    paths: tuple[RelPath, ...] | None = None
    children: tuple[SessionId, ...] = ()
    with_shared: bool = False
    names: Names = field(default_factory=Names)

    def takes(self, owner: Owner) -> bool:
        """True for work that is taken back and put back: of the session, its children, and what is contested among these alone."""
        party = {self.session, *self.children}
        return bool(owner) and (party.issuperset(owner) or (self.with_shared and not party.isdisjoint(owner)))

    def shares(self, owner: Owner) -> bool:
        """True for contested work in which the session or one of its children takes part, and which is left to nobody."""
        return not self.takes(owner) and not {self.session, *self.children}.isdisjoint(owner)


def rewind(timeline: Timeline, aim: Aim) -> list[Draft]:
    """Returns what a rewind to `aim.seq` wants of each path it concerns, by path."""
    of_path = _by_session if aim.scope is Scope.SESSION else _by_workspace
    drafts = (of_path(timeline, path, aim) for path in concerned(timeline.paths, aim.paths))
    return [draft for draft in drafts if draft is not None]


def undo(
    timeline: Timeline,
    session: SessionId,
    at: int,
    paths: tuple[RelPath, ...] | None,
    why: str = "as before the rewind",
    members: tuple[SessionId, ...] = (),
    names: Names | None = None,
) -> list[Draft]:
    """Returns what taking back the operation at position `at` wants of each path.

    The own rows of the session, and of the other `members` that the operation is about, as they were just before it, the operation's
    toggles of others' rows inverted; later rows of others stay.
    What the operation did elsewhere than in `paths` (a directory made again for what came back) is taken back too.
    """
    touched = (path for path in timeline.paths if timeline.is_touched(at, path))
    about = sorted({*concerned(timeline.paths, paths), *touched})
    drafts = (_undone(timeline, path, (session, *members), at, why, names or Names()) for path in about)
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
    return Merged(_merges(timeline, path, live, wanted), check, _kind(timeline, path, wanted))


def merge(current: Version, way: Merged, merge_text: MergeText) -> Version | Clash:
    """Returns what the merges come to, started from the present version.

    Where two rows make the same change, taking one of them back changes nothing on disk, and from then on the versions do not
    tell which of the two is meant: a merge may bring back what somebody removed. So it is done a second time from the nearest
    other version that is recorded; two results that differ are a conflict. So is a path that came back though whoever made it took that
    back, while another's removal hid it.
    """
    result = merge_all(current, way.merges, merge_text)
    if isinstance(result, Clash):
        return result
    if way.kind not in (None, result.kind) and {way.kind, result.kind} != _WITHOUT_A_ROW:
        return Clash("what made or removed it was taken back since")
    if way.check is None:
        return result
    second = merge_all(way.check.start, way.check.merges, merge_text)
    return result if isinstance(second, Clash) or second == result else Clash("the same change was made by several")


def _kind(timeline: Timeline, path: RelPath, wanted: Seqs) -> Kind | None:
    """What the rows make of a path: as it was first, then as each of them that changed its kind left it.

    None where they do not tell, because it came into view later.
    """
    rows = timeline.rows(path)
    if not rows or any(row.source.is_view for row in rows[1:]) or (rows[0].source.is_view and isinstance(rows[0].after, Unknown)):
        return None
    kind = rows[0].after.kind if rows[0].source.is_view else rows[0].before.kind
    for row in rows:
        if row.seq in wanted and row.before.kind is not row.after.kind:
            kind = row.after.kind
    return kind


def _merges(timeline: Timeline, path: RelPath, live: Seqs, wanted: Seqs) -> tuple[Merge, ...]:
    """The runs to take back, newest first, then those to put back, oldest first.

    A run that would remove the path is left out where it was removed or made since, in work that stays: what is there now is of later.
    """
    again = (row.seq for row in timeline.rows(path) if row.seq in live & wanted and (row.after == ABSENT) != (row.before == ABSENT))
    later = max(again, default=0)
    back = [(run.rows[-1].seq, Merge(run.after, run.before)) for run in reversed(timeline.runs(path, live - wanted))]
    forth = [(run.rows[-1].seq, Merge(run.before, run.after)) for run in timeline.runs(path, wanted - live)]
    return tuple(one for seq, one in (*back, *forth) if seq > later or one.theirs != ABSENT)


def _by_session(timeline: Timeline, path: RelPath, aim: Aim) -> Draft | None:
    now = timeline.live(timeline.position, path)
    mine = frozenset(row.seq for row in timeline.rows(path) if aim.takes(row.owner))
    wanted = (now - mine) | (timeline.live(aim.seq, path) & mine)
    if aim.also_external:
        wanted = (wanted - timeline.nobodys(timeline.position, path)) | timeline.nobodys(aim.seq, path)
    shared = _shared(timeline, path, now, aim)
    if wanted == now and not shared:
        return None
    current = timeline.current(path)
    why = "own work put back"
    if back := now - wanted:
        why = "own work after it taken back" if back & mine else "nobody's changes after it taken back"
    others, gone = _owners(timeline, path, wanted, aim.seq, aim), _owners(timeline, path, now - wanted, aim.seq, aim, taken=True)
    why = aim.names.why(why, kept=[] if shared else others, gone=gone)
    way: Exact | Merged | Keep | Clash = content(timeline, path, wanted)
    if isinstance(current, Unknown):
        way = Keep("outside the rules now")
    elif shared:
        way = Clash(f"contested between {aim.names.sessions(shared)}")
    elif aim.on_conflict is OnConflict.FAIL and (since := _others(timeline, path, wanted, aim)):
        way = Clash(f"changed since by {aim.names.owners(since)}")
    return Draft(
        path=path,
        current=current,
        live=now,
        wanted=wanted,
        way=way,
        why=why,
        fallback=_overwrite(timeline, path, aim),
        others=listed(one for one in (*others, *shared) if one != aim.session),
        gone=gone,
    )


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
    gone = _owners(timeline, path, now - then, 0, aim, taken=True)
    why = aim.names.why("as the workspace was then", gone=gone)
    return Draft(path=path, current=current, live=now, wanted=then, way=way, why=why, gone=gone)


def _undone(timeline: Timeline, path: RelPath, sessions: tuple[SessionId, ...], at: int, why: str, names: Names) -> Draft | None:
    now, before = timeline.live(timeline.position, path), timeline.live(at - 1, path)
    off, on = timeline.toggled(at, path)
    wanted = ((now - on) | off) - _owned(timeline, now | off, path, sessions) | _owned(timeline, before, path, sessions)
    if wanted == now and not timeline.is_touched(at, path):
        return None
    current = timeline.current(path)
    way: Exact | Merged | Keep = _as_before(timeline, path, at, wanted) or content(timeline, path, wanted)
    if isinstance(current, Unknown):
        way = Keep("outside the rules now")
    if isinstance(way, Exact) and way.version == current and wanted == now:
        return None
    fallback = Fallback(version=version, wanted=before) if not isinstance(version := timeline.state(at - 1, path), Unknown) else None
    later = {owner for row in timeline.rows(path) if row.seq in wanted and row.seq > at for owner in row.owner}
    others = listed(later - set(sessions))
    why = names.why(why, kept=others)
    return Draft(path=path, current=current, live=now, wanted=wanted, way=way, why=why, fallback=fallback, others=others)


def _owned(timeline: Timeline, rows: Seqs, path: RelPath, sessions: tuple[SessionId, ...]) -> Seqs:
    return frozenset().union(*(timeline.owned(rows, path, session) for session in sessions))


def _as_before(timeline: Timeline, path: RelPath, at: int, wanted: Seqs) -> Exact | None:
    """The version just before the operation, where that is what is wanted.

    An operation may have changed the version and no row (a parent made for what it restored): the newest moment with
    these rows would then be its own.
    """
    earlier = timeline.just_before(path, at)
    if earlier is not None and earlier.live == wanted and not isinstance(earlier.version, Unknown):
        return Exact(earlier.version)
    return None


def _shared(timeline: Timeline, path: RelPath, now: Seqs, aim: Aim) -> tuple[SessionId, ...]:
    """The sessions of contested rows after the target that may be this session's."""
    rows = [row for row in timeline.rows(path) if row.seq in now and row.seq > aim.seq]
    return listed(owner for row in rows if aim.shares(row.owner) for owner in row.owner)


def _others(timeline: Timeline, path: RelPath, wanted: Seqs, aim: Aim) -> list[Owner]:
    """Who else changed the path after the target, of the work that would stay."""
    return [row.owner for row in timeline.rows(path) if row.seq in wanted and row.seq > aim.seq and not aim.takes(row.owner)]


def _owners(timeline: Timeline, path: RelPath, seqs: Seqs, after: int, aim: Aim, *, taken: bool = False) -> tuple[SessionId, ...]:
    """The other sessions whose rows these are, of those behind a position; the children count as others only of what is `taken`."""
    rows = [row for row in timeline.rows(path) if row.seq in seqs and row.seq > after]
    ours = {aim.session} if taken else {aim.session, *aim.children}
    return listed({owner for row in rows for owner in row.owner} - ours)


def _overwrite(timeline: Timeline, path: RelPath, aim: Aim) -> Fallback | None:
    """The path as it was at the target; where that is unknown, as it was before the session first touched it after."""
    version = timeline.state(aim.seq, path)
    if not isinstance(version, Unknown):
        return Fallback(version=version, wanted=timeline.live(aim.seq, path))
    first = next((row for row in timeline.rows(path) if row.seq > aim.seq and aim.takes(row.owner)), None)
    return Fallback(version=first.before, wanted=timeline.live(first.seq - 1, path)) if first else None

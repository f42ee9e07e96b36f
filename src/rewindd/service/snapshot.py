"""Snapshots: keep a path's present state before it is changed, and note whose next change it is."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from time import time_ns

from msgspec import structs

from rewindd.errors import BadRequest, OutsideWorkspace
from rewindd.model.capture import LeftOut
from rewindd.model.log import IndexEntry, Row
from rewindd.model.session import Claim, Session
from rewindd.model.stakes import Stake
from rewindd.model.versions import Absent, Directory, File, Unknown
from rewindd.paths import ROOT, FsText, RelPath
from rewindd.protocol import replies
from rewindd.protocol.requests import BeginEdit, EndEdit, Release, TakeSnapshot
from rewindd.protocol.wire import Progress
from rewindd.service import names
from rewindd.service.asker import asker
from rewindd.service.capture import ahead, keeping
from rewindd.service.capture.changes import Change
from rewindd.service.capture.first_look import contents, first_rows, look_at
from rewindd.service.capture.holding import claims_on, drop, ending, ends, of_session, take
from rewindd.service.capture.observing import append, enter_unknown, observe, remember, write_rows
from rewindd.service.capture.own_places import OwnPlaces
from rewindd.service.capture.sighting import arming
from rewindd.service.clock import steady_ns
from rewindd.service.doors.spending import first_seen_bytes
from rewindd.service.locking import breathing, locked
from rewindd.service.notices import telling
from rewindd.service.notices.overlaps import overlaps
from rewindd.service.places import locate
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import Turn
from rewindd.store import claims as claim_rows
from rewindd.store import grants, index, sessions, workspaces
from rewindd.store import stakes as stake_rows
from rewindd.store.database import Connection
from rewindd.tree.look import Look, Refusal, Unseen
from rewindd.tree.rules.book import NoRules
from rewindd.tree.sight import DEFERRED
from rewindd.tree.survey import survey

#: Paths of a directory that are looked at before they are committed: bounds memory, and lets others in between.
BATCH_LOOKS = 200


@dataclass(slots=True)
class _Fresh:
    """What was looked at for the first time and is not kept yet: rows to be, their contents, and what is absent as was known."""

    changes: list[Change] = field(default_factory=list)
    packed: list[keeping.Packed] = field(default_factory=list)
    absent: dict[RelPath, IndexEntry] = field(default_factory=dict)
    looked_at: set[RelPath] = field(default_factory=set)
    unseen: dict[RelPath, str] = field(default_factory=dict)

    def entry(self, tree: Tree, path: RelPath) -> IndexEntry | None:
        """What is known of a path, here or in the index."""
        found = next((change.entry for change in self.changes if change.path == path), None)
        return found or self.absent.get(path) or tree.index.get(path)


@dataclass(slots=True)
class _Gathered:
    """What a snapshot has found so far. `seen_bytes`: of content that is seen for the first time because it asks."""

    named: list[RelPath] = field(default_factory=list)
    kept: list[replies.Kept] = field(default_factory=list)
    skipped: list[replies.PathReason] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    covered: list[RelPath] = field(default_factory=list)
    fresh: _Fresh = field(default_factory=_Fresh)
    seen_bytes: int = 0


def _is_uncovered(tree: Tree, entry: IndexEntry | None) -> bool:
    """True for a directory of which not all entries were looked at."""
    if entry is None or not isinstance(entry.version, Directory):
        return False
    return entry.covered is None or (tree.first is not None and any(path.below(entry.path) for path in tree.first.missing))


async def snapshot(state: State, request: TakeSnapshot, session: Session, turn: Turn) -> bytes:
    """Keeps each path's present state and claims it for the session; durable on return.

    Raises:
        OutsideWorkspace, NotPermitted, BadRequest: a path is none of the workspace's; nothing is kept then.
    """
    tree = await state.tree(session.workspace)
    async with locked(state, tree, about=_named(tree, request.paths)):
        gathered = await _gather(state, tree, session, request.paths, turn, bracket=None, no_ignore=request.no_ignore)
        found, more = await overlaps(state, tree, session, gathered.named)
        reply = replies.Snapshots(snapshots=gathered.kept, skipped=gathered.skipped, overlaps=found, more_overlaps=more)
        return await _publish(state, tree, session, gathered, reply, turn)


async def begin_edit(state: State, request: BeginEdit, session: Session, turn: Turn) -> bytes:
    """Snapshots the paths and opens a bracket on them; durable on return."""
    tree = await state.tree(session.workspace)
    async with locked(state, tree, about=_named(tree, request.paths)):
        edit = names.operation_id()
        gathered = await _gather(state, tree, session, request.paths, turn, bracket=edit, no_ignore=False)
        found, more = await overlaps(state, tree, session, gathered.named)
        reply = replies.Snapshots(snapshots=gathered.kept, skipped=gathered.skipped, edit=edit, overlaps=found, more_overlaps=more)
        return await _publish(state, tree, session, gathered, reply, turn)


async def end_edit(state: State, request: EndEdit, session: Session, turn: Turn) -> bytes:
    """Looks at the bracket's paths, whose changes are the session's, and closes it. Closing it twice does nothing."""
    return await _let_go(state, session, turn, of_bracket=request.edit)


async def release(state: State, request: Release, session: Session, turn: Turn) -> bytes:
    """Drops the session's claims, not unnamed those of another process of it, after a last look: what was changed stays the session's."""
    return await _let_go(state, session, turn, paths=request.paths)


async def _let_go(state: State, session: Session, turn: Turn, *, of_bracket: str | None = None, paths: Sequence[FsText] = ()) -> bytes:
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        chosen = [locate(path, tree.workspace.root) for path in paths]
        all_ = of_session(tree, session.id, bracket=of_bracket) if of_bracket or chosen else await ends(state, tree, session.id)
        held = [c for c in all_ if not chosen or any(c.path.below(top) for top in chosen)]
        if held:
            await observe(state, tree, [claim.path for claim in held])
        reply = replies.Released(released=len(held))

        def write(db: Connection) -> bytes:
            claim_rows.drop(db, tree.workspace.id, held)
            sessions.seen(db, session.id, session.last_seen_at_ns)
            return turn.keep(db, reply)

        answer = await state.bridge.transact(write)
        drop(tree, held)
        return answer


async def _gather(
    state: State, tree: Tree, session: Session, given: Sequence[FsText], turn: Turn, *, bracket: str | None, no_ignore: bool
) -> _Gathered:
    paths = _named(tree, given)
    places = OwnPlaces(NoRules(), state, tree.workspace.root)
    for path in paths:
        places.check(path)
    await state.bridge.work(_check_reachable, tree, paths)
    found = [path for path in paths if _may_be_found(tree, path)]
    unseen = {one.path: one.reason for one in await observe(state, tree, found)} if found else {}
    gathered, now = _Gathered(named=paths), _now_ns(tree, paths)
    gathered.fresh = await _first_look(state, tree, paths)
    gathered.seen_bytes = first_seen_bytes(gathered.fresh.changes)
    if any(_is_uncovered(tree, gathered.fresh.entry(tree, path)) for path in paths) or len(gathered.fresh.changes) > BATCH_LOOKS:
        # Directories are kept in parts, and what stands above them comes first. A few files wait for the last transaction.
        await _keep_fresh(state, tree, gathered)
    for path in paths:
        entry = gathered.fresh.entry(tree, path)
        gathered.claims += _claims_above(tree, path, session, gathered.fresh, bracket, now)
        if path in gathered.fresh.unseen:
            gathered.skipped.append(replies.PathReason(path=path, reason=gathered.fresh.unseen[path]))
        elif path in gathered.fresh.looked_at and entry is not None and not isinstance(entry.version, Directory):
            gathered.kept.append(_kept(entry))
        elif entry is None or _is_uncovered(tree, entry) or (no_ignore and isinstance(entry.version, Directory)):
            if entry is not None and path != ROOT:
                gathered.kept.append(_kept(entry))
            await _keep_directory(state, tree, path, gathered, turn, no_ignore=no_ignore)
        else:
            gathered.kept += [_kept(tree.index[below]) for below in _known_below(tree, path) if below not in unseen]
            gathered.skipped += [replies.PathReason(path=one, reason=unseen[one]) for one in unseen if one.below(path)]
        if gathered.fresh.entry(tree, path) is not None:
            gathered.claims.append(Claim(path=path, session=session.id, bracket=bracket, at_ns=now, deep=True, pid=asker.get()))
    return gathered


def _now_ns(tree: Tree, paths: Iterable[RelPath]) -> int:
    """The time of a claim: later than those on the same paths, whatever the clock shows. The newest says whose a change is."""
    return max([steady_ns(), *(claim.at_ns + 1 for path in paths for claim in claims_on(tree, path))])


def _named(tree: Tree, given: Sequence[FsText]) -> list[RelPath]:
    """Returns the named paths, each once. Raises OutsideWorkspace, NotPermitted, BadRequest."""
    if not given:
        raise BadRequest("no path was named; name the files that will be changed, or `.` for all", field="paths")
    return list(dict.fromkeys(locate(path, tree.workspace.root) for path in given))


async def _publish(state: State, tree: Tree, session: Session, gathered: _Gathered, reply: replies.Snapshots, turn: Turn) -> bytes:
    """The last, small transaction: what was first looked at, coverage, claims, the answer. What was covered before is so since then."""
    covered = [path for path in gathered.covered if tree.index[path].covered is None]
    fresh, ended = gathered.fresh, ending(tree, gathered.claims)

    def write(db: Connection) -> tuple[bytes, list[Row], list[IndexEntry], list[Stake], int]:
        rows, entries = write_rows(db, tree, fresh.changes, fresh.packed) if fresh.changes else ([], [])
        # A position of its own: at that of a checkpoint saved before, nobody had looked.
        position = workspaces.allot(db, tree.workspace.id, 1) if covered else 0
        known = [*(structs.replace(tree.index[path], covered=position) for path in covered), *fresh.absent.values()]
        index.put(db, tree.workspace.id, known)
        claim_rows.put(db, tree.workspace.id, gathered.claims)
        if ended:
            # A position of its own here too: what their sessions are told has one, and no row.
            workspaces.allot(db, tree.workspace.id, 1)
            claim_rows.drop(db, tree.workspace.id, ended)
        position = workspaces.position(db, tree.workspace.id)
        stakes = telling.stakes_of(tree, gathered.claims, position)
        stake_rows.put(db, tree.workspace.id, stakes)
        sessions.seen(db, session.id, session.last_seen_at_ns)
        if turn.through is not None:
            grants.spend(db, turn.through.grant, gathered.seen_bytes)
        return turn.keep(db, reply), rows, [*entries, *known], stakes, position

    answer, rows, entries, stakes, position = await state.bridge.transact(write)
    tree.advance(position, rows)
    tree.index.put(entries)
    take(tree, gathered.claims)
    telling.committed(tree, rows)
    tree.stakes.put(stakes)
    telling.claims_taken(tree, ended, session.id, tree.position, time_ns())
    return answer


def _claims_above(tree: Tree, path: RelPath, session: Session, fresh: _Fresh, bracket: str | None, now: int) -> list[Claim]:
    """The claims on what stands above a path and is no directory yet: it will become one with the path."""
    above = [parent for parent in path.ancestors if (entry := fresh.entry(tree, parent)) and isinstance(entry.version, Absent | File)]
    return [Claim(path=parent, session=session.id, bracket=bracket, at_ns=now, pid=asker.get()) for parent in above]


async def _keep_fresh(state: State, tree: Tree, gathered: _Gathered) -> None:
    """Keeps what was looked at for the first time, now."""
    fresh = gathered.fresh
    await append(state, tree, fresh.changes, fresh.packed)
    await state.bridge.transact(lambda db: index.put(db, tree.workspace.id, fresh.absent.values()))
    tree.index.put(fresh.absent.values())
    gathered.fresh = _Fresh(looked_at=fresh.looked_at, unseen=fresh.unseen)


async def _keep_directory(state: State, tree: Tree, top: RelPath, gathered: _Gathered, turn: Turn, *, no_ignore: bool) -> None:
    rules = OwnPlaces(NoRules() if no_ignore else tree.rulebook, state, tree.workspace.root)
    root = await state.bridge.work(tree.root)
    left: dict[RelPath, str] = {}
    unseen: list[RelPath] = []
    try:
        found = survey(root, top, rules, state.blobs, tree.index, _defer, arming(tree, root))
        while batch := await state.bridge.work(_next_batch, found):
            left.update((one.path, one.reason) for one in batch if isinstance(one, LeftOut))
            seen = await _read_deferred(state, tree, [one for one in batch if not isinstance(one, LeftOut)])
            looks = [one for one in seen if isinstance(one, Look)]
            unseen += [one.path for one in seen if isinstance(one, Unseen)]
            gathered.skipped += [replies.PathReason(path=one.path, reason=one.reason) for one in seen if isinstance(one, Unseen)]
            gathered.seen_bytes += await _keep_looks(state, tree, [one for one in looks if one.path not in tree.index])
            gathered.kept += [_kept(tree.index[one.path]) for one in looks if one.path != top]
            gathered.covered += [one.path for one in looks if isinstance(one.version, Directory)]
            turn.report(Progress(done=len(gathered.kept), total=0, what="snapshot"))
    finally:
        await state.bridge.work(root.close)
    await enter_unknown(state, tree, unseen)
    gathered.covered = [path for path in gathered.covered if path not in unseen]
    if left:
        await state.bridge.transact(lambda db: index.leave_out(db, tree.workspace.id, left), bulk=True)
        tree.left_out.put(left)


def _next_batch(found: Iterator[Look | Unseen | LeftOut]) -> list[Look | Unseen | LeftOut]:
    return list(islice(found, BATCH_LOOKS))


def _defer(size: int) -> Refusal:
    """No content is read while a directory is gone through: the lock is held for it."""
    return Refusal(DEFERRED, False)


async def _read_deferred(state: State, tree: Tree, seen: Sequence[Look | Unseen]) -> list[Look | Unseen]:
    """Reads the contents that were not read, while others may have the lock; returns what was seen with these."""
    deferred = [one.path for one in seen if isinstance(one, Unseen) and one.reason == DEFERRED]
    if not deferred:
        return list(seen)
    async with breathing(state, tree):
        read = await ahead.read(state, tree, deferred, is_limited=False)
    again = await state.bridge.work(look_at, state, tree, deferred, read, None)
    if again.packed is None:
        await keeping.keep(state.bridge, state.blobs, contents(again.looks))
    else:
        await state.bridge.transact(partial(keeping.put, batch=again.packed))
    return [*(one for one in seen if one.path not in set(deferred)), *again.looks, *again.unseen]


async def _first_look(state: State, tree: Tree, paths: Sequence[RelPath]) -> _Fresh:
    """Looks at those paths that are not known, and at the directories above them, so that a rewind can make them again."""
    wanted = dict.fromkeys(one for path in paths for one in (*path.ancestors, path) if one not in tree.index and one != ROOT)
    if not wanted:
        return _Fresh()
    seen = await state.bridge.work(look_at, state, tree, list(wanted), {}, ahead.ALLOWANCE)
    if deferred := [one.path for one in seen.unseen if one.reason == DEFERRED]:
        async with breathing(state, tree):
            read = await ahead.read(state, tree, deferred, is_limited=False)
        seen = await state.bridge.work(look_at, state, tree, [path for path in wanted if path not in tree.index], read, None)
    looks, unseen, packed = seen
    if packed is None:
        await keeping.keep(state.bridge, state.blobs, contents(looks))
    remember(state, contents(looks))
    changes, absent = first_rows(state, tree, looks)
    return _Fresh(
        changes=changes, packed=list(packed or ()), absent=absent, looked_at=set(wanted), unseen={one.path: one.reason for one in unseen}
    )


async def _keep_looks(state: State, tree: Tree, looks: Sequence[Look]) -> int:
    """Keeps what was looked at for the first time in a directory; returns the bytes of what nobody is known to have made."""
    changes, _ = first_rows(state, tree, looks)
    await append(state, tree, changes)
    return first_seen_bytes(changes)


def _may_be_found(tree: Tree, path: RelPath) -> bool:
    """True for a path that an observation would see: a known one, or one that may have turned up where names are known."""
    above = path
    while above not in tree.index and above != ROOT:
        above = above.parent
    nearest = tree.index.get(above)
    return nearest is not None and (above == path or nearest.rest_absent_since is not None)


def _check_reachable(tree: Tree, paths: Sequence[RelPath]) -> None:
    """Raises OutsideWorkspace when a path leads through a symlink."""
    with tree.root() as root:
        for path in paths:
            try:
                root.directory(path.parent)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError:
                continue
            except OutsideWorkspace as exc:
                raise OutsideWorkspace(f"{path!r} leads through a symlink; name the file that it leads to", path=path) from exc


def _known_below(tree: Tree, path: RelPath) -> list[RelPath]:
    if not isinstance(tree.index[path].version, Directory):
        return [path]
    known = [path, *tree.index.below(path)] if path != ROOT else tree.index.below(path)
    return sorted(one for one in known if not isinstance(tree.index[one].version, Absent | Unknown))


def _kept(entry: IndexEntry) -> replies.Kept:
    version = entry.version
    if isinstance(version, File):
        return replies.Kept(path=entry.path, kind=version.kind.value, size=version.size, blob=version.digest.hex())
    return replies.Kept(path=entry.path, kind=version.kind.value)

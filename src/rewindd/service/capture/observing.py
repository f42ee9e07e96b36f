"""Observe: look at paths and, where they are not as last known, append the change to the log.

The looking happens in a worker thread; the rows are decided and committed here, by the workspace's one holder of its lock.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import time_ns

from msgspec import structs

from rewindd.errors import InternalError
from rewindd.model.githead import GitHead
from rewindd.model.index import is_uncovered
from rewindd.model.log import IndexEntry, Row
from rewindd.model.session import Missing
from rewindd.model.versions import UNKNOWN, File, Version
from rewindd.paths import RelPath
from rewindd.service.capture import ahead, heads, keeping, noticing
from rewindd.service.capture.changes import BATCH_ROWS, Change, arrived, changed, ended, in_order
from rewindd.service.capture.own_places import inner_paths
from rewindd.service.capture.reckoning import Reckoning
from rewindd.service.capture.sighting import Leave, sight
from rewindd.service.doors.spending import spend
from rewindd.service.locking import breathing
from rewindd.service.notices import telling
from rewindd.service.rewinding.sharing import applying
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import edits, index, stakes, workspaces
from rewindd.store.database import Connection
from rewindd.tree.look import Look
from rewindd.tree.observation import New, Observation, Wanted
from rewindd.tree.observe import observe as look_at
from rewindd.tree.sight import Allowance
from rewindd.tree.watch.dirty import Dirt


async def observe(state: State, tree: Tree, paths: Iterable[RelPath] | None = None, *, leave: Leave | None = None) -> list[Missing]:
    """Looks at all that may have changed, or at `paths` and what is known below them; returns what could not be read.

    Rows and contents are durable on return. `leave` says of changed paths why they keep their last version; they are returned too.

    Raises:
        UnknownWorkspace: the root is gone.
        StoreError: the store failed; the log is as it was.
    """
    if paths is not None:
        seen = await _observe(state, tree, Wanted(trees=tuple(paths)), leave, alone=False)
        return [Missing(path=one.path, reason=one.reason) for one in seen.unseen]
    async with observing(state, tree, leave=leave) as sighted:
        return sighted.missing


@dataclass(slots=True)
class Sighted:
    """What was just seen: `rows` as the log has them or will, and what is `missing`. Few rows are not written yet.

    Who gets it writes them with its own, by `write` in its transaction and `written` after the commit, or leaves them to `publish`.
    """

    rows: list[Row]
    missing: list[Missing]
    _state: State
    _tree: Tree
    _seen: Observation
    _entries: list[IndexEntry] | None
    _packed: Sequence[keeping.Packed]
    _is_settled: bool = False

    @property
    def unwritten(self) -> list[Row]:
        """Those of the rows that are not written yet."""
        return self.rows if self._entries is not None else []

    def write(self, db: Connection) -> None:
        """Writes what is not written yet: contents, rows, and what the index says then."""
        if self._entries is not None:
            _write(db, self._tree, self.rows, self._entries, self._packed)

    def written(self) -> None:
        """Takes it over in memory, after the commit."""
        if self._entries is not None:
            _committed(self._tree, self.rows, self._entries)
            self._entries = None

    async def publish(self) -> None:
        """Writes what is not written yet, and says that it was looked at: from then on the lock may be freed for others."""
        if self.unwritten:
            await self._state.bridge.transact(self.write)
        self.written()
        if not self._is_settled:
            await _settle(self._state, self._tree, self._seen)
            self._is_settled = True


@asynccontextmanager
async def observing(state: State, tree: Tree, *, leave: Leave | None = None) -> AsyncIterator[Sighted]:
    """Looks at all that may have changed, as `observe`, and lets the caller write the rows in a transaction of its own.

    What the caller did not write is written at the end. Where the caller fails, all is to be looked at again.
    """
    with state.storing.under_way():
        async with _observing(state, tree, leave) as sighted:
            yield sighted


@asynccontextmanager
async def _observing(state: State, tree: Tree, leave: Leave | None) -> AsyncIterator[Sighted]:
    dirt = await noticing.take(state, tree)
    wanted = noticing.wanted(tree, dirt)
    try:
        fresh = await _look_and_prepare(state, tree, wanted, leave, alone=True)
        unseen = noticing.unseen_after(tree, wanted, fresh.seen)
        missing = [Missing(path=path, reason=reason) for path, reason in sorted({**unseen, **fresh.seen.left}.items())]
        if len(fresh.changes) > BATCH_ROWS:
            sighted = Sighted(await append(state, tree, fresh.changes, fresh.packed), missing, state, tree, fresh.seen, None, ())
        else:
            rows, entries = _numbered(tree, fresh.changes)
            sighted = Sighted(rows, missing, state, tree, fresh.seen, entries, fresh.packed)
        yield sighted
        await sighted.publish()
    except BaseException:
        noticing.put_back(tree, dirt)
        raise
    noticing.looked(tree, wanted, fresh.seen)


async def observe_dirt(state: State, tree: Tree, dirt: Dirt | None, wanted: Wanted, leave: Leave | None = None) -> dict[RelPath, str]:
    """Looks at what is wanted because of `dirt`, which is put back where that fails; returns what was left. Otherwise as `observe`."""
    try:
        seen = await _observe(state, tree, wanted, leave, alone=True)
    except BaseException:
        noticing.put_back(tree, dirt)
        raise
    noticing.looked(tree, wanted, seen)
    return seen.left


async def take_in(state: State, tree: Tree, looks: Sequence[Look]) -> None:
    """Appends what was just seen at known paths, whose contents are in the store; durable on return. Under the workspace's lock."""
    seen = Observation()
    seen.changed += looks
    await append(state, tree, changed(state, tree, seen))
    await _settle(state, tree, seen)


async def _observe(state: State, tree: Tree, wanted: Wanted, leave: Leave | None, *, alone: bool) -> Observation:
    with state.storing.under_way():
        fresh = await _look_and_prepare(state, tree, wanted, leave, alone=alone)
        await append(state, tree, fresh.changes, fresh.packed)
        await _settle(state, tree, fresh.seen)
    return fresh.seen


@dataclass(frozen=True, slots=True)
class _Fresh:
    """What was seen, the rows to be, and the contents that go with them."""

    seen: Observation
    changes: list[Change]
    packed: Sequence[keeping.Packed]


async def _look_and_prepare(state: State, tree: Tree, wanted: Wanted, leave: Leave | None, *, alone: bool) -> _Fresh:
    """Looks, and where there is much to read frees the lock while that is read: what was seen before is written by then.

    `alone`: nobody else is to look at everything meanwhile, because what is wanted is on no list any more.
    """
    fresh = await _look_once(state, tree, wanted, leave, {}, ahead.ALLOWANCE)
    rest, tries = sorted(fresh.seen.deferred), Counter[RelPath]()
    while rest:
        await append(state, tree, fresh.changes, fresh.packed)
        await _settle(state, tree, fresh.seen)
        portion, rest = rest[: ahead.ALLOWANCE.files], rest[ahead.ALLOWANCE.files :]
        async with applying(tree) if alone else breathing(state, tree):
            read = await ahead.read(state, tree, portion)
        tries.update(path for path, entry in read.items() if isinstance(entry.version, File))
        allowance = ahead.ALLOWANCE if max(tries[path] for path in portion) < ahead.ATTEMPTS else None
        more = await _look_once(state, tree, Wanted(paths=portion), leave, read, allowance)
        rest = [*sorted(more.seen.deferred), *rest]
        more.seen.unseen += [one for one in fresh.seen.unseen if one.path not in portion]
        more.seen.left |= fresh.seen.left
        fresh = more
    return fresh


async def _look_once(
    state: State, tree: Tree, wanted: Wanted, leave: Leave | None, read: Mapping[RelPath, IndexEntry], allowance: Allowance | None
) -> _Fresh:
    reckoning = Reckoning(state, tree, wanted)
    head, seen, contents, packed = await state.bridge.work(_look, state, tree, wanted, leave, read, allowance, reckoning)
    await heads.note(state, tree, head)
    if packed is None:
        await keeping.keep(state.bridge, state.blobs, contents)
    remember(state, contents)
    reckoning.keep()
    await _leave_out(state, tree, seen)
    new = {one.path for one in seen.new}
    await enter_unknown(state, tree, [one.path for one in seen.unseen if one.path not in new])
    found = [*changed(state, tree, seen), *arrived(state, tree, seen)]
    found += ended(tree, seen, {one.path: one.entry for one in found})
    return _Fresh(seen, in_order(found), packed or ())


async def _settle(state: State, tree: Tree, seen: Observation) -> None:
    """Last: a directory's signature says that its entries were looked at, and all of what was found in it is written now."""
    await _strike(state, tree, seen.struck)
    _refresh(tree, seen)
    await _cover(state, tree, seen)


async def append(state: State, tree: Tree, changes: Sequence[Change], packed: Sequence[keeping.Packed] = ()) -> list[Row]:
    """Appends rows to the log and brings the index up to date; durable on return. Returns the rows.

    `packed`: contents that the rows name and that are not kept yet; they are kept with the first of them.
    """
    written: list[Row] = []
    for start in range(0, len(changes), BATCH_ROWS):
        batch = changes[start : start + BATCH_ROWS]
        if start and tree.lock.statistics().tasks_waiting:
            async with applying(tree):  # what is known now is half of what was seen
                pass
            batch = _still_so(tree, batch)
        rows, entries = _numbered(tree, batch)
        write = partial(_write, tree=tree, rows=rows, entries=entries, packed=packed if start == 0 else ())
        await state.bridge.transact(write, bulk=len(changes) > BATCH_ROWS)
        _committed(tree, rows, entries)
        written += rows
    return written


def _still_so(tree: Tree, changes: Sequence[Change]) -> list[Change]:
    """Returns those of the changes that nobody noted meanwhile; the others are looked at again."""
    known = {one.path: tree.index.get(one.path) for one in changes}
    fresh = [one for one in changes if (entry := known[one.path]) is None or entry.version == one.before]
    if tree.watch is not None and len(fresh) < len(changes):
        tree.watch.mark(known.keys() - {one.path for one in fresh})
    return fresh


def _numbered(tree: Tree, changes: Sequence[Change]) -> tuple[list[Row], list[IndexEntry]]:
    """Returns the rows with the numbers that follow, and what the index says then: under the workspace's lock nobody else takes them."""
    first, now = tree.position + 1, time_ns()
    rows = [
        Row(
            seq=first + n,
            path=c.path,
            before=c.before,
            after=c.after,
            owner=c.owner,
            source=c.source,
            operation=None,
            since=c.since,
            at_ns=now,
        )
        for n, c in enumerate(changes)
    ]
    # Absent since the directory is covered: the name was known to be absent before it came, and the index need not say since when again.
    return rows, [structs.replace(c.entry, since=row.seq) for c, row in zip(changes, rows, strict=True)]


def _write(db: Connection, tree: Tree, rows: Sequence[Row], entries: Sequence[IndexEntry], packed: Sequence[keeping.Packed]) -> None:
    if not rows:
        return
    keeping.put(db, packed)
    first = workspaces.allot(db, tree.workspace.id, len(rows))
    if first != rows[0].seq:
        raise InternalError(f"workspace {tree.workspace.id}: the log is at {first}, and its rows were numbered from {rows[0].seq}")
    edits.append(db, tree.workspace.id, rows)
    spend(db, tree, rows)
    index.put(db, tree.workspace.id, entries)
    stakes.put(db, tree.workspace.id, tree.stakes.edited(rows))


def _committed(tree: Tree, rows: Sequence[Row], entries: Sequence[IndexEntry]) -> None:
    tree.index.put(entries)
    if rows:
        tree.advance(rows[-1].seq, rows)
        telling.committed(tree, rows)


def remember(state: State, contents: Iterable[keeping.Content]) -> None:
    """Remembers contents that were just read: the next thing that is asked is what changed in them."""
    for one in contents:
        if isinstance(one.version, File):
            state.handled_bytes += one.version.size
            if one.data is not None:
                state.recent.keep(one.version.digest, one.data)


def _look(
    state: State,
    tree: Tree,
    wanted: Wanted,
    leave: Leave | None,
    read: Mapping[RelPath, IndexEntry],
    allowance: Allowance | None,
    reckoning: Reckoning,
) -> tuple[GitHead, Observation, list[keeping.Content], list[keeping.Packed] | None]:
    """Returns git's HEAD, what is seen, the contents that it has and the index had not, and those packed where they are few."""
    head = heads.look(state, tree)
    skip = inner_paths(state, tree) | (tree.applying.paths if tree.applying is not None else frozenset())
    with tree.root() as root:
        seen = look_at(sight(state, tree, root, skip, leave, read, allowance), wanted)
    found: list[Look | New] = [*seen.changed, *seen.new]
    fresh = [one for one in found if not any(_has_content_of(known.get(one.path), one.version) for known in (tree.index, read))]
    contents = [keeping.Content(one.version, one.content) for one in fresh]
    packed = keeping.try_pack(state.blobs, contents)
    if packed is not None:
        reckoning.finish(found, contents)
    return head, seen, contents, packed


def _has_content_of(entry: IndexEntry | None, version: Version) -> bool:
    known = entry.version if entry is not None else None
    return isinstance(known, File) and isinstance(version, File) and known.digest == version.digest


def write_rows(
    db: Connection, tree: Tree, changes: Sequence[Change], packed: Sequence[keeping.Packed]
) -> tuple[list[Row], list[IndexEntry]]:
    """Writes contents, rows and what the index says then, in the caller's transaction; returns rows and entries."""
    rows, entries = _numbered(tree, changes)
    _write(db, tree, rows, entries, packed)
    return rows, entries


def _refresh(tree: Tree, seen: Observation) -> None:
    """Takes over the signatures, where only they changed; in memory, and nothing is written."""
    for one in seen.changed:
        entry = tree.index[one.path]
        if one.version == entry.version:
            tree.index.put([structs.replace(entry, signature=one.signature)])


async def _cover(state: State, tree: Tree, seen: Observation) -> None:
    """Directories that could be looked into at last are covered from now on: what was found there is only first seen."""
    found: dict[RelPath, IndexEntry] = {}
    for path in sorted(seen.listed):  # one before those in it: they are covered with it
        entry = tree.index.get(path)
        if entry is not None and (tree.index.is_unlisted(entry) or (is_uncovered(entry) and path.parent in found)):
            found[path] = structs.replace(entry, covered=tree.position)
    if found:
        await state.bridge.transact(lambda db: index.put(db, tree.workspace.id, list(found.values())))
        tree.index.put(found.values())


async def enter_unknown(state: State, tree: Tree, paths: Iterable[RelPath]) -> None:
    """Notes paths that are there and could not be read: what is found there later was not absent before."""
    entries = [IndexEntry(path=path, version=UNKNOWN, signature=None, since=tree.position) for path in paths if path not in tree.index]
    if entries:
        await state.bridge.transact(lambda db: index.put(db, tree.workspace.id, entries))
        tree.index.put(entries)


async def _leave_out(state: State, tree: Tree, seen: Observation) -> None:
    """Notes the names that are left out: when a rule lets one in later, it is first seen, not new."""
    left = seen.now_left_out
    if left:
        await state.bridge.transact(lambda db: index.leave_out(db, tree.workspace.id, left))
        tree.left_out.put(left)
    if tree.watch is not None:
        for path in seen.ended:
            tree.watch.forget(path)


async def _strike(state: State, tree: Tree, struck: Set[RelPath]) -> None:
    if struck:
        await state.bridge.transact(lambda db: index.let_in(db, tree.workspace.id, struck))
        tree.left_out.strike(struck)

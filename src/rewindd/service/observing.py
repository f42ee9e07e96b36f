"""Observe: look at paths and, where they are not as last known, append the change to the log.

The looking happens in a worker thread; the rows are decided and committed here, by the workspace's one holder of its lock.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from time import time_ns

from rewindd.model.githead import GitHead
from rewindd.model.log import NOBODY, IndexEntry, Owner, Row, Source
from rewindd.model.session import Missing
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File, Unknown, Version
from rewindd.paths import RelPath
from rewindd.service import heads, keeping, noticing
from rewindd.service.holding import holders
from rewindd.service.own_places import inner_paths
from rewindd.service.sighting import Leave, sight
from rewindd.service.state import State, Tree
from rewindd.store import edits, index, workspaces
from rewindd.store.database import Connection
from rewindd.timeline.attribution import owner_of
from rewindd.tree.look import Look
from rewindd.tree.observation import New, Observation, Wanted
from rewindd.tree.observe import observe as look_at
from rewindd.tree.watch.dirty import Dirt

#: Rows that go into one transaction of bulk work.
BATCH_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A row to be: everything but its number. `entry` is what the index says of the path afterwards, but for `since`."""

    path: RelPath
    before: Version
    after: Version
    owner: Owner
    source: Source
    since: int
    entry: IndexEntry


async def observe(state: State, tree: Tree, paths: Iterable[RelPath] | None = None, *, leave: Leave | None = None) -> list[Missing]:
    """Looks at all that may have changed, or at `paths` and what is known below them; returns what could not be read.

    Rows and contents are durable on return. `leave` says of changed paths why they keep their last version; they are returned too.

    Raises:
        UnknownWorkspace: the root is gone.
        StoreError: the store failed; the log is as it was.
    """
    if paths is not None:
        seen = await _observe(state, tree, Wanted(trees=tuple(paths)), leave)
        return [Missing(path=one.path, reason=one.reason) for one in seen.unseen]
    dirt = await noticing.take(state, tree)
    left = await observe_dirt(state, tree, dirt, noticing.wanted(tree, dirt), leave)
    return [Missing(path=path, reason=reason) for path, reason in sorted({**tree.unseen, **left}.items())]


async def observe_dirt(state: State, tree: Tree, dirt: Dirt | None, wanted: Wanted, leave: Leave | None = None) -> dict[RelPath, str]:
    """Looks at what is wanted because of `dirt`, which is put back where that fails; returns what was left. Otherwise as `observe`."""
    try:
        seen = await _observe(state, tree, wanted, leave)
    except BaseException:
        noticing.put_back(tree, dirt)
        raise
    noticing.looked(tree, wanted, seen)
    return seen.left


async def _observe(state: State, tree: Tree, wanted: Wanted, leave: Leave | None) -> Observation:
    head, seen, contents, packed = await state.bridge.work(_look, state, tree, wanted, leave)
    await heads.note(state, tree, head)
    if packed is None:
        await keeping.keep(state.bridge, state.blobs, contents)
    remember(state, contents)
    await _leave_out(state, tree, seen)
    arrived = {one.path for one in seen.new}
    await enter_unknown(state, tree, [one.path for one in seen.unseen if one.path not in arrived])
    changes = [*_changes(state, tree, seen), *_arrivals(state, tree, seen)]
    changes += _endings(tree, seen, {one.path: one.entry for one in changes})
    await append(state, tree, _in_parts_that_stand_alone(changes), packed or ())
    await _strike(state, tree, seen.struck)
    # Last: a directory's signature says that its entries were looked at, and all of what was found in it is written now.
    _refresh(tree, seen)
    await _cover(state, tree, seen)
    return seen


async def append(state: State, tree: Tree, changes: Sequence[Change], packed: Sequence[keeping.Packed] = ()) -> list[Row]:
    """Appends rows to the log and brings the index up to date; durable on return. Returns the rows.

    `packed`: contents that the rows name and that are not kept yet; they are kept with the first of them.
    """
    written: list[Row] = []
    for start in range(0, len(changes), BATCH_ROWS):
        batch = changes[start : start + BATCH_ROWS]
        write = partial(write_rows, tree=tree, changes=batch, packed=packed if start == 0 else ())
        rows, entries = await state.bridge.transact(write, bulk=len(changes) > BATCH_ROWS)
        tree.index.put(entries)
        tree.position = rows[-1].seq
        written += rows
    return written


def remember(state: State, contents: Iterable[keeping.Content]) -> None:
    """Remembers contents that were just read: the next thing that is asked is what changed in them."""
    for one in contents:
        if isinstance(one.version, File) and one.data is not None:
            state.handled_bytes += one.version.size
            state.recent.keep(one.version.digest, one.data)


def _look(
    state: State, tree: Tree, wanted: Wanted, leave: Leave | None
) -> tuple[GitHead, Observation, list[keeping.Content], list[keeping.Packed] | None]:
    """Returns git's HEAD, what is seen, the contents that it has and the index had not, and those packed where they are few."""
    head = heads.look(state, tree)
    with tree.root() as root:
        seen = look_at(sight(state, tree, root, inner_paths(state, tree), leave), wanted)
    found: list[Look | New] = [*seen.changed, *seen.new]
    contents = [keeping.Content(one.version, one.content) for one in found if not _has_content_of(tree.index.get(one.path), one.version)]
    return head, seen, contents, keeping.try_pack(state.blobs, contents)


def _has_content_of(entry: IndexEntry | None, version: Version) -> bool:
    known = entry.version if entry is not None else None
    return isinstance(known, File) and isinstance(version, File) and known.digest == version.digest


def write_rows(
    db: Connection, tree: Tree, changes: Sequence[Change], packed: Sequence[keeping.Packed]
) -> tuple[list[Row], list[IndexEntry]]:
    """Writes contents, rows and what the index says then, in the caller's transaction; returns rows and entries."""
    keeping.put(db, packed)
    first, now = workspaces.allot(db, tree.workspace.id, len(changes)), time_ns()
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
    entries = [replace(c.entry, since=row.seq) for c, row in zip(changes, rows, strict=True)]
    edits.append(db, tree.workspace.id, rows)
    index.put(db, tree.workspace.id, entries)
    return rows, entries


def _in_parts_that_stand_alone(changes: list[Change]) -> list[Change]:
    """Returns the changes, in the order in which a part of them may be written: a directory after all that is in it.

    Its row has its signature, which says that its entries were looked at; a new one says that they are covered. What ends comes last:
    it may have changed too.
    """
    if len(changes) <= BATCH_ROWS:
        return changes
    return sorted(changes, key=lambda one: (one.source is Source.RULES_CHANGED, isinstance(one.after, Directory), -one.path.depth))


def _changes(state: State, tree: Tree, seen: Observation) -> list[Change]:
    """The rows for known paths that changed, not for those of which only the signature did."""
    changes: list[Change] = []
    for one in seen.changed:
        entry = tree.index[one.path]
        if one.version == entry.version:
            continue
        is_looked_into = not isinstance(one.version, Directory) or one.path in seen.listed
        covered = entry.rest_absent_since if is_looked_into else entry.covered
        after = replace(entry, version=one.version, signature=one.signature, covered=covered)
        if isinstance(entry.version, Unknown):
            changes.append(arrival(state, tree, after, None))
            continue
        owner, source = owner_of(holders(state, tree, one.path))
        changes.append(
            Change(path=one.path, before=entry.version, after=one.version, owner=owner, source=source, since=entry.since, entry=after)
        )
    return changes


def _refresh(tree: Tree, seen: Observation) -> None:
    """Takes over the signatures, where only they changed; in memory, and nothing is written."""
    for one in seen.changed:
        entry = tree.index[one.path]
        if one.version == entry.version:
            tree.index.put([replace(entry, signature=one.signature)])


async def _cover(state: State, tree: Tree, seen: Observation) -> None:
    """Directories that could be looked into at last are covered from now on: what was found there is only first seen."""
    found = [entry for path in seen.listed if (entry := tree.index.get(path)) is not None and tree.index.is_unlisted(entry)]
    if found:
        entries = [replace(entry, covered=tree.position) for entry in found]
        await state.bridge.transact(lambda db: index.put(db, tree.workspace.id, entries))
        tree.index.put(entries)


def _arrivals(state: State, tree: Tree, seen: Observation) -> list[Change]:
    """The rows for names that turned up: changes where they were known to be absent, else only first seen.

    A new directory whose entries were all looked at is covered: since its name was absent, or where it is first seen, since now.
    """
    changes: list[Change] = []
    for one in seen.new:
        if isinstance(one.version, Directory):
            covered = (tree.position if one.since is None else one.since) if one.path in seen.listed else None
        else:
            covered = one.since  # nothing was below it then, should a directory take its place
        entry = IndexEntry(path=one.path, version=one.version, signature=one.signature, since=0, covered=covered)
        changes.append(arrival(state, tree, entry, one.since))
    return changes


def arrival(state: State, tree: Tree, entry: IndexEntry, absent_since: int | None) -> Change:
    """Returns the row for a path that the index did not know: `absent_since` where its directory was covered, else first seen."""
    if absent_since is None:
        return Change(path=entry.path, before=UNKNOWN, after=entry.version, owner=NOBODY, source=Source.FIRST_SEEN, since=0, entry=entry)
    owner, source = owner_of(holders(state, tree, entry.path))
    return Change(path=entry.path, before=ABSENT, after=entry.version, owner=owner, source=source, since=absent_since, entry=entry)


async def enter_unknown(state: State, tree: Tree, paths: Iterable[RelPath]) -> None:
    """Notes paths that are there and could not be read: what is found there later was not absent before."""
    entries = [IndexEntry(path=path, version=UNKNOWN, signature=None, since=tree.position) for path in paths if path not in tree.index]
    if entries:
        await state.bridge.transact(lambda db: index.put(db, tree.workspace.id, entries))
        tree.index.put(entries)


def _endings(tree: Tree, seen: Observation, latest: Mapping[RelPath, IndexEntry]) -> list[Change]:
    """The rows that end what is known of paths which the rules or limits leave out from now on, and of all below them.

    `latest`: what the rows before say of theirs.
    """
    ended = dict.fromkeys(path for top in seen.ended for path in (top, *tree.index.below(top)))
    entries = (latest.get(path, tree.index[path]) for path in ended)
    return [ending(entry) for entry in entries if not isinstance(entry.version, Unknown)]


def ending(entry: IndexEntry) -> Change:
    """Returns the row for a path of which nothing is known any more: nothing changed on disk, and no rewind touches it."""
    after = replace(entry, version=UNKNOWN, signature=None, covered=None)
    return Change(
        path=entry.path, before=entry.version, after=UNKNOWN, owner=NOBODY, source=Source.RULES_CHANGED, since=entry.since, entry=after
    )


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

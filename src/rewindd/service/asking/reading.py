"""Reading the log and the contents back: timelines for the pure core, bytes for merges and diffs."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar, cast

from rewindd.model.ids import OperationId, SessionId, WorkspaceId
from rewindd.model.log import IndexEntry, Row, Toggle
from rewindd.model.versions import Directory, File, Symlink, Version
from rewindd.paths import RelPath
from rewindd.service.rewinding.sharing import applying
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import blobs as blob_rows
from rewindd.store import edits, operations
from rewindd.store.database import Connection
from rewindd.timeline.delta import PathDelta, delta
from rewindd.timeline.history import Timeline

#: Rows that one function of the store reads: some three milliseconds, ten beside busy workers; small requests wait for it.
PAGE_ROWS = 100
#: A row's number after all others.
_PAST_ALL = (1 << 63) - 1
#: Above this a content is neither merged nor compared line by line: no text that a person edits is larger.
MAX_TEXT_BYTES = 16 << 20


async def changes_since(state: State, tree: Tree, seq: int, unwritten: Sequence[Row] = (), read: Sequence[Row] = ()) -> Timeline:
    """Returns the log since a position: the rows after it, and those before it that were switched since; no path's history.

    It says of any position from `seq` on what was changed since then, and whose that is (`timeline.delta`), and what state a path
    was in; not how an older state of it is made. `unwritten`: rows that will be the next, as if they were there; `read`: the first of
    them, where somebody has read them already.
    """
    latest = [] if seq == tree.position else tree.latest.since(seq, tree.position)
    if latest is not None:
        found = Timeline(latest, (), {}, tree.index, tree.position)
    else:
        found = await _read(state, tree, seq, partial(_changes, tree, seq, tree.position, read))
    return found if not unwritten else found.with_rows(unwritten)


async def timeline(state: State, tree: Tree, seq: int, read: Sequence[Row] = ()) -> Timeline:
    """Returns what a rewind to a position is decided by: the log since, of every path that has a row, or a row switched, after it.

    Complete for paths of which an older row was switched since, and for directories above that came, went or changed since, which a
    rewind may have to make again. Elsewhere the rows up to the position are all as they were then: in whatever is wanted of such a path
    they are live just as they were at the position, so no older version is wanted, nor nearer; they stand for nothing and are not read.

    `read`: the first of the rows, where somebody has read them already.
    """
    latest = tree.latest.since(seq, tree.position)
    if latest is not None and not _above(tree, {row.path for row in latest}, seq):
        return Timeline(latest, (), {}, tree.index, tree.position)
    return await _read(state, tree, seq, partial(_whole, tree, seq, read))


async def delta_of(state: State, timeline: Timeline, session: SessionId, start: int, end: int) -> list[PathDelta]:
    """As `timeline.delta`; of many paths in a worker, so that the event loop goes on."""
    if len(timeline.paths) <= PAGE_ROWS:
        return delta(timeline, session, start, end)
    return await state.bridge.work(delta, timeline, session, start, end)


async def read_ahead(state: State, tree: Tree, seq: int) -> list[Row]:
    """Returns the rows after a position where they are many, and frees the lock for who looks at named paths meanwhile; none where few.

    For the holder, who has settled all that he took off the feed's list. What follows them is to be read yet.
    """
    end = tree.position
    if end - seq <= PAGE_ROWS:
        return []
    async with applying(tree):
        reads = _since(tree, seq, end)
        try:
            read = next(reads)
            while True:
                read = reads.send(await state.bridge.transact(read))
        except StopIteration as done:
            return list(done.value)


def changes_in(db: Connection, tree: Tree, seq: int, end: int) -> Timeline:
    """As `changes_since`, up to position `end`, in the caller's transaction."""
    return _in_one(db, _changes(tree, seq, end))()


def timeline_in(db: Connection, tree: Tree, seq: int) -> Timeline:
    """As `timeline`, in the caller's transaction."""
    return _in_one(db, _whole(tree, seq))()


# ---- what is read one after the other: all in one function of the store, or where it is much each in one of its own

_T = TypeVar("_T")
_Reads = Generator[Callable[[Connection], Any], Any, _T]
_Made = Callable[[], Timeline]


async def _read(state: State, tree: Tree, seq: int, reads: Callable[[], _Reads[_Made]]) -> Timeline:
    if tree.position - seq <= PAGE_ROWS:
        return (await state.bridge.transact(lambda db: _in_one(db, reads())))()
    under_way = reads()
    try:
        read = next(under_way)
        while True:
            read = under_way.send(await state.bridge.transact(read))
    except StopIteration as done:
        return await state.bridge.work(cast("_Made", done.value))


def _in_one(db: Connection, reads: _Reads[_T]) -> _T:
    try:
        read = next(reads)
        while True:
            read = reads.send(read(db))
    except StopIteration as done:
        return cast("_T", done.value)


def _changes(tree: Tree, seq: int, end: int, read: Sequence[Row] = ()) -> _Reads[_Made]:
    workspace = tree.workspace.id
    later = [*read, *(yield from _since(tree, read[-1].seq if read else seq, end))]
    written = yield from _positions(later)
    toggles = yield from _toggles_since(workspace, min(seq, *(at - 1 for at in written.values())) if written else seq)
    earlier, theirs = yield from _with_toggles(workspace, {toggle.row for toggle in toggles if toggle.row <= seq})
    written |= yield from _positions(earlier)
    return partial(Timeline, [*earlier, *later], {*toggles, *theirs}, written, tree.index, end)


def _whole(tree: Tree, seq: int, read: Sequence[Row] = ()) -> _Reads[_Made]:
    workspace = tree.workspace.id
    later = [*read, *(yield from _since(tree, read[-1].seq if read else seq, tree.position))]
    toggles = yield from _toggles_since(workspace, seq)
    earlier, _ = yield from _with_toggles(workspace, {toggle.row for toggle in toggles if toggle.row <= seq})
    switched = {row.path for row in earlier}
    touched = {row.path for row in later} | switched
    whole = switched | _above(tree, touched, seq)
    rows = [*(yield from _of_paths(partial(edits.of_paths, workspace=workspace, until=seq), whole)), *later]
    theirs = yield from _of_paths(partial(edits.toggles_of_paths, workspace=workspace), whole)
    written = yield from _positions(rows)
    return partial(Timeline, rows, {*toggles, *theirs}, written, tree.index, tree.position)


def _above(tree: Tree, paths: Iterable[RelPath], seq: int) -> set[RelPath]:
    """Returns the directories above, but for those that are there as they were at the position: nobody has to make them again."""
    return {parent for path in paths for parent in path.ancestors if not _stands(tree.index.get(parent), seq)}


def _stands(entry: IndexEntry | None, seq: int) -> bool:
    return entry is not None and isinstance(entry.version, Directory) and entry.since <= seq


def _since(tree: Tree, seq: int, end: int) -> _Reads[list[Row]]:
    rows: list[Row] = []
    for start in range(seq, end, PAGE_ROWS):
        rows += yield partial(edits.since, workspace=tree.workspace.id, seq=start, until=min(start + PAGE_ROWS, end))
    return rows


def _toggles_since(workspace: WorkspaceId, seq: int) -> _Reads[list[Toggle]]:
    toggles: list[Toggle] = []
    last = (seq, _PAST_ALL)
    while True:
        page: list[Toggle] = yield partial(edits.toggles_page, workspace=workspace, after=last, limit=PAGE_ROWS)
        toggles += page
        if len(page) < PAGE_ROWS:
            return toggles
        last = (page[-1].at, page[-1].row)


def _with_toggles(workspace: WorkspaceId, seqs: Iterable[int]) -> _Reads[tuple[list[Row], list[Toggle]]]:
    rows: list[Row] = []
    toggles: list[Toggle] = []
    for part in _parts(seqs):
        found, theirs = yield partial(edits.with_toggles, workspace=workspace, seqs=part)
        rows.extend(found)
        toggles.extend(theirs)
    return rows, toggles


def _positions(rows: Iterable[Row]) -> _Reads[dict[OperationId, int]]:
    found: dict[OperationId, int] = {}
    for part in _parts({row.operation for row in rows if row.operation is not None}):
        found |= yield partial(operations.positions, ids=part)
    return found


def _of_paths(read: Callable[..., list[_T]], wanted: Iterable[RelPath]) -> _Reads[list[_T]]:
    """Reads what `read(db, paths=…)` gives."""
    found: list[_T] = []
    for part in _parts(wanted):
        found += yield partial(read, paths=part)
    return found


def _parts(wanted: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(wanted)
    while part := list(islice(rest, PAGE_ROWS)):
        yield part


def timeline_of(db: Connection, tree: Tree, paths: Iterable[RelPath]) -> Timeline:
    """Returns the complete log of these paths, and of the directories above them."""
    wanted = _with_above(paths)
    return _timeline(db, tree, wanted, edits.of_paths(db, tree.workspace.id, wanted))


def _timeline(db: Connection, tree: Tree, paths: set[RelPath], rows: list[Row]) -> Timeline:
    written = operations.positions(db, {row.operation for row in rows if row.operation is not None})
    return Timeline(rows, edits.toggles_of_paths(db, tree.workspace.id, paths), written, tree.index, tree.position)


def _with_above(paths: Iterable[RelPath]) -> set[RelPath]:
    below = set(paths)
    return below | {parent for path in below for parent in path.ancestors}


class Contents:
    """Contents of stored versions, whole or in chunks, each verified against its digest as it is read."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def read(self, versions: Iterable[Version], at_hand: Mapping[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        """Returns the contents by digest, of files up to `MAX_TEXT_BYTES`; larger ones are not in it. `at_hand` need not be read.

        Raises:
            StoreCorrupt: a content is not what it was stored as.
        """
        versions = list(versions)
        named = {v.digest for v in versions if isinstance(v, File) and v.size <= MAX_TEXT_BYTES}
        had = {digest: content for digest in named if (content := (at_hand or {}).get(digest)) is not None}
        self._state.handled_bytes += sum({v.digest: v.size for v in versions if isinstance(v, File) and v.digest in named}.values())
        had |= self._state.recent.get(named - had.keys())
        wanted = named - had.keys()
        if not wanted:
            return had
        found = dict(had)
        for part in _parts(wanted):
            inline = await self._state.bridge.transact(partial(blob_rows.get_all, digests=part))
            found |= {digest: content for digest, content in inline.items() if isinstance(content, bytes)}
        for digest in wanted & found.keys():
            self._state.recent.keep(digest, found[digest])
        for digest in wanted - found.keys():
            found[digest] = await self._state.bridge.work(self._whole, digest)
        return found

    def _whole(self, digest: bytes) -> bytes:
        return b"".join(self._state.blobs.open_chunks(digest))


def text_of(version: Version, contents: Mapping[bytes, bytes]) -> bytes | None:
    """Returns what a version shows in a diff: a file's content, a link's target, nothing for directories and absent paths.

    None for a file too large to show.
    """
    if isinstance(version, File):
        return contents.get(version.digest)
    if isinstance(version, Symlink):
        return version.target.encode("utf-8", "surrogateescape")
    return b""

"""Reading the log and the contents back: timelines for the pure core, bytes for merges and diffs."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from rewindd.model.ids import SessionId
from rewindd.model.log import Row
from rewindd.model.versions import File, Symlink, Version
from rewindd.paths import RelPath
from rewindd.service.state import State, Tree
from rewindd.store import blobs as blob_rows
from rewindd.store import edits, operations
from rewindd.store.database import Connection
from rewindd.timeline.delta import PathDelta, delta
from rewindd.timeline.history import Timeline

#: Rows that one function of the store reads: some three milliseconds, ten beside busy workers; small requests wait for it.
PAGE_ROWS = 100
#: Above this a content is neither merged nor compared line by line: no text that a person edits is larger.
MAX_TEXT_BYTES = 16 << 20


async def changes_since(state: State, tree: Tree, seq: int, unwritten: Sequence[Row] = (), read: Sequence[Row] = ()) -> Timeline:
    """Returns the log since a position: the rows after it, and those before it that were switched since; no path's history.

    It says of any position from `seq` on what was changed since then, and whose that is (`timeline.delta`), and what state a path
    was in; not how an older state of it is made. `unwritten`: rows that will be the next, as if they were there; `read`: the first of
    them, where somebody has read them already.
    """
    end = tree.position
    later = await _rest(state, tree, seq, read)
    found = await state.bridge.transact(lambda db: changes_in(db, tree, seq, end, later))
    return found if not unwritten else found.with_rows(unwritten)


async def timeline(state: State, tree: Tree, seq: int) -> Timeline:
    """Returns what a rewind to a position is decided by: the log since, of every path that has a row, or a row switched, after it.

    Complete for paths of which an older row was switched since, and for the directories above, which a rewind may have to make
    again. Elsewhere the rows up to the position are all as they were then: in whatever is wanted of such a path they are live just
    as they were at the position, so no older version is wanted, nor nearer; they stand for nothing and are not read.
    """
    later = await _rest(state, tree, seq)
    return await state.bridge.transact(lambda db: timeline_in(db, tree, seq, later))


async def delta_of(state: State, timeline: Timeline, session: SessionId, start: int, end: int) -> list[PathDelta]:
    """As `timeline.delta`; of many paths in a worker, so that the event loop goes on."""
    if len(timeline.paths) <= PAGE_ROWS:
        return delta(timeline, session, start, end)
    return await state.bridge.work(delta, timeline, session, start, end)


async def _rest(state: State, tree: Tree, seq: int, read: Sequence[Row] = ()) -> list[Row] | None:
    """Returns the rows after a position, of which the first were read; None where they are few and none was, for the next transaction."""
    begun = read[-1].seq if read else seq
    return [*read, *await pages(state, tree, begun, tree.position)] if read or tree.position - seq > PAGE_ROWS else None


async def pages(state: State, tree: Tree, seq: int, end: int) -> list[Row]:
    """Returns the rows after a position, up to and with `end`, read in parts: nobody waits for all of them."""
    rows: list[Row] = []
    for start in range(seq, end, PAGE_ROWS):
        rows += await state.bridge.transact(partial(edits.since, workspace=tree.workspace.id, seq=start, until=min(start + PAGE_ROWS, end)))
    return rows


def changes_in(db: Connection, tree: Tree, seq: int, end: int, later: list[Row] | None = None) -> Timeline:
    """As `changes_since`, up to position `end`, in the caller's transaction; `later`: the rows in between, where they were read."""
    workspace = tree.workspace.id
    later = edits.since(db, workspace, seq, end) if later is None else later
    written = operations.positions(db, {row.operation for row in later if row.operation is not None})
    toggles = edits.toggles_since(db, workspace, min(seq, *(at - 1 for at in written.values())) if written else seq)
    earlier, theirs = edits.with_toggles(db, workspace, {toggle.row for toggle in toggles if toggle.row <= seq})
    written |= operations.positions(db, {row.operation for row in earlier if row.operation is not None} - written.keys())
    return Timeline([*earlier, *later], {*toggles, *theirs}, written, tree.index, end)


def timeline_in(db: Connection, tree: Tree, seq: int, later: list[Row] | None = None) -> Timeline:
    """As `timeline`, in the caller's transaction."""
    workspace = tree.workspace.id
    later = edits.since(db, workspace, seq) if later is None else later
    toggles = edits.toggles_since(db, workspace, seq)
    switched = {row.path for row in edits.with_toggles(db, workspace, {toggle.row for toggle in toggles if toggle.row <= seq})[0]}
    touched = {row.path for row in later} | switched
    whole = switched | {parent for path in touched for parent in path.ancestors}
    rows = edits.of_paths(db, workspace, whole, until=seq) + later
    written = operations.positions(db, {row.operation for row in rows if row.operation is not None})
    return Timeline(rows, {*toggles, *edits.toggles_of_paths(db, workspace, whole)}, written, tree.index, tree.position)


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
        inline = await self._state.bridge.transact(lambda db: blob_rows.get_all(db, wanted))
        found = had | {digest: content for digest, content in inline.items() if isinstance(content, bytes)}
        for digest in wanted & found.keys():
            self._state.recent.keep(digest, found[digest])
        for digest in wanted - found.keys():
            found[digest] = await self._state.bridge.work(self._whole, digest)
        return found

    def _whole(self, digest: bytes) -> bytes:
        return b"".join(self._state.blobs.open_chunks(digest))


def text_of(version: Version, contents: dict[bytes, bytes]) -> bytes | None:
    """Returns what a version shows in a diff: a file's content, a link's target, nothing for directories and absent paths.

    None for a file too large to show.
    """
    if isinstance(version, File):
        return contents.get(version.digest)
    if isinstance(version, Symlink):
        return version.target.encode("utf-8", "surrogateescape")
    return b""

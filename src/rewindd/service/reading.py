"""Reading the log and the contents back: timelines for the pure core, bytes for merges and diffs."""

from collections.abc import Iterable, Iterator, Mapping

from rewindd.model.log import Row
from rewindd.model.versions import File, Symlink, Version
from rewindd.paths import RelPath
from rewindd.service.state import State, Tree
from rewindd.store import blobs as blob_rows
from rewindd.store import edits, operations
from rewindd.store.database import Connection
from rewindd.timeline.history import Timeline

#: Above this a content is neither merged nor compared line by line: no text that a person edits is larger.
MAX_TEXT_BYTES = 16 << 20


async def timeline_since(state: State, tree: Tree, seq: int) -> Timeline:
    """Returns what the log says since a position, as `changes`."""
    return await state.bridge.transact(lambda db: changes(db, tree, seq))


def changes(db: Connection, tree: Tree, seq: int) -> Timeline:
    """Returns the log since a position: the rows after it, and those before it that were switched since; no path's history.

    It says of any position from `seq` on what was changed since then, and whose that is (`timeline.delta`), and what state a path
    was in; not how an older state of it is made.
    """
    workspace = tree.workspace.id
    later = edits.since(db, workspace, seq)
    written = operations.positions(db, {row.operation for row in later if row.operation is not None})
    toggles = edits.toggles_since(db, workspace, min(seq, *(at - 1 for at in written.values())) if written else seq)
    earlier, theirs = edits.with_toggles(db, workspace, {toggle.row for toggle in toggles if toggle.row <= seq})
    written |= operations.positions(db, {row.operation for row in earlier if row.operation is not None} - written.keys())
    return Timeline([*earlier, *later], {*toggles, *theirs}, written, tree.index, tree.position)


def timeline(db: Connection, tree: Tree, seq: int) -> Timeline:
    """Returns the complete log of every path that has a row, or a row switched, after a position.

    The directories above these are in it too: a rewind may have to make them again. No row is read twice.
    """
    workspace = tree.workspace.id
    later = edits.since(db, workspace, seq)
    touched = {row.path for row in later} | edits.paths_toggled_since(db, workspace, seq)
    wanted = _with_above(touched)
    return _timeline(db, tree, wanted, edits.of_paths(db, workspace, wanted, until=seq) + [row for row in later if row.path in wanted])


def timeline_of(db: Connection, tree: Tree, paths: Iterable[RelPath]) -> Timeline:
    """Returns the complete log of these paths, and of the directories above them."""
    wanted = _with_above(paths)
    return _timeline(db, tree, wanted, edits.of_paths(db, tree.workspace.id, wanted))


def _timeline(db: Connection, tree: Tree, paths: set[RelPath], rows: list[Row]) -> Timeline:
    written = operations.positions(db, {row.operation for row in rows if row.operation is not None})
    return Timeline(rows, edits.toggles_of_paths(db, tree.workspace.id, paths), written, tree.index, tree.position)


def _with_above(paths: Iterable[RelPath]) -> set[RelPath]:
    below = set(paths)
    return below | {parent for path in below for parent in _above(path)}


def _above(path: RelPath) -> Iterator[RelPath]:
    parent = path.parent
    while parent != ".":
        yield parent
        parent = parent.parent


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

"""Looking into the past: one path as it was, a whole tree, the contents of both.

Nothing is observed and no lock is held: the log up to a position never changes, and what the store says of a path is read with
its rows in one transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from rewindd.errors import BadRequest, UnknownPath
from rewindd.model.log import IndexEntry, Row
from rewindd.model.session import Session
from rewindd.model.versions import ABSENT, DIGEST_BYTES, UNKNOWN, Absent, Directory, File, Unknown, Version
from rewindd.paths import ROOT, FsText, RelPath
from rewindd.protocol import replies, requests
from rewindd.service.asking import positions, render
from rewindd.service.places import locate
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import blobs as blob_rows
from rewindd.store import edits, index, workspaces
from rewindd.store.database import Connection
from rewindd.timeline.history import state_at

#: Contents up to this size come with `show.path` and `read.many`; larger ones are read in pieces.
MAX_WHOLE_BYTES = 1 << 20
#: Contents in one answer to `read.many`, in bytes.
MAX_CONTENTS_BYTES = 8 << 20
#: Paths in one page of a tree.
MAX_PAGE_PATHS = 10_000
#: Paths looked up in one transaction: 5 ms.
PART_PATHS = 100
#: Contents whose sizes are looked up at once.
PART_BLOBS = 500
#: Bytes of content read in one transaction.
PART_BYTES = 256 << 10


async def show_path(state: State, request: requests.ShowPath, session: Session) -> replies.PathVersion:
    """Returns a path as it was at a position: a file with its content, a directory with the names in it.

    Raises:
        UnknownPath: it was not known then.
        UnknownCheckpoint, AmbiguousCheckpoint, OutsideWorkspace, NotPermitted, BadRequest: see `positions`, `places`.
    """
    tree = await state.tree(session.workspace)
    seq = (await positions.point(state, session, tree, request.position)).seq
    path = locate(request.path, tree.workspace.root)
    version, content = await state.bridge.transact(lambda db: _look_back(db, tree, seq, path))
    if isinstance(version, Unknown):
        version = _by_its_directory(tree, seq, path)
    if isinstance(version, Unknown):
        raise await never_known(state, tree, path, request.position)
    if isinstance(content, blob_rows.InFile):
        content = await state.bridge.work(_whole, state, content.digest) if content.size <= MAX_WHOLE_BYTES else None
    return replies.PathVersion(
        path=path,
        version=render.version(version),
        content=content,
        entries=await _entries(state, tree, seq, path) if isinstance(version, Directory) else None,
    )


async def list_tree(state: State, request: requests.ListTree, session: Session) -> replies.TreePage:
    """Returns a page of the whole tree as it was at a position. What was not known then is in it, of kind `unknown`.

    Raises:
        BadRequest: the limit is out of its range, or `after` is no path.
        UnknownCheckpoint, AmbiguousCheckpoint: see `positions`.
    """
    if not 1 <= request.limit <= MAX_PAGE_PATHS:
        raise BadRequest(f"limit is 1 to {MAX_PAGE_PATHS}", field="limit")
    tree = await state.tree(session.workspace)
    after = locate(request.after, tree.workspace.root) if request.after is not None else None
    seq = (await positions.point(state, session, tree, request.position)).seq
    entries: list[replies.PathVersion] = []
    while True:
        part = await state.bridge.transact(partial(page_of_tree, tree=tree, seq=seq, after=after, limit=PART_PATHS), bulk=True)
        for one in part:
            if not isinstance(one.version, Absent):
                if len(entries) == request.limit:
                    return replies.TreePage(position=f"#{seq}", entries=entries, more=True)
                entries.append(replies.PathVersion(path=one.path, version=render.version(one.version)))
        if len(part) < PART_PATHS:
            return replies.TreePage(position=f"#{seq}", entries=entries, more=False)
        after = part[-1].path


async def read_blobs(state: State, request: requests.ReadBlobs, session: Session) -> replies.Contents:
    """Returns whole contents, in order, as many as fit into one answer and one at least; None for those above `MAX_WHOLE_BYTES`.

    Raises:
        BadRequest: one is no digest, or there is no such content.
        StoreCorrupt: one is not what was stored.
    """
    del session  # contents are the store's, whoever kept them
    contents: list[bytes | None] = []
    total = 0
    for start in range(0, len(request.blobs), PART_BLOBS):
        digests = [_digest(blob) for blob in request.blobs[start : start + PART_BLOBS]]
        sizes = await state.bridge.transact(partial(blob_rows.sizes_of, digests=digests))
        for part in _parts(digests, sizes):
            total += sum(sizes[digest] for digest in part if sizes[digest] <= MAX_WHOLE_BYTES)
            if contents and total > MAX_CONTENTS_BYTES:
                return replies.Contents(contents=contents)
            contents += await _whole_ones(state, part, sizes)
    return replies.Contents(contents=contents)


async def never_known(state: State, tree: Tree, path: RelPath, position: str) -> UnknownPath:
    """Returns the error for a path of which nothing is known at a position; it tells since when something is."""
    first = await state.bridge.transact(lambda db: edits.first_of(db, tree.workspace.id, path))
    known = tree.index.get(path)
    since = first.seq if first is not None else known.since if known is not None else None
    if since is None:
        reason = tree.left_out.get(path)
        why = f"it was left out ({reason})" if reason is not None else "nothing is known of it; `rewindctl log` shows what was captured"
    else:
        why = f"it was first seen at '#{since}'"
    return UnknownPath(f"{path!r} was not known at {position}: {why}", path=str(path), position=position, first_seen=since)


@dataclass(frozen=True, slots=True)
class Then:
    """A path, and the version that was there at a position."""

    path: RelPath
    version: Version


def _look_back(db: Connection, tree: Tree, seq: int, path: RelPath) -> tuple[Version, bytes | blob_rows.InFile | None]:
    """The path's version at a position, and where it is a file that is not large its content."""
    entry = index.find(db, tree.workspace.id, path)
    following = edits.following(db, tree.workspace.id, seq, path, path)
    version = state_at(seq, following.get(path), entry)
    is_small = isinstance(version, File) and version.size <= MAX_WHOLE_BYTES
    return version, blob_rows.get(db, version.digest) if is_small and isinstance(version, File) else None


def page_of_tree(db: Connection, tree: Tree, seq: int, after: RelPath | None, limit: int) -> list[Then]:
    """Returns the versions at a position of the next `limit` paths that are known, by path; absent and unknown ones too."""
    found = index.page(db, tree.workspace.id, after, limit)
    following = _following(db, tree, seq, found)
    return [Then(entry.path, state_at(seq, following.get(entry.path), entry)) for entry in found]


def _following(db: Connection, tree: Tree, seq: int, found: Sequence[IndexEntry]) -> dict[RelPath, Row]:
    """The first rows after a position of these paths. At the log's end nothing follows: to ask would walk through all their history."""
    if not found or seq >= workspaces.position(db, tree.workspace.id):
        return {}
    return edits.following(db, tree.workspace.id, seq, found[0].path, found[-1].path)


async def _entries(state: State, tree: Tree, seq: int, directory: RelPath) -> list[FsText]:
    """The names that were in a directory, by name; those of directories end in `/`."""
    names: list[FsText] = []
    inside = sorted(tree.index.inside(directory), key=lambda path: path.encode("utf-8", "surrogateescape"))
    for start in range(0, len(inside), PART_PATHS):
        look = partial(_versions, tree=tree, seq=seq, paths=inside[start : start + PART_PATHS])
        found = [one for one in await state.bridge.transact(look, bulk=True) if not isinstance(one.version, Absent | Unknown)]
        names += [FsText(f"{one.path.name}/" if isinstance(one.version, Directory) else one.path.name) for one in found]
    return names


def _versions(db: Connection, tree: Tree, seq: int, paths: Sequence[RelPath]) -> list[Then]:
    return [
        Then(path, state_at(seq, edits.following(db, tree.workspace.id, seq, path, path).get(path), entry))
        for path in paths
        if (entry := index.find(db, tree.workspace.id, path)) is not None
    ]


def _by_its_directory(tree: Tree, seq: int, path: RelPath) -> Version:
    """What a directory that was looked at whole says of a name that the index does not know, then: absent, or unknown."""
    if path in tree.index:
        return UNKNOWN
    above = path
    while above not in tree.index:
        if above in tree.left_out or above == ROOT:
            return UNKNOWN
        above = above.parent
    since = tree.index[above].rest_absent_since
    return ABSENT if since is not None and since <= seq else UNKNOWN


def _digest(blob: str) -> bytes:
    try:
        digest = bytes.fromhex(blob)
    except ValueError as exc:
        raise BadRequest(f"{blob[:80]!r} is no blob", field="blobs") from exc
    if len(digest) != DIGEST_BYTES:
        raise BadRequest(f"{blob[:80]!r} is no blob; it has {2 * DIGEST_BYTES} hex digits", field="blobs")
    return digest


def _parts(digests: Sequence[bytes], sizes: dict[bytes, int]) -> Iterable[list[bytes]]:
    """Yields the digests in parts of some `PART_BYTES`. Raises BadRequest for one that is not stored."""
    part: list[bytes] = []
    size = 0
    for digest in digests:
        if digest not in sizes:
            raise BadRequest(f"no blob {digest.hex()}", field="blobs")
        counted = sizes[digest] if sizes[digest] <= MAX_WHOLE_BYTES else 0
        if part and size + counted > PART_BYTES:
            yield part
            part, size = [], 0
        part.append(digest)
        size += counted
    if part:
        yield part


async def _whole_ones(state: State, digests: Sequence[bytes], sizes: dict[bytes, int]) -> list[bytes | None]:
    small = {digest for digest in digests if sizes[digest] <= MAX_WHOLE_BYTES}
    state.handled_bytes += sum(sizes[digest] for digest in small)
    found = await state.bridge.transact(lambda db: blob_rows.get_all(db, small), bulk=True) if small else {}
    contents: list[bytes | None] = []
    for digest in digests:
        content = found.get(digest)
        contents.append(await state.bridge.work(_whole, state, digest) if isinstance(content, blob_rows.InFile) else content)
    return contents


def _whole(state: State, digest: bytes) -> bytes:
    return b"".join(state.blobs.open_chunks(digest))

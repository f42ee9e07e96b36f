"""Blame: which session, agent and turn each line of a file came from. No lock is held but for a look at the tree."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from rewindd.errors import BadRequest, UnknownPath, UnknownWorkspace
from rewindd.model.ids import OperationId, WorkspaceId
from rewindd.model.log import IndexEntry, Row, Toggle
from rewindd.model.session import Session
from rewindd.model.versions import Absent, File, Unknown, Version
from rewindd.paths import RelPath
from rewindd.protocol import replies
from rewindd.protocol.requests import Blame
from rewindd.service.asking import positions, render
from rewindd.service.asking.attributing import edited
from rewindd.service.asking.reading import Contents
from rewindd.service.asking.renaming import MAX_RENAMES, origins
from rewindd.service.asking.showing import never_known
from rewindd.service.capture.observing import observe
from rewindd.service.locking import locked
from rewindd.service.places import locate
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import edits, index, operations
from rewindd.store.database import Connection
from rewindd.timeline import lines
from rewindd.timeline.blame import MAX_VERSIONS, Blaming, Span
from rewindd.timeline.blame import blame as trace
from rewindd.timeline.history import Timeline, state_at

#: A larger file is no text that a person reads by line; as for the line counts of a diff.
MAX_BLAMED_BYTES = 4 << 20
#: Rows read in one transaction: 5 ms.
PART_ROWS = 250
#: Lines of a file. More are looked at by nobody, and each costs a place in every version that is gone back through.
MAX_BLAMED_LINES = 100_000


@dataclass(frozen=True, slots=True)
class _Past:
    """A path's rows up to a position, and those of the paths that it was renamed from; of `cut` ones but for the oldest."""

    timeline: Timeline
    cut: frozenset[RelPath]
    renames: Mapping[int, Row]


async def blame(state: State, request: Blame, session: Session) -> replies.Blamed:
    """Returns the content of a file, and which row each of its lines came from.

    Raises:
        BadRequest: it is no file, no text, or too large.
        UnknownPath: nothing was known of it then, or it was not there.
        UnknownCheckpoint, AmbiguousCheckpoint, OutsideWorkspace, NotPermitted: see `positions`, `places`.
    """
    tree = await state.tree(session.workspace)
    path = locate(request.path, tree.workspace.root)
    position = "now"
    if request.position is not None:
        seq, position = (await positions.point(state, session, tree, request.position)).seq, request.position
    else:
        async with locked(state, tree):
            with suppress(UnknownWorkspace):  # the log is there also where the root is gone
                if not session.imported:
                    await observe(state, tree)
            seq = tree.position
    known = await state.bridge.transact(lambda db: _version(db, tree, path, seq))
    if isinstance(known, Unknown):
        raise await never_known(state, tree, path, position)
    version = _file(path, known, position)
    content = (await Contents(state).read([version]))[version.digest]
    if lines.is_binary(content):
        raise BadRequest(f"{str(path)!r} is binary; only a text has lines", path=str(path))
    count = lines.count_of(content)
    if count > MAX_BLAMED_LINES:
        raise BadRequest(f"{str(path)!r} has {count} lines; {MAX_BLAMED_LINES} can be told apart", path=str(path))
    spans = await _spans(state, await _past(state, tree, path, seq, version), path, count)
    rows = {span.row.seq: span.row for span in spans if span.row is not None}
    told = {one.seq: one for one in await edited(state, list(rows.values()))}
    shown = [render.span(span, told[span.row.seq] if span.row is not None else None) for span in spans]
    return replies.Blamed(path=path, position=f"#{seq}", content=content, spans=shown)


def _file(path: RelPath, version: Version, position: str) -> File:
    if isinstance(version, Absent):
        raise UnknownPath(f"{str(path)!r} is not there at {position}", path=str(path), position=position)
    if not isinstance(version, File):
        raise BadRequest(f"{str(path)!r} is a {version.kind.value}; only a file has lines", path=str(path))
    if version.size > MAX_BLAMED_BYTES:
        raise BadRequest(f"{str(path)!r} has {version.size} bytes; up to {MAX_BLAMED_BYTES} are looked at line by line", path=str(path))
    return version


async def _spans(state: State, past: _Past, path: RelPath, count: int) -> list[Span]:
    """Goes back through the versions, reading what is asked for, and comparing in a worker thread."""
    walk = trace(past.timeline, path, count, cut=past.cut, renames=past.renames)
    contents: dict[bytes, bytes] | None = None
    while True:
        try:
            wanted = await state.bridge.work(_next, walk, contents)
        except _Done as done:
            return done.spans
        contents = await Contents(state).read(wanted)


class _Done(Exception):
    """The walk has ended: a StopIteration does not leave a worker thread (PEP 479)."""

    def __init__(self, spans: list[Span]) -> None:
        super().__init__()
        self.spans = spans


def _next(walk: Blaming, contents: dict[bytes, bytes] | None) -> frozenset[File]:
    try:
        return next(walk) if contents is None else walk.send(contents)
    except StopIteration as end:
        raise _Done(end.value) from end


def _version(db: Connection, tree: Tree, path: RelPath, seq: int) -> Version:
    workspace = tree.workspace.id
    following = edits.following(db, workspace, seq, path, path).get(path)
    return state_at(seq, following, index.find(db, workspace, path))


async def _past(state: State, tree: Tree, path: RelPath, seq: int, version: Version) -> _Past:
    """The newest rows of a path up to a position, which never change, and of the paths that it was renamed from up to then."""
    read, behind = _Read(seq), {path: seq}
    cut, known, renames = set[RelPath](), set[RelPath](), dict[int, Row]()
    while behind:
        one = max(behind, key=behind.__getitem__)
        rows, is_cut = await read.take(state, tree, one, behind.pop(one))
        known.add(one)
        cut |= {one} if is_cut else set()
        found = await origins(state, tree, rows) if len(known) <= MAX_RENAMES else {}
        renames |= found
        for gone in found.values():
            if gone.path not in known:
                behind[gone.path] = max(gone.seq, behind.get(gone.path, 0))
    entry = IndexEntry(path=path, version=version, signature=None, since=0)
    return _Past(Timeline(read.rows, read.toggles, read.written, {path: entry}, seq), frozenset(cut), renames)


@dataclass(slots=True)
class _Read:
    """What was read of the log up to position `seq`; `MAX_VERSIONS` rows at most, in parts, each a transaction of some milliseconds."""

    seq: int
    rows: list[Row] = field(default_factory=list)
    toggles: list[Toggle] = field(default_factory=list)
    written: dict[OperationId, int] = field(default_factory=dict)

    async def take(self, state: State, tree: Tree, path: RelPath, until: int) -> tuple[list[Row], bool]:
        """Reads the newest rows of a path up to a position; returns them, and whether there are older ones."""
        workspace, room = tree.workspace.id, MAX_VERSIONS - len(self.rows)
        newest = await state.bridge.transact(lambda db: edits.newest_of(db, workspace, path, until, room + 1))
        wanted, start = newest[-room:] if room else [], len(self.rows)
        for first in range(0, len(wanted), PART_ROWS):
            part = await state.bridge.transact(partial(_read, workspace=workspace, seqs=wanted[first : first + PART_ROWS]), bulk=True)
            self.rows += part[0]
            self.toggles += [toggle for toggle in part[1] if toggle.at <= self.seq]
            self.written |= part[2]
        return self.rows[start:], len(newest) > room


def _read(db: Connection, workspace: WorkspaceId, seqs: Sequence[int]) -> tuple[list[Row], list[Toggle], dict[OperationId, int]]:
    rows, toggles = edits.with_toggles(db, workspace, seqs)
    return rows, toggles, operations.positions(db, {row.operation for row in rows if row.operation is not None})

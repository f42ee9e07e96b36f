"""The first capture of a whole workspace, in the background: what git cannot bring back first, then the newest first.

All of it is counted first, and each directory watched before it is listed; from then on a name that turns up is new. What was
counted is read and packed by workers, for a large tree by a process of its own (`reader`), and committed in small transactions
that yield to everybody. A path's first version needs no row in the log: the index says since when it is known. Only the last
transaction waits for the disk. In the store the directories become covered last of all: a daemon that ends before begins again, and
reads only what it has not.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from time import time_ns

import anyio
from msgspec import structs

from rewindd.errors import RewinddError
from rewindd.model.ids import WorkspaceId
from rewindd.model.log import IndexEntry
from rewindd.model.session import Baseline, Missing
from rewindd.model.versions import Directory, File
from rewindd.paths import ROOT, RelPath
from rewindd.protocol.wire import Progress
from rewindd.service.capture import keeping, noticing
from rewindd.service.capture.observing import enter_unknown, observe
from rewindd.service.capture.own_places import OwnRules
from rewindd.service.capture.reader import Reader
from rewindd.service.capture.sighting import arming, limits
from rewindd.service.locking import locked
from rewindd.service.state import State
from rewindd.service.trees import FirstCapture, Tree
from rewindd.store import heads, index, workspaces
from rewindd.store.database import Connection
from rewindd.tree.census import Census, Counted, census
from rewindd.tree.look import SMALL_BYTES, Look, Unseen
from rewindd.tree.survey import look_inside

#: Contents of one transaction, and bytes after which it ends: some milliseconds.
BATCH_FILES = 64
BATCH_BYTES = 256 << 10
#: Contents up to here go into the database: its commits need not wait for the disk here, and a file of its own does, 12 ms each.
INLINE_BYTES = SMALL_BYTES
#: Files that a reader takes at a time, and goes through directory by directory; beyond it their order of importance holds.
PORTION_FILES = 512
#: Files for which a process is started that reads them: with its start 2,000 take 0.38 s in place of 0.33, 20,000 take 2.5 in place of 3.2.
MANY_FILES = 3000
#: Portions being read at a time: more than there are cores helps only where the disk is slow.
READERS = 2
#: Transactions that a reader has under way while it packs the next.
AHEAD = 2
#: Entries written in one transaction.
ENTER_ROWS = 256
#: Seconds between two frames of progress to one who waits.
REPORT_S = 0.1
NOT_YET = "not captured yet"

log = logging.getLogger(__name__)


def begin(state: State, tree: Tree) -> None:
    """Starts the capture where the workspace is to be captured and is not, and none is under way. Called in the event loop."""
    before = tree.first
    if tree.workspace.baseline is not Baseline.RUNNING or (before is not None and not before.finished.is_set()):
        return
    first = FirstCapture(missing=before.missing, trouble=before.trouble) if before is not None else FirstCapture()
    tree.first = first
    state.meanwhile(lambda: _run(state, tree, first))


async def want(state: State, tree: Tree) -> None:
    """Notes that the whole workspace is to be captured, and starts it; durable on return, the note."""
    if tree.workspace.baseline is Baseline.NONE:
        await state.bridge.transact(lambda db: workspaces.captured(db, tree.workspace.id, Baseline.RUNNING))
        tree.workspace = replace(tree.workspace, baseline=Baseline.RUNNING)
    begin(state, tree)


async def wait(state: State, tree: Tree, *, at_most_s: float | None, report: Callable[[Progress], None]) -> int:
    """Waits until the workspace is captured, if it is to be; returns how many paths are not yet (0: all are; 1 where nobody knows).

    Args:
        at_most_s: seconds; None: as long as it takes.
        report: is told how far it is, ten times a second.
    """
    begin(state, tree)
    first = tree.first
    if first is None or tree.workspace.baseline is not Baseline.RUNNING:
        return 0
    with anyio.move_on_after(at_most_s):
        while not first.finished.is_set():
            report(Progress(done=first.done, total=first.total, what="baseline"))
            with anyio.move_on_after(REPORT_S):
                await first.finished.wait()
    return len(missing(tree))


def missing(tree: Tree) -> list[Missing]:
    """Returns what is to be captured and was not yet."""
    if tree.workspace.baseline is not Baseline.RUNNING:
        return []
    paths = tree.first.missing if tree.first is not None and tree.first.total else {ROOT: None}
    return [Missing(path=path, reason=NOT_YET) for path in paths]


async def _run(state: State, tree: Tree, first: FirstCapture) -> None:
    try:
        await _capture(state, tree, first)
    except* (RewinddError, OSError) as exc:
        why = str(exc.exceptions[0])
        level = logging.DEBUG if why == first.trouble else logging.WARNING
        log.log(level, "the first capture of workspace %s ended: %s; it begins again with the next look", tree.workspace.id, why)
        first.trouble = why
    finally:
        first.finished.set()


async def _capture(state: State, tree: Tree, first: FirstCapture) -> None:
    noticing.watch(state, tree)
    found = await state.bridge.work(_census, state, tree)
    async with _reader(state, sum(one.path not in tree.index for one in found.files)) as reader:
        async with locked(state, tree):
            await _enter_census(state, tree, first, found)
        portions = _portions(found.files)
        async with anyio.create_task_group() as readers:
            turn = anyio.Lock()
            for _ in range(READERS):
                readers.start_soon(_read_all, state, tree, first, portions, reader, turn)
    async with locked(state, tree):
        await observe(state, tree)
        await _finish(state, tree)
    log.info("workspace %s is captured: %d files", tree.workspace.id, tree.index.files)


@asynccontextmanager
async def _reader(state: State, files: int) -> AsyncIterator[Reader | None]:
    """Yields a process that reads, where there are many files to be read."""
    reader = await state.bridge.work(Reader.start) if files >= MANY_FILES else None
    try:
        yield reader
    finally:
        if reader is not None:
            with anyio.CancelScope(shield=True):
                await state.bridge.work(reader.end)


async def _enter_census(state: State, tree: Tree, first: FirstCapture, found: Census) -> None:
    """Enters the directories, covered since now, and what is left out; whatever else was counted is known to be there."""
    left = {one.path: one.reason for one in found.left_out if one.path not in tree.index}
    names = list(left.items())
    for start in range(0, len(names), ENTER_ROWS):
        part = dict(names[start : start + ENTER_ROWS])
        await state.bridge.transact(partial(_leave_out, workspace=tree.workspace.id, left=part), bulk=True, lasting=False)
    tree.left_out.put(left)
    await enter_unknown(state, tree, [one.path for one in found.unseen])
    tree.unseen.update((one.path, one.reason) for one in found.unseen)
    first.missing = dict.fromkeys(one.path for one in found.files if one.path not in tree.index)
    first.total, first.done = max(len(found.files), 1), len(found.files) - len(first.missing)
    directories = (IndexEntry(path=one.path, version=one.version, signature=one.signature, since=0) for one in found.directories)
    await _enter(state, tree, directories)
    position = await state.bridge.transact(lambda db: workspaces.allot(db, tree.workspace.id, 1))
    tree.position = position
    uncovered = [
        (entry, one) for one in found.directories if (entry := tree.index[one.path]).covered is None and one.path not in tree.unseen
    ]
    # With the signature from before it was listed: somebody may have looked since at one that was known, and what came in between is on no
    # list. In memory only: the store must not say so before it has what they hold.
    tree.index.put(
        structs.replace(entry, covered=position, signature=one.signature)
        for entry, one in uncovered
        if isinstance(entry.version, Directory)
    )
    noticing.look_once_more(tree, first)


def _census(state: State, tree: Tree) -> Census:
    with tree.root() as root:
        arm = arming(tree, root)
        rules = OwnRules(state, tree)
        tree.rulebook.prepare()
        try:
            return census(root, rules, state.capture, arm)
        finally:
            tree.rulebook.finish()


def _portions(files: Sequence[Counted]) -> Iterator[list[Counted]]:
    """Cuts the files into portions: in their order of importance, within each directory by directory."""
    for start in range(0, len(files), PORTION_FILES):
        yield sorted(files[start : start + PORTION_FILES], key=lambda one: one.path)


async def _read_all(
    state: State, tree: Tree, first: FirstCapture, portions: Iterator[list[Counted]], reader: Reader | None, turn: anyio.Lock
) -> None:
    """Reads portions until there are no more. `turn`: a reader takes one at a time; meanwhile the one before is entered."""
    for portion in portions:
        with state.storing.under_way():
            wanted = [one for one in portion if one.path in first.missing]
            entries: dict[RelPath, IndexEntry] = {}
            if reader is not None:
                async with turn:
                    entries = await state.bridge.work(_read_elsewhere, state, tree, wanted, reader)
            await _keep(state, tree, first, wanted, entries)
        state.settle()
        first.done += len(wanted)
        state.handled_bytes += sum(one.size for one in portion)


async def _keep(state: State, tree: Tree, first: FirstCapture, wanted: list[Counted], entries: dict[RelPath, IndexEntry]) -> None:
    """Enters what was read of a portion, after what was not is."""
    rest = [one.path for one in wanted if one.path not in entries]
    looks, unseen = await state.bridge.work(_read, state, tree, rest) if rest else ([], [])
    entries.update((one.path, IndexEntry(path=one.path, version=one.version, signature=one.signature, since=0)) for one in looks)
    async with locked(state, tree):
        await _enter(state, tree, entries.values())
        await enter_unknown(state, tree, [one.path for one in unseen if not one.is_limit])
        tree.unseen.update((one.path, one.reason) for one in unseen if not one.is_limit)
        left = {one.path: one.reason for one in unseen if one.is_limit}
        if left:
            await state.bridge.transact(lambda db: index.leave_out(db, tree.workspace.id, left))
            tree.left_out.put(left)
        for one in wanted:
            first.missing.pop(one.path, None)
        noticing.look_once_more(tree, first)


def _read_elsewhere(state: State, tree: Tree, files: Sequence[Counted], reader: Reader) -> dict[RelPath, IndexEntry]:
    """Has the reader read what no limit leaves out, and keeps the contents; returns what it told of."""
    bounds = limits(state, tree)
    allowed: list[tuple[RelPath, int]] = []
    for one in files:
        if one.size <= SMALL_BYTES and bounds.refuse(one.path, None)(one.size) is None:
            bounds.took(one.path, None, File(b"", one.size, 0))
            allowed.append((one.path, one.size))
    with state.bridge.sending(ahead=AHEAD) as send:
        found = reader.read(tree.workspace, allowed, lambda part: send(partial(keeping.put, batch=[*part.packs, *part.inline])))
    return {entry.path: entry for entry in found}


def _read(state: State, tree: Tree, paths: Sequence[RelPath]) -> tuple[list[Look], list[Unseen]]:
    """Reads files and keeps their contents, in transactions of which the next is packed while one is committed."""
    bounds = limits(state, tree)
    looks: list[Look] = []
    unseen: list[Unseen] = []
    batch: dict[bytes, tuple[File, bytes | None]] = {}
    size = 0
    with tree.root() as root, state.bridge.sending(ahead=AHEAD) as send:
        for path in paths:
            seen = look_inside(root, path, None, state.blobs, refuse=bounds.refuse(path, None))
            if isinstance(seen, Unseen):
                unseen.append(seen)
                continue
            looks.append(replace(seen, content=None))
            if isinstance(seen.version, File):
                bounds.took(path, None, seen.version)
                batch[seen.version.digest] = seen.version, seen.content
                size += seen.version.size if seen.content is not None else 0
            if size >= BATCH_BYTES or len(batch) >= BATCH_FILES:
                send(partial(keeping.put, batch=keeping.pack_together(state.blobs, list(batch.values()), inline_bytes=INLINE_BYTES)))
                batch, size = {}, 0
        send(partial(keeping.put, batch=keeping.pack_together(state.blobs, list(batch.values()), inline_bytes=INLINE_BYTES)))
    return looks, unseen


async def _enter(state: State, tree: Tree, entries: Iterable[IndexEntry]) -> None:
    """Enters what was never known, and of which the contents are kept. What somebody else looked at meanwhile is known, and newer."""
    fresh = [one for one in entries if one.path not in tree.index]
    for start in range(0, len(fresh), ENTER_ROWS):
        write = partial(_write, tree=tree, entries=fresh[start : start + ENTER_ROWS])
        known, tree.position = await state.bridge.transact(write, bulk=True, lasting=False)
        tree.index.put(known)


def _write(db: Connection, tree: Tree, entries: Sequence[IndexEntry]) -> tuple[list[IndexEntry], int]:
    position = workspaces.allot(db, tree.workspace.id, 1)
    known = [structs.replace(entry, since=position) for entry in entries]
    index.put(db, tree.workspace.id, known)
    return known, position


async def _finish(state: State, tree: Tree) -> None:
    """Says in the store which directories are covered, and then that the capture is complete, and when.

    What it entered has no row in the log, so without that a time after it would be none at which anything is known.
    """
    covered = [entry for entry in tree.index.values() if entry.covered is not None]
    for start in range(0, len(covered), ENTER_ROWS):
        part = covered[start : start + ENTER_ROWS]
        await state.bridge.transact(partial(_put, workspace=tree.workspace.id, entries=part), bulk=True, lasting=False)
    position, head, now = tree.position, tree.git_head, time_ns()

    def write(db: Connection) -> None:
        workspaces.captured(db, tree.workspace.id, Baseline.COMPLETE)
        if head is not None:
            heads.mark(db, tree.workspace.id, position, head, now)

    await state.bridge.transact(write)
    tree.workspace = replace(tree.workspace, baseline=Baseline.COMPLETE)


def _put(db: Connection, workspace: WorkspaceId, entries: Sequence[IndexEntry]) -> None:
    index.put(db, workspace, entries)


def _leave_out(db: Connection, workspace: WorkspaceId, left: Mapping[RelPath, str]) -> None:
    index.leave_out(db, workspace, left)

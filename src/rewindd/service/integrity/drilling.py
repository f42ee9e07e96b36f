"""`verify --drill`: checkpoints written out as they would be needed one day, beside the store, and compared with what was saved."""

import os
import random
import secrets
from collections.abc import Callable, Iterator
from functools import partial

from rewindd.errors import StoreCorrupt, StoreFull, StoreIO
from rewindd.model.ids import WorkspaceId
from rewindd.model.session import Checkpoint
from rewindd.model.versions import Absent, File, Unknown, Version
from rewindd.paths import FsText, RelPath
from rewindd.protocol import wire
from rewindd.protocol.integrity import CheckpointRef, Damage
from rewindd.service.asking.showing import PART_PATHS, page_of_tree
from rewindd.service.space.room import room
from rewindd.service.state import State
from rewindd.store import blobs as blob_rows
from rewindd.store import checkpoints
from rewindd.store.opening import SCRATCH
from rewindd.tree import scratch

#: Paths that are named of one checkpoint.
MOST_PATHS = 20

Entries = list[tuple[RelPath, Version]]


class _Stored:
    """Contents of the store, for a worker thread; each verified as it is read."""

    def __init__(self, state: State) -> None:
        self._state = state

    def chunks(self, version: File) -> Iterator[bytes]:
        """Yields a content's bytes. Raises StoreCorrupt when they are not what was stored."""
        found = self._state.bridge.transact_here(lambda db: blob_rows.get(db, version.digest))
        if isinstance(found, bytes):
            yield found
        else:
            yield from self._state.blobs.open_chunks(version.digest)


async def drill(state: State, count: int, report: Callable[[wire.Progress], None]) -> list[Damage | None]:
    """Writes `count` checkpoints out, chosen at random, one after the other; returns of each what is wrong, None: nothing.

    Fewer where there are fewer.

    Raises:
        StoreFull: there is no room for one beside the store.
    """
    highest = await state.bridge.transact(checkpoints.highest)
    chosen: dict[str, tuple[WorkspaceId, Checkpoint]] = {}
    for number in random.sample(range(1, highest + 1), min(3 * count, highest)):
        try:
            found = await state.bridge.transact(partial(checkpoints.from_number, number=number))
        except StoreCorrupt:
            continue  # its row is damaged, which the rows' own comparison says
        if found is not None and len(chosen) < count:
            chosen[found[1].uid] = found
    results: list[Damage | None] = []
    for workspace, one in chosen.values():
        report(wire.Progress(done=len(results), total=len(chosen), what="checkpoints written out"))
        results.append(await _drill(state, workspace, one))
    return results


def sweep(state: State) -> None:
    """Removes what an earlier life left of trees that were written out. In a worker thread."""
    for name in os.listdir(state.data_dir):
        if name.startswith(SCRATCH):
            scratch.remove(os.path.join(state.data_dir, name))


async def _drill(state: State, workspace: WorkspaceId, one: Checkpoint) -> Damage | None:
    try:
        entries = await _tree(state, workspace, one.seq)
        wrong = await state.bridge.work(_write_out, state, entries)
    except StoreCorrupt as exc:
        return _damage(one, exc.message, ())
    if not wrong:
        return None
    path, reason = wrong[0]
    return _damage(one, f"{path!r}: {reason}" + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""), [path for path, _ in wrong])


def _damage(one: Checkpoint, why: str, paths: "list[RelPath] | tuple[()]") -> Damage:
    ref = CheckpointRef(session_id=one.session, id=one.id, label=one.label)
    return Damage(
        kind="drill",
        message=f"checkpoint {one.id} of session {one.session} cannot be written out as it was saved: {why}",
        paths=[FsText(path) for path in paths[:MOST_PATHS]],
        checkpoints=[ref],
        checkpoints_count=1,
    )


async def _tree(state: State, workspace: WorkspaceId, seq: int) -> Entries:
    """All that is known to have been there at a position, by path, so that a directory is before what is in it."""
    tree = await state.tree(workspace)
    entries: Entries = []
    after: RelPath | None = None
    while True:
        look = partial(page_of_tree, tree=tree, seq=seq, after=after, limit=PART_PATHS)
        part = await state.bridge.transact(look, bulk=True, lasting=False)
        entries += [(one.path, one.version) for one in part if not isinstance(one.version, Absent | Unknown)]
        if len(part) < PART_PATHS:
            return sorted(entries)
        after = part[-1].path


def _write_out(state: State, entries: Entries) -> list[tuple[RelPath, str]]:
    """In a worker thread."""
    needed = sum(version.size for _, version in entries if isinstance(version, File))
    left = room(state)
    if needed > left.bytes:
        raise StoreFull(f"no room to write a checkpoint of {needed} bytes out beside the store: {left.reason}")
    try:
        with scratch.scratch(os.path.join(state.data_dir, f"{SCRATCH}{secrets.token_hex(8)}")) as top:
            failed = scratch.plant(top, entries, _Stored(state))
            return failed or scratch.compare(top, entries)
    except OSError as exc:
        raise StoreIO(f"writing a checkpoint out below {state.data_dir}: {exc}") from exc

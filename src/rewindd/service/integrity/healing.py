"""Damaged contents put right from a workspace that still has them; and what damage means, in words: checkpoints and paths."""

import os
from collections.abc import Sequence
from functools import partial

from rewindd.errors import OutsideWorkspace, StoreError, UnknownWorkspace
from rewindd.model.ids import WorkspaceId
from rewindd.model.versions import File
from rewindd.paths import FsText, RelPath
from rewindd.protocol.integrity import CheckpointRef, Damage
from rewindd.service.integrity.examining import Found
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import contents, touching
from rewindd.store.blobs import INLINE_BYTES
from rewindd.store.touching import Held, Reach
from rewindd.tree.look import Hasher, Look, look

#: Findings that are looked into; what is more is counted. Checkpoints and paths that are named of one.
MOST_FINDINGS = 1000
MOST_CHECKPOINTS = 20
MOST_PATHS = 20
#: Paths of one content that are tried.
MOST_TRIED = 20


async def explain(state: State, found: Found) -> list[Damage]:
    """Heals what can be healed, and tells of each finding what it touches; of the first `MOST_FINDINGS`."""
    digests = dict(list(found.contents.items())[:MOST_FINDINGS])
    held = await _held(state, set(digests))
    roots = await state.bridge.transact(touching.workspaces_by_number)
    bad = list(found.rows.values())[: MOST_FINDINGS - len(digests)]
    reaches: list[Sequence[Reach]] = [[one.reach for one in held.get(digest, ())] for digest in digests]
    for row in bad:
        reach = await state.bridge.transact(partial(touching.reach_of, bad=row))
        reaches.append([reach] if reach is not None else [])
    named = await _checkpoints(state, reaches)
    told = [Damage(kind="structure", message=message) for message in found.structure]
    for number, (digest, what) in enumerate(digests.items()):
        places = held.get(digest, [])
        if what == "missing" and not places:
            continue  # named by nothing any more: a row went in between
        healed_from = await heal(state, digest, [one for one in places if one.is_now], roots)
        told.append(
            Damage(
                kind="content",
                message=f"blob {digest.hex()}: {what}",
                blob=digest.hex(),
                paths=await _paths(state, places, roots),
                checkpoints=named[number][:MOST_CHECKPOINTS],
                checkpoints_count=len(named[number]),
                healed_from=FsText(healed_from) if healed_from is not None else None,
            )
        )
    for number, row in enumerate(bad, len(digests)):
        told.append(
            Damage(
                kind="row",
                message=f"{row.table}, row {row.name}: {row.why}",
                table=row.table,
                row=row.name,
                checkpoints=named[number][:MOST_CHECKPOINTS],
                checkpoints_count=len(named[number]),
            )
        )
    return told


async def heal(state: State, digest: bytes, places: Sequence[Held], roots: dict[int, WorkspaceId]) -> str | None:
    """Puts a content right from a path that still has it; returns that path, absolute, None where none has. Durable on return."""
    for one in places[:MOST_TRIED]:
        workspace = roots.get(one.workspace)
        if workspace is None:
            continue
        try:
            tree = await state.tree(workspace)
            if await state.bridge.work(_heal_from, state, tree, one.path, digest):
                return os.path.join(tree.workspace.root, one.path)
        except (UnknownWorkspace, OutsideWorkspace, StoreError):
            continue
    return None


async def _held(state: State, digests: set[bytes]) -> dict[bytes, list[Held]]:
    """Where the damaged contents are and were, those first where they still are."""
    found: dict[bytes, list[Held]] = {}
    if not digests:
        return found
    for walk in (touching.holders_now, touching.holders):
        after = None
        while True:
            listed, after = await state.bridge.transact(partial(walk, digests=digests, after=after), bulk=True, lasting=False)
            for one in listed:
                found.setdefault(one.digest, []).append(one)
            if after is None:
                break
    return found


async def _checkpoints(state: State, reaches: Sequence[Sequence[Reach]]) -> list[list[CheckpointRef]]:
    """The checkpoints that each of the reaches meets, newest first."""
    found: list[list[CheckpointRef]] = [[] for _ in reaches]
    after: int | None = 0
    while after is not None and any(reaches):
        look = partial(touching.touched, reaches=reaches, after=after)
        listed, after = await state.bridge.transact(look, bulk=True, lasting=False)
        for one in listed:
            found[one.which].append(CheckpointRef(session_id=one.session, id=one.id, label=one.label))
    return [one[::-1] for one in found]


async def _paths(state: State, places: Sequence[Held], roots: dict[int, WorkspaceId]) -> list[FsText]:
    named: dict[FsText, None] = {}
    for one in places:
        if len(named) == MOST_PATHS:
            break
        workspace = roots.get(one.workspace)
        try:
            root = (await state.tree(workspace)).workspace.root if workspace is not None else ""
        except (UnknownWorkspace, StoreError):
            root = ""
        named[FsText(os.path.join(root, one.path))] = None
    return list(named)


def _heal_from(state: State, tree: Tree, path: RelPath, digest: bytes) -> bool:
    """Takes the content anew where the file still hashes to it. In a worker thread.

    Raises:
        UnknownWorkspace, OutsideWorkspace: there is no such file.
        StoreFull, StoreIO: it cannot be kept.
    """
    with tree.root() as root:
        seen = look(root, path, None, Hasher(), keep_bytes=INLINE_BYTES)
        if not _is(seen, digest):
            return False
        if isinstance(seen, Look) and seen.content is not None:
            blob = state.blobs.inline(seen.content, digest)
            state.bridge.transact_here(lambda db: contents.mend(db, blob))
            return True
        again = look(root, path, None, state.blobs, keep_bytes=0)
    if not (_is(again, digest) and isinstance(again, Look) and isinstance(again.version, File)):
        return False
    size, stored_bytes = again.version.size, state.blobs.stored_bytes(digest)
    state.bridge.transact_here(lambda db: contents.mend_file(db, digest, size, stored_bytes))
    return True


def _is(seen: object, digest: bytes) -> bool:
    return isinstance(seen, Look) and isinstance(seen.version, File) and seen.version.digest == digest

"""Reading ahead: much content is read, hashed and kept before anybody holds the workspace's lock for it.

Under the lock it is then enough to see that the signatures are still the same. Nothing is decided here: a file that changes after it
was read is read again, and what no row names is only a content that nobody asks for.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from rewindd.model.log import IndexEntry
from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.service.capture import keeping
from rewindd.service.capture.sighting import limits
from rewindd.service.doors.spending import Purse
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.tree.look import Look
from rewindd.tree.sight import Allowance
from rewindd.tree.survey import look_inside

#: What one look may read and list under the workspace's lock: some ten milliseconds each. More is read ahead, or listed by another look.
ALLOWANCE = Allowance(files=200, bytes=1 << 20, names=1000)
#: Files, and bytes of small ones, that are read and packed by a worker at a time.
PORTION_FILES = 64
PORTION_BYTES = 1 << 20
#: How often what was read ahead may turn out to have changed, before it is read under the lock.
ATTEMPTS = 3

Ahead = dict[RelPath, IndexEntry]


async def read(state: State, tree: Tree, paths: Iterable[RelPath], *, is_limited: bool = True) -> Ahead:
    """Reads these files and keeps their contents; returns what they were, as the index would have it.

    `is_limited`: what the limits leave out is not read; a path that a session named is read whatever its size.

    What could not be read is not in it. The contents are durable with the next transaction that is.

    Raises:
        UnknownWorkspace: the root is gone.
        StoreError: the store failed.
    """
    found: Ahead = {}
    rest = list(paths)
    purse = Purse(state, tree) if is_limited else None
    while rest:
        looks, packed, rest = await state.bridge.work(_read, state, tree, rest, purse)
        for batch in keeping.batches(packed):
            await state.bridge.transact(partial(keeping.put, batch=batch), bulk=True, lasting=False)
        for one in looks:
            found[one.path] = IndexEntry(path=one.path, version=one.version, signature=one.signature, since=0)
            state.handled_bytes += one.version.size if isinstance(one.version, File) else 0
    return found


def _read(
    state: State, tree: Tree, paths: Sequence[RelPath], purse: Purse | None
) -> tuple[list[Look], list[keeping.Packed], list[RelPath]]:
    """Reads a portion; returns what was seen, the contents to keep, and the paths that remain. `purse`: None where nothing is limited."""
    bounds = limits(state, tree, purse=purse) if purse is not None else None
    looks: list[Look] = []
    contents: list[tuple[File, bytes | None]] = []
    size = count = 0
    with tree.root() as root:
        for path in paths[:PORTION_FILES]:
            count += 1
            known = tree.index.get(path)
            seen = look_inside(root, path, known, state.blobs, refuse=bounds.refuse(path, known) if bounds else None)
            if not isinstance(seen, Look):
                continue
            looks.append(seen)
            if isinstance(seen.version, File) and not _has_content(known, seen.version):
                contents.append((seen.version, seen.content))
                size += len(seen.content or b"")
                if purse is not None:
                    purse.took(path, seen.version.size)
            if size >= PORTION_BYTES:
                break
    return looks, keeping.pack(state.blobs, contents), list(paths[count:])


def _has_content(known: IndexEntry | None, version: File) -> bool:
    """True where only the mode is another: the content is kept already, and did not come with the look."""
    return known is not None and isinstance(known.version, File) and known.version.digest == version.digest

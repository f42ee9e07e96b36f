"""What changed a moment ago: somebody may be in the middle of it, and a rewind says so before it goes over it."""

import os
from collections.abc import Iterable, Sequence
from time import time_ns

from rewindd.errors import OutsideWorkspace
from rewindd.model.log import IndexEntry, Row, Source
from rewindd.model.versions import ABSENT, File, Symlink
from rewindd.paths import ROOT, RelPath
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.timeline.history import Timeline
from rewindd.tree.root import Root

#: What changed so short a time ago may be about to change again.
QUIET_NS = 2_000_000_000


async def changed_just_now(state: State, tree: Tree, timeline: Timeline, paths: Sequence[RelPath]) -> list[RelPath]:
    """Returns those of the paths at which somebody, and not an operation of ours, wrote or removed something a moment ago.

    Under the workspace's lock, right after it was observed.

    Raises:
        UnknownWorkspace: the root is gone.
    """
    others = {path: rows for path in paths if not ((rows := timeline.rows(path)) and rows[-1].source is Source.EFFECT)}
    gone = [path for path, rows in others.items() if rows and _is_deletion_noted_now(rows[-1])]
    removed = await state.bridge.work(_in_changed_directories, tree, gone) if gone else set()
    return [path for path in paths if path in removed or (path in others and _is_written(tree.index.get(path)))]


def _is_written(entry: IndexEntry | None) -> bool:
    """True for what is there and has a fresh time: of its content, or of its coming here as it was, as by `mv`, `cp -p` and `tar`."""
    if entry is None or entry.signature is None or not isinstance(entry.version, File | Symlink):
        return False
    return _is_fresh(entry.signature.mtime_ns) or _is_fresh(entry.signature.ctime_ns)


def _is_deletion_noted_now(row: Row) -> bool:
    return row.source.is_content and row.after == ABSENT and _is_fresh(row.at_ns)


def _in_changed_directories(tree: Tree, gone: Iterable[RelPath]) -> set[RelPath]:
    """Returns those of the paths, noted as deleted just now, in whose directory something changed just now.

    What was deleted while nobody looked is noted late, and what is left of where it was tells that.
    """
    with tree.root() as root:
        fresh: dict[RelPath, bool] = {}
        return {path for path in gone if _is_directory_fresh(root, path.parent, fresh)}


def _is_directory_fresh(root: Root, directory: RelPath, known: dict[RelPath, bool]) -> bool:
    """Returns it of the directory, or of the nearest above that is still there."""
    asked: list[RelPath] = []
    while directory not in known:
        asked.append(directory)
        try:
            known[directory] = _is_fresh(os.fstat(root.directory(directory)).st_mtime_ns)
        except (OSError, OutsideWorkspace):
            if directory == ROOT:
                known[directory] = False
            else:
                directory = directory.parent
    known.update(dict.fromkeys(asked, known[directory]))
    return known[directory]


def _is_fresh(at_ns: int) -> bool:
    """True for a time just now. One in the future says nothing: somebody set it, or the clock."""
    return abs(time_ns() - at_ns) < QUIET_NS

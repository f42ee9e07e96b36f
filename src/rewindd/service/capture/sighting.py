"""What an observation of a workspace goes by, put together from what the daemon holds in memory. For worker threads."""

from collections.abc import Callable, Mapping, Set
from functools import partial

from rewindd.model.log import IndexEntry
from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.service.capture.holding import claims_on, is_live
from rewindd.service.capture.own_places import OwnRules
from rewindd.service.doors.spending import Purse
from rewindd.service.space.room import room
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import blobs as blob_rows
from rewindd.tree.root import Root
from rewindd.tree.sight import Allowance, Limits, Sight

Leave = Callable[[RelPath], str | None]

#: A rule file larger than this has no rules.
MAX_RULES_BYTES = 1 << 20


def sight(
    state: State,
    tree: Tree,
    root: Root,
    skip: Set[RelPath],
    leave: Leave | None,
    ahead: Mapping[RelPath, IndexEntry],
    allowance: Allowance | None,
) -> Sight:
    """Returns what an observation goes by; `ahead`: what was read for it, `allowance`: what it may read itself."""
    return Sight(
        root=root,
        index=tree.index,
        left_out=tree.left_out,
        rules=OwnRules(state, tree),
        sink=state.blobs,
        limits=limits(state, tree, allowance, Purse(state, tree)),
        ahead=ahead,
        arm=arming(tree, root),
        is_watched=tree.watch is not None,
        text_before=partial(_text_before, state, tree),
        skip=skip,
        leave=leave,
        counted=tree.first.missing if tree.first is not None else {},
    )


def arming(tree: Tree, root: Root) -> Callable[[RelPath], object]:
    """Returns what watches a directory, before it is looked into."""
    return partial(tree.watch.arm, root) if tree.watch is not None else _watch_nothing


def _watch_nothing(directory: RelPath) -> None:
    """Where nothing is watched."""


def limits(state: State, tree: Tree, allowance: Allowance | None = None, purse: Purse | None = None) -> Limits:
    """Returns how much may be captured now; `purse`: what those may add who pay for it themselves."""

    def is_named(path: RelPath) -> bool:
        return any(is_live(state, one) for one in claims_on(tree, path))

    return Limits(state.capture, tree.index, partial(room, state), is_named, allowance, purse)


def _text_before(state: State, tree: Tree, path: RelPath) -> bytes | None:
    entry = tree.index.get(path)
    if entry is None or not isinstance(entry.version, File) or entry.version.size > MAX_RULES_BYTES:
        return None
    digest = entry.version.digest
    found = state.bridge.transact_here(lambda db: blob_rows.get(db, digest))
    return found if isinstance(found, bytes) else b"".join(state.blobs.open_chunks(digest))

"""What is on disk and not in the store, because the store had no room for it: a rewind over it would lose it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rewindd.model.capture import NO_ROOM, UNKEPT
from rewindd.paths import RelPath
from rewindd.plan.draft import Draft, Exact, Keep
from rewindd.plan.merge import Clash
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.tree.look import Hasher, Look, look

Looks = Mapping[RelPath, Look]


async def looked_at(state: State, tree: Tree, drafts: Iterable[Draft]) -> Looks:
    """Returns what is on disk at those paths of the drafts whose present content is in no store. It is read, and not kept.

    Raises:
        UnknownWorkspace: the root is gone.
    """
    left = set(without_room(tree))
    suspects = [draft.path for draft in drafts if draft.path in left and _overwrites(draft)]
    return await state.bridge.work(read, tree, suspects) if suspects else {}


def refused(tree: Tree, drafts: Sequence[Draft], looks: Looks) -> list[Draft]:
    """Returns the drafts; those over what cannot be kept clash, and nothing decides that but the caller's word."""
    return [replace(draft, way=Clash(_reason(tree, draft.path)), fallback=None) if draft.path in looks else draft for draft in drafts]


def lost(drafts: Sequence[Draft], looks: Looks) -> list[Draft]:
    """Returns the drafts; those over what cannot be kept find it in place of what the log knows."""
    return [replace(draft, current=looks[draft.path].version) if draft.path in looks else draft for draft in drafts]


def _overwrites(draft: Draft) -> bool:
    """True for a draft that may change what is on disk, and not only which rows are live.

    One that changes neither the version nor any row is about the disk alone: it is to be what the log says.
    """
    return not isinstance(draft.way, Keep | Clash) and (draft.way != Exact(draft.current) or draft.live == draft.wanted)


def without_room(tree: Tree) -> list[RelPath]:
    """Returns the paths whose content the store had no room for when they were last looked at."""
    return [path for path, reason in tree.unseen.items() if reason.startswith(NO_ROOM)]


def _reason(tree: Tree, path: RelPath) -> str:
    return f"{UNKEPT} ({tree.unseen[path]})"


def read(tree: Tree, paths: Sequence[RelPath]) -> dict[RelPath, Look]:
    """Reads each path, and keeps nothing of it but its digest."""
    found: dict[RelPath, Look] = {}
    with tree.root() as root:
        for path in paths:
            seen = look(root, path, None, Hasher(), keep_bytes=0)
            if isinstance(seen, Look):
                found[path] = seen
    return found

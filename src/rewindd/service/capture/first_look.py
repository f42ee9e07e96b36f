"""Looking at named paths that were not known: what is seen, and the rows that it makes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from msgspec import structs

from rewindd.errors import OutsideWorkspace
from rewindd.model.log import IndexEntry
from rewindd.model.versions import ABSENT, Absent, File
from rewindd.paths import RelPath
from rewindd.service.capture import keeping
from rewindd.service.capture.changes import Change, arrival
from rewindd.service.capture.sighting import arming
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.tree.look import Look, Unseen, look
from rewindd.tree.sight import Allowance, Budget


class Seen(NamedTuple):
    """What was seen; `packed`: the contents, where they are few enough to go with the rows."""

    looks: list[Look]
    unseen: list[Unseen]
    packed: list[keeping.Packed] | None


def look_at(state: State, tree: Tree, paths: Sequence[RelPath], read: Mapping[RelPath, IndexEntry], allowance: Allowance | None) -> Seen:
    """Looks at paths; `read`: what was read of them before. Blocks. What cannot be seen, or is more than `allowance`, is `unseen`."""
    budget = Budget(allowance)
    looks: list[Look] = []
    unseen: list[Unseen] = []
    with tree.root() as root:
        arm = arming(tree, root)
        for path in paths:
            with suppress(OSError, OutsideWorkspace):  # who looks says what that means
                arm(path.parent)
            seen = look(root, path, read.get(path), state.blobs, refuse=budget.refuse)
            if isinstance(seen, Unseen):
                unseen.append(seen)
                continue
            looks.append(seen)
            if isinstance(seen.version, File) and seen.content is not None:
                budget.took(seen.version.size)
    fresh = [one for one in looks if (known := read.get(one.path)) is None or known.version != one.version]
    return Seen(looks, unseen, keeping.try_pack(state.blobs, contents(fresh)))


def contents(looks: Iterable[Look]) -> list[keeping.Content]:
    """Returns the contents that came with looks."""
    return [keeping.Content(one.version, one.content) for one in looks]


def first_rows(state: State, tree: Tree, looks: Sequence[Look]) -> tuple[list[Change], dict[RelPath, IndexEntry]]:
    """Returns a row for each path that the index does not know: a change where its directory was covered, else first seen.

    Beside them the entries of those that are absent as was known: they need no row.
    """
    absent: dict[RelPath, IndexEntry] = {}
    changes: list[Change] = []
    coming: dict[RelPath, IndexEntry] = {}
    for one in looks:
        above = one.path.parent
        parent = absent.get(above) or coming.get(above) or tree.index.get(above)
        since = parent.rest_absent_since if parent is not None and one.path not in tree.left_out and not tree.is_counted(one.path) else None
        if since is not None and isinstance(one.version, Absent):
            absent[one.path] = IndexEntry(path=one.path, version=ABSENT, signature=None, since=since)
            continue
        entry = IndexEntry(path=one.path, version=one.version, signature=one.signature, since=0)
        changes.append(arrival(state, tree, entry, since))
        # The rows get the next positions, under the workspace's lock: what is below something absent is so since its row.
        coming[one.path] = structs.replace(entry, since=tree.position + len(changes))
    return changes, absent

"""`health`: what only the daemon knows of how it is, for `rewindctl doctor`. It judges nothing."""

import os
import resource
import shutil
from collections.abc import Iterator
from functools import partial
from itertools import islice
from time import time_ns

from rewindd.model.capture import LIMIT
from rewindd.model.index import LeftOut
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies
from rewindd.service.asking.render import NS_PER_S
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import soundness

#: How many paths of a gap are named.
FIRST = 5
MISSING = "not captured yet"


async def health(state: State) -> replies.Health:
    """Returns it. Takes some milliseconds of the store's thread for each table; those that are too large for that are named."""
    damage: list[str] = [state.bridge.damage] if state.bridge.damage is not None else []
    unchecked: list[str] = []
    for table in await state.bridge.transact(soundness.tables):
        found = await state.bridge.transact(partial(soundness.check, table=table), bulk=True, lasting=False)
        if found is None:
            unchecked.append(table)
        else:
            damage += found
    return replies.Health(
        pid=os.getpid(),
        descriptors=len(os.listdir("/proc/self/fd")) - 1,
        max_descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        watches=state.feed.watches if state.feed is not None else None,
        overflows=state.feed.overflows if state.feed is not None else 0,
        damage=damage,
        unchecked=unchecked,
        git=shutil.which("git"),
        gaps=[_gaps(tree) for tree in state.trees()],
    )


def _gaps(tree: Tree) -> replies.GapInfo:
    missing = tree.first.missing if tree.first is not None else {}
    limited = sum(1 for reason in tree.left_out.values() if reason.startswith(LIMIT))
    return replies.GapInfo(
        root=FsText(tree.workspace.root),
        missing=len(missing),
        trouble=tree.first.trouble if tree.first is not None else None,
        limited=limited,
        unseen=len(tree.unseen),
        first=[replies.PathReason(path=path, reason=reason) for path, reason in islice(_first(tree, missing), FIRST)],
        windows=[
            replies.WindowInfo(
                session_id=one.session, kind=one.kind.value, open_s=round((time_ns() - one.opened_at_ns) / NS_PER_S, 3), pid=one.pid
            )
            for one in tree.windows.values()
        ],
        interrupted=tree.interrupted,
    )


def _first(tree: Tree, missing: dict[RelPath, None]) -> Iterator[tuple[RelPath, str]]:
    """What could not be seen first: it is what somebody can do something about."""
    yield from tree.unseen.items()
    yield from _limited(tree.left_out)
    yield from ((path, MISSING) for path in missing)


def _limited(left: LeftOut) -> Iterator[tuple[RelPath, str]]:
    return ((path, reason) for path, reason in left.items() if reason.startswith(LIMIT))

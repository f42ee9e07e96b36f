"""A workspace inside another one: a path belongs to one workspace, and the enclosing one leaves it out from then on."""

import logging
from contextlib import suppress

from rewindd.errors import UnknownWorkspace
from rewindd.model.session import Workspace
from rewindd.model.versions import Unknown
from rewindd.paths import RelPath
from rewindd.service.capture.changes import ending
from rewindd.service.capture.observing import append, observe
from rewindd.service.capture.own_places import INSIDE
from rewindd.service.locking import locked
from rewindd.service.state import State
from rewindd.store import index

log = logging.getLogger(__name__)


async def leave_to(state: State, inner: Workspace, outer: Workspace) -> None:
    """Ends the outer workspace's knowledge of what is the inner one's now, after a last look; durable on return.

    View rows say so: nothing there is taken back or removed by the outer one any more, and what it knew stays in its log.
    """
    tree = await state.tree(outer.id)
    top = RelPath(inner.root[len(outer.root.rstrip("/")) + 1 :])
    async with locked(state, tree):
        with suppress(UnknownWorkspace):
            await observe(state, tree, [top])
        known = [tree.index[path] for path in (top, *tree.index.below(top)) if path in tree.index]
        ended = [ending(entry) for entry in known if not isinstance(entry.version, Unknown)]
        await append(state, tree, ended)
        if known:
            left = {top: INSIDE}
            await state.bridge.transact(lambda db: index.leave_out(db, outer.id, left))
            tree.left_out.put(left)
        tree.inside |= {top}
        if tree.watch is not None:
            tree.watch.forget(top)
    if ended:
        log.warning("workspace %s leaves %d paths to the workspace inside it", outer.id, len(ended))

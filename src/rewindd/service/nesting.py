"""A workspace inside another one: a path belongs to one workspace, and the enclosing one leaves it out from then on."""

import logging
from contextlib import suppress
from dataclasses import replace

from rewindd.errors import UnknownWorkspace
from rewindd.model.log import NOBODY, Source
from rewindd.model.session import Workspace
from rewindd.model.versions import UNKNOWN, Unknown
from rewindd.paths import RelPath
from rewindd.service.locking import locked
from rewindd.service.observing import Change, append, observe
from rewindd.service.state import State, Tree

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
        ended = _ended(tree, top)
        await append(state, tree, ended)
    if ended:
        log.warning("workspace %s leaves %d paths to the workspace inside it", outer.id, len(ended))


def _ended(tree: Tree, top: RelPath) -> list[Change]:
    return [
        Change(
            path=path,
            before=entry.version,
            after=UNKNOWN,
            owner=NOBODY,
            source=Source.RULES_CHANGED,
            since=entry.since,
            entry=replace(entry, version=UNKNOWN, signature=None, covered=None),
        )
        for path, entry in tree.index.items()
        if path.below(top) and not isinstance(entry.version, Unknown)
    ]

"""What a fork is to be told of: it goes on from a conversation in which its parent worked on these paths, and believes them so."""

from dataclasses import replace
from functools import partial

from rewindd.model.ids import SessionId
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import stakes

#: Stakes written in one transaction, some 5 ms.
PART_STAKES = 1000


async def inherit(state: State, tree: Tree, fork: SessionId, parent: SessionId) -> None:
    """Gives a fork the stakes of its parent, from now on; none where the parent is closed, and has none."""
    since = tree.position
    inherited = tree.stakes.lacking(replace(one, session=fork, since=since) for one in tree.stakes.of(parent))
    for start in range(0, len(inherited), PART_STAKES):
        part = inherited[start : start + PART_STAKES]
        await state.bridge.transact(partial(stakes.put, workspace=tree.workspace.id, stakes=part), bulk=True)
        tree.stakes.put(part)

"""The workspace's lock: whoever holds it may observe and write its log, and finds no operation half done."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rewindd.service.recover import recover
from rewindd.service.state import State, Tree
from rewindd.store import operations


@asynccontextmanager
async def locked(state: State, tree: Tree) -> AsyncIterator[None]:
    """Holds the workspace's lock. An operation that the store failed to close is recovered first.

    Raises:
        Busy: it cannot be recovered now.
    """
    async with tree.lock:
        if tree.interrupted:
            for operation in await state.bridge.transact(operations.unfinished):
                if operation.workspace == tree.workspace.id:
                    await recover(state, tree, operation)
            tree.interrupted = False
        yield

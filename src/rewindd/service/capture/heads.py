"""Git's HEAD beside the log: looked at with the tree, recorded where it moved, and compared before files are taken back.

A checkout or a commit changes what the files stand for: taken back across one they are another branch's work in this one.
"""

from time import time_ns

from rewindd.model.githead import GitHead
from rewindd.protocol.replies import GitHeads
from rewindd.service import names
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import heads as rows
from rewindd.store import workspaces
from rewindd.store.database import Connection
from rewindd.tree.githead import head_of


def look(state: State, tree: Tree) -> GitHead:
    """Returns what HEAD is now. Blocks: for worker threads, before the files are looked at.

    Before: a checkout moves HEAD after the files, so files that are recorded with the HEAD they belong to, or with the one before.
    """
    return GitHead(head_of(tree.workspace.root, state.home))


async def note(state: State, tree: Tree, head: GitHead) -> None:
    """Records a HEAD that is not as last known, at a position of its own; durable on return. Called under the workspace's lock.

    Call it before the rows of what was seen with it are appended: each position then has the HEAD that its files were seen with.
    What was first seen counts from the log's beginning: of the time before nothing else is known either.
    """
    if head == tree.git_head:
        return
    is_first = tree.git_head is None

    def write(db: Connection) -> int:
        seq = 0 if is_first else workspaces.allot(db, tree.workspace.id, 1)
        rows.add(db, tree.workspace.id, seq, head, time_ns())
        return seq

    seq = await state.bridge.transact(write)
    tree.advance(max(tree.position, seq))
    tree.git_head, tree.head_since = head, seq


async def look_and_note(state: State, tree: Tree) -> None:
    """Brings what is known of HEAD up to date, without a look at the tree: a session that begins now begins after a move that was.

    Waits for the workspace's lock only where HEAD moved.
    """
    head = await state.bridge.work(look, state, tree)
    if head != tree.git_head:
        async with tree.lock:
            await note(state, tree, await state.bridge.work(look, state, tree))


async def moved_since(state: State, tree: Tree, position: int) -> GitHeads | None:
    """Returns HEAD at a position and now, where it is another; None where it is the same, or was not looked at then.

    Of what was imported nobody saw the HEAD. Called under the workspace's lock, after an observation.
    """
    if names.is_import(tree.workspace.id) or tree.git_head is None:
        return None
    if tree.head_since is not None and tree.head_since <= position:
        return None
    then = await state.bridge.transact(lambda db: rows.at(db, tree.workspace.id, position))
    if then is None or then == tree.git_head:
        return None
    return GitHeads(then=then.head, now=tree.git_head.head)

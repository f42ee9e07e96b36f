"""Changes that were not read for want of room in the store, though the store has their content already."""

from rewindd.model.versions import File
from rewindd.service.capture.observing import take_in
from rewindd.service.rewinding.unkept import read, without_room
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import blobs


async def note_stored(state: State, tree: Tree) -> None:
    """Notes changes whose content was not read for want of room, and is in the store already: those may be overwritten.

    Under the workspace's lock, right after it was observed.

    Raises:
        UnknownWorkspace: the root is gone.
        StoreError: the store failed.
    """
    suspects = [path for path in without_room(tree) if path in tree.index]
    looks = await state.bridge.work(read, tree, suspects) if suspects else {}
    files = {path: one.version.digest for path, one in looks.items() if isinstance(one.version, File)}
    absent = await state.bridge.transact(lambda db: blobs.missing(db, files.values())) if files else set()
    stored = {path for path, digest in files.items() if digest not in absent}
    if stored:
        await take_in(state, tree, [looks[path] for path in sorted(stored)])
        tree.unseen = {path: reason for path, reason in tree.unseen.items() if path not in stored}

"""Who uses which watch descriptor of the one inotify instance.

A directory has one watch descriptor however many paths lead to it: two workspaces, one within the other; a bind mount; a move that
somebody saw before its event was read. So a descriptor has users, each a (holder, path), and an event is for all of them.
"""

import errno
from collections.abc import Hashable
from itertools import islice
from threading import Lock
from typing import Generic, TypeVar

from rewindd.paths import RelPath
from rewindd.tree.watch.queue import Queue

#: Watches ended at once, and only while less than so much waits to be read: each puts an event into the queue, which holds 16,384
#: (inotify(7), max_queued_events), and a tree that moves away may have more directories than that.
ENDED_AT_ONCE = 512
QUIET_BYTES = 64 * 1024

Holder = TypeVar("Holder", bound=Hashable)


class Table(Generic[Holder]):
    """The users of each watch descriptor; whoever calls holds `lock`.

    A descriptor that lost its last user is ended a little later, by `end_some`: mostly its directory has only moved, and is
    added again under its new path before that.
    """

    def __init__(self, queue: Queue) -> None:
        self.lock = Lock()
        self.holders: set[Holder] = set()
        self._queue = queue
        self._users: dict[int, tuple[tuple[Holder, RelPath], ...]] = {}
        self._unused: set[int] = set()

    def __len__(self) -> int:
        """Returns how many descriptors the kernel has."""
        return len(self._users) + len(self._unused)

    def users(self, wd: int) -> tuple[tuple[Holder, RelPath], ...]:
        """Returns who is to hear of an event; nobody for a descriptor that was let go, or is not known."""
        return self._users.get(wd, ())

    def add(self, holder: Holder, path: RelPath, directory_fd: int) -> int:
        """Makes (holder, path) a user of the directory's descriptor and returns that.

        Raises:
            OSError: as `Queue.add`.
        """
        try:
            wd = self._queue.add(directory_fd)
        except OSError as exc:
            if exc.errno != errno.ENOSPC or not self._unused:
                raise
            self._end_some()
            wd = self._queue.add(directory_fd)
        self._unused.discard(wd)
        users = self._users.get(wd, ())
        if (holder, path) not in users:
            self._users[wd] = (*users, (holder, path))
        return wd

    def release(self, wd: int, holder: Holder, path: RelPath) -> None:
        """(holder, path) hears no more of it; no error if it never did."""
        users = self._users.get(wd)
        if users is None:
            return
        left = tuple(user for user in users if user != (holder, path))
        if left:
            self._users[wd] = left
        else:
            del self._users[wd]
            self._unused.add(wd)

    def ended(self, wd: int) -> tuple[tuple[Holder, RelPath], ...]:
        """The kernel has ended a watch: forgets it and returns who used it until now."""
        self._unused.discard(wd)
        return self._users.pop(wd, ())

    def release_all(self) -> None:
        """Nobody hears of anything any more; what is added again soon keeps its descriptor."""
        self._unused.update(self._users)
        self._users.clear()

    def end_some(self) -> None:
        """Ends up to `ENDED_AT_ONCE` watches that nobody uses. What this puts into the queue brings about the next call."""
        if self._unused and self._queue.waiting_bytes() < QUIET_BYTES:
            self._end_some()

    def _end_some(self) -> None:
        for wd in list(islice(self._unused, ENDED_AT_ONCE)):
            self._unused.remove(wd)
            self._queue.remove(wd)

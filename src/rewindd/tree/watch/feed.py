"""The change feed: one inotify instance for the daemon, read by whoever needs to know what changed until now.

The kernel queues an event within the system call that caused it. So who reads as many bytes as wait when it begins knows of every
call that has returned: that is the barrier, and no file is written for it. Reading "until empty" would never end beside a
busy writer.

When the queue overflows, the instance is kept. A new one under the same descriptor would be dropped from the event loop's epoll set
without a word (epoll(7): a registration is of the open file, not of the number). All that was watched is forgotten
instead, and every workspace is looked at whole: arming a directory again finds its old watch. What is still in the queue then is
of nobody, or marks too much, never too little.
"""

import os
import time
from collections.abc import Callable

from rewindd.paths import GIT_DIRECTORY, RelPath, is_reserved
from rewindd.tree.watch.queue import IN_CLOSE_WRITE, IN_IGNORED, IN_ISDIR, IN_Q_OVERFLOW, Queue, records
from rewindd.tree.watch.table import Table
from rewindd.tree.watch.watch import Watch


class Feed:
    """The daemon's one inotify instance. Any thread may call; the lock is held for the dispatch of 2,000 events at most (4 ms).

    Attributes:
        overflows: how often the queue ran over.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes the clock by which spans are noted, in seconds.

        Raises:
            OSError: EMFILE at the limit of instances (fs.inotify.max_user_instances) or of descriptors.
        """
        self.overflows = 0
        self._clock = clock
        self._queue = Queue()
        self._table: Table[Watch] = Table(self._queue)
        self._read_bytes = 0

    @property
    def watches(self) -> int:
        """Returns how many directories the kernel watches for it, those that nobody needs any more and that are not ended yet too."""
        with self._table.lock:
            return len(self._table)

    def fileno(self) -> int:
        """Returns the descriptor that is readable while events wait, the same until `close`."""
        return self._queue.fileno()

    def open(self) -> Watch:
        """Returns a workspace's part of it: nothing is armed, and the whole tree is to be looked at."""
        watch = Watch(self._table, self._clock)
        with self._table.lock:
            self._table.holders.add(watch)
        return watch

    def waiting_bytes(self) -> int:
        """Returns how much waits to be read; 30,000 bytes are about 1,000 events, read and dispatched in 2 ms. 0 after `close`."""
        with self._table.lock:
            return self._queue.waiting_bytes()

    def drain(self) -> int:
        """Reads what waits at the call and marks what it tells of; returns the number of events read, 0 after `close`.

        When it returns, all that was caused by system calls that had returned before the call is marked, whoever read it. Does not
        block but for the work: 6 us for a change, 30 ms for a full queue of 16,384, 45 if it is full of directories made or removed.
        """
        count = 0
        with self._table.lock:
            upto_bytes = self._read_bytes + self._queue.waiting_bytes()
        while True:
            with self._table.lock:
                if self._read_bytes >= upto_bytes or not (data := self._queue.read()):
                    self._table.end_some()
                    return count
                self._read_bytes += len(data)
                count += self._dispatch(data)

    def close(self) -> None:
        """Ends it all; twice does no harm."""
        with self._table.lock:
            self._queue.close()
            self._table.release_all()

    def _dispatch(self, data: bytes) -> int:
        """Tells every watch of what concerns it; returns how many events there were."""
        now_s = self._clock()
        count = 0
        names: dict[int, set[bytes]] = {}  # by watch descriptor: one change of a file makes three events, and one mark
        closed: dict[int, set[bytes]] = {}
        for wd, mask, name in records(data):
            count += 1
            if name and not mask & IN_ISDIR:
                names.setdefault(wd, set()).add(name)
                if mask & IN_CLOSE_WRITE:
                    closed.setdefault(wd, set()).add(name)
            else:
                if names:  # first: what follows may let go of their directory
                    self._tell(names, closed, now_s)
                self._tell_structure(wd, mask, name, now_s)
        self._tell(names, closed, now_s)
        return count

    def _tell(self, names: dict[int, set[bytes]], closed: dict[int, set[bytes]], now_s: float) -> None:
        for wd, found in names.items():
            if users := self._table.users(wd):
                for watch, directory in users:
                    watch.heard([path for text in map(os.fsdecode, found) if (path := _told_of(directory, text)) is not None], now_s)
                    if wd in closed:
                        watch.heard_closed(directory.child(text) for text in map(os.fsdecode, closed[wd]) if not is_reserved(text))
        names.clear()
        closed.clear()

    def _tell_structure(self, wd: int, mask: int, name: bytes, now_s: float) -> None:
        if name:
            text = os.fsdecode(name)
            for watch, directory in self._table.users(wd):
                if not is_reserved(text):
                    watch.heard_of_directory(directory.child(text), mask, now_s)
                elif (path := _told_of(directory, text)) is not None:
                    watch.heard([path], now_s)
        elif mask & IN_Q_OVERFLOW:
            self._overflow(now_s)
        elif mask & IN_IGNORED:
            for watch, directory in self._table.ended(wd):
                watch.ended(directory, now_s)
        else:
            for watch, directory in self._table.users(wd):
                watch.heard_of_itself(directory, mask, now_s)

    def _overflow(self, now_s: float) -> None:
        self.overflows += 1
        self._table.release_all()
        for watch in self._table.holders:
            watch.overflowed(now_s)


def _told_of(directory: RelPath, name: str) -> RelPath | None:
    """Returns what an event with a name tells of: of `.git` the directory, as other rules hold in a repository; of a stage nothing."""
    if not is_reserved(name):
        return directory.child(name)
    return directory if name == GIT_DIRECTORY else None

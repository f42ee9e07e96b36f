"""A workspace's part of the change feed: which of its directories are watched, and what is to be looked at.

The feed only shrinks what must be looked at; the answer always comes from looking. So whatever is not certain marks too much:
a directory that came, went or moved is marked as a tree, and a directory that cannot be watched is in `unwatched`.

Recursion is the caller's, for each directory: `arm` it, then list it, then arm what is in it. What comes to be in it after that marks it;
what was there before is listed. Take what is dirty before opening the Root to look: a Root keeps descriptors, and one from
before a move would arm the directory that went.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rewindd.paths import ROOT, RelPath
from rewindd.tree.look import reason_of
from rewindd.tree.root import Root
from rewindd.tree.watch.directories import Directories
from rewindd.tree.watch.dirty import Dirt, Dirty, sifted
from rewindd.tree.watch.filesystems import without_events
from rewindd.tree.watch.queue import IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, IN_UNMOUNT
from rewindd.tree.watch.table import Table

NOT_YET = "not watched yet"
OVERFLOWED = "more changed at once than the kernel's queue holds (fs.inotify.max_queued_events); the whole tree is looked at again"
ROOT_MOVED = "the root was moved"
ROOT_DELETED = "the root was deleted"
ROOT_UNMOUNTED = "the root's file system was unmounted"
WATCH_LIMIT = "the limit of watches is reached (fs.inotify.max_user_watches)"


@dataclass(frozen=True, slots=True)
class Health:
    """Whether changes are heard of. on: everywhere; partly: not in the directories of `unwatched`; off: nowhere, for now or for good."""

    state: Literal["on", "partly", "off"]
    reason: str | None = None


class Watch:
    """What the feed knows of one workspace; made by `Feed.open`. Any thread may call; nothing blocks but `arm`."""

    def __init__(self, table: Table["Watch"], clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock
        self._directories = Directories()
        self._dirty = Dirty()
        self._trouble: str | None = NOT_YET
        self._closed = False
        self._dirty.mark_all(clock())

    def arm(self, root: Root, directory: RelPath) -> bool:
        """Watches one directory, without what is below it; True when it is watched, already or from now on.

        False: it is in `unwatched` now (limit of watches, no permission, a file system without events). Call it before each listing
        of a directory, watched or not, and for each directory found in one of `unwatched`: it notices that another directory is
        under the path now, marks that as a tree and lets go what was watched below, and it watches what could not be watched
        before. About 12 us. False after `close`.

        Raises:
            FileNotFoundError: nothing is there.
            NotADirectoryError: it, or a part on the way, is a file.
            OutsideWorkspace: it, or a part on the way, is a symlink.
            OSError: it cannot be reached.
        """
        fd = root.directory(directory)
        reason = without_events(fd)
        with self._table.lock:
            if self._closed:
                return False
            if reason is None:
                try:
                    wd = self._table.add(self, directory, fd)
                except OSError as exc:
                    reason = WATCH_LIMIT if exc.errno == errno.ENOSPC else reason_of(exc)
            if reason is not None:
                self._refused(directory, reason)
                return False
            self._armed(directory, wd)
        return True

    @property
    def unwatched(self) -> Mapping[RelPath, str]:
        """The directories whose entries must be looked at every time, with the reason; a copy."""
        with self._table.lock:
            return dict(self._directories.refused)

    @property
    def health(self) -> Health:
        """Whether changes are heard of, and why not."""
        with self._table.lock:
            refused = self._directories.refused
            if self._trouble is not None:
                return Health("off", self._trouble)
            if not refused:
                return Health("on")
            return Health("partly", f"directories not watched: {len(refused)} ({next(iter(refused.values()))})")

    def forget(self, directory: RelPath) -> None:
        """Watches the directory and all below no more: it was left out by a rule, or is gone. What is dirty there stays so."""
        with self._table.lock:
            self._drop(directory)
            if directory == ROOT:
                self._trouble = NOT_YET
            self._table.end_some()

    def take(self, *, quiet_s: float | None = None, at_latest_s: float | None = None) -> Dirt:
        """Removes and returns what is to be looked at.

        Args:
            quiet_s: only what was not touched for so many seconds; None: everything.
            at_latest_s: with `quiet_s`, also what was first touched so many seconds ago.
        """
        with self._table.lock:
            if quiet_s is None:
                taken = self._dirty.take()
            else:
                now_s = self._clock()
                taken = self._dirty.take_due(now_s - quiet_s, now_s - at_latest_s if at_latest_s is not None else float("-inf"))
        return sifted(taken)

    def put_back(self, dirt: Dirt) -> None:
        """It is still to be looked at. It counts as touched just now, so that who cannot look at it does not try again at once."""
        with self._table.lock:
            self._dirty.mark(dirt.paths, self._clock())
            self._dirty.close(dirt.closed)
            for directory in dirt.trees:
                self._dirty.mark_tree(directory, self._clock())

    def mark(self, paths: Iterable[RelPath]) -> None:
        """These paths are to be looked at."""
        all_paths = tuple(paths)  # whatever that takes, and whomever it calls, not under the lock
        with self._table.lock:
            self._dirty.mark(all_paths, self._clock())

    def mark_tree(self, directory: RelPath) -> None:
        """The directory and all below are to be looked at."""
        with self._table.lock:
            self._dirty.mark_tree(directory, self._clock())

    def due_s(self, *, quiet_s: float, at_latest_s: float) -> float | None:
        """Returns when (time.monotonic) `take` with these will give something, or a little earlier; None: there is nothing.

        Costs the same however much is dirty.
        """
        with self._table.lock:
            return self._dirty.due_s(quiet_s, at_latest_s)

    def close(self) -> None:
        """Lets go of everything; twice does no harm."""
        with self._table.lock:
            self._closed = True
            self._table.holders.discard(self)
            self._drop(ROOT)
            self._table.end_some()

    # What the feed calls, with the lock held.

    def heard(self, paths: Iterable[RelPath], now_s: float) -> None:
        """A watched directory told of names in it that are no directories."""
        self._dirty.mark(paths, now_s)

    def heard_closed(self, paths: Iterable[RelPath]) -> None:
        """Some of these, which it told of, were closed after they had been open to be written."""
        self._dirty.close(paths)

    def heard_of_directory(self, path: RelPath, mask: int, now_s: float) -> None:
        """A watched directory told of a directory in it."""
        if mask & (IN_CREATE | IN_MOVED_TO):
            # What is known there stays: either somebody has armed it already, or `arm` will see that it is another one.
            self._dirty.mark_tree(path, now_s)
        elif mask & IN_MOVED_FROM:
            self._drop(path)
            self._dirty.mark_tree(path, now_s)
        elif mask & IN_DELETE:
            self._gone(path, now_s)
        else:
            self._dirty.mark((path,), now_s)

    def heard_of_itself(self, directory: RelPath, mask: int, now_s: float) -> None:
        """A watched directory told of itself."""
        if mask & IN_MOVE_SELF:
            self._moved(directory, now_s)
        elif mask & IN_UNMOUNT:
            self._drop(directory)
            self._lost(directory, ROOT_UNMOUNTED, now_s)
        elif mask & IN_DELETE_SELF:
            if directory == ROOT:
                self._lost(directory, ROOT_DELETED, now_s)
        else:
            self._dirty.mark((directory,), now_s)

    def ended(self, directory: RelPath, now_s: float) -> None:
        """The kernel has ended the watch of a directory: it is gone."""
        self._gone(directory, now_s)

    def overflowed(self, now_s: float) -> None:
        """Events were lost, and all watch descriptors released."""
        self._directories = Directories()
        self._trouble = OVERFLOWED
        self._dirty.mark_all(now_s)

    def _gone(self, directory: RelPath, now_s: float) -> None:
        """It was empty then; where all of it was watched, each thing in it told of its own going."""
        if self._directories.knows(directory) and self._drop(directory):
            self._dirty.mark_tree(directory, now_s)
        else:
            self._dirty.mark((directory,), now_s)

    def _moved(self, directory: RelPath, now_s: float) -> None:
        """The directory it lies in told of the move first, and that let it go; so if it is in use it was armed since, or unheard of.

        The root's paths are still right below it; only who looks for it will not find it.
        """
        if directory != ROOT:
            self._drop(directory)
        self._lost(directory, ROOT_MOVED, now_s)

    def _lost(self, directory: RelPath, trouble: str, now_s: float) -> None:
        if directory == ROOT:
            self._trouble = trouble
        self._dirty.mark_tree(directory, now_s)

    def _armed(self, directory: RelPath, wd: int) -> None:
        before = self._directories.put(directory, wd)
        if before is not None and before != wd:
            self._replaced(directory, before)
        if directory == ROOT:
            self._trouble = None

    def _refused(self, directory: RelPath, reason: str) -> None:
        before = self._directories.refuse(directory, reason)
        if before is not None:
            self._replaced(directory, before)
        if directory == ROOT:
            self._trouble = reason

    def _replaced(self, directory: RelPath, before: int) -> None:
        """Another directory is under the path now, and nobody told: what is known of its inside is of the one that was there."""
        self._let_go(directory, before)
        self._let_go_all(self._directories.take_below(directory))
        self._dirty.mark_tree(directory, self._clock())

    def _drop(self, directory: RelPath) -> bool:
        """Lets go the directory and all below; True if one of them was not watched: what happened in it is not known."""
        return self._let_go_all(self._directories.take_tree(directory))

    def _let_go_all(self, directories: Iterator[tuple[RelPath, int | None]]) -> bool:
        unwatched = False
        for path, wd in directories:
            self._let_go(path, wd)
            unwatched = unwatched or wd is None
        return unwatched

    def _let_go(self, path: RelPath, wd: int | None) -> None:
        if wd is not None:
            self._table.release(wd, self, path)

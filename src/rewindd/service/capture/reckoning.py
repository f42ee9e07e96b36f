"""Counting the lines of a change while it is looked at: the save that asks for the count then has nothing to read or to wait for."""

from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from functools import partial

from rewindd.errors import RewinddError
from rewindd.model.versions import ABSENT, File
from rewindd.service.asking.comparing import counted_in
from rewindd.service.asking.counts import Count, Span
from rewindd.service.asking.recent import LARGEST_BYTES
from rewindd.service.capture.keeping import Content
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import blobs as blob_rows
from rewindd.tree.look import Look
from rewindd.tree.observation import New, Wanted

#: Files that are to be looked at, up to which this is done.
MAX_FILES = 64
#: Bytes of what they held, in all, up to which it is.
MAX_BYTES = 1 << 20


class Reckoning:
    """What the few files that are to be looked at held before, and how many lines came and went.

    Made, and `keep` called, in the event loop; `finish` in the worker thread that looks. It only makes what follows quicker: what it
    leaves out, or cannot read, is read by who asks. Reading while the files are looked at was no quicker: two threads that hand the
    interpreter to each other at every system call.
    """

    def __init__(self, state: State, tree: Tree, wanted: Wanted) -> None:
        self._bridge, self._recent, self._counts = state.bridge, state.recent, state.counts
        entries = (tree.index.get(path) for path in wanted.paths) if len(wanted.paths) <= MAX_FILES else ()
        files = {entry.path: entry.version for entry in entries if entry is not None and isinstance(entry.version, File)}
        self._known = {path: version for path, version in files.items() if version.size <= LARGEST_BYTES}
        self._had = self._recent.get(version.digest for version in self._known.values())
        self._read: dict[bytes, bytes] = {}
        self._counted: dict[Span, Count] = {}

    def finish(self, found: Iterable[Look | New], contents: Sequence[Content]) -> None:
        """Counts what was found, `contents` being those that were read for it. Blocks."""
        spans = [span for one in found if (span := self._span(one)) is not None]
        lacking = {before.digest: before.size for before, _ in spans if isinstance(before, File) and before.digest not in self._had}
        if lacking and sum(lacking.values()) <= MAX_BYTES:
            with suppress(RewinddError):  # who asks for the change is told
                read = self._bridge.ask(partial(blob_rows.get_all, digests=lacking)).result()
                self._read = {digest: content for digest, content in read.items() if isinstance(content, bytes)}
        at_hand = {one.version.digest: one.data for one in contents if isinstance(one.version, File) and one.data is not None}
        at_hand |= self._had | self._read
        self._counted = counted_in((span for span in spans if _are_there(span, at_hand)), at_hand)

    def keep(self) -> None:
        """Remembers all of it."""
        for digest, content in self._read.items():
            self._recent.keep(digest, content)
        self._counts.keep(self._counted)

    def _span(self, one: Look | New) -> Span | None:
        before = ABSENT if isinstance(one, New) else self._known.get(one.path)
        return (before, one.version) if before is not None and isinstance(one.version, File) and one.content is not None else None


def _are_there(span: Span, contents: Container[bytes]) -> bool:
    return all(version.digest in contents for version in span if isinstance(version, File))

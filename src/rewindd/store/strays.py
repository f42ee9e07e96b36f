"""Files of contents that no row names: a life leaves one that is cut off between a file and its row, or whose request fails there.

A mark beside `blobs` says that there may be some; it is there from a life's first file to its good end. Where there is none nobody looks.
"""

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from rewindd.faults import effect
from rewindd.store.database import sync_directory
from rewindd.store.seam import translated

#: In the store's directory.
MARK_NAME = "blobs.open"

#: Returns those of the digests that rows name as being in a file.
Named = Callable[[Iterable[bytes]], set[bytes]]


class Strays:
    """The files of this life that may come to be strays, and those that an earlier one left. Any number of threads may `expect` some."""

    def __init__(self, directory: Path, place: Callable[[bytes], Path]) -> None:
        """`place`: where the file of a digest is."""
        self._directory, self._place = directory, place
        self._mark = directory / MARK_NAME
        self._marking = threading.Lock()
        self._is_marked = False
        #: What was given a name in this life.
        self.fresh: set[bytes] = set()

    def expect(self) -> None:
        """Says that there may be strays, durably; before a file gets its name. Raises StoreIO, StoreFull."""
        with self._marking:
            if self._is_marked:
                return
            try:
                effect("store.blob.mark")
                os.close(os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
                sync_directory(self._directory)
            except OSError as exc:
                raise translated(exc, f"making {self._mark}") from exc
            self._is_marked = True

    def sweep(self, named: Named) -> int:
        """Removes what an earlier life left, and returns how many files that were; only while nothing is streamed in. Blocks.

        Raises:
            StoreIO: one cannot be removed.
            whatever `named` raises.
        """
        if not self._mark.exists():
            return 0
        here = {bytes.fromhex(path.name) for path in self._directory.glob("blobs/[0-9a-f][0-9a-f]/*") if len(path.name) == 64}
        return self._remove(here - named(here))

    def end(self, named: Named) -> int:
        """The same for what this life left, at its good end; then no mark is left."""
        return self._remove(self.fresh - named(self.fresh)) if self._is_marked else 0

    def _remove(self, digests: set[bytes]) -> int:
        paths = [self._place(digest) for digest in digests]
        try:
            for path in paths:
                effect("store.blob.unlink")
                path.unlink(missing_ok=True)
            for directory in {path.parent for path in paths if path.parent.is_dir()}:
                sync_directory(directory)
            effect("store.blob.unmark")
            self._mark.unlink(missing_ok=True)
        except OSError as exc:
            raise translated(exc, f"sweeping {self._directory}") from exc
        self._is_marked = False
        self.fresh.clear()
        return len(paths)

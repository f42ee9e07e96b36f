"""Is the store what was written? Its structure, its rows, its contents, a page at a time: for `verify` and for the scrub.

The store's thread fetches a few milliseconds' worth at a time, and worker threads decompress and hash. What is removed or moved
meanwhile is not damaged: it is looked for once more before anything is said of it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from rewindd.errors import StoreCorrupt, StoreError
from rewindd.service.state import State
from rewindd.store import checking, contents, soundness
from rewindd.store.blobs import Blobs
from rewindd.store.checking import BadRow, Key
from rewindd.store.contents import Contents, Stored
from rewindd.store.database import Connection

#: What a row stands for where bytes are counted: rows are many, and not measured one by one.
ROW_BYTES = 256
#: What comes after the tables.
CONTENTS = "contents"


@dataclass(slots=True)
class Found:
    """What an examination found so far: rows by table and name, contents by digest, each with what is wrong with it."""

    structure: dict[str, None] = field(default_factory=dict)
    rows: dict[tuple[str, str], BadRow] = field(default_factory=dict)
    contents: dict[bytes, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many things are damaged."""
        return len(self.structure) + len(self.rows) + len(self.contents)


class Examination:
    """One walk through all of it. Each `step` does a page; `where` says how far it is, and another one goes on from there.

    `rows` and `blobs` were compared so far, and `bytes` of contents. Used from the event loop only.
    """

    def __init__(self, state: State, *, share: float = 1.0, where: tuple[str, Key | None] | None = None) -> None:
        """Begins at `where`, None: at the beginning. `share`: of the contents, how many are read, 0 to 1."""
        self._state, self._share = state, share
        self.found = Found()
        self.rows = self.blobs = self.bytes = 0
        self._phases = (*checking.tables(), CONTENTS)
        self._phase, self._after = where or (self._phases[0], None)
        self._before: Key | None = None
        self._seen: set[Key] = set()
        self._is_begun = where is not None
        self.is_over = self._phase not in self._phases

    @property
    def where(self) -> tuple[str, Key | None]:
        """How far it is: the table, and the last key of it."""
        return self._phase, self._after

    async def step(self) -> int:
        """Does a page; returns how many bytes it was about, in the database or out of it.

        Raises:
            ShuttingDown: the store was closed.
        """
        if not self._is_begun:
            self._is_begun = True
            await self._look_at_structure()
        try:
            return await (self._contents_page() if self._phase == CONTENTS else self._rows_page(self._phase))
        except StoreError as exc:
            # As far as SQLite itself could read it.
            self.found.structure[f"{self._phase}: {exc.message}"] = None
            self._next_phase()
            return ROW_BYTES

    async def _look_at_structure(self) -> None:
        if self._state.bridge.damage is not None:
            self.found.structure[self._state.bridge.damage] = None
        whole = await self._state.bridge.transact(soundness.check_whole, bulk=True, lasting=False)
        if whole is not None:
            self.found.structure.update(dict.fromkeys(whole))
            return
        for table in await self._state.bridge.transact(soundness.tables):
            look = partial(soundness.check, table=table)
            for told in await self._state.bridge.transact(look, bulk=True, lasting=False) or ():
                self.found.structure[told] = None

    async def _rows_page(self, table: str) -> int:
        page = await self._page(partial(checking.page, table=table, after=self._after))
        if page.is_torn and self._before is not None:
            # Gone, or out of order: what is near it is seen by a longer page from before it.
            longer = partial(checking.page, table=table, after=self._before, rows=4 * checking.PAGE_ROWS)
            self._take(await self._page(longer))
        self._take(page)
        self.rows += page.rows
        if page.last is None:
            self._next_phase()
        elif page.last in self._seen:
            self.found.structure[f"{table}: its rows are out of order at {page.last}"] = None
            self._next_phase()
        else:
            self._seen.add(page.last)
            self._before, self._after = self._after, page.last
        return max(page.rows, 1) * ROW_BYTES

    async def _page(self, look: Callable[[Connection], checking.Page]) -> checking.Page:
        return await self._state.bridge.transact(look, bulk=True, lasting=False)

    def _take(self, page: checking.Page) -> None:
        for bad in page.bad:
            self.found.rows.setdefault((bad.table, bad.name), bad)
        for digest in page.absent:
            self.found.contents.setdefault(digest, "missing")

    async def _contents_page(self) -> int:
        after = self._after[0] if self._after is not None else 0
        page = await self._state.bridge.transact(partial(contents.page, after=int(after or 0)), bulk=True, lasting=False)
        if not page.stored:
            self._next_phase()
            return 0
        chosen = [one for one in page.stored if self._share >= 1 or random.random() < self._share]
        damaged, size = await self._state.bridge.work(_compare, self._state.blobs, page, chosen)
        for one, what in damaged:
            if await self._state.bridge.transact(partial(contents.is_there, one=one)):
                self.found.contents.setdefault(one.digest, what)
        self.blobs += len(chosen)
        self.bytes += size
        self._after = (page.stored[-1].number,)
        return size

    def _next_phase(self) -> None:
        at = self._phases.index(self._phase) + 1
        self.is_over = at == len(self._phases)
        self._phase = self._phases[at] if not self.is_over else ""
        self._after = self._before = None
        self._seen.clear()


def _compare(blobs: Blobs, page: Contents, chosen: list[Stored]) -> tuple[list[tuple[Stored, str]], int]:
    """Returns the contents that are not what was stored, with what is wrong, and how many bytes were read. In a worker thread."""
    damaged: list[tuple[Stored, str]] = []
    unpacked: dict[int, bytes] = {}
    size = 0
    for one in chosen:
        what = _in_file(blobs, one) if one.is_in_file and one.is_found else contents.damage(page, one, unpacked)
        if what is not None:
            damaged.append((one, what))
        size += max(one.size, 0) if what is None else 0
    return damaged, size


def _in_file(blobs: Blobs, one: Stored) -> str | None:
    try:
        size = sum(len(chunk) for chunk in blobs.open_chunks(one.digest))
    except StoreCorrupt as exc:
        return exc.message.partition(": ")[2].partition(";")[0] or exc.message
    except StoreError as exc:  # a sector that cannot be read any more
        return f"cannot be read: {exc.message}"
    return None if size == one.size else "not of the size that its row says"

"""Contents that nothing names, out of the store, and the space back to the file system: in steps of some milliseconds.

What a request put, or found to be there, is named by a row that commits later. So first it is noted what is put or found from now on;
then those are waited for who were at it before; and what was noted is spared. Cut off anywhere, the next one begins anew.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TypeVar

from rewindd.errors import StoreError
from rewindd.protocol import wire
from rewindd.protocol.retention import Collect, Collected
from rewindd.service.state import State
from rewindd.store import collecting, erasing
from rewindd.store.collecting import COLLECT_BLOBS, COLLECT_BYTES, NAMING, Key, Stored
from rewindd.store.database import Connection
from rewindd.store.totals import totals

log = logging.getLogger(__name__)

#: Contents of which it is remembered whether they are named, some 100 bytes each; of more, a part at a time, and all is read for each.
MOST_CONTENTS = 200_000
#: Where a content lies, where that is not in the database by itself: see `_stored`.
_IN_FILE, _BEHIND = -1, -2
T = TypeVar("T")
Report = Callable[[wire.Progress], None]


@dataclass(slots=True)
class Yield:
    """What a collection brought."""

    contents: int = 0
    freed_bytes: int = 0


def nobody(progress: wire.Progress) -> None:
    """Tells nobody how far it is."""


async def gc(state: State, request: Collect, report: Report) -> Collected:
    """Removes what nothing names; returns what that was.

    Raises:
        StoreError: the store failed; what was removed stays so.
        ShuttingDown: the daemon ends; likewise.
    """
    began_s = monotonic()
    before = (await state.bridge.transact(totals))[0]
    async with state.tidying:
        found = await collect(state, report)
    after = (await state.bridge.transact(totals))[0]
    return Collected(
        contents=found.contents,
        freed_bytes=max(before - after, found.freed_bytes),
        store_bytes=after,
        longest_ms=round(state.bridge.longest().seconds * 1000, 1),
        took_s=round(monotonic() - began_s, 3),
    )


async def collect(state: State, report: Report = nobody, *, is_thorough: bool = False) -> Yield:
    """Removes what nothing names. The caller holds `state.tidying`.

    `is_thorough`: no pack keeps a hole, however small.
    """
    found = Yield()
    state.blobs.note_named(on=True)
    await state.bridge.transact(collecting.begin)
    try:
        await state.storing.settled()
        highest, count = await state.bridge.transact(_highest)
        parts = 1 + count // MOST_CONTENTS
        for part in range(parts):
            await _collect(state, highest, partial(_is_of, parts=parts, part=part), found, report, is_thorough)
        await _vacuum(state)
        await state.bridge.transact(erasing.into_database, bulk=True)
    finally:
        state.blobs.note_named(on=False)
        await state.bridge.transact(collecting.end)
    return found


async def _collect(state: State, highest: int, is_of: Callable[[bytes], bool], found: Yield, report: Report, is_thorough: bool) -> None:
    """Removes those contents that `is_of` says and whose numbers are not above `highest`."""
    unnamed = await _stored(state, highest, is_of)
    await _strike(state, unnamed, report)
    holed = {_BEHIND - place for place in unnamed.values() if place <= _BEHIND}
    for batch in _batches(unnamed):
        files = [digest for digest in batch if unnamed[digest] == _IN_FILE]
        sizes = await state.bridge.work(file_bytes, state, files) if files else {}
        if files:
            await state.bridge.work(state.blobs.strays.expect)
        take = partial(collecting.collect, digests=batch, file_bytes=sizes)
        # A row must not come back, after a loss of power, to a file that is gone.
        went = await state.bridge.transact(take, bulk=True, lasting=bool(files))
        found.contents += went.contents
        found.freed_bytes += went.freed_bytes
        if went.files:
            await state.bridge.work(state.blobs.remove, went.files)
    found.freed_bytes += await _repack(state, holed, at_all=is_thorough)


async def _stored(state: State, highest: int, is_of: Callable[[bytes], bool]) -> dict[bytes, int]:
    """Returns the contents with where they lie: the bytes in the database, `_IN_FILE`, or `_BEHIND` and further down the pack's number.

    Numbers, because the interpreter would look through hundreds of thousands of objects again and again (gc), and everybody waits for that.
    """
    found: dict[bytes, int] = {}
    after = 0
    while page := await _step(state, partial(collecting.stored, after=after)):
        found.update((one.digest, _place(one)) for one in page if one.number <= highest and is_of(one.digest))
        after = page[-1].number
        if after >= highest:
            break
    return found


async def _strike(state: State, unnamed: dict[bytes, int], report: Report = nobody) -> None:
    """Takes out of `unnamed` what a row names."""
    await each_named(state, lambda digests: _strike_out(unnamed, digests), report)


def _strike_out(unnamed: dict[bytes, int], digests: Iterable[bytes]) -> None:
    for digest in digests:
        unnamed.pop(digest, None)


async def each_named(state: State, take: Callable[[list[bytes]], None], report: Report = nobody) -> None:
    """Calls `take` with what every row of the store names, as often as it does."""
    done = 0
    total = (await state.bridge.transact(totals))[2]
    for table in NAMING:
        after: Key | None = None
        while True:
            after, digests = await _step(state, partial(collecting.named, table=table, after=after))
            take(digests)
            done += collecting.PAGE_ROWS
            report(wire.Progress(done=min(done, total), total=total, what="rows read"))
            if after is None:
                break


async def _repack(state: State, holed: set[int], *, at_all: bool) -> int:
    held: dict[int, list[tuple[bytes, int]]] = {number: [] for number in holed}
    after: int | None = 0 if holed else None
    while after is not None:
        after, page = await _step(state, partial(collecting.members, wanted_packs=holed, after=after))
        for number, listed in page.items():
            held[number] += listed
    return sum(
        [await _step(state, partial(collecting.repack, number=number, held=listed, at_all=at_all)) for number, listed in held.items()]
    )


async def _vacuum(state: State) -> None:
    left, before = await _step(state, collecting.vacuum), -1
    while left and left != before:
        left, before = await _step(state, collecting.vacuum), left


async def _step(state: State, fn: Callable[[Connection], T]) -> T:
    """One transaction of bulk work, which others go before."""
    return await state.bridge.transact(fn, bulk=True, lasting=False)


def _is_of(digest: bytes, parts: int, part: int) -> bool:
    return parts == 1 or int.from_bytes(digest[:4]) % parts == part


def _place(one: Stored) -> int:
    if one.is_in_file:
        return _IN_FILE
    return one.stored_bytes if one.pack is None else _BEHIND - one.pack


def _batches(unnamed: dict[bytes, int]) -> Iterable[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for digest, place in unnamed.items():
        batch.append(digest)
        size += max(place, 0)
        if len(batch) >= COLLECT_BLOBS or size >= COLLECT_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def file_bytes(state: State, digests: Iterable[bytes]) -> dict[bytes, int]:
    """Returns what the files of these contents take; nothing for one that is missing. For a worker thread."""
    found: dict[bytes, int] = {}
    for digest in digests:
        try:
            found[digest] = state.blobs.stored_bytes(digest)
        except StoreError as exc:
            log.warning("a content without its file is forgotten: %s", exc)
    return found


def _highest(db: Connection) -> tuple[int, int]:
    highest, count = db.execute("SELECT coalesce(max(number), 0), count(*) FROM blobs").fetchone()
    return int(highest), int(count)

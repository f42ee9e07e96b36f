"""Who is about to name contents: between the moment at which one is put, or found to be there, and the commit of the row that names it.

What nothing names is collected meanwhile; it must know of whom it has to wait. For the event loop only.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Storing:
    """What is under way."""

    def __init__(self) -> None:
        self._under_way: dict[int, anyio.Event] = {}
        self._begun = 0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Holds for as long as contents may be put and named within."""
        self._begun += 1
        number, finished = self._begun, anyio.Event()
        self._under_way[number] = finished
        try:
            yield
        finally:
            del self._under_way[number]
            finished.set()

    async def settled(self) -> None:
        """Returns when all that is under way now is over; what begins later is not waited for."""
        for finished in list(self._under_way.values()):
            await finished.wait()

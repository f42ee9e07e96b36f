"""Small contents that were read lately, so that what is compared or restored right after need not be read and unpacked again."""

from collections import OrderedDict
from collections.abc import Iterable

#: Bytes that are remembered: some hundred source files, the work of a few turns.
LIMIT_BYTES = 4 << 20
#: Bytes above which one content would push out too many others.
LARGEST_BYTES = 256 << 10


class Recent:
    """Contents by digest, each of them verified by whoever read it; the one used longest ago goes first. For the event loop only."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._contents: OrderedDict[bytes, bytes] = OrderedDict()

    def keep(self, digest: bytes, content: bytes) -> None:
        """Remembers a content; one that is large is not."""
        if len(content) > LARGEST_BYTES or digest in self._contents:
            return
        self._contents[digest] = content
        self._size_bytes += len(content)
        while self._size_bytes > self._limit_bytes:
            self._size_bytes -= len(self._contents.popitem(last=False)[1])

    def clear(self) -> None:
        """Forgets all of them."""
        self._contents.clear()
        self._size_bytes = 0

    def get(self, digests: Iterable[bytes]) -> dict[bytes, bytes]:
        """Returns those of the contents that are remembered."""
        found = {digest: content for digest in digests if (content := self._contents.get(digest)) is not None}
        for digest in found:
            self._contents.move_to_end(digest)
        return found

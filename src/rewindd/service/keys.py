"""Which keys of requests may have been answered before: a key that is new needs no question to the store.

Every request that changes something brings a key of its own, and hardly any is sent twice. What is remembered here may say of a new key
that it is known, never the other way round.
"""

from collections.abc import Callable, Iterable
from time import monotonic

#: Seconds for which a key is remembered at least: as long as an answer is kept under it.
KEPT_S = 24 * 3600.0
#: Keys that are remembered at most, some 100 bytes each; with more in two days the store is asked about every one for a day.
LIMIT = 500_000


class Keys:
    """The keys that came in, by the names of their answers. For the event loop only."""

    def __init__(self, kept: Iterable[bytes], now_s: Callable[[], float] = monotonic) -> None:
        """Takes the names of the answers that are kept already."""
        self._now_s = now_s
        self._recent: set[bytes] = set(kept)
        self._earlier: set[bytes] = set()
        self._since_s = now_s()
        self._unsure_until_s = 0.0

    def is_new(self, name: bytes) -> bool:
        """True where no request had this key, for as long as answers are kept; it is remembered from now on."""
        now_s = self._now_s()
        if now_s - self._since_s >= KEPT_S:
            self._earlier, self._recent, self._since_s = self._recent, set(), now_s
        is_known = name in self._recent or name in self._earlier or now_s < self._unsure_until_s
        self._recent.add(name)
        if len(self._recent) + len(self._earlier) > LIMIT:
            self._earlier, self._recent, self._since_s = set(), set(), now_s
            self._unsure_until_s = now_s + KEPT_S
        return not is_known

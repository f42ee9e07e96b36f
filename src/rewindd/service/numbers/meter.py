"""What the server counts as it answers: requests by operation and outcome, how long they took. For `metrics`.

Used from the event loop only. A request costs two dictionary look-ups and a search among some dozen bounds: 1 us.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rewindd.protocol.requests import REQUESTS

#: Upper bounds of the histogram's buckets in seconds: a save on this kind of machine takes 5 to 20 ms, a large capture minutes.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
#: What is not an operation of ours is counted under this: a caller's words must not make numbers of their own.
OTHER = "other"


@dataclass(slots=True)
class Durations:
    """How long the requests of one operation took. `buckets`: how many by `BOUNDS_S`, and after them those beyond the last."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    @property
    def count(self) -> int:
        """Returns how many there were."""
        return sum(self.buckets)


@dataclass(slots=True)
class Meter:
    """The counts since the daemon's start. `outcomes`: by operation and error code, `ok` for none.

    `in_flight` and `dropped` ask the server: how many requests are in hand, and how many messages were dropped, by why.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    durations: dict[str, Durations] = field(default_factory=dict)
    in_flight: Callable[[], int] = int
    dropped: Callable[[], Mapping[str, int]] = dict

    def answered(self, op: str, code: str, took_s: float) -> None:
        """Counts one request that was answered, or refused."""
        name = op if op in REQUESTS else OTHER
        self.outcomes[name, code] += 1
        known = self.durations.get(name)
        if known is None:
            known = self.durations[name] = Durations()
        known.buckets[bisect_left(BOUNDS_S, took_s)] += 1
        known.sum_s += took_s

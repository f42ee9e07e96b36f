"""The collector is told of what stays, and not for every request."""

import gc

import pytest

from rewindd.model.index import Index
from rewindd.model.log import IndexEntry
from rewindd.model.versions import ABSENT
from rewindd.paths import RelPath
from rewindd.service.memory import NEW_ENTRIES, settle


def grown(index: Index, count: int) -> Index:
    start = len(index)
    return index.put(IndexEntry(path=RelPath(f"p{start + n}"), version=ABSENT, signature=None, since=1) for n in range(count))


def test_the_collector_is_told_when_indexes_grew(monkeypatch: pytest.MonkeyPatch) -> None:
    """First by so many entries, then by an eighth; the number is that of all workspaces."""
    told: list[int] = []
    monkeypatch.setattr(gc, "freeze", lambda: told.append(1))
    one, other = Index(), grown(Index(), NEW_ENTRIES)
    settled = settle([one, other], 0)
    assert (settled, told) == (0, [])
    settled = settle([grown(one, 1), other], settled)
    assert (settled, told) == (NEW_ENTRIES + 1, [1])
    assert settle([one, other], settled) == settled
    grown(one, 9 * NEW_ENTRIES)
    settled = settle([one, other], settled)
    assert (settled, told) == (10 * NEW_ENTRIES + 1, [1, 1])
    assert settle([grown(one, settled // 8), other], settled) == settled
    assert settle([grown(one, 1), other], settled) > settled
    assert told == [1, 1, 1]

"""Keys that may have been answered: a known one is never called new while its answer is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewindd.service import keys
from rewindd.service.keys import KEPT_S, Keys

_names = st.sampled_from([bytes([number]) for number in range(6)])


@given(st.lists(st.tuples(_names, st.floats(0, KEPT_S * 0.8)), max_size=40), st.sets(_names))
def test_a_known_key_is_never_new(asked: list[tuple[bytes, float]], kept: set[bytes]) -> None:
    now = [1000.0]
    seen = dict.fromkeys(kept, now[0])
    known = Keys(kept, lambda: now[0])
    for name, pause in asked:
        now[0] += pause
        is_new = known.is_new(name)
        assert not (is_new and name in seen and now[0] - seen[name] < KEPT_S)
        assert is_new or name in seen
        seen[name] = now[0]


def test_with_too_many_the_store_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LIMIT", 10)
    now = [0.0]
    known = Keys((), lambda: now[0])
    assert all(known.is_new(b"%d" % number) for number in range(11))
    assert not any(known.is_new(b"%d" % number) for number in range(20, 24))
    now[0] = KEPT_S
    assert known.is_new(b"30")

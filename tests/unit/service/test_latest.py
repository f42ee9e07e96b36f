"""The newest rows of a log in memory: all of them after a position, or none."""

from hypothesis import given
from hypothesis import strategies as st

from rewindd.model.log import NOBODY, Row, Source
from rewindd.model.versions import ABSENT, File
from rewindd.paths import RelPath
from rewindd.service.asking.latest import Latest

#: What happens to a log: rows come that are told of, some come otherwise, or everything is forgotten.
_STEPS = st.lists(st.tuples(st.sampled_from(["told", "untold", "cleared"]), st.integers(0, 5)), max_size=20)


def _row(seq: int) -> Row:
    return Row(
        seq=seq,
        path=RelPath("file"),
        before=ABSENT,
        after=File(b"d" * 32, 1, 0o644),
        owner=NOBODY,
        source=Source.EXTERNAL,
        operation=None,
        since=0,
        at_ns=1,
    )


@given(steps=_STEPS, limit=st.integers(1, 6))
def test_it_is_what_the_log_has_or_nothing(steps: list[tuple[str, int]], limit: int) -> None:
    """From each position: just the rows after it; or None, which it says of all that came before a gap or was too much."""
    latest, position, told = Latest(limit), 10, 10
    for kind, count in steps:
        rows = [_row(position + 1 + n) for n in range(count)]
        if kind == "told":
            latest.add(position, rows, position + count)
        elif kind == "cleared":
            latest.clear()
            told = position + count
        else:
            told = position + count if count else told
        position += count
        for seq in range(position + 1):
            found = latest.since(seq, position)
            if found is not None:
                assert seq >= told
                assert [row.seq for row in found] == list(range(seq + 1, position + 1))
            elif kind == "told" and seq >= told:
                assert position - seq > limit


def test_positions_without_rows_are_no_gap() -> None:
    """A position that nothing was written at, as a look at git's HEAD takes one."""
    latest = Latest()
    latest.add(1, [_row(2)], 2)
    latest.add(2, [], 3)
    latest.add(3, [_row(4)], 4)
    found = latest.since(1, 4)
    assert found is not None
    assert [row.seq for row in found] == [2, 4]

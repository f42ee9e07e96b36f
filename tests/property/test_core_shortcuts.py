"""What is computed by a shortcut is what the long way gives."""

from hypothesis import given
from hypothesis import strategies as st

from rewindd.model.log import Source
from rewindd.model.versions import UNKNOWN, Unknown
from rewindd.paths import RelPath
from rewindd.timeline import lines
from support.log import A, B, Log, text

P = RelPath("p")
_texts = st.lists(st.sampled_from([b"a\n", b"b\n", b"\n", b"ab\n", b"a", b"\r\n"]), max_size=12).map(b"".join)
_acts = st.lists(st.tuples(st.sampled_from(["edit", "other", "back", "view"]), st.integers(0, 3)), min_size=1, max_size=14)


@given(_texts, _texts, _texts, _texts)
def test_line_counts_are_those_of_the_diff(start: bytes, old: bytes, new: bytes, end: bytes) -> None:
    """What both share at their ends is cut off before lines are made: as many lines come and go as the diff of the whole shows."""
    before, after = start + old + end, start + new + end
    shown = lines.unified(before, after, "before", "after").split("\n")[2:]

    assert lines.count(before, after) == tuple(sum(line.startswith(sign) for line in shown) for sign in "+-")


@given(_acts)
def test_newest_and_just_before_are_found_among_the_moments(acts: list[tuple[str, int]]) -> None:
    """The newest version with some rows live, and the moment before a position, without making every moment."""
    log = _log(acts)
    timeline = log.timeline()
    moments = timeline.moments(P)

    for wanted in {moment.live for moment in moments} | {frozenset[int]()}:
        fits = [moment.version for moment in moments if moment.live == wanted and not isinstance(moment.version, Unknown)]
        assert timeline.newest(P, wanted) == (fits[-1] if fits else UNKNOWN)
    for at in range(log.position + 2):
        earlier = [moment for moment in moments if moment.seq < at]
        assert timeline.just_before(P, at) == (earlier[-1] if earlier else None)


def _log(acts: list[tuple[str, int]]) -> Log:
    log = Log()
    log.view("p", text("start"))
    mine: list[int] = []
    for number, (act, which) in enumerate(acts):
        if act == "edit":
            mine.append(log.edit("p", text(f"{number}"), A))
        elif act == "other":
            log.edit("p", text(f"other {number}"), B)
        elif act == "view":
            log.view("p", text(f"view {which}"), Source.RULES_CHANGED)
        elif mine:
            log.operate(("p", text(f"{which}")), off=[mine.pop()])
    return log


_lines = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n"]), max_size=9)


@given(_lines, _lines)
def test_a_diff_keeps_as_many_lines_as_can_be(old: list[bytes], new: list[bytes]) -> None:
    """The lines that stay are a longest common subsequence, found without making every row of the table."""
    inserted, deleted = lines.count(b"".join(old), b"".join(new))
    lengths = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i, line in enumerate(old):
        for j, other in enumerate(new):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if line == other else max(lengths[i][j + 1], lengths[i + 1][j])

    assert (inserted, deleted) == (len(new) - lengths[-1][-1], len(old) - lengths[-1][-1])


def test_lines_that_repeat_cost_no_more() -> None:
    """Two orders of 1,000 lines of three kinds are compared line by line in the time of a test, which cubic searches are not."""
    inserted, deleted = lines.count(b"a\nb\nc\n" * 330, b"a\nc\nb\n" * 330)

    assert inserted == deleted
    assert 0 < inserted < 500

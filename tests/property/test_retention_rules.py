"""Which checkpoints are kept, for any checkpoints and any rules: floors stay, rules do what they say."""

from collections import Counter, defaultdict

import hypothesis.strategies as st
from hypothesis import given

from rewindd.model.ids import BarrierId, CheckpointId, SessionId
from rewindd.model.retention import Retention
from rewindd.timeline.retention import DAY_NS, Summary, Verdict, judge

NOW_NS = 400 * DAY_NS


@st.composite
def histories(draw: st.DrawFn) -> list[Summary]:
    """Checkpoints of three sessions, in any order, at any times of a year, some from the future."""
    count = draw(st.integers(0, 40))
    return [
        Summary(
            number=number,
            session=SessionId(draw(st.sampled_from("ABC"))),
            id=CheckpointId(f"c{number}"),
            created_at_ns=draw(st.integers(0, 410 * DAY_NS)),
            is_labelled=draw(st.booleans()),
            is_automatic=draw(st.integers(0, 9)) < 2,
            barrier=draw(st.sampled_from([None, None, None, BarrierId("b1"), BarrierId("b2")])),
            floor=draw(st.sampled_from([None, None, None, None, "the head of a session"])),
        )
        for number in draw(st.permutations(range(count)))
    ]


rules = st.builds(
    Retention,
    keep_last=st.integers(0, 12),
    keep_daily=st.integers(0, 12),
    keep_labelled=st.booleans(),
    max_age_s=st.sampled_from([0, 24 * 3600, 30 * 24 * 3600]),
)


def kept(verdicts: list[Verdict]) -> set[int]:
    """The numbers of those that stay."""
    return {one.of.number for one in verdicts if one.is_kept}


@given(histories(), rules, st.integers(0, 4))
def test_floors_stay(found: list[Summary], settings: Retention, pressed: int) -> None:
    """What must not go stays, whatever the rules say, and everything has a verdict with a reason, in order of creation."""
    verdicts = judge(found, settings, NOW_NS, pressed=pressed)
    assert [one.of.number for one in verdicts] == list(range(len(found)))
    assert all(one.reason for one in verdicts)
    assert {one.number for one in found if one.floor} <= kept(verdicts)


@given(histories(), rules)
def test_labels(found: list[Summary], settings: Retention) -> None:
    """What somebody labelled stays, however old, where the rules say so."""
    if settings.keep_labelled:
        assert {one.number for one in found if one.is_labelled and not one.is_automatic} <= kept(judge(found, settings, NOW_NS))


@given(histories(), rules)
def test_barriers_stay_or_go_whole(found: list[Summary], settings: Retention) -> None:
    """All checkpoints of a barrier have the same fate."""
    fates: defaultdict[BarrierId, set[bool]] = defaultdict(set)
    for one in judge(found, settings, NOW_NS):
        if one.of.barrier is not None:
            fates[one.of.barrier].add(one.is_kept)
    assert all(len(fate) == 1 for fate in fates.values())


@given(histories(), st.integers(1, 12), st.integers(0, 12))
def test_counts(found: list[Summary], last: int, daily: int) -> None:
    """Of each session the last saves stay, and one of each of the last days; of what is neither nothing does."""
    plain = [
        Summary(number=one.number, session=one.session, id=one.id, created_at_ns=one.created_at_ns, is_automatic=one.is_automatic)
        for one in found
    ]
    settings = Retention(keep_last=last, keep_daily=daily, keep_labelled=False)
    stays = kept(judge(plain, settings, NOW_NS))
    for session in "ABC":
        saves = sorted((one for one in plain if one.session == session and not one.is_automatic), key=lambda one: one.number)
        newest = {one.number for one in saves[-last:]}
        assert newest <= stays
        days = Counter(one.created_at_ns // DAY_NS for one in saves if one.number in stays - newest)
        assert len(days) <= daily
        assert all(count == 1 for count in days.values())


@given(histories(), rules, st.integers(0, 3))
def test_more_is_never_less(found: list[Summary], settings: Retention, pressed: int) -> None:
    """What is kept under pressure is kept without; what is kept by an age is kept by none."""
    looser = Retention(keep_last=settings.keep_last, keep_daily=settings.keep_daily, keep_labelled=settings.keep_labelled)
    assert kept(judge(found, settings, NOW_NS, pressed=pressed + 1)) <= kept(judge(found, settings, NOW_NS, pressed=pressed))
    assert kept(judge(found, settings, NOW_NS)) <= kept(judge(found, looser, NOW_NS))


@given(histories())
def test_without_rules_all_is_kept(found: list[Summary]) -> None:
    """Both counts 0 and no age: nothing goes."""
    assert len(kept(judge(found, Retention(keep_last=0, keep_daily=0), NOW_NS))) == len(found)

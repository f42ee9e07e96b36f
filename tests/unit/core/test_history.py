"""What the log says of a path: its state, its live rows, its moments and its runs."""

from rewindd.model.ids import SessionId
from rewindd.model.log import Source
from rewindd.model.versions import ABSENT, UNKNOWN
from rewindd.paths import RelPath
from rewindd.timeline.history import Moment
from support.log import A, B, Log, text

P, Q = RelPath("p"), RelPath("q")
V0, V1, V2, V3 = (text(content) for content in ("abc", "Abc", "AbC", "xyz"))


def rows(*seqs: int) -> frozenset[int]:
    return frozenset(seqs)


def test_state_is_the_before_of_the_next_row_else_the_index() -> None:
    """Between two rows a path is what the later one found."""
    log = Log()
    first, second, third = log.view("p", V0), log.edit("p", V1, A), log.edit("p", V2, B)
    timeline = log.timeline()
    assert [timeline.state(seq, P) for seq in (first - 1, first, second, third, third + 5)] == [UNKNOWN, V0, V1, V2, V2]
    assert timeline.current(P) == V2


def test_state_before_anybody_looked_is_unknown() -> None:
    """A path without a row or an entry is unknown, and so is one before its entry."""
    log = Log()
    log.view("p", V0)
    log.known("q", V1)
    timeline = log.timeline()
    assert timeline.state(log.position, RelPath("never")) == UNKNOWN
    assert timeline.current(RelPath("never")) == UNKNOWN
    assert [timeline.state(seq, Q) for seq in (1, 2)] == [UNKNOWN, V1]


def test_state_of_a_baseline_path_reaches_back_to_the_baseline_only() -> None:
    """The first row's `before` holds since the entry, not since ever."""
    log = Log()
    log.view("q", V0)
    log.known("p", V0)
    log.edit("p", V1, A)
    timeline = log.timeline()
    assert [timeline.state(seq, P) for seq in (1, 2, 3)] == [UNKNOWN, V0, V1]


def test_state_in_a_covered_directory_is_absent_since_the_cover() -> None:
    """A name that turns up later was absent since the directory was covered, and unknown before."""
    log = Log()
    log.view("q", V0)
    log.view("q", V1, Source.RULES_CHANGED)
    made = log.edit("p", V0, A, covered=2)
    timeline = log.timeline()
    assert [timeline.state(seq, P) for seq in (1, 2, made)] == [UNKNOWN, ABSENT, V0]


def test_state_while_the_rules_leave_it_out_is_unknown() -> None:
    """Leaving and coming back are both told by view rows."""
    log = Log()
    log.view("p", V0)
    gone = log.view("p", UNKNOWN, Source.RULES_CHANGED)
    back = log.view("p", V1, Source.RULES_CHANGED)
    timeline = log.timeline()
    assert [timeline.state(seq, P) for seq in (gone - 1, gone, back)] == [V0, UNKNOWN, V1]


def test_live_are_content_rows_as_the_operations_left_them() -> None:
    """View and effect rows are never live; toggles count from their operation on."""
    log = Log()
    log.view("p", V0)
    one, two = log.edit("p", V1, A), log.edit("p", V2, B)
    back = log.operate(("p", V0), off=[one, two])
    again = log.operate(("p", V1), on=[one])
    timeline = log.timeline()
    assert timeline.live(one, P) == rows(one)
    assert timeline.live(back - 1, P) == rows(one, two)
    assert timeline.live(back, P) == rows()
    assert timeline.live(again - 1, P) == rows()
    assert timeline.live(again, P) == rows(one)
    assert timeline.live(log.position, P) == rows(one)


def test_a_row_does_not_live_before_it_was_made() -> None:
    """A toggle that is not reached yet switches nothing."""
    log = Log()
    log.view("p", V0)
    one = log.edit("p", V1, A)
    assert log.timeline().live(one - 1, P) == rows()


def test_own_leaves_out_others_nobodys_and_contested_rows() -> None:
    """Contested rows are nobody's own, and not nobody's either."""
    log = Log()
    log.view("p", V0)
    mine, others = log.edit("p", V1, A), log.edit("p", V2, B)
    nobodys, contested = log.edit("p", V3), log.edit("p", V0, A, B)
    timeline, now = log.timeline(), log.position
    assert timeline.own(A, now, P) == rows(mine)
    assert timeline.own(B, now, P) == rows(others)
    assert timeline.own(SessionId("C"), now, P) == rows()
    assert timeline.nobodys(now, P) == rows(nobodys)
    assert timeline.owned(rows(mine, contested), P, A) == rows(mine)


def test_toggled_and_touched_tell_what_an_operation_did() -> None:
    """An operation touches what it switched or wrote, and no other path."""
    log = Log()
    log.view("p", V0)
    log.view("q", V0)
    one, two = log.edit("p", V1, A), log.edit("p", V2, B)
    at = log.operate(("p", V0), ("q", ABSENT), off=[one], on=[two])
    log.view("r", V0)
    timeline = log.timeline()
    assert timeline.toggled(at, P) == (rows(one), rows(two))
    assert timeline.toggled(at, Q) == (rows(), rows())
    assert [timeline.is_touched(at, path) for path in (P, Q, RelPath("r"))] == [True, True, False]
    assert not timeline.is_touched(at - 1, P)


def test_moments_begin_with_the_first_before() -> None:
    """The version before the first change is a moment, since it was known."""
    log = Log()
    log.known("p", V0)
    one = log.edit("p", V1, A)
    assert log.timeline().moments(P) == [Moment(1, V0, rows()), Moment(one, V1, rows(one))]


def test_moments_of_a_path_without_rows() -> None:
    """The index alone gives one; nothing gives none."""
    log = Log()
    log.known("p", V0)
    assert log.timeline().moments(P) == [Moment(1, V0, rows())]
    assert log.timeline().moments(Q) == []


def test_moments_begin_anew_at_a_view_row() -> None:
    """What was before is not what the disk would go back to; rows that were live stay live."""
    log = Log()
    log.view("p", V0)
    one = log.edit("p", V1, A)
    log.view("p", UNKNOWN, Source.RULES_CHANGED)
    back = log.view("p", V2, Source.RULES_CHANGED)
    assert log.timeline().moments(P) == [Moment(back, V2, rows(one))]


def test_moments_join_an_operations_toggles_with_its_effect() -> None:
    """There is no moment between an operation's position and its effect row."""
    log = Log()
    first = log.view("p", V0)
    one = log.edit("p", V1, A)
    at = log.operate(("q", V0), ("p", V0), off=[one])
    assert log.timeline().moments(P) == [Moment(first, V0, rows()), Moment(one, V1, rows(one)), Moment(at + 2, V0, rows())]


def test_moments_know_toggles_without_an_effect_and_effects_without_toggles() -> None:
    """Rows switched where the version stayed, and a version written where no row was switched."""
    log = Log()
    log.view("p", V0)
    one = log.edit("p", V1, A)
    silent = log.operate(off=[one])
    written = log.operate(("p", V2))
    assert log.timeline().moments(P)[2:] == [Moment(silent, V1, rows()), Moment(written + 1, V2, rows())]


def test_runs_join_neighbours_of_one_owner() -> None:
    """A run ends where the owner changes, and where a row in between is not asked for."""
    log = Log()
    log.view("p", V0)
    one, two = log.edit("p", V1, A), log.edit("p", V2, A)
    three = log.edit("p", V3, B)
    four = log.edit("p", V1, A)
    timeline = log.timeline()
    runs = timeline.runs(P, rows(one, two, three, four))
    assert [(run.before, run.after, [row.seq for row in run.rows]) for run in runs] == [
        (V0, V2, [one, two]),
        (V2, V3, [three]),
        (V3, V1, [four]),
    ]
    assert [(run.before, run.after) for run in timeline.runs(P, rows(one, four))] == [(V0, V1), (V3, V1)]
    assert timeline.runs(P, rows()) == []


def test_runs_do_not_reach_over_view_and_effect_rows() -> None:
    """What an operation wrote in between, or what nobody saw, is in neither run."""
    log = Log()
    log.view("p", V0)
    one = log.edit("p", V1, A)
    log.operate(("p", V0), off=[one])
    two = log.edit("p", V2, A)
    log.view("p", UNKNOWN, Source.RULES_CHANGED)
    log.view("p", V3, Source.RULES_CHANGED)
    three = log.edit("p", V0, A)
    runs = log.timeline().runs(P, rows(one, two, three))
    assert [(run.before, run.after) for run in runs] == [(V0, V1), (V0, V2), (V3, V0)]


def test_runs_that_come_to_nothing_are_left_out() -> None:
    """There and back is no change, and needs no merge."""
    log = Log()
    log.view("p", V0)
    one, two = log.edit("p", V1, A), log.edit("p", V0, A)
    assert log.timeline().runs(P, rows(one, two)) == []


def test_rows_may_come_in_any_order() -> None:
    """A timeline sorts what it is given."""
    log = Log()
    log.view("p", V0)
    log.edit("p", V1, A)
    log.edit("p", V2, B)
    log.rows.reverse()
    timeline = log.timeline()
    assert [row.seq for row in timeline.rows(P)] == [1, 2, 3]
    assert timeline.paths == [P]

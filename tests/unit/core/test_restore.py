"""What comes back when no position is named, and what a restore wants of each path."""

import pytest

from rewindd.model.log import OnConflict, Row, Scope, Source
from rewindd.model.versions import ABSENT, UNKNOWN, Directory
from rewindd.paths import RelPath
from rewindd.plan.draft import Aim, Exact, rewind, undo
from rewindd.plan.restore import GAP_NS, LAG_NS, Burst, before_of, deleted, restore
from support.log import A, B, Log, targets, text

P = RelPath("d/p")


def burst_of(rows: list[Row]) -> Burst:
    """The newest burst among all rows of a log."""
    burst = Burst()
    burst.take(reversed(rows))
    return burst


def paths(burst: Burst) -> set[str]:
    """The paths that went."""
    return {str(path) for path in burst.deletions}


def at(rows: list[Row], times_s: dict[int, float]) -> list[Row]:
    """The rows with other times: by position, in seconds."""
    return [
        Row(
            seq=row.seq,
            path=row.path,
            before=row.before,
            after=row.after,
            owner=row.owner,
            source=row.source,
            operation=row.operation,
            since=row.since,
            at_ns=round(times_s.get(row.seq, 0) * 1e9),
        )
        for row in rows
    ]


def filled(*names: str) -> Log:
    """A log of some files that were first seen."""
    log = Log()
    for name in names:
        log.view(name, text(name))
    return log


def test_a_burst_is_what_went_together() -> None:
    """Every deletion back to the oldest, whoever did it; what only became known is passed over."""
    log = filled("d/p", "d/q", "d/r")
    log.edit("d/p", ABSENT, A)
    log.view("d/s", text("s"))
    log.edit("d/q", ABSENT)
    assert paths(burst_of(log.rows)) == {"d/p", "d/q"}


def test_work_in_between_ends_a_burst() -> None:
    """What was deleted before somebody changed or made something there does not come back with the newest."""
    log = filled("d/p", "d/q", "d/r")
    log.edit("d/p", ABSENT, A)
    log.edit("d/r", text("changed"), B)
    log.edit("d/q", ABSENT, A)
    found = burst_of(log.rows)
    assert (paths(found), found.is_over) == ({"d/q"}, True)


@pytest.mark.parametrize(("lag_s", "expected"), [(10, {"d/p", "d/q", "d/r"}), (10.001, {"d/q", "d/r"}), (-1000, {"d/p", "d/q", "d/r"})])
def test_what_the_burst_deleted_may_be_noted_in_the_middle_of_it(lag_s: float, expected: set[str]) -> None:
    """A file made a moment before a long deletion, which is seen in two looks: all of it is one burst. Made long after, it is not."""
    log = filled("d/p", "d/q")
    gone, made = log.edit("d/p", ABSENT, A), log.edit("d/r", text("r"), B)
    rest = {log.edit(name, ABSENT, A): 5000 + lag_s for name in ("d/q", "d/r")}
    assert LAG_NS == 10_000_000_000
    assert paths(burst_of(at(log.rows, {gone: 5000, made: 5000 + lag_s, **rest}))) == expected


def test_what_was_written_for_long_before_is_not_gone_through() -> None:
    """Behind a write that no deletion of the burst can be before, nothing is looked at."""
    log = filled("d/p")
    early, late = log.edit("d/p", text("early"), A), log.edit("d/p", text("late"), A)
    gone = log.edit("d/p", ABSENT, A)
    assert burst_of(at(log.rows, {early: 5000, late: 5010.001, gone: 5020})).is_over
    assert not burst_of(at(log.rows, {early: 5000, late: 5010, gone: 5020})).is_over


def test_nothing_was_deleted_where_work_is_the_newest() -> None:
    """A file that was made after the deletion leaves no burst at all."""
    log = filled("d/p", "d/q")
    log.edit("d/p", ABSENT, A)
    log.edit("d/p", text("again"), A)
    assert paths(burst_of(log.rows)) == set()


@pytest.mark.parametrize(("gap_s", "expected"), [(60, {"d/p", "d/q"}), (60.001, {"d/q"}), (-1000, {"d/p", "d/q"})])
def test_a_pause_of_more_than_a_minute_ends_a_burst(gap_s: float, expected: set[str]) -> None:
    """Between one deletion and the next, not over all; a clock that was set back is no pause."""
    log = filled("d/p", "d/q")
    first, second = log.edit("d/p", ABSENT, A), log.edit("d/q", ABSENT, A)
    assert GAP_NS == 60_000_000_000
    assert paths(burst_of(at(log.rows, {first: 5000, second: 5000 + gap_s}))) == expected


def test_a_burst_is_told_page_by_page() -> None:
    """The same rows in parts are the same burst; behind its end nothing is looked at."""
    log = filled("d/p", "d/q", "d/r", "d/s")
    log.edit("d/s", text("changed"), A)
    for name in ("d/p", "d/q", "d/r"):
        log.edit(name, ABSENT, A)
    burst = Burst()
    for row in reversed(log.rows):
        burst.take([row])
    assert (paths(burst), burst.is_over) == ({"d/p", "d/q", "d/r"}, True)


def test_what_an_operation_removed_was_deleted_too() -> None:
    """And it comes back as it was just before the operation, whose rows are switched a position earlier than its first row."""
    log = filled("d/p")
    made = log.edit("d/q", text("q"), A)
    log.view("d/q", text("q"))
    operation = log.operate(("d/q", ABSENT), off=[made])
    burst = burst_of(log.rows)
    timeline = log.timeline()
    assert deleted(timeline, burst) == {RelPath("d/q"): operation - 1}
    (draft,) = restore(timeline, deleted(timeline, burst))
    assert draft.way == Exact(text("q"))
    assert draft.wanted == {made}


def test_what_an_operation_brought_back_is_not_gone() -> None:
    """The rest of the burst still is: a rewind that brought back its session's own files leaves the others to be restored."""
    log = filled("d/p", "d/q")
    gone = log.edit("d/p", ABSENT, A)
    log.edit("d/q", ABSENT)
    log.operate(("d/p", text("d/p")), off=[gone])
    burst = burst_of(log.rows)
    assert paths(burst) == {"d/p", "d/q"}
    assert set(deleted(log.timeline(), burst)) == {RelPath("d/q")}


def test_a_path_that_went_twice_comes_back_as_it_was_the_second_time() -> None:
    """Brought back by an operation in between: the newest deletion counts."""
    log = filled("d/p")
    first = log.edit("d/p", ABSENT, A)
    log.operate(("d/p", text("d/p")), off=[first])
    second = log.edit("d/p", ABSENT, B)
    timeline = log.timeline()
    assert deleted(timeline, burst_of(log.rows)) == {P: second - 1}
    assert before_of(timeline, log.rows[-1]) == second - 1


def test_a_restore_removes_nothing() -> None:
    """A path that was not there then stays as it is now."""
    log = Log()
    log.edit("d/p", text("new"), A, covered=0)
    assert restore(log.timeline(), {P: 0}) == []


def test_what_is_so_already_is_left_alone() -> None:
    """The same version by other rows: neither the file nor its rows change."""
    log = filled("d/p")
    start = log.position
    log.edit("d/p", text("other"), A)
    log.edit("d/p", text("d/p"), B)
    assert restore(log.timeline(), {P: start}) == []


def test_not_known_then_is_kept_and_said() -> None:
    """So is what the rules leave out now."""
    log = Log()
    log.view("d/p", text("p"))
    seen = log.view("d/q", text("q"))
    log.view("d/q", UNKNOWN, Source.RULES_CHANGED)
    plan = log.settle(restore(log.timeline(), {P: 0, RelPath("d/q"): seen}))
    assert {str(one.path): one.reason for one in plan.kept} == {"d/p": "not known at that point", "d/q": "outside the rules now"}
    assert plan.decisions == ()


def test_overwriting_is_a_conflict_where_it_was_not_allowed() -> None:
    """What is gone comes back without; with it, what somebody wrote since is taken back, whose ever it is."""
    log = filled("d/p", "d/q")
    start = log.position
    mine, others = log.edit("d/p", text("mine"), A), log.edit("d/p", text("theirs"), B)
    log.edit("d/q", ABSENT, B)
    wanted = {P: start, RelPath("d/q"): start}
    refused = log.settle(restore(log.timeline(), wanted, overwrite=False), OnConflict.FAIL)
    assert [(str(one.path), one.reason) for one in refused.conflicts] == [("d/p", "there is something else now, by sessions A, B")]
    plan = log.settle(restore(log.timeline(), wanted), OnConflict.FAIL)
    assert targets(plan) == {"d/p": text("d/p"), "d/q": text("d/q")}
    assert plan.decisions[0].off == {mine, others}


def test_a_directory_comes_back_with_what_needs_it() -> None:
    """The file alone is named: its directory's removal is taken back with it, and an undo takes both away again."""
    log = Log()
    log.view("d", Directory(0o750))
    log.view("d/p", text("p"))
    log.edit("d/p", ABSENT, A)
    gone = log.edit("d", ABSENT, A)
    plan = log.settle(restore(log.timeline(), deleted(log.timeline(), burst_of([row for row in log.rows if row.path == P]))))
    assert targets(plan) == {"d": Directory(0o750), "d/p": text("p")}
    done = log.done(plan)
    assert gone not in log.timeline().live(log.position, RelPath("d"))
    assert targets(log.settle(undo(log.timeline(), A, done, ()))) == {"d": ABSENT, "d/p": ABSENT}


def test_a_file_in_the_place_of_a_used_directory_is_a_conflict() -> None:
    """A restore removes nothing, so what came into being below stays, and the file cannot be there."""
    log = filled("d/p")
    start = log.position
    log.edit("d/p", Directory(0o755), A)
    log.edit("d/p/new", text("n"), A, covered=start)
    plan = log.settle(restore(log.timeline(), {P: start}), OnConflict.FAIL)
    assert [one.reason for one in plan.conflicts] == ["the directory is still used: entries of session A"]


def test_an_undo_is_about_what_the_restore_touched() -> None:
    """The session's later work beside it stays, also below a directory that was named; redo brings the file again."""
    log = filled("d/p", "d/q")
    log.edit("d/p", ABSENT, B)
    plan = log.settle(restore(log.timeline(), deleted(log.timeline(), burst_of(log.rows))))
    done = log.done(plan)
    log.edit("d/q", text("later"), A)
    undone = log.settle(undo(log.timeline(), A, done, ()))
    assert targets(undone) == {"d/p": ABSENT}
    again = log.done(undone)
    assert targets(log.settle(undo(log.timeline(), A, again, ()))) == {"d/p": text("d/p")}


def test_later_rewinds_go_on_from_the_rows_that_a_restore_left() -> None:
    """A rewind to where the file was gone takes it away again, one to before its deletion has nothing to do."""
    log = filled("d/p")
    start = log.position
    gone = log.edit("d/p", ABSENT, A)
    log.done(log.settle(restore(log.timeline(), {P: start})))
    assert rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION)) == []
    (back,) = rewind(log.timeline(), Aim(session=A, seq=gone, scope=Scope.SESSION))
    assert back.way == Exact(ABSENT)

"""The settled tree is a tree: parents made again, used directories kept, and a plan's id that tells plans apart."""

import pytest

from rewindd.model.ids import SessionId
from rewindd.model.index import Index
from rewindd.model.log import OnConflict, Scope
from rewindd.model.session import Missing
from rewindd.model.versions import ABSENT, Directory, Symlink, Version
from rewindd.paths import LinkTarget, RelPath
from rewindd.plan.draft import Aim, Draft, Exact, Fallback, Keep, Merged, rewind
from rewindd.plan.merge import Clash
from rewindd.plan.settle import PARENT_MODE, Action, Settled, settle
from support.log import DIRECTORY, A, B, Log, targets, text

V0, V1, V2 = text("abc"), text("abC"), text("xyz")
NONE: frozenset[int] = frozenset()


def back(log: Log, seq: int, *paths: str, how: OnConflict = OnConflict.MERGE, session: SessionId = A) -> Settled:
    """A session's rewind to a position."""
    chosen = tuple(RelPath(path) for path in paths) or None
    return log.settle(rewind(log.timeline(), Aim(session=session, seq=seq, scope=Scope.SESSION, on_conflict=how, paths=chosen)), how)


def reasons(missing: tuple[Missing, ...]) -> dict[str, str]:
    return {str(one.path): one.reason for one in missing}


def draft(path: str, way: Exact | Merged | Keep | Clash, *, current: Version = V0, fallback: Fallback | None = None) -> Draft:
    """A draft that takes row 1 back."""
    rows = frozenset({1})
    return Draft(path=RelPath(path), current=current, live=rows, wanted=NONE, way=way, why="because", fallback=fallback)


def settled(*drafts: Draft, how: OnConflict = OnConflict.MERGE, merged: dict[RelPath, Version | Clash] | None = None) -> Settled:
    """Drafts settled over an empty log."""
    return settle(Log().timeline(), drafts, merged or {}, Index(), how)


@pytest.mark.parametrize(
    ("before", "target", "action"), [(V0, V1, Action.RESTORE), (V0, ABSENT, Action.REMOVE), (ABSENT, V0, Action.RESTORE)]
)
def test_a_draft_becomes_a_decision(before: Version, target: Version, action: Action) -> None:
    """It says what it expects, what it makes of it, and which rows it switches."""
    (decision,) = settled(draft("p", Exact(target), current=before)).decisions
    assert (decision.expect, decision.target, decision.action) == (before, target, action)
    assert (decision.off, decision.on) == (frozenset({1}), NONE)


def test_merges_become_decisions_or_conflicts() -> None:
    """What came of a merge is taken; a clash, or a merge that was not run, is a conflict."""
    path = RelPath("p")
    (decision,) = settled(draft("p", Merged(())), merged={path: V1}).decisions
    assert (decision.target, decision.action) == (V1, Action.MERGE)
    assert reasons(settled(draft("p", Merged(())), merged={path: Clash("why")}).conflicts) == {"p": "why"}
    assert reasons(settled(draft("p", Merged(()))).conflicts) == {"p": "not merged"}


def test_a_clash_conflicts_is_kept_or_is_overwritten() -> None:
    """As the caller chose; where nothing is known to overwrite it with, it conflicts."""
    clash = draft("p", Clash("why"), fallback=Fallback(version=V2, wanted=frozenset({7})))
    assert reasons(settled(clash).conflicts) == {"p": "why"}
    assert reasons(settled(clash, how=OnConflict.FAIL).conflicts) == {"p": "why"}
    assert reasons(settled(clash, how=OnConflict.KEEP).kept) == {"p": "why"}
    (decision,) = settled(clash, how=OnConflict.OVERWRITE).decisions
    assert (decision.target, decision.off, decision.on) == (V2, frozenset({1}), frozenset({7}))
    assert reasons(settled(draft("p", Clash("why")), how=OnConflict.OVERWRITE).conflicts) == {"p": "why"}


def removed_tree() -> tuple[Log, int, dict[str, int]]:
    """A removes `d/e/f` and its directories."""
    log = Log()
    log.view("d", Directory(0o750))
    log.view("d/e", Directory(0o700))
    log.view("d/e/f", V0)
    start = log.position
    return log, start, {path: log.edit(path, ABSENT, A) for path in ("d/e/f", "d/e", "d")}


def test_parents_are_made_again_as_they_were() -> None:
    """A path that comes back brings its directories, with their modes: their removal is taken back."""
    log, start, removals = removed_tree()
    plan = back(log, start, "d/e/f")
    assert targets(plan) == {"d": Directory(0o750), "d/e": Directory(0o700), "d/e/f": V0}
    assert {str(decision.path): decision.off for decision in plan.decisions} == {path: {row} for path, row in removals.items()}
    assert [decision.why for decision in plan.decisions[:2]] == ["needed by d/e/f", "needed by d/e/f"]


def test_parents_that_are_wanted_anyway_are_told_once() -> None:
    """The directories' own drafts stand."""
    log, start, _ = removed_tree()
    plan = back(log, start)
    assert [str(decision.path) for decision in plan.decisions] == ["d", "d/e", "d/e/f"]
    assert {decision.why for decision in plan.decisions} == {"own work after it taken back"}


def test_a_parent_of_which_no_mode_is_known_gets_the_usual_one() -> None:
    """It was never seen as a directory."""
    log = Log()
    log.view("d", ABSENT)
    log.view("d/f", V0)
    start = log.position
    log.edit("d/f", ABSENT, A)
    assert targets(back(log, start)) == {"d": Directory(PARENT_MODE), "d/f": V0}


def test_an_unknown_parent_is_left_to_the_disk() -> None:
    """Nobody looked: it may be there."""
    log = Log()
    log.view("d/f", V0)
    start = log.position
    log.edit("d/f", ABSENT, A)
    assert targets(back(log, start)) == {"d/f": V0}


def test_a_parent_that_an_operation_removed_is_made_again_without_rows() -> None:
    """The removal was no content row: there is nothing to take back."""
    log = Log()
    log.view("d", Directory(0o700))
    log.view("d/f", V0)
    start = log.position
    log.edit("d/f", ABSENT, A)
    log.operate(("d", ABSENT))
    plan = back(log, start)
    assert targets(plan) == {"d": Directory(0o700), "d/f": V0}
    assert plan.decisions[0].off == NONE


@pytest.mark.parametrize(("there", "word"), [(V2, "file"), (Symlink(LinkTarget("to")), "symlink")])
def test_anything_else_in_the_place_of_a_parent_conflicts(there: Version, word: str) -> None:
    """It is not removed for what comes back, and no directory is made in between."""
    log, start, _ = removed_tree()
    log.edit("d", there, B)
    plan = back(log, start, "d/e/f")
    assert reasons(plan.conflicts) == {"d/e/f": f"its directory d is a {word} now, by session B"}
    assert plan.firm == (RelPath("d/e/f"),)
    kept = back(log, start, "d/e/f", how=OnConflict.KEEP)
    assert reasons(kept.kept) == {"d/e/f": f"its directory d is a {word} now, by session B"}
    assert kept.decisions == ()


def test_a_file_that_comes_back_in_the_place_of_a_parent_conflicts() -> None:
    """The plan itself puts a file where another path needs a directory."""
    log = Log()
    log.known("d", DIRECTORY)
    log.known("d/f", ABSENT)
    plan = settle(
        log.timeline(),
        [draft("d", Exact(V0), current=DIRECTORY), draft("d/f", Exact(V1), current=ABSENT)],
        {},
        Index(log.index.values()),
        OnConflict.MERGE,
    )
    assert reasons(plan.conflicts) == {"d/f": "its directory d is a file then"}


def test_a_parent_that_clashes_is_not_made_for_its_entries() -> None:
    """It stays as it is, is told once, and what needs it stays too."""
    log = Log()
    log.view("d", ABSENT)
    drafts = [draft("d", Clash("why"), current=ABSENT), draft("d/e/f", Exact(V0), current=ABSENT), draft("d/f", Exact(V0), current=ABSENT)]
    log.view("d/e", ABSENT)
    plan = settle(log.timeline(), drafts, {}, Index(log.index.values()), OnConflict.KEEP)
    assert plan.decisions == ()
    assert reasons(plan.kept) == {"d": "why", "d/e/f": "its directory d stays absent", "d/f": "its directory d stays absent"}


def test_a_parent_that_is_kept_for_being_unknown_then_is_made() -> None:
    """Making it takes nothing away; it is told as made, and not as kept."""
    log = Log()
    log.view("d", ABSENT)
    drafts = [draft("d", Keep("not known at that point"), current=ABSENT), draft("d/f", Exact(V0), current=ABSENT)]
    plan = settle(log.timeline(), drafts, {}, Index(log.index.values()), OnConflict.MERGE)
    assert targets(plan) == {"d": Directory(PARENT_MODE), "d/f": V0}
    assert plan.kept == ()


def test_a_parent_that_was_to_go_is_left_as_it_is() -> None:
    """It is there: it keeps its mode and its rows."""
    log = Log()
    log.view("d", ABSENT)
    start = log.position
    log.edit("d", Directory(0o700), A)
    log.view("d/f", V0)
    log.edit("d/f", ABSENT, A)
    plan = back(log, start)
    assert targets(plan) == {"d/f": V0}
    assert reasons(plan.kept) == {"d": "not-empty"}


def made_tree(*others: str) -> tuple[Log, int]:
    """A makes directories and a file; B puts `others` into them."""
    log = Log()
    for path in ("d", "d/e", "d/e/f", *others):
        log.view(path, ABSENT)
    start = log.position
    for path in ("d", "d/e"):
        log.edit(path, DIRECTORY, A)
    log.edit("d/e/f", V0, A)
    for path in others:
        log.edit(path, V1, B)
    return log, start


def test_directories_go_when_nothing_stays_in_them() -> None:
    """All of it was the session's."""
    log, start = made_tree()
    assert targets(back(log, start)) == {"d": ABSENT, "d/e": ABSENT, "d/e/f": ABSENT}


def test_used_directories_stay_and_so_do_those_above() -> None:
    """Another session's file keeps the directories up to the root, and their rows."""
    log, start = made_tree("d/e/g")
    plan = back(log, start)
    assert targets(plan) == {"d/e/f": ABSENT}
    assert reasons(plan.kept) == {"d": "not-empty: entries of session B", "d/e": "not-empty: entries of session B"}
    assert plan.conflicts == ()


def test_only_used_directories_stay() -> None:
    """One that is empty then goes, below one that is not."""
    log, start = made_tree("d/g")
    plan = back(log, start)
    assert targets(plan) == {"d/e": ABSENT, "d/e/f": ABSENT}
    assert reasons(plan.kept) == {"d": "not-empty: entries of session B"}


@pytest.mark.parametrize("how", [OnConflict.MERGE, OnConflict.KEEP])
def test_a_file_in_the_place_of_a_used_directory_conflicts(how: OnConflict) -> None:
    """The session had put a directory where a file was; another session works in it."""
    log = Log()
    log.view("d", V0)
    log.view("d/f", ABSENT)
    start = log.position
    log.edit("d", ABSENT, A)
    log.edit("d", DIRECTORY, A)
    log.edit("d/f", V1, B)
    plan = back(log, start, how=how)
    left = plan.kept if how is OnConflict.KEEP else plan.conflicts
    assert reasons(left) == {"d": "the directory is still used: entries of session B"}
    assert plan.decisions == ()


def test_a_file_takes_the_place_of_a_directory_that_is_empty_then() -> None:
    """What was in it goes first."""
    log = Log()
    log.view("d", V0)
    log.view("d/f", ABSENT)
    start = log.position
    log.edit("d", ABSENT, A)
    log.edit("d", DIRECTORY, A)
    log.edit("d/f", V1, A)
    assert targets(back(log, start)) == {"d": V0, "d/f": ABSENT}


def test_plan_id_is_that_of_the_same_plan() -> None:
    """Neither the order of the drafts nor what is kept matters."""
    one, other, kept = draft("p", Exact(V1)), draft("q", Exact(V1)), draft("r", Keep("why"))
    assert settled(one, other).plan == settled(other, one).plan == settled(one, kept, other).plan


def test_plan_id_changes_with_anything_that_would_be_done() -> None:
    """A path, what is expected of it, what becomes of it, its rows, a conflict: none changes without the id."""
    rows = frozenset({1})
    wide = Draft(path=RelPath("p"), current=V0, live=rows | {2}, wanted=NONE, way=Exact(V1), why="because")
    on = Draft(path=RelPath("p"), current=V0, live=rows, wanted=frozenset({2}), way=Exact(V1), why="because")
    plans = [
        settled(),
        settled(draft("p", Exact(V1))),
        settled(draft("q", Exact(V1))),
        settled(draft("p", Exact(V1)), draft("q", Exact(V1))),
        settled(draft("p", Exact(V2))),
        settled(draft("p", Exact(text("abC", 0o755)))),
        settled(draft("p", Exact(ABSENT))),
        settled(draft("p", Exact(V1), current=V2)),
        settled(draft("p", Exact(V1), current=ABSENT)),
        settled(draft("p", Exact(DIRECTORY))),
        settled(draft("p", Exact(Symlink(LinkTarget("to"))))),
        settled(draft("p", Exact(Symlink(LinkTarget("elsewhere"))))),
        settled(wide),
        settled(on),
        settled(draft("p", Clash("why"))),
        settled(draft("p", Clash("another"))),
        settled(draft("q", Clash("why"))),
    ]
    assert len({plan.plan for plan in plans}) == len(plans)


def test_plan_id_tells_off_from_on() -> None:
    """Rows taken back are not rows put back."""
    off = Draft(path=RelPath("p"), current=V0, live=frozenset({1}), wanted=NONE, way=Exact(V0), why="because")
    on = Draft(path=RelPath("p"), current=V0, live=NONE, wanted=frozenset({1}), way=Exact(V0), why="because")
    assert settled(off).plan != settled(on).plan


def test_plan_id_takes_names_that_are_not_utf_8() -> None:
    """A path or a link may hold any bytes but NUL."""
    odd = settled(draft("p\udcff", Exact(Symlink(LinkTarget("\udc80")))))
    assert odd.plan != settled(draft("p\udcfe", Exact(Symlink(LinkTarget("\udc80"))))).plan

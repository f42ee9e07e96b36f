"""Paths that several made, removed and made again: what is left of each, when one of them takes theirs back."""

import pytest

from rewindd.model.log import NOBODY, Scope
from rewindd.model.versions import ABSENT, Version
from rewindd.plan.draft import Aim, rewind, undo
from rewindd.plan.settle import Settled
from support.log import DIRECTORY, A, B, Log, targets, text


def taken_back(log: Log, session: str, seq: int) -> Settled:
    """What a session's rewind to a position comes to."""
    return log.settle(rewind(log.timeline(), Aim(session=A if session == "A" else B, seq=seq, scope=Scope.SESSION)))


@pytest.mark.parametrize("thing", [DIRECTORY, text("")], ids=["directory", "empty file"])
def test_what_somebody_made_again_stays(thing: Version) -> None:
    """A session makes a path, a person removes it and makes just the same: taking the session's back leaves the person's."""
    log = Log()
    log.view("p", ABSENT)
    start = log.position
    log.edit("p", thing, A)
    log.edit("p", ABSENT)
    log.edit("p", thing)
    plan = taken_back(log, "A", start)
    assert plan.conflicts == ()
    assert targets(plan) == {"p": thing}


def test_what_was_removed_and_made_again_by_others_is_not_removed_by_a_redo() -> None:
    """A removal is taken back, others remove the path and make just the same: putting the removal back leaves theirs."""
    log = Log()
    log.view("p", text("abc"))
    start = log.position
    removed = log.edit("p", ABSENT, A)
    after = log.position
    log.operate(("p", text("abc")), off=[removed])
    log.edit("p", text("abcd"))
    log.edit("p", ABSENT)
    log.edit("p", text("abc"))
    plan = taken_back(log, "A", after)
    assert (plan.conflicts, targets(plan)) == ((), {"p": text("abc")})
    assert start < removed


def test_what_others_made_since_is_not_removed_by_putting_a_removal_back() -> None:
    """A removes what B made, takes that back; B takes its own back, and C makes the same: A's undo leaves C's."""
    log = Log()
    log.view("p", ABSENT)
    made = log.edit("p", DIRECTORY, B)
    removed = log.edit("p", ABSENT, A)
    at = log.operate(("p", DIRECTORY), off=[removed])
    log.operate(("p", ABSENT), off=[made])
    log.edit("p", DIRECTORY)
    plan = log.settle(undo(log.timeline(), A, at, None))
    assert (plan.conflicts, targets(plan)) == ((), {"p": DIRECTORY})


def test_a_file_whose_maker_took_it_back_does_not_come_back_with_a_removal() -> None:
    """A makes a file, a person edits it, B removes it, A takes its making back: B's rewind conflicts, it does not bring A's lines back."""
    log = Log()
    log.view("p", ABSENT)
    start = log.position
    made = log.edit("p", text("abcdef"), A)
    log.edit("p", text("abcdeF"), *NOBODY)
    before = log.position
    log.edit("p", ABSENT, B)
    log.operate(off=[made])
    plan = taken_back(log, "B", before)
    assert [one.reason for one in plan.conflicts] == ["what made or removed it was taken back since"]
    assert start < made


def test_a_rewind_and_its_undo_do_not_part_a_run() -> None:
    """A makes a directory, rewinds, undoes that, removes it; a person makes it: what A did comes to nothing, and there is no conflict."""
    log = Log()
    log.view("p", ABSENT)
    start = log.position
    made = log.edit("p", DIRECTORY, A)
    log.operate(("p", ABSENT), off=[made])
    log.operate(("p", DIRECTORY), on=[made])
    log.edit("p", ABSENT, A)
    log.edit("p", DIRECTORY)
    plan = taken_back(log, "A", start)
    assert (plan.conflicts, targets(plan)) == ((), {"p": DIRECTORY})

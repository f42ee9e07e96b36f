"""Rewinds that take more than the session's own: contested rows, and the work of sub-agents; and how others are named."""

from rewindd.model.ids import SessionId
from rewindd.model.log import OnConflict, Scope
from rewindd.model.versions import ABSENT
from rewindd.plan.draft import Aim, rewind, undo
from rewindd.plan.naming import Names
from support.log import DIRECTORY, A, B, Log, targets, text

C = SessionId("C")
NAMES = Names({A: "codex", B: "claude"})


def reasons(log: Log, aim: Aim) -> list[str]:
    """Why the paths conflict."""
    return [one.reason for one in log.settle(rewind(log.timeline(), aim)).conflicts]


def contested() -> tuple[Log, int]:
    """A's line, then one that is A's or B's, then C's."""
    log = Log()
    log.view("p", text("abcdefgh"))
    start = log.position
    log.edit("p", text("Abcdefgh"), A)
    log.edit("p", text("AbCdefgh"), A, B)
    log.edit("p", text("AbCdefgH"), C)
    return log, start


def test_with_shared_takes_what_is_contested() -> None:
    """For either of those that may have made it; for a third one it stays."""
    log, start = contested()
    for session, left in ((A, "abcdefgH"), (B, "AbcdefgH"), (C, "AbCdefgh")):
        aim = Aim(session=session, seq=start, scope=Scope.SESSION, with_shared=True)
        assert targets(log.settle(rewind(log.timeline(), aim))) == {"p": text(left)}


def test_what_was_taken_with_shared_comes_back_and_goes_again() -> None:
    """Undo inverts the contested rows too, also under later work of others; redo takes them again."""
    log, start = contested()
    at = log.done(log.settle(rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION, with_shared=True))))
    undone = log.settle(undo(log.timeline(), A, at, None))
    assert targets(undone) == {"p": text("AbCdefgH")}
    back = log.done(undone)
    assert targets(log.settle(undo(log.timeline(), A, back, None))) == {"p": text("abcdefgH")}
    log.edit("p", text("AbCdeFgH"), C)
    assert targets(log.settle(undo(log.timeline(), A, back, None))) == {"p": text("abcdeFgH")}


def test_a_contested_row_that_was_taken_back_stays_so() -> None:
    """It is no conflict any more, and comes back with a rewind forward only where that takes what is shared."""
    log, start = contested()
    later = log.position
    log.done(log.settle(rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION, with_shared=True))))
    assert reasons(log, Aim(session=B, seq=start, scope=Scope.SESSION)) == []
    plain, shared = (Aim(session=A, seq=later, scope=Scope.SESSION, with_shared=said) for said in (False, True))
    assert targets(log.settle(rewind(log.timeline(), plain))) == {"p": text("AbcdefgH")}
    assert targets(log.settle(rewind(log.timeline(), shared))) == {"p": text("AbCdefgH")}


def test_children_go_with_their_parent_where_that_is_said() -> None:
    """Their own rows, and what is contested among the family alone; with a stranger in it that is a conflict still."""
    log, start = contested()
    both = Aim(session=A, seq=start, scope=Scope.SESSION, children=(B,))
    assert targets(log.settle(rewind(log.timeline(), both))) == {"p": text("abcdefgH")}
    assert reasons(log, Aim(session=A, seq=start, scope=Scope.SESSION, children=(C,))) == ["contested between sessions A, B"]
    alone = log.settle(rewind(log.timeline(), Aim(session=C, seq=start, scope=Scope.SESSION)))
    assert targets(alone) == {"p": text("AbCdefgh")}


def test_a_child_s_later_work_stays_with_the_undo() -> None:
    """The operation's switches of its rows are inverted; what it did since is another's."""
    log = Log()
    log.view("p", text("abcdefgh"))
    start = log.position
    log.edit("p", text("Abcdefgh"), A)
    log.edit("p", text("AbcDefgh"), B)
    at = log.done(log.settle(rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION, children=(B,)))))
    log.edit("p", text("abcdefgH"), B)
    assert targets(log.settle(undo(log.timeline(), A, at, None))) == {"p": text("AbcDefgH")}


def test_a_step_says_whose_work_stays_and_whose_goes() -> None:
    """By id, and by agent where that is known; nobody is not named."""
    log, start = contested()
    log.edit("p", text("AbCdeFgH"))
    (step,) = rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION, with_shared=True, names=NAMES))
    assert step.why == "own work after it taken back; with it, work of session B (claude); kept: work of session C"
    assert (step.others, step.gone) == ((C,), (B,))
    (step,) = rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.WORKSPACE, names=NAMES))
    assert step.why == "as the workspace was then; with it, work of sessions B (claude), C"


def test_a_conflict_says_whose_work_is_in_the_way() -> None:
    """The sessions whose later work would have to stay; nothing is added for a person's."""
    log = Log()
    for path in ("p", "q"):
        log.view(path, text("abc"))
    start = log.position
    log.edit("p", text("aXc"), A)
    log.edit("q", text("aXc"), A)
    log.edit("p", text("aYc"), B)
    log.edit("q", text("aYc"))
    drafts = rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION, names=NAMES))
    told = {str(one.path): one.reason for one in log.settle(drafts).conflicts}
    over = {str(one.path): one.why for one in log.settle(drafts, OnConflict.OVERWRITE).decisions}
    assert over == {"p": "overwritten with what it was then; with it, work of session B", "q": "overwritten with what it was then"}
    assert told == {"p": "the same lines were changed since, by session B", "q": "the same lines were changed since"}


def test_a_file_of_a_child_in_a_directory_of_its_parent_s() -> None:
    """Alone the directory stays for it, and that is said; with the child all goes."""
    log = Log()
    for path in ("d", "d/f"):
        log.view(path, ABSENT)
    start = log.position
    log.edit("d", DIRECTORY, A)
    log.edit("d/f", text("abc"), B)
    alone = log.settle(rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION)))
    assert (targets(alone), [one.reason for one in alone.kept]) == ({}, ["not-empty: entries of session B"])
    both = log.settle(rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION, children=(B,))))
    assert (targets(both), both.kept) == ({"d": ABSENT, "d/f": ABSENT}, ())


def test_names_that_may_not_be_told() -> None:
    """Who may know of some sessions only is told of the others that they are there, and nothing else of them."""
    names = Names({A: "codex"}, own={A}).also({B: "claude"})
    assert names.of([A, B]) == "A (codex), others"
    assert names.of([B, "somebody unknown"]) == "others"
    assert (names.sessions([A]), names.sessions([B]), names.sessions([A, B])) == (
        "session A (codex)",
        "others",
        "session A (codex), others",
    )
    assert names.why("as it was", kept=[B], gone=[A]) == "as it was; with it, work of session A (codex); kept: work of others"
    assert names.standing("merging fails", [B]) == "merging fails, by others"

"""What a rewind and an undo want of each path, in cases that random play found or seldom meets."""

from rewindd.model.ids import SessionId
from rewindd.model.log import OnConflict, Scope
from rewindd.model.versions import ABSENT, Directory
from rewindd.paths import RelPath
from rewindd.plan.draft import Aim, Exact, Merged, rewind, undo
from support.log import A, B, Log, targets, text


def back(log: Log, seq: int, session: SessionId, *paths: str) -> int:
    """A session rewinds; returns the operation's position."""
    chosen = tuple(RelPath(path) for path in paths) or None
    plan = log.settle(rewind(log.timeline(), Aim(session=session, seq=seq, scope=Scope.SESSION, paths=chosen)))
    assert not plan.conflicts
    return log.done(plan)


def test_undo_takes_back_a_directory_that_was_made_for_a_chosen_path() -> None:
    """The rewind was about the file alone; its directory came back with it, and goes again with it."""
    log = Log()
    log.view("d", Directory(0o750))
    log.view("d/f", text("abc"))
    start = log.position
    log.edit("d/f", ABSENT, A)
    gone = log.edit("d", ABSENT, B)
    at = back(log, start, A, "d/f")
    assert log.index[RelPath("d")].version == Directory(0o750)
    plan = log.settle(undo(log.timeline(), A, at, (RelPath("d/f"),)))
    assert targets(plan) == {"d": ABSENT, "d/f": ABSENT}
    assert plan.decisions[0].on == {gone}


def test_exact_where_the_log_holds_the_version() -> None:
    """No merge is asked for what was there with just these rows."""
    log = Log()
    log.view("p", text("abc"))
    start = log.position
    log.edit("p", text("Abc"), A)
    log.edit("p", text("AbC"), B)
    log.edit("p", text("Abc"), B)
    (mine,) = rewind(log.timeline(), Aim(session=A, seq=start, scope=Scope.SESSION))
    (others,) = rewind(log.timeline(), Aim(session=B, seq=start, scope=Scope.SESSION))
    assert isinstance(mine.way, Merged)
    assert others.way == Exact(text("Abc"))


def test_contested_rows_conflict_for_the_sessions_that_may_own_them() -> None:
    """A third session's rewind does not care."""
    log = Log()
    log.view("p", text("abc"))
    start = log.position
    log.edit("p", text("abC"), A, B)
    for session in (A, B):
        aim = Aim(session=session, seq=start, scope=Scope.SESSION)
        (missing,) = log.settle(rewind(log.timeline(), aim)).conflicts
        assert missing.reason == "contested between sessions A, B"
    assert rewind(log.timeline(), Aim(session=SessionId("C"), seq=start, scope=Scope.SESSION)) == []


def test_fail_names_who_changed_the_path_since() -> None:
    """With `fail` any later work of others on the path is a conflict, near or far."""
    log = Log()
    log.view("p", text("abcdef"))
    start = log.position
    log.edit("p", text("Abcdef"), A)
    log.edit("p", text("AbcdeF"), B)
    log.edit("p", text("AbcdEF"))
    aim = Aim(session=A, seq=start, scope=Scope.SESSION, on_conflict=OnConflict.FAIL)
    (missing,) = log.settle(rewind(log.timeline(), aim), OnConflict.FAIL).conflicts
    assert missing.reason == "changed since by session B, somebody unknown"


def test_a_line_that_another_removed_does_not_come_back_with_an_undo() -> None:
    """A adds a line, a person removes it, A rewinds (nothing is left to do), B works elsewhere, A undoes: the line stays away.

    Taking back A's row was "equal sides": from then on nothing but the order of rows says that the removal came after it.
    Started from the moment before the rewind, with B's row on top, the result is another one: a conflict.
    """
    log = Log()
    log.view("p", text("abcdef"))
    start = log.position
    log.edit("p", text("abcdefX"), A)
    log.edit("p", text("abcdef"))
    at = back(log, start, A)
    log.edit("p", text("Abcdef"), B)
    plan = log.settle(undo(log.timeline(), A, at, None))
    assert plan.conflicts or targets(plan)["p"] == text("Abcdef")


def test_undo_takes_back_a_directory_that_was_made_without_switching_a_row() -> None:
    """The newest moment with these rows is the operation's own: what was just before it is wanted."""
    log = Log()
    log.view("d", Directory(0o700))
    log.view("d/f", text("abc"))
    start = log.position
    log.edit("d/f", ABSENT, A)
    log.operate(("d", ABSENT))
    at = back(log, start, A)
    assert log.index[RelPath("d")].version == Directory(0o700)
    undone = log.settle(undo(log.timeline(), A, at, None))
    assert targets(undone) == {"d": ABSENT, "d/f": ABSENT}
    again = log.done(undone)
    assert targets(log.settle(undo(log.timeline(), A, again, None))) == {"d": Directory(0o700), "d/f": text("abc")}

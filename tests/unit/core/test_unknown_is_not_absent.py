"""No path is removed or reverted that the log did not know: unknown is not absent."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rewindd.model.ids import SessionId
from rewindd.model.log import OnConflict, Scope, Source
from rewindd.model.versions import ABSENT, UNKNOWN, Version
from rewindd.paths import RelPath
from rewindd.plan.draft import Aim, rewind, undo
from rewindd.plan.settle import Settled
from support.log import DIRECTORY, A, B, Log, targets, text

X = RelPath("d/x")
FOUND, EDITED, MINE = text("abc"), text("abC"), text("xyz")


@dataclass(frozen=True, slots=True)
class Place:
    """Positions to go back to: before and after the checkpoint's own edits, and an operation after it; the end is later still."""

    log: Log
    base: int
    checkpoint: int
    operation: int
    end: int


Ask = Callable[[Place, OnConflict], Settled]


def begun() -> Place:
    """A checkpoint of A's, then a rewind of A's."""
    log = Log()
    log.view("d", DIRECTORY)
    log.view("p", FOUND)
    base = log.position
    edit = log.edit("p", EDITED, A)
    checkpoint = log.position
    operation = log.operate(("p", FOUND), off=[edit])
    log.view("later", FOUND)
    return Place(log, base, checkpoint, operation, log.position)


def by_session(place: Place, how: OnConflict) -> Settled:
    drafts = rewind(place.log.timeline(), Aim(session=A, seq=place.checkpoint, scope=Scope.SESSION, on_conflict=how))
    return place.log.settle(drafts, how)


def by_session_before(place: Place, how: OnConflict) -> Settled:
    drafts = rewind(place.log.timeline(), Aim(session=A, seq=place.base, scope=Scope.SESSION, on_conflict=how, also_external=True))
    return place.log.settle(drafts, how)


def by_workspace(place: Place, how: OnConflict) -> Settled:
    drafts = rewind(place.log.timeline(), Aim(session=A, seq=place.checkpoint, scope=Scope.WORKSPACE, on_conflict=how))
    return place.log.settle(drafts, how)


def by_workspace_before(place: Place, how: OnConflict) -> Settled:
    drafts = rewind(place.log.timeline(), Aim(session=A, seq=place.base, scope=Scope.WORKSPACE, on_conflict=how))
    return place.log.settle(drafts, how)


def by_undo(place: Place, how: OnConflict) -> Settled:
    return place.log.settle(undo(place.log.timeline(), A, place.operation, None), how)


ASKS = [by_session, by_session_before, by_workspace, by_workspace_before, by_undo]
HOWS = [OnConflict.MERGE, OnConflict.KEEP, OnConflict.OVERWRITE]


def outcome(settled: Settled) -> Version | str:
    """What becomes of X: a version, or why it stays; "untouched" when nothing is said of it."""
    if X in targets(settled):
        return targets(settled)[X]
    return next((missing.reason for missing in settled.kept + settled.conflicts if missing.path == X), "untouched")


NOT_KNOWN = "not known at that point"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("ask", ASKS)
def test_never_seen(ask: Ask, how: OnConflict) -> None:
    """What is not in the log is in no plan."""
    assert outcome(ask(begun(), how)) == "untouched"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("covered", "owner", "expected"),
    [
        ("before", (A,), [ABSENT, ABSENT, ABSENT, ABSENT, ABSENT]),
        ("before", (B,), ["untouched", "untouched", ABSENT, ABSENT, "untouched"]),
        ("before", (), ["untouched", ABSENT, ABSENT, ABSENT, "untouched"]),
        ("between", (A,), [ABSENT, ABSENT, ABSENT, NOT_KNOWN, ABSENT]),
        ("between", (B,), ["untouched", "untouched", ABSENT, NOT_KNOWN, "untouched"]),
        ("after", (A,), [ABSENT, ABSENT, NOT_KNOWN, NOT_KNOWN, ABSENT]),
        ("after", (B,), ["untouched", "untouched", NOT_KNOWN, NOT_KNOWN, "untouched"]),
        ("after", (), ["untouched", ABSENT, NOT_KNOWN, NOT_KNOWN, "untouched"]),
    ],
)
def test_first_seen_in_a_covered_directory(
    covered: str, owner: tuple[SessionId, ...], expected: list[Version | str], how: OnConflict
) -> None:
    """It was absent since the directory was covered: removed where that is known, and where it is the session's own; else kept."""
    for ask, wanted in zip(ASKS, expected, strict=True):
        place = begun()
        since = {"before": place.base, "between": place.checkpoint, "after": place.end}[covered]
        place.log.edit(X, MINE, *owner, covered=since)
        assert outcome(ask(place, how)) == wanted, ask.__name__


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("ask", ASKS)
def test_first_seen_elsewhere(ask: Ask, how: OnConflict) -> None:
    """A view row is no change: nobody takes it back."""
    place = begun()
    place.log.view(X, FOUND)
    assert outcome(ask(place, how)) == (NOT_KNOWN if "workspace" in ask.__name__ else "untouched")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ((A,), [FOUND, FOUND, NOT_KNOWN, NOT_KNOWN, FOUND]),
        ((B,), ["untouched", "untouched", NOT_KNOWN, NOT_KNOWN, "untouched"]),
        ((), ["untouched", FOUND, NOT_KNOWN, NOT_KNOWN, "untouched"]),
    ],
)
def test_snapshotted_after_the_target(owner: tuple[SessionId, ...], expected: list[Version | str], how: OnConflict) -> None:
    """An edit of it is taken back to what the snapshot found, and never further."""
    for ask, wanted in zip(ASKS, expected, strict=True):
        place = begun()
        place.log.view(X, FOUND)
        place.log.edit(X, EDITED, *owner)
        assert outcome(ask(place, how)) == wanted, ask.__name__


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("ask", ASKS)
def test_snapshotted_after_the_target_and_removed(ask: Ask, how: OnConflict) -> None:
    """The session's own removal is taken back; a workspace rewind does not know better and leaves it."""
    place = begun()
    place.log.view(X, FOUND)
    place.log.edit(X, ABSENT, A)
    assert outcome(ask(place, how)) == (NOT_KNOWN if "workspace" in ask.__name__ else FOUND)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("ask", ASKS)
def test_snapshotted_after_the_target_where_nothing_was(ask: Ask, how: OnConflict) -> None:
    """What a snapshot found absent and the session made is removed; for the workspace it was unknown."""
    place = begun()
    place.log.view(X, ABSENT)
    place.log.edit(X, MINE, A)
    assert outcome(ask(place, how)) == (NOT_KNOWN if "workspace" in ask.__name__ else ABSENT)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("ask", ASKS)
def test_outside_the_rules_now(ask: Ask, how: OnConflict) -> None:
    """What is unknown now is kept, whatever the log knows of before; nothing of it is switched."""
    place = begun()
    place.log.view(X, FOUND)
    place.log.edit(X, MINE, A)
    place.log.view(X, UNKNOWN, Source.RULES_CHANGED)
    assert outcome(ask(place, how)) in ("outside the rules now", NOT_KNOWN)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("ask", ASKS)
def test_let_in_by_a_change_of_rules(ask: Ask, how: OnConflict) -> None:
    """What the rules let in again is first seen: what it was before is not what this one was."""
    place = begun()
    place.log.view(X, UNKNOWN, Source.RULES_CHANGED)
    place.log.view(X, FOUND, Source.RULES_CHANGED)
    assert outcome(ask(place, how)) == (NOT_KNOWN if "workspace" in ask.__name__ else "untouched")


def test_the_other_path_is_rewound() -> None:
    """The place has something to take back: these tests do not pass because nothing ever happens."""
    place = begun()
    assert targets(by_session(place, OnConflict.MERGE))["p"] == EDITED
    assert targets(by_undo(place, OnConflict.MERGE))["p"] == EDITED
    assert "p" not in targets(by_session_before(place, OnConflict.MERGE))

"""What is done to several sessions is undone for all of them: their own rows are as they were, whoever of them did what since."""

from hypothesis import given
from hypothesis import strategies as st

from rewindd.model.ids import SessionId
from rewindd.model.log import Scope
from rewindd.model.versions import ABSENT, Version
from rewindd.paths import RelPath
from rewindd.plan.draft import Aim, rewind, undo
from support.log import A, B, Log, text

STRANGER = SessionId("C")
PATHS = ("p", "q", "r")
#: Who edits which path: two members, one who is none, nobody; None for its content removes it.
_edit = st.tuples(st.sampled_from([(A,), (B,), (STRANGER,), ()]), st.sampled_from(PATHS), st.one_of(st.none(), st.integers(0, 3)))
_edits = st.lists(_edit, max_size=12)
_members_edits = st.lists(st.tuples(st.sampled_from([(A,), (B,)]), st.sampled_from(PATHS), st.integers(4, 9)), max_size=6)


def play(log: Log, edits: list[tuple[tuple[SessionId, ...], str, int | None]]) -> None:
    """Writes the edits, but for those that change nothing."""
    for owner, path, content in edits:
        version = ABSENT if content is None else text("abcdef" + str(content) * 2)
        if log.index[RelPath(path)].version != version:
            log.edit(path, version, *owner)


def stand(log: Log) -> dict[RelPath, tuple[Version, frozenset[int]]]:
    """Each path's version, and the rows that are live."""
    timeline = log.timeline()
    return {RelPath(path): (log.index[RelPath(path)].version, timeline.live(log.position, RelPath(path))) for path in PATHS}


@given(_edits, _edits, _members_edits)
def test_undo_for_all_members(
    first: list[tuple[tuple[SessionId, ...], str, int | None]],
    second: list[tuple[tuple[SessionId, ...], str, int | None]],
    later: list[tuple[tuple[SessionId, ...], str, int]],
) -> None:
    """After a rewind of everything, and work of members only, undo gives every path as it was, byte for byte and row by row; redo, too."""
    log = Log()
    for path in PATHS:
        log.view(path, text("abcdef"))
    play(log, first)
    barrier, then = log.position, stand(log)
    play(log, second)
    before = stand(log)

    plan = log.settle(rewind(log.timeline(), Aim(session=A, seq=barrier, scope=Scope.WORKSPACE)))
    assert not plan.conflicts
    at = log.done(plan)
    assert stand(log) == then

    play(log, [*later])
    after = stand(log)
    plan = log.settle(undo(log.timeline(), A, at, None, members=(B,)))
    assert not plan.conflicts
    undone = log.done(plan)
    assert stand(log) == before

    plan = log.settle(undo(log.timeline(), B, undone, None, members=(A,)))
    assert not plan.conflicts
    log.done(plan)
    assert stand(log) == after

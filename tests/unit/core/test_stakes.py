"""Stakes: who is told of which path, against a plain search through all of them."""

from hypothesis import given
from hypothesis import strategies as st

from rewindd.model.ids import SessionId
from rewindd.model.log import Owner, Row, Source
from rewindd.model.stakes import Stake, Stakes
from rewindd.model.versions import ABSENT, File
from rewindd.paths import RelPath

_PATHS = st.sampled_from([RelPath(one) for one in (".", "a", "a/b", "a/b/c", "ab", "d", "d/e")])
_STAKES = st.builds(
    lambda path, session, since, deep: Stake(path=path, session=SessionId(session), since=since, deep=deep),
    _PATHS,
    st.sampled_from("xyz"),
    st.integers(1, 9),
    st.booleans(),
)


def row(path: str, owner: Owner, seq: int, source: Source = Source.TOOL) -> Row:
    file = File(bytes(32), 1, 0o644)
    return Row(seq=seq, path=RelPath(path), before=ABSENT, after=file, owner=owner, source=source, operation=None, since=0, at_ns=0)


@given(st.lists(_STAKES), _PATHS)
def test_who_is_told(listed: list[Stake], path: RelPath) -> None:
    """A session is told of a path where it has a stake in the path or a deep one above it, and of one such stake at a time."""
    stakes, kept = Stakes(listed), {(one.session, one.path): one for one in listed}
    expected = {one.session for one in kept.values() if one.path == path or (one.deep and path.below(one.path))}
    found = stakes.on(path)
    assert sorted(one.session for one in found) == sorted(expected)
    assert len(stakes) == len(kept)


@given(st.lists(_STAKES), st.lists(_STAKES), _PATHS, st.integers(1, 12))
def test_only_what_adds_something(listed: list[Stake], wanted: list[Stake], path: RelPath, seq: int) -> None:
    """What `lacking` leaves out would tell nobody anything that the rest does not: with it, each is told what all would tell it."""
    stakes = Stakes()
    for one in [*listed, *wanted]:
        stakes.put(stakes.lacking([one]))
    everything = [one for one in [*listed, *wanted] if one.path == path or (one.deep and path.below(one.path))]
    assert {one.session for one in stakes.on(path)} == {one.session for one in everything}
    assert all(stakes.lacking([one]) == [] for one in [*listed, *wanted])
    assert stakes.lacking([Stake(path=path, session=SessionId("new"), since=seq)]) != []


def test_what_gives_a_stake() -> None:
    """A row gives one to each session whose change it is or may be, from that row on; nobody's, and what only became known, give none."""
    x, y, z = SessionId("x"), SessionId("y"), SessionId("z")
    rows = [
        row("own", (x,), 3),
        row("own", (x,), 4),
        row("nobody", (), 5),
        row("contested", (x, y), 6),
        row("seen", (x,), 7, Source.FIRST_SEEN),
    ]
    of_changes = [
        Stake(path=RelPath(path), session=one, since=seq) for path, one, seq in [("own", x, 3), ("contested", x, 6), ("contested", y, 6)]
    ]
    assert Stakes().edited(rows) == of_changes
    # What an operation writes is nobody's change, and matters to who asked for it.
    effects = [row("own", (), 8, Source.EFFECT), row("restored", (), 9, Source.EFFECT)]
    assert Stakes(of_changes).edited(effects, x) == [Stake(path=RelPath("restored"), session=x, since=9)]
    assert [one.path for one in Stakes(of_changes).edited(effects, z)] == ["own", "restored"]
    assert Stakes().edited(effects) == []

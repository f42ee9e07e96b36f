"""Whose a change is: each case of docs/design.md, "Whose change is it"."""

from itertools import product

import pytest

from rewindd.model.ids import SessionId
from rewindd.model.log import Owner, Source
from rewindd.timeline.attribution import Holders, owner_of

A, B, C = SessionId("a"), SessionId("b"), SessionId("c")


@pytest.mark.parametrize(
    ("holders", "owner", "source"),
    [
        pytest.param(Holders(brackets=(A,)), (A,), Source.TOOL, id="inside one bracket"),
        pytest.param(Holders(brackets=(A,), claim=B, windows=(B, C), sole=C), (A,), Source.TOOL, id="a bracket beats all else"),
        pytest.param(Holders(brackets=(A, A)), (A,), Source.TOOL, id="two brackets of one session"),
        pytest.param(Holders(brackets=(B, A)), (A, B), Source.TOOL, id="brackets of two sessions"),
        pytest.param(Holders(claim=A), (A,), Source.TOOL, id="a claim and no window"),
        pytest.param(Holders(claim=A, windows=(A,)), (A,), Source.TOOL, id="a claim and the holder's own window"),
        pytest.param(Holders(claim=A, windows=(B,)), (A, B), Source.COMMAND, id="a claim and another's window"),
        pytest.param(Holders(claim=B, windows=(A, B, C)), (A, B, C), Source.COMMAND, id="a claim among windows"),
        pytest.param(Holders(claim=A, sole=B), (A,), Source.TOOL, id="a claim beats the sole session"),
        pytest.param(Holders(windows=(A,)), (A,), Source.COMMAND, id="one window and no claim"),
        pytest.param(Holders(windows=(A, A)), (A,), Source.COMMAND, id="two windows of one session"),
        pytest.param(Holders(windows=(B, A)), (A, B), Source.COMMAND, id="two windows and no claim"),
        pytest.param(Holders(windows=(A,), sole=B), (A,), Source.COMMAND, id="a window beats the sole session"),
        pytest.param(Holders(), (), Source.EXTERNAL, id="no candidate"),
        pytest.param(Holders(sole=A), (A,), Source.EXTERNAL, id="no candidate, and one sole session"),
    ],
)
def test_owner(holders: Holders, owner: Owner, source: Source) -> None:
    """The owner is the only candidate; several make it contested; none make it nobody's."""
    assert owner_of(holders) == (owner, source)


def _by_the_book(holders: Holders) -> set[SessionId]:
    """The rule in docs/design.md, word by word: the candidates for a change."""
    if holders.brackets:
        return set(holders.brackets)
    windows = {session for session in holders.windows if session != holders.claim}
    if holders.claim is not None and not windows:
        return {holders.claim}
    if holders.claim is None and len(windows) == 1:
        return windows
    candidates = windows | ({holders.claim} if holders.claim is not None else set())
    return candidates or ({holders.sole} if holders.sole is not None else set())


def test_every_combination() -> None:
    """With up to three sessions that bracket, claim, have windows or are alone, the owner is what the rule says."""
    several = [(), (A,), (B,), (A, B), (B, A), (A, B, C)]
    one: list[SessionId | None] = [None, A, B, C]
    for brackets, claim, windows, sole in product(several, one, several, one):
        holders = Holders(brackets=brackets, claim=claim, windows=windows, sole=sole)
        owner, source = owner_of(holders)
        assert (set(owner), len(owner)) == (_by_the_book(holders), len(set(owner))), holders
        assert (source is Source.TOOL) == bool(brackets or (claim and not set(windows) - {claim})), holders
        assert (source is Source.EXTERNAL) == (not brackets and not windows and claim is None), holders

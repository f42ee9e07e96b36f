"""Whose a change is, from who had announced it. Pure; the rule is docs/design.md, "Whose change is it"."""

from dataclasses import dataclass

from rewindd.model.ids import SessionId
from rewindd.model.log import NOBODY, Owner, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Who had announced a change of a path when it was observed.

    Args:
        brackets: sessions with an open `editing` on it.
        claim: the session of the newest live claim on it.
        windows: sessions with an open window in the workspace.
        sole: a session opened with `attribution=sole` that is the only active one.
    """

    brackets: tuple[SessionId, ...] = ()
    claim: SessionId | None = None
    windows: tuple[SessionId, ...] = ()
    sole: SessionId | None = None


def owner_of(holders: Holders) -> tuple[Owner, Source]:
    """Returns whose change it is, and how it came about. Several candidates make it contested."""
    if holders.brackets:
        return tuple(sorted(set(holders.brackets))), Source.TOOL
    others = sorted(set(holders.windows) - {holders.claim})
    if holders.claim is not None:
        return (tuple(sorted({holders.claim, *others})), Source.COMMAND) if others else ((holders.claim,), Source.TOOL)
    if others:
        return tuple(others), Source.COMMAND
    return ((holders.sole,), Source.EXTERNAL) if holders.sole is not None else (NOBODY, Source.EXTERNAL)

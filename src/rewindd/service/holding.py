"""Who holds a path: from the claims in memory to the `Holders` that attribution judges by."""

from collections.abc import Iterable

from rewindd.model.ids import SessionId
from rewindd.model.session import Attribution, Claim
from rewindd.paths import ROOT, RelPath
from rewindd.service.state import State, Tree
from rewindd.timeline.attribution import Holders


def holders(state: State, tree: Tree, path: RelPath) -> Holders:
    """Returns who had announced a change of a path, as it stands now."""
    live = [claim for claim in claims_on(tree, path) if is_live(state, claim)]
    plain = [claim for claim in live if claim.bracket is None]
    newest = max(plain, key=lambda claim: claim.at_ns, default=None)
    active = state.active(tree.workspace.id)
    sole = active[0].id if len(active) == 1 and active[0].attribution is Attribution.SOLE else None
    return Holders(
        brackets=tuple(claim.session for claim in live if claim.bracket is not None),
        claim=newest.session if newest else None,
        sole=sole,
    )


def holder(state: State, tree: Tree, path: RelPath) -> SessionId | None:
    """Returns the session that a save by another must leave the path to: the one with an open bracket or the newest claim."""
    found = holders(state, tree, path)
    return found.brackets[0] if found.brackets else found.claim


def claims_on(tree: Tree, path: RelPath) -> list[Claim]:
    """Returns the claims on a path itself, and the deep ones on directories above it."""
    found = list(tree.claims.get(path, ()))
    above = path
    while above != ROOT:
        above = above.parent
        found += [claim for claim in tree.claims.get(above, ()) if claim.deep]
    return found


def is_live(state: State, claim: Claim) -> bool:
    """True while the claim's session made a request not long ago."""
    return state.is_active(claim.session)


def of_session(tree: Tree, session: SessionId, *, bracket: str | None = None) -> list[Claim]:
    """Returns the session's claims from snapshots, or those of one bracket."""
    return [claim for held in tree.claims.values() for claim in held if claim.session == session and claim.bracket == bracket]


def take(tree: Tree, claims: Iterable[Claim]) -> list[Claim]:
    """Takes over claims as they were just committed; returns the claims of others that they end."""
    ended: list[Claim] = []
    for claim in claims:
        held = tree.claims.get(claim.path, [])
        gone = [old for old in held if old.bracket is None and claim.bracket is None]
        ended += [old for old in gone if old.session != claim.session]
        tree.claims[claim.path] = [old for old in held if old not in gone] + [claim]
    return ended


def drop(tree: Tree, claims: Iterable[Claim]) -> None:
    """Forgets claims as their end was just committed."""
    for claim in claims:
        left = [old for old in tree.claims.get(claim.path, []) if old != claim]
        if left:
            tree.claims[claim.path] = left
        else:
            tree.claims.pop(claim.path, None)

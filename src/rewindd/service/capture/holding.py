"""Who holds a path: from the claims and windows in memory to the `Holders` that attribution judges by."""

from collections.abc import Iterable, Set

from rewindd.model.ids import SessionId
from rewindd.model.session import Attribution, Claim
from rewindd.model.window import Window, WindowKind
from rewindd.paths import ROOT, RelPath
from rewindd.service.asker import is_others, running
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.timeline.attribution import Holders


def holders(state: State, tree: Tree, path: RelPath) -> Holders:
    """Returns who had announced a change of a path, as it stands now."""
    active = state.active(tree.workspace.id)
    sole = active[0].id if len(active) == 1 and active[0].attribution is Attribution.SOLE else None
    return announced(state, tree, path, sole)


def announced(state: State, tree: Tree, path: RelPath, sole: SessionId | None = None) -> Holders:
    """Returns who had announced it, but for the sole session. For any thread, under the workspace's lock."""
    live = [claim for claim in claims_on(tree, path) if is_live(state, claim)]
    plain = [claim for claim in live if claim.bracket is None]
    newest = max(plain, key=lambda claim: claim.at_ns, default=None)
    return Holders(
        brackets=tuple(claim.session for claim in live if claim.bracket is not None),
        claim=newest.session if newest else None,
        windows=tuple(dict.fromkeys(window.session for window in list(tree.windows.values()))),
        sole=sole,
    )


def held_by_others(state: State, tree: Tree, session: SessionId, path: RelPath) -> SessionId | None:
    """Returns the session that a save by `session` must leave a changed path to, None where it need not.

    Another's open bracket comes first: its edit is under way. What `session` holds itself, by its claim or window, it takes; what
    it does not is left to the newest claim, or else to who has a window open. For any thread, under the workspace's lock.
    """
    found = announced(state, tree, path)
    if found.brackets:
        return None if session in found.brackets else found.brackets[0]
    if session in (found.claim, *found.windows):
        return None
    return found.claim or next(iter(found.windows), None)


def why_left(state: State, tree: Tree, session: SessionId, path: RelPath) -> str | None:
    """Returns why a save by `session` leaves a changed path as it was last known; None where it takes it."""
    other = held_by_others(state, tree, session, path)
    if other is None:
        return None
    found = announced(state, tree, path)
    return f"held by session {other}" if other in (found.claim, *found.brackets) else f"a window of session {other} is open"


def edited_by(state: State, tree: Tree, path: RelPath) -> str | None:
    """Returns why a point over all sessions leaves a changed path as it was last known: its edit is under way. For any thread, as above."""
    found = announced(state, tree, path).brackets
    return f"being edited by session {found[0]}" if found else None


def editor(state: State, tree: Tree, session: SessionId, path: RelPath) -> SessionId | None:
    """Returns another session that is in the middle of an announced edit of a path; None where there is none."""
    return next((one for one in announced(state, tree, path).brackets if one != session), None)


def editors_below(state: State, tree: Tree, session: SessionId, tops: Set[RelPath]) -> dict[RelPath, SessionId]:
    """Returns those of some directories in which another session is in the middle of an announced edit, at any depth, and who it is."""
    found: dict[RelPath, SessionId] = {}
    for path, held in tree.claims.items() if tops else ():
        other = next((c.session for c in held if c.bracket is not None and c.session != session and is_live(state, c)), None)
        if other is not None:
            found |= {above: other for above in path.ancestors if above in tops}
    return found


def windows_of(tree: Tree, session: SessionId, kind: WindowKind | None = None) -> list[Window]:
    """Returns the session's open windows, of one kind or of both."""
    return [window for window in tree.windows.values() if window.session == session and kind in (None, window.kind)]


def own_windows(tree: Tree, session: SessionId, kind: WindowKind) -> list[Window]:
    """Returns those of the session's windows that are not another process's; such a one ends with its process."""
    return [window for window in windows_of(tree, session, kind) if not is_others(window.pid)]


def end_windows(state: State, tree: Tree, windows: Iterable[Window]) -> None:
    """Ends windows; one that has ended is no error. What changed in them is to be observed before."""
    for window in windows:
        tree.windows.pop(window.id, None)
        guard = state.guards.pop(window.id, None)
        if guard is not None:
            guard.cancel()


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


def held_by(tree: Tree, session: SessionId) -> list[Claim]:
    """Returns all of a session's claims."""
    return [claim for held in tree.claims.values() for claim in held if claim.session == session]


def of_session(tree: Tree, session: SessionId, *, bracket: str | None = None) -> list[Claim]:
    """Returns the session's claims from snapshots, or those of one bracket."""
    return [claim for claim in held_by(tree, session) if claim.bracket == bracket]


async def ends(state: State, tree: Tree, session: SessionId) -> list[Claim]:
    """Returns the session's claims from snapshots that its save or release ends: not those of another process, while that runs."""
    held = of_session(tree, session)
    others = {claim.pid for claim in held if claim.pid is not None and is_others(claim.pid)}
    still = await state.bridge.work(running, others) if others else set[int]()
    return [claim for claim in held if claim.pid not in still]


def ending(tree: Tree, claims: Iterable[Claim]) -> list[Claim]:
    """Returns the claims of others that these would end, were they taken now."""
    plain = [claim for claim in claims if claim.bracket is None]
    return [old for claim in plain for old in tree.claims.get(claim.path, ()) if old.bracket is None and old.session != claim.session]


def take(tree: Tree, claims: Iterable[Claim]) -> None:
    """Takes over claims as they were just committed, in place of those that they end."""
    for claim in claims:
        held = tree.claims.get(claim.path, [])
        gone = [old for old in held if old.bracket is None and claim.bracket is None]
        tree.claims[claim.path] = [old for old in held if old not in gone] + [claim]


def drop(tree: Tree, claims: Iterable[Claim]) -> None:
    """Forgets claims as their end was just committed."""
    for claim in claims:
        left = [old for old in tree.claims.get(claim.path, []) if old != claim]
        if left:
            tree.claims[claim.path] = left
        else:
            tree.claims.pop(claim.path, None)

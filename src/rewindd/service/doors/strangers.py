"""What a request through a grant leaves: everything that is not the grant's sessions' own work."""

from collections.abc import Iterable
from dataclasses import replace

from rewindd.errors import NotPermitted
from rewindd.model.grant import Through
from rewindd.model.session import Session
from rewindd.plan.draft import Draft, Keep
from rewindd.service.asking.positions import Point
from rewindd.timeline.history import Timeline

#: Why a path stays: to change it would take back, or put back, what somebody else did.
OTHERS = "changed since by others"


def check_position(through: Through | None, session: Session, point: Point | None) -> None:
    """Raises NotPermitted where a request through a grant is about a time before its session: what was there then was others'."""
    if through is not None and (point is None or (point.checkpoint is None and point.seq < session.start_seq)):
        raise NotPermitted("a grant goes back to where its session was opened; name one of the session's checkpoints")


def leave(timeline: Timeline, drafts: Iterable[Draft], through: Through) -> list[Draft]:
    """Returns the drafts, with those that would switch a row which is not of the grant's sessions turned into a reason to leave the path.

    What comes back is then what the sessions themselves found or left there: nothing that only others had. There is no falling back to
    what a path was for everybody. Paths on which only others ever worked are not even named.
    """
    return [_left(timeline, draft, through) for draft in drafts if _is_known(timeline, draft, through)]


def _is_known(timeline: Timeline, draft: Draft, through: Through) -> bool:
    return any(not through.sessions.isdisjoint(row.owner) for row in timeline.rows(draft.path))


def _left(timeline: Timeline, draft: Draft, through: Through) -> Draft:
    switched = draft.live ^ draft.wanted
    owners = [row.owner for row in timeline.rows(draft.path) if row.seq in switched]
    if len(owners) < len(switched) or not all(through.is_own(owner) for owner in owners):
        return replace(draft, way=Keep(OTHERS), fallback=None)
    return replace(draft, fallback=None)

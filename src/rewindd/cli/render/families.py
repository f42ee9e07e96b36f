"""Sessions by family: sub-agents and forks below the session that they are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rewindd.cli.render.words import visible
from rewindd.protocol.replies import SessionInfo, Summary


@dataclass(frozen=True, slots=True)
class Branches:
    """What a family is drawn with, three cells a generation."""

    child: str
    last: str
    along: str
    past: str = "   "


UNICODE = Branches(child="├─ ", last="└─ ", along="│  ")
ASCII = Branches(child="|- ", last="`- ", along="|  ")


def grown(found: Sequence[SessionInfo], branches: Branches = UNICODE) -> list[tuple[str, SessionInfo]]:
    """Returns each session with what stands before it: those without a parent among them in their order, each with its children below."""
    ids = {one.id for one in found}
    below: dict[str | None, list[SessionInfo]] = {}
    for one in found:
        below.setdefault(one.parent_id if one.parent_id in ids else None, []).append(one)
    lines: list[tuple[str, SessionInfo]] = []
    waiting = [("", "", one) for one in reversed(below.get(None, []))]
    while waiting:
        before, mark, one = waiting.pop()
        lines.append((before + mark, one))
        before += "" if not mark else branches.past if mark == branches.last else branches.along
        children = below.get(one.id, [])
        marks = [branches.child] * (len(children) - 1) + [branches.last]
        waiting += [(before, mark, child) for mark, child in zip(marks, children, strict=False)][::-1]
    return lines


class Families:
    """Where the checkpoints of several sessions hang together: a fork's on its origin, a sub-agent's on where its parent was."""

    def __init__(self, sessions: Sequence[SessionInfo], checkpoints: Sequence[Summary]) -> None:
        self._sessions: Mapping[str, SessionInfo] = {one.id: one for one in sessions}
        self._checkpoints: dict[str, list[Summary]] = {}
        for one in checkpoints:
            self._checkpoints.setdefault(one.session_id, []).append(one)

    def parent(self, one: Summary) -> tuple[str, str] | None:
        """Returns the session and id of the checkpoint that one follows, as far as it is listed."""
        if one.parent_id is not None:
            return self._named(one.session_id, one.parent_id)
        session = self._sessions.get(one.session_id)
        if session is None or session.parent_id is None:
            return None
        return self._newest(session.parent_id, session.opened_at)

    def name(self, session_id: str) -> str:
        """Returns a session's id, indented by as many parents as it has."""
        generation, session = -1, self._sessions.get(session_id)
        while session is not None:
            generation, session = generation + 1, self._sessions.get(session.parent_id or "")
        return "  " * generation + visible(session_id)

    def _named(self, session_id: str, checkpoint_id: str) -> tuple[str, str] | None:
        """The checkpoint of that id of the session, or of those it is a fork of."""
        looked: str | None = session_id
        while looked is not None:
            if any(one.id == checkpoint_id for one in self._checkpoints.get(looked, ())):
                return looked, checkpoint_id
            session = self._sessions.get(looked)
            looked = session.parent_id if session is not None else None
        others = [one for found in self._checkpoints.values() for one in found if one.id == checkpoint_id]
        return (others[0].session_id, checkpoint_id) if len(others) == 1 else None

    def _newest(self, session_id: str, until: datetime) -> tuple[str, str] | None:
        found = [one for one in self._checkpoints.get(session_id, ()) if one.created_at <= until and not one.automatic]
        return (session_id, found[-1].id) if found else None

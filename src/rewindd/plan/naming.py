"""How other sessions are named in what a plan says of a path."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from rewindd.model.ids import SessionId


@dataclass(frozen=True, slots=True)
class Names:
    """What sessions are called beside their ids: `agents`, of those that may have to be named."""

    agents: Mapping[SessionId, str] = field(default_factory=dict)

    def of(self, named: Iterable[str]) -> str:
        """Returns ids as a list, each with its agent where that is known; what is no session stands as it is."""
        return ", ".join(f"{one} ({agent})" if (agent := self.agents.get(SessionId(one))) is not None else one for one in named)

    def sessions(self, named: Collection[SessionId]) -> str:
        """Returns sessions as they are spoken of: `session X (agent)`."""
        return f"session{'s' if len(named) > 1 else ''} {self.of(named)}"

    def why(self, why: str, *, kept: Collection[SessionId] = (), gone: Collection[SessionId] = ()) -> str:
        """Returns the reason of a step, with the sessions whose later work on the path stays, and the others whose work goes."""
        parts = [why]
        parts += [f"with it, work of {self.sessions(gone)}"] if gone else []
        parts += [f"kept: work of {self.sessions(kept)}"] if kept else []
        return "; ".join(parts)

    def standing(self, reason: str, others: Collection[SessionId]) -> str:
        """Returns why a path clashes, with the sessions whose work is in the way."""
        return f"{reason}, by {self.sessions(others)}" if others else reason


def listed(sessions: Iterable[SessionId]) -> tuple[SessionId, ...]:
    """Returns sessions in order, each once."""
    return tuple(sorted(set(sessions)))

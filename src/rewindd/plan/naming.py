"""How other sessions are named in what a plan says of a path."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from rewindd.model.ids import SessionId
from rewindd.model.log import Owner

#: Whose work it is, to who may not be told.
STRANGERS = "others"
#: Whose changes are nobody's.
SOMEBODY = "somebody unknown"


@dataclass(frozen=True, slots=True)
class Names:
    """What sessions are called beside their ids: `agents`, of those that may have to be named.

    `own`: the only ones that may be named at all, by id or agent; None: all.
    """

    agents: Mapping[SessionId, str] = field(default_factory=dict)
    own: Collection[SessionId] | None = None

    def also(self, agents: Mapping[SessionId, str]) -> "Names":
        """Returns these names, and those of more sessions."""
        return replace(self, agents={**self.agents, **agents})

    def of(self, named: Iterable[str]) -> str:
        """Returns ids as a list, each with its agent where that is known and says more than the id."""
        listed = list(named)
        told = [one for one in listed if self.own is None or one in self.own]
        words = [f"{one} ({agent})" if (agent := self.agents.get(SessionId(one))) not in (None, one) else one for one in told]
        return ", ".join([*words, *([STRANGERS] if len(told) < len(listed) else [])])

    def sessions(self, named: Collection[SessionId]) -> str:
        """Returns sessions as they are spoken of: `session X (agent)`."""
        told = [one for one in named if self.own is None or one in self.own]
        return f"session{'s' if len(told) > 1 else ''} {self.of(named)}" if told else STRANGERS

    def owners(self, owners: Iterable[Owner]) -> str:
        """Returns whose some rows are: the sessions as they are spoken of, and `SOMEBODY` for what is nobody's."""
        whose = list(owners)
        sessions = listed(one for owner in whose for one in owner)
        return ", ".join([*([self.sessions(sessions)] if sessions else []), *([] if all(whose) else [SOMEBODY])])

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

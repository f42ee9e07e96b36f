"""What several sessions changed since their heads: the log is read once for all that stand at the same position."""

from collections.abc import Iterable, Sequence

from rewindd.model.ids import SessionId
from rewindd.model.session import Checkpoint, Session
from rewindd.service.asking import positions
from rewindd.service.asking.reading import changes_since, read_ahead
from rewindd.service.save import Tail
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.timeline.delta import PathDelta, delta
from rewindd.timeline.history import Timeline


async def tails_of(state: State, tree: Tree, sessions: Sequence[Session]) -> dict[SessionId, Tail]:
    """Returns `save.tail_of` for each of the sessions; called under the workspace's lock, with their turns."""
    heads = {session.id: await positions.head(state, session) for session in sessions}
    bases = {session.id: _base(session, heads[session.id]) for session in sessions}
    found: dict[SessionId, Tail] = {}
    for base in set(bases.values()):
        behind = await changes_since(state, tree, base, read=await read_ahead(state, tree, base))
        here = [one for one, at in bases.items() if at == base]
        deltas = await state.bridge.work(_deltas, behind, here, base)
        found |= {one: Tail(heads[one], base, deltas[one], behind) for one in here}
    return found


def _base(session: Session, head: Checkpoint | None) -> int:
    return session.start_seq if head is None else head.seq


def _deltas(behind: Timeline, sessions: Iterable[SessionId], base: int) -> dict[SessionId, list[PathDelta]]:
    """What each changed. Who owns no row of these changed nothing, and need not be looked for path by path."""
    owners = {row.owner[0] for path in behind.paths for row in behind.rows(path) if len(row.owner) == 1}
    return {one: delta(behind, one, base, behind.position) if one in owners else [] for one in sessions}

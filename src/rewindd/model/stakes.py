"""Stakes: which sessions are to be told when a path changes, found by the path."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rewindd.model.ids import SessionId
from rewindd.model.log import Row
from rewindd.paths import ROOT, RelPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """A session claimed or changed a path: it is told of others' rows of it after position `since`. `deep`: and of all below it.

    Unlike a claim it lasts as long as its session is open.
    """

    path: RelPath
    session: SessionId
    since: int
    deep: bool = False


class Stakes:
    """The stakes of a workspace's open sessions. Cost of a question: the depth of the path, whatever there is beside it."""

    def __init__(self, stakes: Iterable[Stake] = ()) -> None:
        self._of_path: dict[str, dict[SessionId, Stake]] = {}
        self._paths: dict[SessionId, set[RelPath]] = {}
        #: The paths of deep stakes: mostly few, so that mostly nothing is looked for above a path.
        self._deep: dict[SessionId, set[RelPath]] = {}
        self.put(stakes)

    def __len__(self) -> int:
        return sum(len(paths) for paths in self._paths.values())

    @property
    def sessions(self) -> list[SessionId]:
        """The sessions that have any."""
        return list(self._paths)

    def put(self, stakes: Iterable[Stake]) -> None:
        """Adds stakes; one that its session has on the path is replaced."""
        for stake in stakes:
            self._of_path.setdefault(stake.path, {})[stake.session] = stake
            self._paths.setdefault(stake.session, set()).add(stake.path)
            if stake.deep:
                self._deep.setdefault(stake.session, set()).add(stake.path)

    def drop(self, session: SessionId) -> None:
        """Forgets all of a session's."""
        self._deep.pop(session, None)
        for path in self._paths.pop(session, ()):
            held = self._of_path[path]
            del held[session]
            if not held:
                del self._of_path[path]

    def on(self, path: RelPath) -> list[Stake]:
        """Returns the stakes in a path, one of a session: its own on the path, and the deep ones above it."""
        own = self._of_path.get(path, _NONE)
        if not self._deep:
            return list(own.values())
        found = dict(own)
        for above in _above(path):
            for stake in self._of_path.get(above, _NONE).values():
                if stake.deep and (stake.session not in found or stake.since < found[stake.session].since):
                    found[stake.session] = stake
        return list(found.values())

    def of(self, session: SessionId) -> list[Stake]:
        """Returns a session's stakes."""
        return [self._of_path[path][session] for path in self._paths.get(session, ())]

    def first(self, session: SessionId) -> int:
        """Returns the position since which the session has had any stake."""
        return min((self._of_path[path][session].since for path in self._paths.get(session, ())), default=0)

    def lacking(self, wanted: Iterable[Stake]) -> list[Stake]:
        """Returns those of the stakes that would add something; a path that the session has already keeps its position."""
        fresh: dict[tuple[SessionId, RelPath], Stake] = {}
        for stake in wanted:
            known = fresh.get((stake.session, stake.path)) or self._of_path.get(stake.path, _NONE).get(stake.session)
            if known is not None and (known.deep or not stake.deep):
                continue
            if known is None and self._is_covered(stake):
                continue
            since = stake.since if known is None else known.since
            fresh[stake.session, stake.path] = Stake(path=stake.path, session=stake.session, since=since, deep=stake.deep)
        return list(fresh.values())

    def edited(self, rows: Iterable[Row], doer: SessionId | None = None) -> list[Stake]:
        """Returns the stakes that these rows give and that are not there yet: to those whose changes they are, or may be.

        `doer`: whose operation wrote those that are nobody's change: what it put there matters to it.
        """
        fresh = (
            Stake(path=row.path, session=owner, since=row.seq)
            for row in rows
            for owner in (row.owner if row.source.is_content else (doer,) if doer is not None else ())
            if owner not in self._of_path.get(row.path, _NONE)
        )
        return self.lacking(fresh)

    def _is_covered(self, stake: Stake) -> bool:
        deep = self._deep.get(stake.session)
        return deep is not None and any(above in deep for above in _above(stake.path))


_NONE: dict[SessionId, Stake] = {}


def _above(path: str) -> Iterator[str]:
    """Yields what stands above a path, the root last; nothing for the root. As text: a `RelPath` for each costs more than its question."""
    while path and path != ROOT:
        path = path.rpartition("/")[0]
        yield path or ROOT

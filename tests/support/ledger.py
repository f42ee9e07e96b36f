"""Whether the daemon's log says of each change in a game whose it was, and of nothing else that anybody did."""

from dataclasses import dataclass, field

from rewindd.blocking import Client
from rewindd.client.blocking_session import Session
from rewindd.protocol import replies, requests
from support.witness import Authors, Seen

#: Rows of the log that are read after a step: more than any step makes.
ROWS = 400


class Wrong(AssertionError):
    """Something is not as the witness says."""


@dataclass(slots=True)
class Waiting:
    """Acts of some authors on a path that were not yet seen in the log, and what was there before and after them."""

    path: str
    authors: Authors
    before: Seen
    after: Seen


@dataclass(slots=True)
class Ledger:
    """The log up to `position`, and what is to be in it next."""

    session: Session
    client: Client
    waiting: list[Waiting] = field(default_factory=list)
    position: int = 0

    def __post_init__(self) -> None:
        self._new()

    def waits_for(self, paths: tuple[str, ...]) -> bool:
        """True when a change of one of the paths was not yet seen in the log."""
        return any(one.path in paths for one in self.waiting)

    def see(self, operation: str | None = None) -> None:
        """Reads the log's new rows: those of the changes that were made since, by those who made them, and the operation's; no other."""
        found: dict[str, list[Authors]] = {}
        for row in self._new():
            if row.source == "effect":
                if operation is None or row.operation_id != operation:
                    raise Wrong(f"{row.path}: written by operation {row.operation_id}, expected was {operation}")
                continue
            owner = tuple(sorted(row.contested)) or ((row.session_id,) if row.session_id else ())
            owners = found.setdefault(str(row.path), [])
            if owners[-1:] != [owner]:
                owners.append(owner)
        for path in {*found, *(one.path for one in self.waiting)}:
            made = [one for one in self.waiting if one.path == path]
            if not _is_told(found.get(path, []), made):
                raise Wrong(f"{path}: changed by {[one.authors for one in made]}, the log says {found.get(path, [])}")
        self.waiting.clear()

    def _new(self) -> list[replies.EditInfo]:
        found = self.client.ask(requests.ReadLog(session=self.session.id, limit=ROWS), replies.Edits).edits
        new = [row for row in found if row.seq > self.position]
        self.position = max([self.position, *(row.seq for row in found)])
        return new


def _is_told(found: list[Authors], made: list[Waiting]) -> bool:
    """True when the log's owners are those of the changes, in order; a stretch that comes to nothing may be left out."""
    if not made:
        return not found
    stretch = 1
    while stretch < len(made) and made[stretch].authors == made[0].authors:
        stretch += 1
    rest = made[stretch:]
    if found and found[0] == made[0].authors and _is_told(found[1:], rest):
        return True
    return made[0].before == made[stretch - 1].after and _is_told(found, rest)

"""The crowd's game with what is about everybody's work: restores, rewinds of the whole workspace, and barriers.

`crowd_past.py SEED STEPS` plays one game again, as `crowd.py` does.
"""

from dataclasses import dataclass, field
from typing import Any

from rewindd.protocol import replies
from support.crowd import Crowd, main
from support.desk import photograph
from support.ledger import Wrong
from support.players import Player
from support.witness import Acts, Operation, is_below

#: Of a hundred steps so many are about everybody's work.
OFTEN = 25


@dataclass(slots=True, kw_only=True)
class Restored(Operation):
    """A restore that was applied: its undo is about the paths that it touched, and nothing below them."""

    touched: set[str] = field(default_factory=set)

    def concerns(self, path: str) -> bool:
        """True for a path that it touched."""
        return path in self.touched


@dataclass(frozen=True, slots=True)
class Then:
    """A position at which all that was done had been seen: what was live of everybody's."""

    position: str
    live: dict[str, Acts]
    acts: int


class PastCrowd(Crowd):
    """One game; `done` counts what was about everybody's work and was applied."""

    def __init__(self, *of_game: Any) -> None:
        self.then: list[Then] = []
        self.barriers: list[Then] = []
        self.done = {"restore": 0, "workspace": 0, "barrier": 0}
        super().__init__(*of_game)

    def _step(self) -> None:
        if self.chance.randrange(100) >= OFTEN:
            super()._step()
            return
        self.tally.steps += 1
        player = self.chance.choice(self.players)
        kind = self.chance.choices(["restore", "workspace", "barrier", "to barrier"], [10, 6, 4, 5])[0]
        if kind == "restore":
            self._restore(player)
        elif kind == "workspace":
            self._rewind_all(player)
        elif kind == "barrier":
            self._barrier()
        elif self.barriers:
            self._to_barrier(player)
        self.check()

    def _save(self, player: Player) -> None:
        super()._save(player)
        saved = player.session.list(limit=1)[-1]
        if not saved.incomplete.count:
            self.then.append(Then(saved.id, dict(self.witness.live), len(self.witness.acts)))

    def _barrier(self) -> None:
        made = self.client.barrier(self.root)
        self.say(f"barrier {len(self.barriers)}")
        if [one.session_id for one in made.members] != [one.id for one in self.players] or made.incomplete.count:
            raise Wrong(f"a barrier of {made.members} that lacks {made.incomplete}")
        for player, member in zip(self.players, made.members, strict=True):
            saved = next(one for one in player.session.list() if one.id == member.checkpoint_id)
            player.points.append(self.witness.point(saved.id, player.id, saved.parent_id))
        self.barriers.append(Then(f"barrier:{made.id}", dict(self.witness.live), len(self.witness.acts)))

    def _restore(self, player: Player) -> None:
        if not (found := [*self._own(player), *self.barriers[-2:]]):
            return
        then = self.chance.choice(found)
        live = self._all(then)
        told = {path: self.witness.told(path, acts) for path, acts in live.items()}
        there = [path for path in sorted(told) if told[path] is not None and path not in self.witness.loose]
        if not there:
            return
        paths = tuple(self.chance.sample(there, min(2, len(there))))
        self.say(f"{player.zone}: restore {paths} as of {then.position}")
        wanted = {path: acts for path, acts in live.items() if is_below(path, paths) and told[path] not in (None, self.witness.told(path))}
        operation = Restored(id="", session=player.id, kind="restore", paths=paths, before=dict(self.witness.live))
        self._everybody(player, operation, wanted, then, lambda: player.session.restore(*paths, position=then.position))

    def _rewind_all(self, player: Player) -> None:
        if not (found := self._own(player)):
            return
        then = self.chance.choice(found)
        self.say(f"{player.zone}: rewind the workspace to {then.position}")
        operation = Operation(id="", session=player.id, kind="workspace", paths=None, before=dict(self.witness.live))
        self._everybody(player, operation, self._all(then), then, lambda: player.session.rewind(then.position, scope="workspace"))

    def _to_barrier(self, player: Player) -> None:
        """All of them or none; taken back at once, to the byte, since its redo is every member's to end."""
        then = self.chance.choice(self.barriers[-3:])
        self.say(f"{player.zone}: rewind to {then.position}")
        operation = Operation(id="", session=player.id, kind="barrier", paths=None, before=dict(self.witness.live))
        if self._applied(operation, self._all(then), then, lambda: player.session.rewind(then.position)) is None:
            return
        before = self.was
        self.check()
        undo = Operation(id="", session=player.id, kind="undo", paths=None, before=dict(self.witness.live))
        if self._operate(undo, operation.before, len(self.witness.acts), "merge", player.session.undo) is None:
            raise Wrong("the undo of a rewind to a barrier conflicts")
        if photograph(self.root) != before:
            raise Wrong("the undo of a rewind to a barrier is not exact")
        for one in self.players:
            self._save(one)

    def _own(self, player: Player) -> list[Then]:
        own = {one.id for one in player.points}
        return [one for one in self.then if one.position in own][-4:]

    def _all(self, then: Then) -> dict[str, Acts]:
        return {path: then.live.get(path, frozenset()) for path in self.witness.live}

    def _everybody(self, player: Player, operation: Operation, wanted: dict[str, Acts], then: Then, ask: Any) -> None:
        result = self._applied(operation, wanted, then, ask)
        if result is None or (isinstance(operation, Restored) and not operation.touched):
            return
        player.done.append(operation)
        player.can_redo.clear()
        self.check()
        self._at_once(player, operation)

    def _applied(self, operation: Operation, wanted: dict[str, Acts], then: Then, ask: Any) -> replies.RewindResult | None:
        result = self._operate(operation, wanted, then.acts, "merge", ask)
        if result is not None:
            self.done[operation.kind] += 1
            now = photograph(self.root)
            if isinstance(operation, Restored):
                operation.touched = {path for path in {*self.was, *now} if self.was.get(path) != now.get(path)}
        return result


if __name__ == "__main__":
    main(PastCrowd)

"""A whole game: random changes, saves, rewinds, undos and redos in one world, checked after each."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from rewindd.model.ids import SessionId
from rewindd.model.log import OnConflict, Scope
from rewindd.paths import RelPath
from rewindd.plan.draft import Aim
from rewindd.plan.merge import MergeText
from support.acts import DIRECTORIES, FILES, A, Acts, B, some_owner
from support.referee import Figures, Referee, Wrong
from support.world import Done, World


@dataclass(slots=True)
class Game:
    """One world with its players; `tree` lets paths change their kind, come and go, and rules change."""

    seed: int
    repeats: float = 0.0
    tree: bool = True
    same_is_clean: bool = False
    longest: int = 14
    #: Odds of an operation being undone at once, and that again, and so on.
    at_once: float = 0.5
    #: Odds of a rewind being about everybody's work.
    workspace: float = 0.2
    #: Odds of a rewind taking the other session's work along as a child's, and of its taking what is contested.
    children: float = 0.0
    shared: float = 0.0
    #: Of a hundred changes so many are contested.
    contested: int = 1
    text: Callable[[World], MergeText] | None = None

    def play(self, steps: int) -> Figures:
        """Plays so many steps, and returns what was counted. Ends early after a merge that went wrong.

        Raises:
            Wrong: it went wrong, every line is unique, and no other row had made the change of a switched one.
        """
        return self.referee(steps).figures

    def referee(self, steps: int) -> Referee:
        """As `play`; returns the world as it is then, and all that was done in it, with the referee."""
        chance = random.Random(self.seed)
        world = World()
        acts = Acts(world, chance, self.repeats, self.longest)
        referee = Referee(world, chance, self.same_is_clean, self.text(world) if self.text else None, self.repeats > 0)
        acts.fill()
        start = world.mark()
        referee.heads = {A: start, B: start}
        referee.save(A)
        for _ in range(steps):
            self._step(acts, referee, chance)
            if referee.figures.wrong:
                if not self.repeats and referee.figures.wrong > referee.figures.masked:
                    raise Wrong(referee.said)
                break
            referee.check()
        return referee

    def _step(self, acts: Acts, referee: Referee, chance: random.Random) -> None:
        kind = chance.choices(
            ["act", "rules", "save", "rewind", "undo", "restore"], [58, 2 if self.tree else 0, 10, 20, 10, 6 if self.tree else 2]
        )[0]
        session = chance.choice((A, B))
        if kind == "act":
            referee.figures.acts += 1
            acts.anything(some_owner(chance, self.contested), tree=self.tree)
        elif kind == "rules":
            referee.figures.acts += 1
            acts.rules()
        elif kind == "save":
            referee.save(session)
        elif kind == "rewind":
            self._rewind(referee, session, chance)
        elif kind == "restore":
            paths = tuple(chance.sample([*FILES, *DIRECTORIES], chance.randint(1, 3)))
            self._perhaps_undo(referee, referee.restore(session, chance.choice(referee.checkpoints).mark, paths), chance)
        else:
            self._undo(referee, session, chance)

    def _rewind(self, referee: Referee, session: SessionId, chance: random.Random) -> None:
        before = chance.random() < 0.3
        checkpoint = chance.choice(referee.checkpoints)
        own = [checkpoint for checkpoint in referee.checkpoints if checkpoint.session == session]
        if own and chance.random() < 0.9:
            checkpoint = chance.choice(own)
        aim = Aim(
            session=session,
            seq=(checkpoint.base if before else checkpoint.mark).seq,
            scope=chance.choices([Scope.SESSION, Scope.WORKSPACE], [1 - self.workspace, self.workspace])[0],
            also_external=chance.random() < self.workspace,
            on_conflict=chance.choices(list(OnConflict), [60, 10, 20, 10])[0],
            paths=self._filter(chance),
            children=(B if session == A else A,) if self.children and chance.random() < self.children else (),
            with_shared=bool(self.shared) and chance.random() < self.shared,
        )
        done = referee.rewind(session, checkpoint, aim, before=before)
        self._perhaps_undo(referee, done, chance)

    def _undo(self, referee: Referee, session: SessionId, chance: random.Random) -> None:
        mine = [done for done in referee.done[-6:] if done.session == session]
        if mine:
            how = chance.choices(list(OnConflict), [70, 0, 20, 10])[0]
            self._perhaps_undo(referee, referee.undo(session, chance.choice(mine), how), chance)

    def _perhaps_undo(self, referee: Referee, done: Done | None, chance: random.Random) -> None:
        """Undoes at once, and undoes that, and so on."""
        while done is not None and chance.random() < self.at_once:
            done = referee.undo_at_once(done)
            if not referee.figures.wrong:
                referee.check()

    def _filter(self, chance: random.Random) -> tuple[RelPath, ...] | None:
        if chance.random() < 0.7:
            return None
        return tuple(chance.sample([*FILES, *DIRECTORIES], chance.randint(1, 3)))

"""Up to five sessions and a person at work in one tree of a real daemon, at random, each step judged by the witness.

`crowd.py SEED STEPS` plays one game again, with a daemon of its own, and says each step: what a failing test prints.
"""

import inspect
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from rewindd import blocking, errors
from rewindd.protocol import replies
from support.daemon import RealDaemon, real_daemon
from support.deeds import Deeds, Plan
from support.desk import Photograph, photograph
from support.ledger import Ledger, Waiting, Wrong
from support.players import Player, Tally
from support.witness import Acts, Authors, Conflict, Operation, Point, Witness, is_below

#: Sessions at first, and at most.
FIRST, MOST = 2, 5
PERSON = 5
#: How often what is done, of a hundred steps.
KINDS = {"edit": 52, "structure": 7, "save": 13, "rewind": 19, "undo": 4, "redo": 3, "look": 2}
_GAMES = count(1)

C = TypeVar("C", bound="Crowd")


class Crowd:
    """One game; the connections that it opens are the stack's to close."""

    def __init__(self, daemon: RealDaemon, root: Path, seed: int, say: Callable[[str], object], stack: ExitStack) -> None:
        self.daemon, self.root, self.seed, self.say, self.stack = daemon, root, seed, say, stack
        self.name = f"game-{next(_GAMES)}"
        self.chance = random.Random(seed)
        self.witness = Witness()
        self.tally = Tally()
        self.players: list[Player] = []
        self.claims: dict[str, str] = {}
        #: Who is in the middle of editing what, while an operation is asked for.
        self.editing: tuple[Player, str] | None = None
        #: The tree just before the newest operation.
        self.was: Photograph = {}
        aside = root.with_name("aside")
        aside.mkdir()
        self.deeds = Deeds(root, aside, self.witness, self.chance)
        self.deeds.fill()
        for _ in range(FIRST):
            self._join()
        self.ledger = Ledger(self.players[0].session, self.client)

    def play(self, steps: int) -> Tally:
        """Plays so many steps.

        Raises:
            Wrong: something is not as the witness says; a note tells how to play it again.
        """
        try:
            for _ in range(steps):
                self._step()
            self.ledger.see()
        except BaseException as error:
            program = Path(inspect.getfile(type(self))).relative_to(Path(__file__).parents[2])
            again = f"PYTHONPATH=tests {sys.executable} {program} {self.seed} {self.tally.steps}"
            error.add_note(f"step {self.tally.steps} of seed {self.seed}; to play it again and read each step:\n    {again}")
            raise
        return self.tally

    def _join(self) -> None:
        client = self.stack.enter_context(blocking.connect(socket=self.daemon.socket, autostart=False, timeout_s=60))
        session = self.stack.enter_context(client.session(self.root, session_id=f"{self.name}-{len(self.players)}"))
        while any(one.baseline.state == "running" for one in client.status().workspaces if one.root == str(self.root)):
            pass
        self.client = client
        self.players.append(Player(len(self.players), session))
        self._save(self.players[-1])

    def _step(self) -> None:
        self.tally.steps += 1
        if len(self.players) < MOST and self.chance.random() < 0.06:
            self._join()
        player = self.chance.choice(self.players)
        kind = self.chance.choices(list(KINDS), list(KINDS.values()))[0]
        if kind in ("edit", "structure"):
            self._change(player if self.chance.random() < 0.75 else None, kind)
        elif kind == "save":
            self._save(player)
        elif kind == "rewind":
            self._rewind(player)
        elif kind == "undo":
            self._undo(player)
        elif kind == "redo":
            self._redo(player)
        else:
            self._look(player)
        self.check()

    # ---- changes

    def _change(self, player: Player | None, kind: str) -> None:
        zone = player.zone if player is not None else PERSON
        plan = self.deeds.edit(zone) if kind == "edit" else self.deeds.structure(zone)
        if plan is None:
            return
        self.tally.edits += 1
        if kind == "structure" or self.ledger.waits_for(plan.paths):
            self.ledger.see()
        if player is None:
            self._by_nobody(plan)
        else:
            ways = {"bracket": self._in_bracket, "snapshot": self._after_snapshot, "window": self._in_window}
            way = self.chance.choices(list(ways), [4, 4, 3])[0]
            ways[way](player, plan, kind)
        if kind == "structure":
            self.ledger.see()

    def _by_nobody(self, plan: Plan) -> None:
        self._end_claims(plan.paths)
        self.say(f"person: {plan.what}")
        self._do(plan, ())

    def _in_bracket(self, player: Player, plan: Plan, kind: str) -> None:
        self.say(f"{player.zone}: {plan.what} in a bracket")
        with player.session.editing(*plan.paths):
            self._do(plan, (player.id,))

    def _after_snapshot(self, player: Player, plan: Plan, kind: str) -> None:
        self.say(f"{player.zone}: {plan.what} after a snapshot")
        player.session.snapshot(*plan.paths)
        self.claims.update(dict.fromkeys(plan.paths, player.id))
        self._do(plan, (player.id,))
        if kind == "structure" or self.chance.random() < 0.4:
            player.session.release()
            self._drop_claims(player)

    def _in_window(self, player: Player, plan: Plan, kind: str) -> None:
        self._end_claims(plan.paths, but=player)
        if self.chance.random() < 0.03:
            other = self.chance.choice([one for one in self.players if one is not player])
            self._end_claims(plan.paths)
            self.say(f"{player.zone} and {other.zone}: {plan.what}, in windows of both")
            with player.session.command("x"), other.session.command("y"):
                self._do(plan, tuple(sorted((player.id, other.id))))
            return
        self.say(f"{player.zone}: {plan.what} in a window")
        with player.session.command("x"):
            self._do(plan, (player.id,))

    def _do(self, plan: Plan, authors: Authors) -> None:
        was = photograph(self.root)
        first = self.witness.next
        plan.do(authors)
        now = photograph(self.root)
        for path in dict.fromkeys(act.path for act in self.witness.acts[first - 1 :]):
            self.ledger.waiting.append(Waiting(path, authors, was.get(path), now.get(path)))

    def _end_claims(self, paths: tuple[str, ...], but: Player | None = None) -> None:
        """Those who have a claim on one of the paths, or on something below them, let go: what changes next is not theirs."""
        holders = {self.claims[held] for held in self.claims if is_below(held, paths)}
        for one in self.players:
            if one.id in holders and one is not but:
                one.session.release()
                self._drop_claims(one)

    def _drop_claims(self, player: Player) -> None:
        self.claims = {path: holder for path, holder in self.claims.items() if holder != player.id}

    # ---- saves and operations

    def _save(self, player: Player) -> None:
        self.tally.saves += 1
        summary = player.session.save()
        self.say(f"{player.zone}: save {len(player.points)}")
        player.points.append(self.witness.point(summary.id, player.id, summary.parent_id))
        player.can_redo.clear()
        self._drop_claims(player)

    def _look(self, player: Player) -> None:
        self.say(f"{player.zone}: pending")
        player.session.pending()

    def _rewind(self, player: Player) -> None:
        back = min(int(self.chance.expovariate(0.7)), len(player.points) - 1)
        point = player.points[-1 - back]
        before = self.chance.random() < 0.3
        to: Point | None = point
        if before:
            to = next((one for one in player.points if one.id == point.parent), None)
        since = to.acts if to is not None else 0
        paths = tuple(self.chance.sample(sorted(self.witness.stories), 2)) if self.chance.random() < 0.15 else None
        how = self.chance.choices(["merge", "keep"], [2, 1])[0]
        shared = self.chance.random() < 0.3
        wanted = self.witness.rewound(player.id, to, paths, with_shared=shared)
        also = f"before={before}, with_shared={shared}, {how}, paths={paths}"
        self.say(f"{player.zone}: rewind to {len(player.points) - 1 - back}, {also}")

        def ask(**more: Any) -> replies.RewindResult:
            return player.session.rewind(point.id, before=before, with_shared=shared, on_conflict=how, paths=paths or (), **more)

        plan = None
        if self.chance.random() < 0.3:
            shown = photograph(self.root)
            plan = ask(dry_run=True).plan_id
            self._untouched(shown, "a dry run")
        elif self.chance.random() < 0.06:
            self._under_way(player, wanted)
        operation = Operation(id="", session=player.id, kind="rewind", paths=paths, before=dict(self.witness.live))
        later = {
            act.path for act in self.witness.acts[since:] if act.authors != (player.id,) and act.number in self.witness.live_of(act.path)
        }
        with self._brackets():
            result = self._operate(operation, wanted, since, how, lambda: ask(plan=plan))
        self.tally.rewinds += 1
        if result is None:
            return
        changed = {str(path) for path in (*result.restored, *result.merged)}
        self.tally.kept_hunks += bool(changed & later)
        player.done.append(operation)
        player.can_redo.clear()
        self._at_once(player, operation)

    def _under_way(self, player: Player, wanted: dict[str, Acts]) -> None:
        """Somebody else begins to edit one of the paths that a rewind is about to change."""
        found = [path for path, acts in sorted(wanted.items()) if acts != self.witness.live_of(path)]
        if found:
            self.editing = self.chance.choice([one for one in self.players if one is not player]), self.chance.choice(found)
            self.say(f"{self.editing[0].zone}: begins to edit {self.editing[1]}")

    def _is_under_way(self, path: str) -> bool:
        """True for what is being edited: with all below, and the directories above that would be made for it."""
        return self.editing is not None and (is_below(path, [self.editing[1]]) or is_below(self.editing[1], [path]))

    @contextmanager
    def _brackets(self) -> Iterator[None]:
        """The edit that is under way is announced for the block."""
        try:
            with ExitStack() as stack:
                if self.editing is not None:
                    stack.enter_context(self.editing[0].session.editing(self.editing[1]))
                yield
        finally:
            self.editing = None

    def _at_once(self, player: Player, operation: Operation) -> None:
        """Undoes what was just done, to the byte, and redoes it, and so on."""
        before, after = self.was, photograph(self.root)
        while self.chance.random() < 0.5:
            self._expect(self._undo(player), before, "an undo at once")
            if self.chance.random() < 0.4:
                return
            self._expect(self._redo(player), after, "a redo at once")

    def _expect(self, done: Operation | None, wanted: Photograph, what: str) -> None:
        found = photograph(self.root)
        different = sorted(path for path in {*found, *wanted} if found.get(path) != wanted.get(path))
        if done is None or different:
            raise Wrong(f"{what} is not exact: {different}")
        self.tally.exact += 1

    def _undo(self, player: Player) -> Operation | None:
        chosen = next((one for one in reversed(player.done) if not one.is_undone), None)
        self.say(f"{player.zone}: undo")
        if chosen is None:
            self._nothing(player.session.undo)
            return None
        operation = self._take_back(player, chosen, "undo", player.session.undo)
        if operation is not None:
            chosen.is_undone = True
            player.can_redo.append(operation)
        return operation

    def _redo(self, player: Player) -> Operation | None:
        self.say(f"{player.zone}: redo")
        if not player.can_redo:
            self._nothing(player.session.redo)
            return None
        undo = player.can_redo[-1]
        operation = self._take_back(player, undo, "redo", player.session.redo)
        if operation is not None:
            player.can_redo.pop()
            if undo.undoes is not None:
                undo.undoes.is_undone = False
        return operation

    def _take_back(self, player: Player, chosen: Operation, kind: str, ask: Callable[..., replies.RewindResult]) -> Operation | None:
        how = self.chance.choices(["merge", "keep"], [2, 1])[0]
        wanted = self.witness.taken_back(chosen)
        operation = Operation(id="", session=player.id, kind=kind, paths=chosen.paths, before=dict(self.witness.live), undoes=chosen)
        self.tally.undos += 1
        done = self._operate(operation, wanted, len(self.witness.acts), how, lambda: ask(on_conflict=how))
        return operation if done is not None else None

    def _nothing(self, ask: Callable[[], object]) -> None:
        try:
            ask()
        except errors.NothingToUndo:
            return
        raise Wrong("it took something back, and there was nothing")

    def _operate(
        self, operation: Operation, wanted: dict[str, Acts], since: int, how: str, ask: Callable[[], replies.RewindResult]
    ) -> replies.RewindResult | None:
        """Carries one out and judges it; None where it conflicts, and then nothing was touched."""
        if self.chance.random() < 0.5:
            self.ledger.see()
        self.was = photograph(self.root)
        try:
            result = ask()
        except errors.Busy:
            self._untouched(self.was, "being busy")
            self.ledger.see()
            if self.editing is None or how == "keep":
                raise
            self.say("    busy")
            self.tally.refused += 1
            return None
        except errors.Conflict as error:
            self._untouched(self.was, "a conflict")
            self.ledger.see()
            if how == "keep":
                raise Wrong(f"`keep` conflicts: {error}") from error
            listed = [Conflict(**one) for one in msgspec.convert(error.fields["conflicts"], list[dict[str, str]])]
            self.say(f"    refused: {listed}")
            self._judge(listed, wanted, operation, since)
            self.tally.refused += 1
            return None
        self._take_in(operation, wanted, since, how, result)
        return result

    def _take_in(self, operation: Operation, wanted: dict[str, Acts], since: int, how: str, result: replies.RewindResult) -> None:
        now = photograph(self.root)
        kept = [Conflict(str(one.path), one.reason) for one in result.kept]
        self.say(f"    restored {result.restored} removed {result.removed} merged {result.merged} kept {kept}")
        used = [one for one in kept if one.reason.startswith("not-empty")]
        clashes = [one for one in kept if not one.reason.startswith("not-empty")]
        for one in used:
            if now.get(one.path, ("", 0, b""))[0] != "directory" or not any(path.startswith(f"{one.path}/") for path in now):
                raise Wrong(f"{one.path}: kept as not empty, and it is")
        if clashes and how != "keep":
            raise Wrong(f"kept without being asked to: {clashes}")
        self._judge(clashes, wanted, operation, since)
        self.tally.kept += len(kept)
        told = [str(path) for path in (*result.restored, *result.removed, *result.merged)]
        changed = sorted(path for path in {*self.was, *now} if self.was.get(path) != now.get(path))
        if self.editing is not None and is_below(self.editing[1], changed):
            raise Wrong(f"{self.editing[1]}: changed, and its edit was under way")
        if sorted(told) != changed:
            raise Wrong(f"told to be changed: {sorted(told)}; changed: {changed}")
        made = [str(step.path) for step in result.steps if step.why.startswith("needed by")]
        self.witness.switch(wanted, {one.path for one in kept}, made, changed)
        self.ledger.see(str(result.operation_id))
        operation.id = str(result.operation_id)
        operation.after = dict(self.witness.live)

    def _judge(self, conflicts: list[Conflict], wanted: dict[str, Acts], operation: Operation, since: int) -> None:
        for one in conflicts:
            if one.reason.startswith("being edited") and self._is_under_way(one.path):
                continue
            if not self.witness.is_excused(one, wanted, operation.session, since):
                raise Wrong(f"{one.path}: conflicts, and need not: {one.reason}")

    def _untouched(self, before: Photograph, what: str) -> None:
        if photograph(self.root) != before:
            raise Wrong(f"{what} touched the tree")

    # ---- what must always be

    def check(self) -> None:
        """Every path is as its story says."""
        if wrong := self.witness.differing(photograph(self.root)):
            raise Wrong("\n".join(wrong))


@contextmanager
def game(daemon: RealDaemon, seed: int, of: type[C], say: Callable[[str], object] = lambda _: None) -> Iterator[C]:
    """A game of this kind in a new tree."""
    with tempfile.TemporaryDirectory(dir=daemon.directory, prefix=f"crowd-{seed}-") as directory:
        root = Path(directory, "tree")
        root.mkdir()
        with ExitStack() as stack:
            yield of(daemon, root, seed, say, stack)


def main(of: type[Crowd] = Crowd) -> None:
    """Plays as the command line says."""
    seed, steps = (int(word) for word in sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="rewindd-crowd-") as directory, real_daemon(Path(directory).resolve()) as daemon:
        with game(daemon, seed, of, print) as crowd:
            print(crowd.play(steps))


if __name__ == "__main__":
    main()

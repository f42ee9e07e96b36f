"""A program: one agent among many in one tree, with files of its own and lines of its own in files that all of them edit.

`one_tree.py SOCKET ROOT LOCKS NUMBER SECONDS ROUNDS` works for some rounds, and until so many seconds are over. Prints one
JSON object: what it did, what was wrong, and what it must find in the tree at the end. Whoever reads and writes a file that others
write too holds its lock in LOCKS meanwhile: editors that overwrite each other are nobody's fault but theirs.
"""

import fcntl
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from rewindd import blocking
from rewindd.client.blocking_session import Session
from rewindd.protocol import replies

#: Files that all edit, and files that each agent has for itself.
SHARED, OWN = 3, 4
#: Lines of each agent in a file that all edit, and the lines between that nobody edits: hunks of two agents are never near.
LINES, BETWEEN = 4, 4
#: Seconds of silence; a machine at its limit is slow, and not wrong.
SILENCE_S = 120.0

#: What an agent has in the tree: the text of each file of its own, and its lines of each file that all edit.
Mine = dict[str, str]


class Tally(msgspec.Struct):
    """What an agent did, what was wrong, and what is its own in the tree at the end."""

    saves: int = 0
    rewinds: int = 0
    undos: int = 0
    wrong: list[str] = []
    mine: Mine = {}


def shared_name(number: int) -> str:
    """Returns the path of a file that all edit."""
    return f"shared/{number}.txt"


def fill(root: Path, agents: int) -> None:
    """Makes the tree before anybody comes."""
    (root / "shared").mkdir(parents=True)
    for number in range(SHARED):
        lines = [f"{agent}|first {n}\n" for agent in range(agents) for n in range(LINES)]
        parts = ["".join(lines[agent * LINES : (agent + 1) * LINES]) for agent in range(agents)]
        between = ("".join(f"-|between {agent} {n}\n" for n in range(BETWEEN)) for agent in range(agents))
        (root / shared_name(number)).write_text("".join(part + rest for part, rest in zip(parts, between, strict=True)))


def of_agent(number: int, text: str) -> str:
    """Returns an agent's lines of a file that all edit."""
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(f"{number}|"))


def found(root: Path, number: int) -> Mine:
    """Returns what is an agent's own in the tree."""
    own = {str(path.relative_to(root)): path.read_text() for path in sorted((root / f"agent-{number}").glob("*"))}
    shared = (shared_name(one) for one in range(SHARED))
    return own | {name: of_agent(number, (root / name).read_text()) for name in shared}


@dataclass
class Agent:
    """One agent. `points` are its checkpoints, with what was its own in the tree at each."""

    number: int
    root: Path
    locks: Path
    chance: random.Random
    tally: Tally = field(default_factory=Tally)
    points: list[tuple[str, Mine]] = field(default_factory=list)
    head: str | None = None

    @property
    def name(self) -> str:
        """The session's id."""
        return f"one-of-many-{self.number}"

    def live(self, socket: str, seconds: float, rounds: int) -> Tally:
        """Works; returns what came of it."""
        until_s = time.monotonic() + seconds
        with (
            blocking.connect(socket=socket, autostart=False, timeout_s=SILENCE_S) as client,
            client.session(self.root, agent=f"agent {self.number}", session_id=self.name) as session,
        ):
            done = 0
            while done < rounds or time.monotonic() < until_s:
                done += 1
                for part in ("a", "b"):
                    self._work(session, f"{done}{part}")
                self._rewind(session)
                self._remember(session)
            listed = [one for one in session.list() if not one.automatic]
            self._check([(one.session_id, one.id) for one in listed], [(self.name, one) for one, _ in self.points], "a list")
        with self._alone(*range(SHARED)):
            self.tally.mine = found(self.root, self.number)
        return self.tally

    def _work(self, session: Session, label: str) -> None:
        for number in self.chance.sample(range(OWN), 2):
            self._edit_own(session, number, label)
        changed = self.chance.randrange(SHARED)
        with self._alone(changed), session.editing(shared_name(changed)) as kept:
            self._check([str(one.path) for one in kept.snapshots], [shared_name(changed)], "a bracket")
            self._edit_shared(shared_name(changed), label)
        with self._alone(*range(SHARED)):
            mine = found(self.root, self.number)
        session.history.add_user_message(f"{self.name} {label}", tokens=1)
        summary = session.save(label)
        self._check((summary.session_id, summary.label, summary.parent_id), (self.name, label, self.head), "a save")
        self.head = summary.id
        self.points.append((summary.id, mine))
        self.tally.saves += 1
        self._look(session, summary.id, mine)

    def _look(self, session: Session, checkpoint: str, mine: Mine) -> None:
        """What was saved is at its checkpoint, byte for byte, and is this agent's."""
        loaded = session.load(checkpoint)
        self._check((loaded.session_id, loaded.user_prompts[-1:]), (self.name, [f"{self.name} {loaded.label}"]), "a checkpoint")
        for name, text in mine.items():
            shown = session.show(checkpoint, name)
            content = (shown.content or b"").decode()
            self._check((str(shown.path), of_agent(self.number, content)), (name, of_agent(self.number, text)), f"{name} at {checkpoint}")

    def _remember(self, session: Session) -> None:
        """Any earlier checkpoint still has what was saved in it."""
        checkpoint, mine = self.chance.choice(self.points)
        self._look(session, checkpoint, mine)

    def _rewind(self, session: Session) -> None:
        target, mine = self.chance.choice(self.points)
        with self._alone(*range(SHARED)):
            before = found(self.root, self.number)
            result = session.rewind(target)
            self._told(result, target)
            self._check(found(self.root, self.number), mine, f"the tree after a rewind to {target}")
            self.head = target
            self.tally.rewinds += 1
            if self.chance.random() < 0.5:
                self._told(session.undo(), None)
                self._check(found(self.root, self.number), before, "the tree after an undo")
                self.head = session.head
                self.tally.undos += 1

    def _told(self, result: replies.RewindResult, target: str | None) -> None:
        """The answer is to this agent's question: it names nobody else's files, and nothing is in the way."""
        self._check((result.kept, result.conflicts), ([], []), "what a rewind kept")
        self._check(result.checkpoint_id if target is not None else None, target, "a rewind")
        mine = (f"agent-{self.number}", "shared")
        paths = [str(path) for path in (*result.restored, *result.removed, *result.merged)]
        self._check([path for path in paths if not path.startswith(mine)], [], "the paths of a rewind")

    def _edit_own(self, session: Session, number: int, label: str) -> None:
        name = f"agent-{self.number}/{number}.txt"
        path = self.root / name
        kept = session.snapshot(name)
        self._check([str(one.path) for one in kept.snapshots], [name], "a snapshot")
        if path.exists() and self.chance.random() < 0.2:
            path.unlink()
            return
        path.parent.mkdir(exist_ok=True)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        lines.insert(self.chance.randint(0, len(lines)), f"{self.number}|{label} {self.chance.random()}\n")
        path.write_text("".join(lines[-20:]))

    def _edit_shared(self, name: str, label: str) -> None:
        path = self.root / name
        lines = path.read_text().splitlines(keepends=True)
        mine = [at for at, line in enumerate(lines) if line.startswith(f"{self.number}|")]
        lines[self.chance.choice(mine)] = f"{self.number}|{label} {self.chance.random()}\n"
        path.write_text("".join(lines))

    @contextmanager
    def _alone(self, *numbers: int) -> Iterator[None]:
        """Nobody else writes these files meanwhile."""
        with ExitStack() as stack:
            for number in numbers:
                lock = stack.enter_context((self.locks / str(number)).open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _check(self, found: object, expected: object, what: str) -> None:
        if found != expected:
            self.tally.wrong.append(f"{self.name}: {what}: {found!r}, not {expected!r}")


def main() -> None:
    """Works as the command line says."""
    socket, root, locks, number, seconds, rounds = sys.argv[1:]
    agent = Agent(int(number), Path(root), Path(locks), random.Random(int(number)))
    print(json.dumps(msgspec.to_builtins(agent.live(socket, float(seconds), int(rounds)))))


if __name__ == "__main__":
    main()

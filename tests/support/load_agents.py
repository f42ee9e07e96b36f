"""A program: several agents in one process, each with a connection, a session and a directory of its own, all at work at once.

`load_agents.py SOCKET TOP FIRST AGENTS ROUNDS`. Prints one JSON object: what was done, what was wrong, and each tree's digest. They end
earlier where a file `stop` comes to be in TOP.
"""

import hashlib
import json
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import anyio
import msgspec

import rewindd
from rewindd import errors
from rewindd.protocol import replies

T = TypeVar("T")

#: Files of a tree, and the lines of each; every line names its agent, so that a crossed reply shows.
FILES, LINES = 8, 20
#: The file that ends the work.
STOP = "stop"
#: Seconds of silence; a machine at its limit is slow, and not wrong.
SILENCE_S = 60.0


class Tally(msgspec.Struct):
    """What the agents of a process did, what was wrong, and the digest that each tree must have.

    `unanswered`: calls that the daemon went away with as often as they are sent, and that were made again.
    """

    saves: int = 0
    rewinds: int = 0
    unanswered: int = 0
    wrong: list[str] = []
    digests: dict[str, str] = {}


def digest(root: Path) -> str:
    """Returns a digest of every path below a directory, with its mode and content."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        found.update(f"{path.relative_to(root)}\0{path.lstat().st_mode:o}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


@dataclass
class Agent:
    """One agent. `points` are its checkpoints with the tree's digest at each."""

    name: str
    root: Path
    tally: Tally
    chance: random.Random
    points: list[tuple[str, str]] = field(default_factory=list)
    head: str | None = None

    async def live(self, socket: str, rounds: int) -> None:
        """Works for some rounds: two saves, then a rewind to any of its checkpoints."""
        self.root.mkdir(parents=True)
        async with (
            rewindd.connect(socket=socket, autostart=False, timeout_s=SILENCE_S) as client,
            client.session(self.root, agent=self.name, session_id=self.name) as session,
        ):
            for number in range(rounds):
                if (self.root.parent / STOP).exists():
                    break
                await self._save(session, f"{self.name}/{number}a")
                await self._save(session, f"{self.name}/{number}b")
                await self._rewind(session)
            self._check(str(session.id), self.name, "the session")
            listed = await self._asked(session.list)
            self._check({one.session_id for one in listed}, {self.name}, "the sessions in a list")
            self._check([one.id for one in listed if not one.automatic], [point for point, _ in self.points], "a list")
        self.tally.digests[self.name] = digest(self.root)

    async def _save(self, session: rewindd.Session, label: str) -> None:
        changed = self.chance.sample(range(FILES), 3)
        kept = await self._asked(lambda: session.snapshot(*(self._path(number) for number in changed)))
        self._check([str(one.path) for one in kept.snapshots], [self._path(number).name for number in changed], "a snapshot")
        wanted = [self._path(number).name for number in changed if self._edit(number, label)]
        session.history.add_user_message(label, tokens=1)
        summary = await self._saved(session, label)
        self._check((summary.session_id, summary.label, summary.parent_id), (self.name, label, self.head), "a save")
        self._check(summary.files, len(wanted), "the number of changed paths")
        await self._look(session, summary, label, wanted)
        self.head = summary.id
        self.points.append((summary.id, digest(self.root)))
        self.tally.saves += 1

    async def _look(self, session: rewindd.Session, summary: replies.Summary, label: str, wanted: list[str]) -> None:
        """Asks for the checkpoint and its contents; both are this agent's or crossed."""
        found = await self._asked(lambda: session.load(summary.id, content=True))
        self._check((found.id, found.user_prompts[-1:]), (summary.id, [label]), "a checkpoint")
        self._check(sorted(str(diff.path) for diff in found.file_diffs), sorted(wanted), "the paths of a checkpoint")
        for diff in found.file_diffs:
            texts = [side.text for side in (diff.before, diff.after) if side is not None and side.text]
            self._check(all(line.startswith(self.name) for text in texts for line in text.splitlines()), True, "a content")

    async def _rewind(self, session: rewindd.Session) -> None:
        target, expected = self.chance.choice(self.points)
        result = await self._asked(lambda: session.rewind(target))
        self._check((result.checkpoint_id, result.head, result.kept, result.conflicts), (target, target, [], []), "a rewind")
        self._check(digest(self.root), expected, f"the tree after a rewind to {target}")
        self.head = target
        self.tally.rewinds += 1

    async def _saved(self, session: rewindd.Session, label: str) -> replies.Summary:
        """Saves; where it is not known whether that was done, it is asked for once more by the same id."""
        name = label.replace("/", "-")
        while True:
            try:
                return await session.save(label, checkpoint_id=name)
            except errors.TransportError:
                self.tally.unanswered += 1
            except errors.AlreadyExists:
                (made,) = [one for one in await self._asked(session.list) if one.id == name]
                return made

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T:
        """Makes a call that may be made twice until it is answered."""
        while True:
            try:
                return await call()
            except errors.TransportError:
                self.tally.unanswered += 1

    def _edit(self, number: int, label: str) -> bool:
        """Writes a file anew, changes a line of it, or deletes it; returns whether anything changed."""
        path = self._path(number)
        was = path.read_text() if path.exists() else None
        if was is not None and self.chance.random() < 0.2:
            path.unlink()
            return True
        lines = was.splitlines() if was is not None else [f"{self.name} {path.name} {n}" for n in range(LINES)]
        lines[self.chance.randrange(LINES)] = f"{self.name} {path.name} {label} {self.chance.random()}"
        path.write_text("\n".join(lines) + "\n")
        return True

    def _path(self, number: int) -> Path:
        return self.root / f"{self.name}-{number}.txt"

    def _check(self, found: object, expected: object, what: str) -> None:
        if found != expected:
            self.tally.wrong.append(f"{self.name}: {what}: {found!r}, not {expected!r}")


async def work(socket: str, top: Path, numbers: range, rounds: int) -> Tally:
    """Lets the agents of this process work, all at once."""
    tally = Tally()
    async with anyio.create_task_group() as agents:
        for agent in made(top, numbers, tally):
            agents.start_soon(agent.live, socket, rounds)
    return tally


def made(top: Path, numbers: range, tally: Tally) -> Iterator[Agent]:
    """Returns the agents; each always does the same."""
    for number in numbers:
        yield Agent(f"agent-{number}", top / f"project-{number}", tally, random.Random(number))


def main() -> None:
    """Works as the command line says."""
    socket, top, first, agents, rounds = sys.argv[1:]
    numbers = range(int(first), int(first) + int(agents))
    tally = anyio.run(work, socket, Path(top), numbers, int(rounds))
    print(json.dumps(msgspec.to_builtins(tally)))


if __name__ == "__main__":
    main()

"""The measures: each makes its figure and its floor take turns, so that a noisy moment hits both."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio

import rewindd
from benchmark import floors, trace
from benchmark.report import Figure
from benchmark.subject import Subject, memory_of, running, switches_of

#: Turns of one figure and its floor, and the seconds after which it stops with what it has.
TURNS = 200
LIMIT_S = 12.0
#: Processes started for `rewindctl status`.
PROCESS_TURNS = 30
#: What a save and a rewind are about: so many of the tree's files change, of so many bytes each.
TREE_FILES, CHANGED_FILES, FILE_BYTES = 300, 10, 10_000
#: Seconds between two rewinds: the files of the last one are synced after its reply, and nobody rewinds faster.
REST_S = 0.03
#: Seconds of idleness that are looked at.
IDLE_S = 10.0
LARGE_BYTES = 1 << 30

_WORDS = ("the", "session", "keeps", "every", "file", "and", "takes", "back", "what", "was", "done", "since", "its", "checkpoint")

Act = Callable[[], Awaitable[object]]


def text(chance: random.Random, size_bytes: int = FILE_BYTES) -> bytes:
    """Returns lines of words, as compressible as prose, never twice the same."""
    lines: list[str] = []
    size = 0
    while size < size_bytes:
        line = f"{chance.getrandbits(32):08x} {' '.join(chance.choices(_WORDS, k=10))}\n"
        lines.append(line)
        size += len(line)
    return "".join(lines).encode()[: size_bytes - 1] + b"\n"


def edited(content: bytes, chance: random.Random) -> bytes:
    """Returns the content with one line changed."""
    lines = content.splitlines(keepends=True)
    lines[chance.randrange(len(lines))] = f"{chance.getrandbits(64):016x} changed\n".encode()
    return b"".join(lines)


class Turns:
    """Samples of a figure and of its floor, in ms; over after `TURNS` or `LIMIT_S`."""

    def __init__(self, count: int = TURNS) -> None:
        self.ours: list[float] = []
        self.floor: list[float] = []
        self._count = count

    def __iter__(self) -> Iterator[int]:
        end_s = time.monotonic() + LIMIT_S
        number = 0
        while number < self._count and time.monotonic() < end_s:
            yield number
            number += 1

    async def of_ours(self, act: Act) -> None:
        """Does and times it."""
        with _timed(self.ours):
            await act()

    def of_floor(self, act: Callable[[], object]) -> None:
        """Does and times it."""
        with _timed(self.floor):
            act()


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    into.append((time.perf_counter() - begun) * 1000)


async def status(client: rewindd.Client, directory: Path) -> Figure:
    """The round trip of a request that changes nothing."""
    turns = Turns(1000)
    with floors.echo(directory / "run" / "echo.sock") as echo:
        for _ in turns:
            turns.of_floor(echo.ask)
            await turns.of_ours(client.status)
    return Figure(
        name="status, round trip",
        unit="ms",
        limit=1.5,
        samples=turns.ours,
        floor=turns.floor,
        floor_name="a bare ROUTER/DEALER echo between two processes, blocking at both ends",
    )


async def snapshot(session: rewindd.Session, root: Path, bare: floors.Bare) -> Figure:
    """The first snapshot of a file."""
    chance, turns = random.Random(1), Turns()
    (root / "snapshots").mkdir()
    for number in turns:
        path, content = root / "snapshots" / f"{number}.txt", text(chance)
        path.write_bytes(content)
        turns.of_floor(lambda content=content: bare.write_and_sync(content))  # type: ignore[misc]
        await turns.of_ours(lambda path=path: session.snapshot(path))  # type: ignore[misc]
    return Figure(
        name=f"snapshot of a {FILE_BYTES // 1000} KB file",
        unit="ms",
        limit=5,
        samples=turns.ours,
        floor=turns.floor,
        floor_name="a new file of that size, written and synced",
    )


def grow(root: Path) -> None:
    """Makes the tree that saves and rewinds work on."""
    chance = random.Random(2)
    for number in range(TREE_FILES):
        path = root / "tree" / f"part{number % 10}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text(chance))


def files_of(root: Path, turn: int) -> list[Path]:
    """Returns the files that a turn changes: in one turn after the other, all of the tree."""
    numbers = [(turn * CHANGED_FILES + number) % TREE_FILES for number in range(CHANGED_FILES)]
    return [root / "tree" / f"part{number % 10}" / f"{number}.txt" for number in numbers]


def edit(files: Sequence[Path], chance: random.Random) -> None:
    """Changes a line of each file, by writing it again as editors do."""
    for path in files:
        path.write_bytes(edited(path.read_bytes(), chance))


async def save(session: rewindd.Session, root: Path, bare: floors.Bare) -> Figure:
    """A save of changed files among others that did not change."""
    chance, turns = random.Random(3), Turns()
    for number in turns:
        files = files_of(root, number)
        await session.snapshot(*files)
        edit(files, chance)
        turns.of_floor(lambda files=files: bare.read_hash_commit(files))  # type: ignore[misc]
        await turns.of_ours(session.save)
    return Figure(
        name=f"save of {CHANGED_FILES} changed files of {TREE_FILES}",
        unit="ms",
        limit=15,
        samples=turns.ours,
        floor=turns.floor,
        floor_name="those files read and hashed, and one SQLite commit of them, synchronous=FULL",
    )


async def rewind(session: rewindd.Session, root: Path, bare: floors.Bare) -> Figure:
    """A rewind of what a turn of work changed: each time other files of the tree, to the checkpoint before."""
    chance, turns = random.Random(4), Turns()
    spare = root.parent / "spare"
    spare.mkdir()
    others = [spare / f"{number}.txt" for number in range(CHANGED_FILES)]
    for path in others:
        path.write_bytes(text(chance))
    before = await session.save()
    for number in turns:
        files = files_of(root, number)
        await session.snapshot(*files)
        edit(files, chance)
        await session.save()
        contents = [path.read_bytes() for path in others]
        edit(others, chance)
        turns.of_floor(lambda contents=contents: bare.replace(others, contents))  # type: ignore[misc]
        bare.sync(others)
        await turns.of_ours(lambda target=before.id: session.rewind(target))  # type: ignore[misc]
        before = await session.save()
        await anyio.sleep(REST_S)
    return Figure(
        name=f"rewind of {CHANGED_FILES} files",
        unit="ms",
        times=3,
        samples=turns.ours,
        floor=turns.floor,
        floor_name="the same bare: the steps' pages committed, files staged, exchanged, old ones removed, the outcome's pages committed",
    )


async def command_line(socket: str) -> Figure:
    """A whole process of `rewindctl`."""
    turns = Turns(PROCESS_TURNS)
    rewindctl = [str(Path(sys.executable).with_name("rewindctl")), "--socket", socket, "status"]

    async def ours() -> None:
        _run(rewindctl)

    for _ in turns:
        turns.of_floor(lambda: _run([sys.executable, "-c", "pass"]))
        await turns.of_ours(ours)
    return Figure(
        name="rewindctl status",
        unit="ms",
        times=8,
        samples=turns.ours,
        floor=turns.floor,
        floor_name="python3 -c pass, of the same environment",
    )


async def idle(subject: Subject, used: Subject) -> list[Figure]:
    """What a daemon costs that nobody asks anything: one just started, with a session open, beside a bare interpreter."""
    bare = subprocess.Popen(  # noqa: ASYNC220 - it is made before anything is measured
        [sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL
    )
    try:
        before = subject.switches(), switches_of(bare.pid)
        begun_s = time.monotonic()
        await anyio.sleep(IDLE_S)
        for_s = time.monotonic() - begun_s
        after = subject.switches(), switches_of(bare.pid)
        rates = [(end - start) / for_s for start, end in zip(before, after, strict=True)]
        memory = Figure(
            name="idle daemon, resident",
            unit="MB",
            limit=60,
            samples=[subject.memory()],
            floor=[memory_of(bare.pid)],
            floor_name="a Python interpreter that sleeps",
            notes=[f"the daemon that was measured here holds {used.memory():.1f} MB after its work"],
        )
        switches = Figure(
            name="idle daemon, context switches",
            unit="1/s",
            limit=1,
            samples=[rates[0]],
            floor=[rates[1]],
            floor_name=f"a Python interpreter that sleeps; voluntary ones of all threads, over {for_s:.0f} s",
        )
        return [memory, switches]
    finally:
        bare.kill()
        bare.wait()


async def large(directory: Path) -> Figure:
    """A daemon of its own while it takes in a file of a gigabyte."""
    root = directory / "project"
    root.mkdir(parents=True)
    with (root / "large.bin").open("wb") as file:
        for number in range(LARGE_BYTES >> 20):
            file.write(os.urandom(1 << 19) + bytes([number % 256]) * (1 << 19))
    with running(directory / "daemon") as subject:
        at_rest = subject.memory()
        async with rewindd.connect(socket=subject.socket, autostart=False, timeout_s=120) as client, client.session(root) as session:
            begun = time.perf_counter()
            taken = await session.snapshot("large.bin")
            took_s = time.perf_counter() - begun
        if taken.skipped:
            raise RuntimeError(f"the large file was skipped: {taken.skipped}")
        return Figure(
            name="daemon during a snapshot of 1 GB, at most",
            unit="MB",
            limit=200,
            samples=[subject.memory("VmHWM")],
            floor=[at_rest],
            floor_name="the same daemon before it",
            notes=[f"it took {took_s:.1f} s"],
        )


async def durability(directory: Path) -> dict[str, int]:
    """Counts the syncs of the store between request and reply, under strace, which is too slow to time anything; empty without it."""
    root, output = directory / "project", directory / "syncs"
    root.mkdir(parents=True)
    tracer = trace.command(output)
    if tracer is None:
        return {}
    spans: list[trace.Span] = []
    grow(root)
    files = files_of(root, 0)
    with running(directory / "daemon", tracer) as subject:
        async with rewindd.connect(socket=subject.socket, autostart=False) as client, client.session(root) as session:
            points = []
            for number in range(3):
                new = root / f"new{number}.txt"
                new.write_bytes(text(random.Random(number)))
                spans.append(await trace.timed("status", client.status))
                spans.append(await trace.timed("snapshot", lambda new=new: session.snapshot(new)))  # type: ignore[misc]
                await session.snapshot(*files)
                edit(files, random.Random(number))
                points.append(await session.save())
                edit(files, random.Random(10 + number))
                spans.append(await trace.timed("save", session.save))
                spans.append(await trace.timed("rewind", lambda: session.rewind(points[-1].id)))
    return trace.count(output, directory / "daemon" / "data", spans)


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

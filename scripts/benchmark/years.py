"""Measures what is asked daily on a store of years, beside the same on an empty one, in turns. Run by `scripts/bench years`.

Exits 0 when it could measure, whatever the figures say; 1 when it could not.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rewindd
from benchmark import place, report, surroundings
from benchmark.ageing import ROWS_A_CHECKPOINT, age
from benchmark.report import Figure
from benchmark.subject import running
from rewindd import blocking
from rewindd.model.ids import SessionId

ROWS = 1_000_000
#: The files that the session changes, and the contents of each.
FILES, CONTENTS = 50, 8
#: Rounds, each with a new daemon, and how often each is asked in a round.
ROUNDS, TURNS = 5, 9
#: What an old store may take, in times of an empty one's.
TIMES = 1.5
SESSION = SessionId("s")
STARTED, OPENED = "start until it answers", "session opened, and first save"
OFTEN, MEMORY = "rewind of a file that changed 20,000 times", "memory at the end"
NAMES = (STARTED, OPENED, "save", "list -n 20", "rewind", "undo", OFTEN)

Samples = defaultdict[str, list[float]]


def measure(directory: Path, *, rows: int, rounds: int = ROUNDS, turns: int = TURNS) -> list[Figure]:
    """Returns the figures of a store of so many rows; their floors are an empty store's."""
    old, young = directory / "old", directory / "young"
    for side in (old, young):
        begin(side)
    age(old / "daemon" / "data", SESSION, rows)
    samples: dict[Path, Samples] = {old: Samples(list), young: Samples(list)}
    for number in range(rounds + 1):  # the first one warms
        for side in (old, young) if number % 2 else (young, old):
            _round(side, samples[side] if number else Samples(list), turns)
    return [
        Figure(name=name, unit=unit, floor_name="an empty store's", samples=samples[old][name], floor=samples[young][name], times=TIMES)
        for name, unit in (*((name, "ms") for name in NAMES), (MEMORY, "MB"))
    ]


def begin(side: Path) -> None:
    """A workspace with a session that changed each of its files some times."""
    root = side / "tree"
    root.mkdir(parents=True)
    paths = [f"f{number}" for number in range(FILES)]
    with running(side / "daemon") as daemon, blocking.connect(socket=daemon.socket, autostart=False) as client:
        with client.session(root, session_id=SESSION) as session:
            for content in range(CONTENTS):
                session.snapshot(*paths)
                for path in paths:
                    (root / path).write_text(f"{path}\n" * 30 + f"{content}\n")
                session.save()


def _round(side: Path, samples: Samples, turns: int) -> None:
    own = side / "tree" / "own"
    begun = time.perf_counter()
    with running(side / "daemon") as daemon, blocking.connect(socket=daemon.socket, autostart=False) as client:
        samples[STARTED].append((time.perf_counter() - begun) * 1000)
        with _timed(samples, OPENED):
            session = client.session(side / "tree", session_id=SESSION).__enter__()
            session.save()
        for turn in range(turns):
            session.snapshot("own")
            own.write_text(f"{turn} of {begun}\n" * 30)
            with _timed(samples, "save"):
                made = session.save()
            with _timed(samples, "list -n 20"):
                session.list(limit=20)
            with _timed(samples, "rewind"):
                session.rewind(made.id, before=True, restore="files")
            with _timed(samples, "undo"):
                session.undo()
        session.snapshot("f0")
        (side / "tree" / "f0").write_text(f"{begun}\n")
        made = session.save()
        with _timed(samples, OFTEN):
            session.rewind(made.id, before=True, restore="files")
        samples[MEMORY].append(daemon.memory())


@contextmanager
def _timed(samples: Samples, name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    samples[name].append((time.perf_counter() - begun) * 1000)


def main(arguments: Sequence[str]) -> int:
    """Measures and tells; returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/bench years", description="Measures a store of years, beside an empty one.")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the log, one checkpoint each {ROWS_A_CHECKPOINT} (%(default)s)")
    parser.add_argument("--dir", type=Path, help="where to work; not in memory (a usual temporary directory)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = parser.parse_args(arguments)
    try:
        where = place.choose(given.dir)
        with tempfile.TemporaryDirectory(prefix="rewindd-bench-", dir=where) as directory:
            around = surroundings.of(Path(directory))
            figures = measure(Path(directory).resolve(), rows=given.rows)
    except (place.NoPlace, RuntimeError, OSError, rewindd.RewinddError) as exc:
        print(f"cannot measure: {exc}", file=sys.stderr)
        return 1
    if given.json:
        print(report.as_json(figures, around))
        return 0
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in around.items()))
    print(report.table(figures))
    return 0

"""Measures the capture of whole trees beside shadow git, interleaved in one run. Run by `scripts/bench capture`.

Exits 0 when it could measure, whatever the figures say; 1 when it could not, and then tells what it has.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import anyio

import rewindd
from benchmark import beside, comparison, demands, place, shadow_git, surroundings, trees
from benchmark.comparison import Samples
from benchmark.contest import Round
from benchmark.ground import Ground

SIZES = (2_000, 20_000, 100_000)
#: Rounds, and turns of the quick steps in each: at 100,000 files a round of shadow git alone takes minutes.
ROUNDS, TURNS = 5, 5
LARGE, LARGE_ROUNDS, LARGE_TURNS = 50_000, 3, 3
QUICK_FILES, QUICK_IDLE_ROUNDS = 2_000, 30


async def measure(tree: trees.Tree, directory: Path, samples: Samples, *, rounds: int, turns: int, idle_rounds: int) -> None:
    """Measures at one size of tree."""
    ground = Ground(tree, directory / str(tree.files))
    for number in range(rounds):
        begun_s = time.monotonic()
        async with Round(ground, samples, number, turns) as one:
            await one.run()
        await beside.measure(ground, samples, idle_rounds=idle_rounds)
        say(f"{tree.files:,} files, round {number + 1} of {rounds} took {time.monotonic() - begun_s:.0f} s")


async def measure_all(found: Sequence[trees.Tree], directory: Path, samples: Samples, *, rounds: int | None, quick: bool) -> None:
    """Measures at each size, the smallest first."""
    for tree in sorted(found, key=lambda one: one.files):
        usual, turns = (LARGE_ROUNDS, LARGE_TURNS) if tree.files > LARGE else (ROUNDS, TURNS)
        say(f"{tree.told}")
        await measure(
            tree,
            directory,
            samples,
            rounds=1 if quick else rounds or usual,
            turns=1 if quick else turns,
            idle_rounds=QUICK_IDLE_ROUNDS if quick else beside.IDLE_ROUNDS,
        )


def say(what: str) -> None:
    """Says on stderr how far it is."""
    print(f"measuring: {what}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Measures and tells; returns the exit status."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _leave)
    samples, failure = Samples(), None
    try:
        sizes = [QUICK_FILES] if given.quick else given.files
        found = [trees.find(given.trees, size, given.source) for size in sizes]
        where = place.choose(given.dir)
        around = {"git": shadow_git.version(), "file_system_state": surroundings.state_of_file_system(where)}
        with tempfile.TemporaryDirectory(prefix="rewindd-bench-", dir=where) as directory:
            around |= surroundings.of(Path(directory)) | {f"tree of {tree.files:,}": tree.told for tree in found}
            ground = Path(directory).resolve()
            anyio.run(lambda: measure_all(found, ground, samples, rounds=given.rounds, quick=given.quick))
    except KeyboardInterrupt:
        failure = "it was interrupted"
        print(failure, file=sys.stderr)
    except (place.NoPlace, trees.NoTree, RuntimeError, OSError, subprocess.SubprocessError, rewindd.RewinddError) as exc:
        failure = f"{type(exc).__name__}: {exc}"
        print(f"cannot measure: {failure}", file=sys.stderr)
    comparisons = comparison.compare(samples, demands.SUBJECTS, demands.LEVEL)
    if comparisons:
        as_json = comparison.as_json(comparisons, around, failure)
        if given.output is not None:
            given.output.write_text(as_json + "\n")
        if given.json:
            print(as_json)
        else:
            print("\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in around.items()), end="\n\n")
            print(comparison.markdown(comparisons))
    return 0 if failure is None else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench capture", description="Measures the capture of real trees, beside shadow git.")
    parser.add_argument(
        "--files", type=_sizes, default=list(SIZES), metavar="N,N…", help="sizes of tree (2000,20000,100000; all take about half an hour)"
    )
    parser.add_argument("--rounds", type=int, help=f"rounds at each size ({ROUNDS}; {LARGE_ROUNDS} above {LARGE:,} files)")
    parser.add_argument("--quick", action="store_true", help=f"one round at {QUICK_FILES:,} files: does it work at all")
    parser.add_argument("--trees", type=Path, default=_cache(), metavar="DIR", help="where the trees are kept (%(default)s)")
    parser.add_argument(
        "--source", type=Path, action="append", default=[], metavar="DIR", help="take files for new trees from here first; may be repeated"
    )
    parser.add_argument("--dir", type=Path, help="where to work; not in memory (a usual temporary directory)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, with all samples")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the JSON object into a file too")
    return parser


def _sizes(given: str) -> list[int]:
    return [int(size) for size in given.split(",")]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rewindd-bench" / "trees"


def _leave(signal_number: int, frame: FrameType | None) -> None:
    """Ends as Ctrl-C does: daemons are stopped, directories removed."""
    raise KeyboardInterrupt

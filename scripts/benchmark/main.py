"""Measures rewindd on this machine, each figure beside its bare floor. Run by `scripts/bench`; `capture` and `years` are of their own.

Exits 0 when it could measure, whatever the figures say; 1 when it could not.
"""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

import anyio

import rewindd
from benchmark import capture, floors, measures, place, report, surroundings, trace, years
from benchmark.contest import complete
from benchmark.report import Figure
from benchmark.subject import Subject, running


async def measure(directory: Path, *, with_large: bool) -> list[Figure]:
    """Returns all figures, measured below a directory."""
    figures: list[Figure] = []
    say("syncs, by strace")
    syncs = await measures.durability(directory / "traced")
    with running(directory / "used") as used, running(directory / "idle") as idle:
        figures += await _timed(directory / "used", used)
        say("command line")
        figures.append(await measures.command_line(used.socket))
        say(f"idleness, for {measures.IDLE_S:.0f} s")
        async with rewindd.connect(socket=idle.socket, autostart=False) as client, client.session(directory / "used" / "save"):
            await complete(client)  # a first capture is work
        figures += await measures.idle(idle, used)
    if with_large:
        say("a file of 1 GB")
        figures.append(await measures.large(directory / "large"))
    return [dataclasses.replace(figure, syncs=syncs.get(figure.name.split()[0].rstrip(","))) for figure in figures]


async def _timed(directory: Path, subject: Subject) -> list[Figure]:
    bare = floors.Bare(directory / "bare")
    try:
        async with rewindd.connect(socket=subject.socket, autostart=False) as client:
            say("status")
            figures = [await measures.status(client, directory)]
            for what, measure_one in (("snapshot", measures.snapshot), ("save", measures.save), ("rewind", measures.rewind)):
                say(what)
                root = directory / what
                measures.grow(root)
                async with client.session(root, agent="bench") as session:
                    await session.snapshot(root / "tree")
                    figures.append(await measure_one(session, root, bare))
            return figures
    finally:
        bare.close()


def say(what: str) -> None:
    """Says on stderr what is being measured."""
    print(f"measuring: {what}", file=sys.stderr, flush=True)


def main() -> int:
    """Measures and tells; returns the exit status."""
    if sys.argv[1:2] == ["capture"]:
        return capture.main(sys.argv[2:])
    if sys.argv[1:2] == ["years"]:
        return years.main(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures rewindd, each figure beside its bare floor. `scripts/bench capture --help`: capture, beside shadow git; "
        "`scripts/bench years --help`: a store of years, beside an empty one.",
    )
    parser.add_argument("--dir", type=Path, help="where to work; not in memory (a usual temporary directory)")
    parser.add_argument("--large", action="store_true", help="also a file of 1 GB; takes some 20 s and 2 GB of disk")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    try:
        where = place.choose(arguments.dir)
        with tempfile.TemporaryDirectory(prefix="rewindd-bench-", dir=where) as directory:
            around = surroundings.of(Path(directory))
            figures = anyio.run(lambda: measure(Path(directory).resolve(), with_large=arguments.large))
    except (place.NoPlace, RuntimeError, OSError, rewindd.RewinddError) as exc:
        print(f"cannot measure: {exc}", file=sys.stderr)
        return 1
    if arguments.json:
        print(report.as_json(figures, around))
        return 0
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in around.items()))
    print(report.table(figures))
    if trace.command(Path()) is None:
        print(trace.MISSING)
    return 0


if __name__ == "__main__":
    sys.exit(main())

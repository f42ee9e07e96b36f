"""Random bursts of shell work: after each, what was captured is the disk, byte for byte; and every moment can be had again."""

import os
import random
import signal
from pathlib import Path

import pytest

from rewindd.client.blocking_session import Session
from support.bursts import Bursts
from support.yard import Picture, Yard, differing, photograph

#: Bursts of one run, and how many packages one in ten of them brings; 60 have 2,880 files in 420 directories.
SHORT, LONG = 12, 200
FEW_PACKAGES, MANY_PACKAGES = 10, 60
NPM_EVERY = 10
#: More than `fs.inotify.max_queued_events`, with two events or more of each.
FLOOD = 9000
#: Why a rewind keeps what was not captured then, and what is not captured now: a directory where once was a file.
NOT_KNOWN, OUTSIDE = "not known at that point", ("build", "outside the rules now")


def check(yard: Yard, session: Session, position: str, what: list[str]) -> Picture:
    """Returns the disk, which the captured state must equal."""
    disk = yard.disk()
    assert not differing(disk, yard.listed(session, position)), what
    return disk


def check_written(yard: Yard, session: Session, position: str, expected: Picture, to: Path) -> None:
    """The whole tree is written elsewhere, and is what was there."""
    result = session.materialize(position, to)
    assert not {str(one.path) for one in result.skipped} & set(expected)
    assert not differing(expected, photograph(to))


def go_to(yard: Yard, session: Session, position: str, expected: Picture) -> None:
    """Rewinds the workspace; what counts is then as it was. A directory stays where something ignored is in it."""
    result = session.rewind(position, scope="workspace", restore="files", across_head=True)
    assert result.conflicts == []
    judged = yard.judged()
    left = {os.path.dirname(path) for path, (_, ignored) in judged.items() if ignored}
    held = {"/".join(path.split("/")[:depth]) for path in left for depth in range(1, path.count("/") + 2)}
    kept = {str(one.path): one.reason for one in result.kept}
    assert all(path in held or reason == NOT_KNOWN or (path, reason) == OUTSIDE for path, reason in kept.items()), kept
    wrong = differing(expected, {path: found for path, (found, ignored) in judged.items() if not ignored})
    surplus = {path for path, pair in wrong.items() if pair[0] is None and path in {*held, *kept}}
    assert set(wrong) <= surplus | ({OUTSIDE[0]} & set(kept)), wrong


def flood(yard: Yard) -> None:
    """More happens at once than the kernel's queue holds, while nobody reads it."""
    directory = yard.root / "src"
    directory.mkdir(exist_ok=True)
    os.kill(yard.daemon.pid, signal.SIGSTOP)
    try:
        path = directory / "flooding"
        for _ in range(FLOOD):
            path.write_bytes(b"x")
            path.unlink()
    finally:
        os.kill(yard.daemon.pid, signal.SIGCONT)


def run(yard: Yard, session: Session, seed: int, count: int, to: Path, *, overflow: bool = False) -> None:
    """So many bursts, then through all of them and back."""
    bursts = Bursts(yard, seed, packages=MANY_PACKAGES if count == LONG else FEW_PACKAGES)
    session.save()
    moments: list[tuple[str, Picture]] = []
    for number in range(count):
        if overflow and number % 4 == 0:
            flood(yard)
        bursts.burst(npm=number % NPM_EVERY == NPM_EVERY // 2)
        made = session.save()
        assert made.incomplete.count == 0, (made.incomplete, bursts.done)
        moments.append((made.id, check(yard, session, made.id, bursts.done)))
    check_written(yard, session, *moments[-1], to / "last")
    for position, expected in reversed(moments[:-1]):
        go_to(yard, session, position, expected)
    order = random.Random(seed).sample(moments, k=max(len(moments) // 20, 3))
    for position, expected in [*order, moments[0], moments[-1]]:
        go_to(yard, session, position, expected)
    check_written(yard, session, *moments[0], to / "first")


@pytest.mark.parametrize("seed", [1])
def test_bursts(yard: Yard, tmp_path: Path, seed: int) -> None:
    """After each of some bursts the captured state is the disk; rewinding through all of them and back gives what was recorded."""
    yard.git("init", "-q")
    with yard.session() as session:
        run(yard, session, seed, SHORT, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [11])
def test_many_bursts(yard: Yard, tmp_path: Path, seed: int) -> None:
    """The same for 200 bursts."""
    yard.git("init", "-q")
    with yard.session() as session:
        run(yard, session, seed, LONG, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_bursts_beside_a_queue_that_runs_over(yard: Yard, tmp_path: Path, watching: bool) -> None:
    """The same where the kernel's queue of events runs over again and again; where nobody listens it has no part in it."""
    yard.git("init", "-q")
    with yard.session() as session:
        run(yard, session, 21, LONG if watching else SHORT, tmp_path, overflow=True)


def test_a_new_file_that_became_a_directory(yard: Yard) -> None:
    """A file that is new, and a directory in its place later: what is in that was not there before either, and goes with it."""
    with yard.session(attribution="sole") as session:
        first = session.save()
        before = yard.disk()
        yard.write("name", "a file\n")
        session.save()
        yard.shell("rm name; mkdir -p name/inner; echo 1 > name/inner/file")
        session.save()
        assert set(session.rewind(first.id, restore="files").removed) == {"name", "name/inner", "name/inner/file"}
        assert yard.disk() == before

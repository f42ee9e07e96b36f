"""The first capture: what git cannot bring back first, in the background, ended and begun again without a file taken for new."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rewindd.client.blocking_session import Session
from rewindd.protocol import replies
from rewindd.protocol.wire import Progress
from rewindd.tree.look import TICK_NS
from support.daemon import RealDaemon
from support.openings import openings
from support.yard import Yard, differing, photograph, until

#: Files of a tree whose first capture takes long enough to come in between.
MANY = 8000
BYTES = 3000
#: Trees until one look comes in the middle of a first capture.
ATTEMPTS = 8


def fill(yard: Yard, count: int = MANY) -> None:
    """So many files with contents of their own, in a directory each hundred."""
    seed = os.urandom(BYTES // 2).hex()
    for directory in range(count // 100):
        (yard.root / f"d{directory}").mkdir()
        for number in range(100):
            (yard.root / f"d{directory}/file{number}").write_text(f"{directory} {number} {seed}")


def missing(session: Session, made: replies.Summary) -> list[str]:
    """What a checkpoint does not hold."""
    return [str(one.path) for one in session.load(made.id).incomplete]


def kill_in_the_middle(yard: Yard, session: Session) -> set[str]:
    """Ends the daemon when a part is captured and a part is not; returns what was not."""
    left: list[str] = []

    def is_between() -> bool:
        left[:] = missing(session, session.save(wait=False))
        return left != ["."] and 0 < len(left) < MANY

    until(is_between)
    yard.daemon.kill()
    return set(left)


IMPORTANT = {"d0/untracked", "d5/file5", "d39/file99"}
OLD = {f"d{directory}/file7" for directory in range(MANY // 100)}


def missing_one_after_the_other(yard: Yard) -> list[set[str]]:
    """What was missing at each of many looks at a first capture, of a repository with untracked, modified and old files."""
    yard.root.mkdir(exist_ok=True)
    yard.git("init", "-q")
    fill(yard)
    yard.git("add", "-A")
    yard.git("commit", "-q", "-m", "x")
    for directory in range(MANY // 100):
        os.utime(yard.root / f"d{directory}/file7", (1_000_000_000 + directory, 1_000_000_000 + directory))
    yard.git("update-index", "-q", "--refresh", check=False)
    yard.write("d0/untracked", "not in git\n")
    yard.write("d5/file5", "modified\n")
    yard.write("d39/file99", "modified, and old\n")
    os.utime(yard.root / "d39/file99", (1_000_000_000, 1_000_000_000))
    with yard.session() as session:
        seen: list[set[str]] = []
        while not seen or seen[-1]:
            seen.append(set(missing(session, session.save(wait=False))))
    return seen


def test_important_things_first(yard: Yard) -> None:
    """Untracked and modified files before all that git has, and of these the newest before the older."""
    middle: list[set[str]] = []
    for attempt in range(ATTEMPTS):
        seen = missing_one_after_the_other(Yard(yard.daemon, yard.root / str(attempt), yard.home, yard.env))
        # Two portions of 512 are read at a time, and the second may be there first.
        begun = [left for left in seen if left != {"."} and len(left) < MANY * 0.6]
        assert not any(IMPORTANT & left for left in begun)
        middle = [left for left in begun if len(left) > MANY * 0.3]
        if middle:
            break
    assert middle, "no look came in between"
    assert all(left >= OLD for left in middle)


def children(yard: Yard) -> list[int]:
    """The processes that the daemon started and that run."""
    tasks = Path(f"/proc/{yard.daemon.pid}/task").iterdir()
    return [int(one) for task in tasks for one in (task / "children").read_text().split()]


def test_what_is_no_small_file(yard: Yard) -> None:
    """In a large tree, too, links, large files, twins and empty files are captured; special files are named; no process is left."""
    fill(yard, 3000)
    yard.write("d3/large", os.urandom(3 << 20))
    yard.write("d4/empty", "")
    yard.write("d5/twin", "the same\n", 0o755)
    yard.write("d6/twin", "the same\n")
    (yard.root / "d7/link").symlink_to("file1")
    os.mkfifo(yard.root / "d8/pipe")
    with yard.session() as session:
        made = session.save()
        assert [(one.path, one.reason) for one in made.incomplete.first] == [("d8/pipe", "special-file")]
        (yard.root / "d8/pipe").unlink()
        assert yard.listed(session, made.id) == yard.disk()
    until(lambda: children(yard) == [])


def test_the_reader_is_killed(yard: Yard) -> None:
    """The daemon goes on by itself where the process is ended that reads for it: all is captured, and the log says so."""
    fill(yard)
    with yard.session() as session:
        until(lambda: any("reader_program" in Path(f"/proc/{one}/cmdline").read_text() for one in children(yard)))
        os.kill(children(yard)[0], signal.SIGKILL)
        made = session.save()
        assert made.incomplete.count == 0
        assert yard.listed(session, made.id) == yard.disk()
    assert yard.daemon.said().count("the process that reads is of no use any more") == 1


def test_a_save_waits_and_is_told(yard: Yard) -> None:
    """A save waits for the first capture, is told how far it is, and then holds everything; `wait=False` says what it does not hold."""
    fill(yard)
    told: list[Progress] = []
    with yard.session() as session:
        early = session.save(wait=False)
        assert early.incomplete.count > 0
        assert {one.reason for one in early.incomplete.first} == {"not captured yet"}
        made = session.save(progress=told.append)
        assert made.incomplete.count == 0
        assert yard.listed(session, made.id) == yard.disk()
        assert {one.what for one in told} <= {"baseline"}
        assert [one.done for one in told] == sorted(one.done for one in told)
        info = yard.info()
        assert (info.baseline.state, info.baseline.done) == ("complete", MANY)


def test_what_is_asked_for_meanwhile(yard: Yard) -> None:
    """A snapshot goes before the first capture, and keeps what is there; what the agent makes meanwhile is its own, what it changes
    before it was captured is kept as it was found."""
    fill(yard)
    with yard.session(attribution="sole") as session:
        kept = session.snapshot("d39/file3")
        assert [one.path for one in kept.snapshots] == ["d39/file3"]
        before = (yard.root / "d39/file3").read_text()
        made = session.save(wait=False)
        assert made.incomplete.count > 0, "the first capture was over too soon for this test"
        yard.write("d39/file3", "edited\n")
        yard.write("d38/new", "the agent's\n")
        yard.write("brand/new", "the agent's\n")
        yard.write("d37/file4", "edited\n")
        done = session.save()
        assert yard.listed(session, done.id) == yard.disk()
        result = session.rewind(made.id, restore="files")
        assert (yard.root / "d39/file3").read_text() == before
        assert (yard.root / "d37/file4").exists()
        assert set(result.removed) <= {"d38/new", "brand/new", "brand"}
        assert not {"d38/new", "brand/new"} & set(photograph(yard.root)) or made.incomplete.first[0].path == "."


def test_killed_in_the_middle(yard: Yard) -> None:
    """The next daemon completes it, reads only what the first had not, and takes nothing for new that was there before."""
    fill(yard)
    before = photograph(yard.root)
    with yard.session(session_id=f"killed-{yard.root.name}", attribution="sole") as session:
        left = kill_in_the_middle(yard, session)
        with openings(yard.root) as opened:
            yard.daemon.start(env=yard.env)
            first = session.save()
            assert set(map(str, opened.files())) <= {str(yard.root / path) for path in left}
        assert first.incomplete.count == 0
        assert yard.listed(session, first.id) == yard.disk()
        yard.write("d1/new", "1\n")
        session.save()
        result = session.rewind(first.id, restore="files")
        assert list(result.removed) == ["d1/new"]
        start = session.list()[0]
        result = session.rewind(start.id, restore="files", before=True, also="external")
        assert list(result.removed) == []
        assert not differing(before, photograph(yard.root))


def test_changed_while_no_daemon_ran(yard: Yard) -> None:
    """What changes between two daemons, in the middle of the first capture and after it, is seen, and is nobody's."""
    fill(yard)
    with yard.session(session_id=f"between-{yard.root.name}") as session:
        kill_in_the_middle(yard, session)
        yard.write("d0/file0", "changed\n")
        yard.write("d0/made", "made\n")
        yard.shell("rm d0/file1 d39/file1; rm -r d30; mv d31 d31moved")
        yard.daemon.start(env=yard.env)
        made = session.save()
        assert made.incomplete.count == 0
        assert yard.listed(session, made.id) == yard.disk()
        yard.daemon.stop()
        yard.write("d0/file0", "changed again\n")
        yard.write("d0/made too", "made\n")
        yard.shell("rm -r d32")
        yard.daemon.start(env=yard.env)
        made = session.save()
        assert yard.listed(session, made.id) == yard.disk()
        assert {one.session_id for one in yard.log(session, "d0/made too")} == {None}
        session.restore("d32")
        assert len(list((yard.root / "d32").iterdir())) == 100


def test_only_what_moved_is_read(yard: Yard) -> None:
    """A second session and another daemon look at every file, and open only those that changed."""
    fill(yard)
    with yard.session(session_id=f"first-{yard.root.name}") as session:
        session.save()
    yard.restart()
    with openings(yard.root) as opened:
        yard.write("d3/file3", "x" * 5000)
        opened.files()
        with yard.session(session_id=f"second-{yard.root.name}") as session:
            made = session.save()
            assert set(opened.files()) == {yard.root / "d3/file3"}
            assert yard.listed(session, made.id) == yard.disk()
        yard.restart()
        yard.write("d3/file4", "x" * 5000)
        opened.files()
        with yard.session(session_id=f"third-{yard.root.name}") as session:
            made = session.save()
            assert set(opened.files()) <= {yard.root / "d3/file3", yard.root / "d3/file4"}
            assert yard.listed(session, made.id) == yard.disk()


@contextmanager
def counting(yard: Yard) -> Iterator[None]:
    """Starts a daemon whose first question of git about ignored names is held up until the end of the block: it is counting by then."""
    arrived, gate, programs = (yard.daemon.directory / f"{yard.root.name}.{name}" for name in ("arrived", "gate", "bin"))
    os.mkfifo(gate)
    programs.mkdir()
    waiting = f'case "$*" in *check-ignore*) if mkdir {arrived} 2>/dev/null; then cat {gate} >/dev/null; fi;; esac'
    (programs / "git").write_text(f'#!/bin/sh\n{waiting}\nexec {shutil.which("git")} "$@"\n')
    (programs / "git").chmod(0o755)
    yard.daemon.start(env={**yard.env, "PATH": f"{programs}:{os.environ['PATH']}"})
    with yard.session():
        until(arrived.exists)
        yield
        gate.write_bytes(b"")


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, home: Path, env: dict[str, str]) -> Iterator[Yard]:
    """A repository with an ignored file, and a daemon of its own that is not started."""
    daemon = RealDaemon(tmp_path_factory.mktemp("counting").resolve())
    yard = Yard(daemon, daemon.directory / "yard", home, env)
    yard.root.mkdir()
    yard.git("init", "-q")
    for name in (".gitignore", "ignored.log"):
        yard.write(name, "*.log\n")
    try:
        yield yard
        daemon.stop()
    finally:
        daemon.kill()


def test_noticed_while_it_counts(own: Yard) -> None:
    """What changes while the tree is counted, and is looked at by a save meanwhile, is captured as it is in the end."""
    yard = own
    for name in ("stays", "goes", "changes"):
        yard.write(name, "1\n")
    with counting(yard), yard.session() as session:
        yard.write("came", "while all was counted\n")
        yard.write("new/file", "while all was counted\n")
        yard.write("changes", "while all was counted\n")
        (yard.root / "goes").unlink()
        assert session.save(wait=False).incomplete.count > 0
    with yard.session() as session:
        made = session.save()
        assert made.incomplete.count == 0
        assert not differing(yard.listed(session, made.id), yard.disk())


def test_noticed_while_it_counts_again(own: Yard) -> None:
    """The same in the next daemon's life, which knows the directories, and looks at them while it counts."""
    yard = own
    fill(yard)
    (yard.root / "ignored.log").rename(yard.root / "d9/ignored.log")  # git is asked about it after all directories were listed
    yard.daemon.start(env=yard.env)
    with yard.session(session_id="again") as session:
        kill_in_the_middle(yard, session)
        with counting(yard):
            yard.write("d5/came", "while all was counted\n")
            yard.write("d6/new/file", "while all was counted\n")
            (yard.root / "d7").rename(yard.root / "d8/moved")
            until(lambda: time.time_ns() > (yard.root / "d8").stat().st_ctime_ns + 2 * TICK_NS)  # what is seen then counts as proved
            assert session.save(wait=False).incomplete.count > 0
        made = session.save()
        assert made.incomplete.count == 0
        assert not differing(yard.listed(session, made.id), yard.disk())

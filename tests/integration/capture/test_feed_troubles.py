"""What a feed of events does not tell, or not in time: the next save is right all the same, and `status` says how it stands."""

import mmap
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rewindd import errors
from rewindd.client.blocking_session import Session
from rewindd.tree.look import TICK_NS
from support.daemon import RealDaemon
from support.yard import Yard, until

#: More than `fs.inotify.max_queued_events`, with three events or more of each.
FLOOD = 7000
#: Root reads everything, unless it gives that up (capabilities(7), CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH).
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


def holds(yard: Yard, session: Session) -> None:
    """The next save holds the disk."""
    made = session.save()
    assert made.incomplete.count == 0, made.incomplete
    assert yard.listed(session, made.id) == yard.disk()


@contextmanager
def stopped(yard: Yard) -> Iterator[None]:
    """The daemon does nothing for the block."""
    os.kill(yard.daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(yard.daemon.pid, signal.SIGCONT)


def test_the_queue_runs_over(yard: Yard) -> None:
    """More happens than the kernel's queue holds: everything is looked at again, and watched again."""
    for number in range(300):
        yard.write(f"d{number % 30}/file{number}", f"{number}\n")
    with yard.session() as session:
        session.save()
        with stopped(yard):
            for _ in range(FLOOD):
                path = yard.root / "d1" / "flood"
                path.write_bytes(b"x")
                path.unlink()
            yard.write("d2/file2", "changed when nobody could hear of it\n")
            yard.write("lost/deep/file", "made when nobody could hear of it\n")
            shutil.rmtree(yard.root / "d3")
        holds(yard, session)
        yard.write("lost/deep/file", "and after\n")
        yard.write("d4/new", "and after\n")
        holds(yard, session)


def test_the_root_moves_away_and_back(yard: Yard) -> None:
    """While the root is somewhere else the workspace cannot be used, and says so; when it is back it is all there."""
    yard.write("sub/file", "1\n")
    with yard.session() as session:
        holds(yard, session)
        elsewhere = yard.root.with_name(f"{yard.root.name}.elsewhere")
        yard.root.rename(elsewhere)
        with pytest.raises(errors.UnknownWorkspace):
            session.save()
        (elsewhere / "sub/file").write_text("2\n")
        (elsewhere / "sub/new").write_text("2\n")
        elsewhere.rename(yard.root)
        holds(yard, session)
        yard.write("sub/file", "3\n")
        holds(yard, session)


def test_the_root_is_deleted(yard: Yard) -> None:
    """The root is gone: requests say so, `status` answers, and what was captured can still be shown."""
    yard.write("file", "1\n")
    with yard.session() as session:
        made = session.save()
        shutil.rmtree(yard.root)
        with pytest.raises(errors.UnknownWorkspace):
            session.save()
        assert yard.info().watch == "off"
        assert session.show(made.id, "file").content == b"1\n"


def test_a_directory_takes_anothers_place(yard: Yard) -> None:
    """Directories exchange their names, or one is moved over an empty one: what is known of each is of the one under that name."""
    for name in ("one", "two"):
        yard.write(f"{name}/in/file", f"{name}\n")
    (yard.root / "three").mkdir()
    with yard.session() as session:
        holds(yard, session)
        yard.shell("mv one tmp; mv two one; mv tmp two")
        holds(yard, session)
        (yard.root / "one/in/file").write_text("written after\n")
        holds(yard, session)
        (yard.root / "two").rename(yard.root / "three")
        (yard.root / "three/in/file").write_text("written after\n")
        holds(yard, session)


def test_a_mount_comes_and_goes(yard: Yard) -> None:
    """A directory from outside, reached through a link or not, is none of the workspace's; its name is what it is."""
    outside = yard.root.with_name(f"{yard.root.name}.outside")
    outside.mkdir()
    (outside / "secret").write_text("1\n")
    yard.write("sub/file", "1\n")
    with yard.session() as session:
        holds(yard, session)
        shutil.rmtree(yard.root / "sub")
        (yard.root / "sub").symlink_to(outside)
        holds(yard, session)
        (outside / "secret").write_text("2\n")
        holds(yard, session)
        (yard.root / "sub").unlink()
        yard.write("sub/file", "2\n")
        holds(yard, session)


def test_written_through_another_name(yard: Yard) -> None:
    """A file with another name, made before or after the first look, inside or outside: it changes through it, and the next save has it."""
    yard.write("sub/before", "1\n")
    os.link(yard.root / "sub/before", yard.root / "twin")
    yard.write("later", "1\n")
    outside = yard.root.with_name(f"{yard.root.name}.outside")
    yard.write("shared", "1\n")
    os.link(yard.root / "shared", outside)
    with yard.session() as session:
        holds(yard, session)
        (yard.root / "twin").write_text("2\n")
        outside.write_text("2\n")
        holds(yard, session)
        os.link(yard.root / "later", yard.root / "sub/second name")
        (yard.root / "sub/second name").write_text("2\n")
        holds(yard, session)
        (yard.root / "sub/second name").write_text("3\n")
        holds(yard, session)


def test_written_through_a_mapping(yard: Yard) -> None:
    """Who writes through a mapping is seen when the mapping is gone."""
    path = yard.write("mapped", bytes(8192))
    with yard.session() as session:
        holds(yard, session)
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[5000] = 1
        holds(yard, session)
        (one,) = [one for path, one in yard.listed(session, "@").items() if path == "mapped"]
        assert one == yard.disk()["mapped"]


def test_written_through_a_mapping_after_a_look(yard: Yard, watching: bool) -> None:
    """What is written to a page after it was looked at, and before it was written back, moves no time stamp: the mapping's end tells."""
    paths = [yard.write("mapped", bytes(8192)), yard.write("large", bytes(3 << 20))]
    with yard.session() as session, ExitStack() as opened:
        holds(yard, session)
        files = [opened.enter_context(path.open("r+b")) for path in paths]
        mapped = [opened.enter_context(mmap.mmap(file.fileno(), 0)) for file in files]
        for one, path in zip(mapped, paths, strict=True):
            one[5000] = 1
            path.chmod(0o600)
        until(lambda: all(time.time_ns() > path.stat().st_ctime_ns + 2 * TICK_NS for path in paths))
        holds(yard, session)
        for one in mapped:
            one[5001] = 2
        opened.close()
        if watching:  # without events nothing tells of it
            holds(yard, session)


def test_what_is_no_file(yard: Yard) -> None:
    """A FIFO and a socket are named in `incomplete`, nobody waits at them, and the rest is captured."""
    os.mkfifo(yard.root / "fifo")
    yard.write("file", "1\n")
    with yard.session() as session, socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(yard.root)
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        made = session.save()
        assert {str(one.path): one.reason for one in made.incomplete.first} == {"fifo": "special-file", "socket": "special-file"}
        assert set(yard.listed(session, made.id)) == {"file"}
        (yard.root / "fifo").unlink()
        yard.write("fifo", "a file now\n")
        (yard.root / "socket").unlink()
        holds(yard, session)


def test_what_cannot_be_read(tmp_path_factory: pytest.TempPathFactory, home: Path, env: dict[str, str]) -> None:
    """A file and a directory that the daemon may not read are named with the reason; once they can be read they are captured."""
    daemon = RealDaemon(tmp_path_factory.mktemp("unprivileged").resolve())
    yard = Yard(daemon, daemon.directory / "yard", home, env)
    yard.write("file", "1\n")
    yard.write("closed", "1\n").chmod(0)
    yard.write("shut/inner", "1\n")
    (yard.root / "shut").chmod(0)
    prefix = POWERLESS
    try:
        daemon.start(env=env, prefix=prefix)
        with yard.session() as session:
            made = session.save()
            assert {str(one.path): one.reason for one in made.incomplete.first} == {
                "closed": "permission denied",
                "shut": "permission denied",
            }
            assert set(yard.listed(session, made.id)) == {"file", "shut"}
            (yard.root / "closed").chmod(0o644)
            (yard.root / "shut").chmod(0o755)
            holds(yard, session)
        daemon.stop()
    finally:
        daemon.kill()


def test_status_tells(yard: Yard, watching: bool) -> None:
    """`status` says whether changes are heard of: while a session is active, where there is a feed; idle after."""
    yard.write("file", "1\n")
    with yard.session() as session:
        session.save()
        info = yard.info()
        assert info.watch == ("on" if watching else "off")
        assert (info.baseline.state, info.capture) == ("complete", "workspace")
        assert watching or info.watch_reason
        session.close()
        yard.write("file", "2\n")
        until(lambda: yard.info().watch == ("idle" if watching else "off"))


@pytest.mark.parametrize("watching", ["fed"], indirect=True)
def test_not_all_can_be_watched(tmp_path_factory: pytest.TempPathFactory, home: Path, env: dict[str, str]) -> None:
    """A directory that cannot be watched is looked at by every save; `status` says partly, and on again when it can be."""
    daemon = RealDaemon(tmp_path_factory.mktemp("partly").resolve())
    yard = Yard(daemon, daemon.directory / "yard", home, env)
    yard.write("open/file", "1\n")
    yard.write("dark/file", "1\n")
    (yard.root / "dark").chmod(0o111)  # its files can be reached, it can be neither listed nor watched
    prefix = POWERLESS
    try:
        daemon.start(env=env, prefix=prefix)
        with yard.session() as session:
            assert session.save().incomplete.count == 1
            assert yard.info().watch == "partly"
            session.snapshot("dark/file")
            yard.write("dark/file", "2\n")
            made = session.save()
            assert session.show(made.id, "dark/file").content == b"2\n"
            (yard.root / "dark").chmod(0o755)
            holds(yard, session)
            assert yard.info().watch == "on"
        daemon.stop()
    finally:
        daemon.kill()


@pytest.mark.parametrize("trouble", ["restart", "overflow", "moved away and back"])
def test_an_empty_directory_is_watched_again(yard: Yard, trouble: str) -> None:
    """Where everything is watched anew that includes directories in which nothing is known to be."""
    (yard.root / "top/empty/inner").mkdir(parents=True)
    with yard.session() as session:
        holds(yard, session)
        if trouble == "restart":
            yard.restart()
        elif trouble == "overflow":
            with stopped(yard):
                for _ in range(FLOOD):
                    path = yard.root / "flood"
                    path.write_bytes(b"x")
                    path.unlink()
        else:
            yard.shell("mv top elsewhere")
            holds(yard, session)
            yard.shell("mv elsewhere top")
        holds(yard, session)
        yard.write("top/empty/inner/file", "1\n")
        holds(yard, session)

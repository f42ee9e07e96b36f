"""The change feed on a real tree: what is heard of, by whom, and what is not."""

import mmap
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rewindd.paths import ROOT, RelPath
from rewindd.tree.watch.dirty import Dirt
from rewindd.tree.watch.feed import Feed
from rewindd.tree.watch.queue import Queue
from rewindd.tree.watch.table import ENDED_AT_ONCE
from rewindd.tree.watch.watch import NOT_YET, ROOT_MOVED, Health, Watch
from support.mirror import Mirror, on_disk
from support.tree import open_root
from support.watching import ON, Clock, arm, full, heard, make


def test_new_watch_looks_at_everything(feed: Feed) -> None:
    """A workspace that was just opened has its whole tree to look at, hears of nothing yet, and says so."""
    watch = feed.open()

    assert watch.health == Health("off", NOT_YET)
    assert heard(feed, watch) == (set(), {"."})
    assert heard(feed, watch) == (set(), set())


def test_every_write_is_seen_by_the_next_drain(feed: Feed, watch: Watch, top: Path) -> None:
    """A write of another process that has returned is known after one drain: 3,000 of 3,000."""
    program = (
        "import os,sys\nfd = os.open('f', os.O_CREAT | os.O_WRONLY)\nwhile os.read(0, 1):\n    os.write(fd, b'x')\n    os.write(1, b'.')\n"
    )
    with subprocess.Popen([sys.executable, "-ISc", program], cwd=top, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        seen = 0
        for _ in range(3000):
            writer.stdin.write(b"w")
            writer.stdout.read(1)
            feed.drain()
            seen += "f" in watch.take().paths
        writer.stdin.close()

    assert seen == 3000


def test_barrier_holds_whoever_reads(feed: Feed, watch: Watch, top: Path) -> None:
    """While another thread drains all the time, a drain that returned still means that the writes before it are marked."""
    stop = threading.Event()

    def drain_on() -> None:
        while not stop.is_set():
            feed.drain()

    other = threading.Thread(target=drain_on)
    other.start()
    try:
        missed = 0
        for number in range(300):
            os.mknod(top / f"f{number}")
            feed.drain()
            missed += f"f{number}" not in watch.take().paths
    finally:
        stop.set()
        other.join()

    assert missed == 0


def chmod(top: Path) -> None:
    (top / "old").chmod(0o600)


def write_mapped(top: Path) -> None:
    with (top / "old").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0] = 65


def replace(top: Path) -> None:
    (top / "new").write_bytes(b"n")
    (top / "new").replace(top / "old")


CHANGES: list[tuple[Callable[[Path], object], set[str], set[str]]] = [
    (lambda top: (top / "new").touch(), {"new"}, set()),
    (lambda top: (top / "old").write_bytes(b"x"), {"old"}, set()),
    (lambda top: (top / "old").unlink(), {"old"}, set()),
    (lambda top: (top / "link").symlink_to("nowhere"), {"link"}, set()),
    (lambda top: (top / "link").hardlink_to(top / "old"), {"link"}, set()),  # of the other name the kernel tells nothing
    (lambda top: (top / "old").rename(top / "OLD"), {"old", "OLD"}, set()),
    (chmod, {"old"}, set()),
    (write_mapped, {"old"}, set()),
    (replace, {"old", "new"}, set()),
    (lambda top: os.mknod(os.fsencode(top) + b"/\xff\xfe"), {os.fsdecode(b"\xff\xfe")}, set()),
    (lambda top: (top / "d").chmod(0o700), {"d"}, set()),
    (lambda top: (top / "made").mkdir(), set(), {"made"}),
    (lambda top: (top / "d").rmdir(), {"d"}, set()),
    (lambda top: (top / "d").rename(top / "D"), set(), {"d", "D"}),
    (lambda top: (top / "d").rename(top.parent / "away"), set(), {"d"}),
    (lambda top: (top.parent / "other").rename(top / "d"), {"d"}, {"d"}),
    (lambda top: (top / ".git").mkdir(), {"."}, set()),  # other rules hold now
    (lambda top: (top / "d" / ".git").touch(), {"d"}, set()),
    (lambda top: (top / ".rewindd-7-1").touch(), set(), set()),
    (lambda top: (top / "old").read_bytes(), set(), set()),
    (lambda top: [*top.iterdir()], set(), set()),
]


@pytest.mark.parametrize(("change", "paths", "trees"), CHANGES)
def test_what_is_marked(feed: Feed, watch: Watch, top: Path, change: Callable[[Path], object], paths: set[str], trees: set[str]) -> None:
    """Each change marks what it changed: names as paths, directories that come, go or move as trees; `.git` its directory."""
    (top / "old").write_bytes(b"12345678")
    make(top, "d", "../other")
    feed.drain()
    arm(watch, top, ".", "d")

    change(top)

    found_paths, found_trees = heard(feed, watch)
    assert found_paths - found_trees == paths - trees
    assert found_trees == trees


def test_a_directory_in_place_of_another_is_heard(feed: Feed, watch: Watch, top: Path) -> None:
    """A directory that was deleted and made again is looked at as a tree, and heard when it is armed again, under the old name."""
    make(top, "d")
    feed.drain()
    arm(watch, top, ".", "d")
    (top / "d").rmdir()
    (top / "d").mkdir()
    assert heard(feed, watch)[1] == {"d"}

    arm(watch, top, "d")
    (top / "d/f").touch()

    assert heard(feed, watch) == ({"d/f"}, set())


def test_moved_tree_is_not_heard_under_its_old_name(feed: Feed, watch: Watch, top: Path) -> None:
    """What was watched in a directory that moved is let go with it; armed again it is heard under the new name only."""
    make(top, "a", "a/b", "a/b/c")
    feed.drain()
    arm(watch, top, ".", "a", "a/b", "a/b/c")
    (top / "a/b").rename(top / "z")
    assert heard(feed, watch)[1] == {"a/b", "z"}
    (top / "z/c/lost").touch()
    assert heard(feed, watch) == (set(), set())

    arm(watch, top, "z", "z/c")
    (top / "z/c/f").touch()

    assert heard(feed, watch) == ({"z/c/f"}, set())


def test_deleted_tree_tells_of_all(feed: Feed, watch: Watch, top: Path) -> None:
    """A watched tree that is deleted at once marks each thing that was in it."""
    make(top, "d", "d/e")
    (top / "d/e/f").touch()
    feed.drain()
    arm(watch, top, ".", "d", "d/e")
    shutil.rmtree(top / "d")

    assert heard(feed, watch) == ({"d", "d/e", "d/e/f"}, set())


def test_goings_that_only_the_directory_tells_of(feed: Feed, watch: Watch, top: Path) -> None:
    """Where the directory above is not watched, a watched one tells itself that it was deleted or moved away, and is let go."""
    make(top, "p", "p/deleted", "p/moved", "p/moved/d")
    feed.drain()
    arm(watch, top, "p/deleted", "p/moved", "p/moved/d")
    (top / "p/deleted").rmdir()
    (top / "p/moved").rename(top.parent / "away")
    assert heard(feed, watch) == ({"p/deleted"}, {"p/moved"})
    (top.parent / "away/d/f").touch()
    assert heard(feed, watch) == (set(), set())


def test_move_of_what_is_not_watched_lets_go_what_is_in_it(feed: Feed, watch: Watch, top: Path) -> None:
    """A watched directory deep in one that is not, which moves away, is let go with it."""
    make(top, "p", "p/q", "p/q/d")
    feed.drain()
    arm(watch, top, ".", "p/q/d")
    (top / "p").rename(top.parent / "away")
    assert heard(feed, watch) == (set(), {"p"})
    (top.parent / "away/q/d/f").touch()
    assert heard(feed, watch) == (set(), set())


def test_armed_again_before_its_watch_was_ended(feed: Feed, watch: Watch, top: Path) -> None:
    """More directories than are ended at once are let go and armed again: all of them are heard, however long the ending goes on."""
    names = [f"d{number}" for number in range(ENDED_AT_ONCE + 50)]
    make(top, *names)
    feed.drain()
    arm(watch, top, *names)
    watch.forget(ROOT)
    arm(watch, top, *names)
    while feed.drain():
        pass
    for name in names:
        (top / name / "f").touch()

    assert heard(feed, watch)[0] == {f"{name}/f" for name in names}


def test_directory_armed_before_its_move_was_read(feed: Feed, watch: Watch, top: Path) -> None:
    """A look that finds a moved directory before the move was read loses nothing: both names are looked at, then only the new one."""
    make(top, "a", "a/b")
    feed.drain()
    arm(watch, top, ".", "a", "a/b")
    (top / "a").rename(top / "z")
    arm(watch, top, "z", "z/b")
    (top / "z/b/f").touch()

    assert heard(feed, watch)[1] == {"a", "z"}
    arm(watch, top, "z", "z/b")
    (top / "z/b/g").touch()
    assert heard(feed, watch) == ({"z/b/g"}, set())


def test_two_names_of_one_directory_are_both_marked(feed: Feed, watch: Watch, top: Path) -> None:
    """While one directory is armed under two names, as by a bind mount, an event in it marks both."""
    make(top, "a")
    feed.drain()
    with open_root(top) as root:
        watch.arm(root, RelPath("a"))
        (top / "a").rename(top / "z")
        watch.arm(root, RelPath("z"))
        watch.take()
    moved = len(os.read(feed.fileno(), 4096))  # as if nobody had told
    (top / "z/f").touch()

    assert moved > 0
    assert heard(feed, watch) == ({"a/f", "z/f"}, set())


def test_armed_again_after_it_was_replaced_unheard(feed: Feed, watch: Watch, top: Path) -> None:
    """`arm` notices another directory under a path even if nobody told: it is a tree to look at, and what was below is let go."""
    make(top, "p", "p/d", "p/d/x")
    feed.drain()
    arm(watch, top, ".", "p/d", "p/d/x")
    (top / "p/d").rename(top.parent / "away")  # `p` is not watched
    (top / "p/d").mkdir()
    (top / "p/d/x").mkdir()
    with open_root(top) as root:
        assert watch.arm(root, RelPath("p/d"))

    assert "p/d" in watch.take().trees
    (top.parent / "away/x/f").touch()
    assert "p/d/x/f" not in heard(feed, watch)[0]


def test_replaced_and_refused(feed: Feed, watch: Watch, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another directory under a path that cannot be watched in its turn is a tree to look at, and nothing of the old one is heard."""
    make(top, "p", "p/d", "p/d/x")
    feed.drain()
    arm(watch, top, ".", "p/d", "p/d/x")
    (top / "p/d").rename(top.parent / "away")  # `p` is not watched
    (top / "p/d").mkdir()
    monkeypatch.setattr(Queue, "add", full)
    with open_root(top) as root:
        assert not watch.arm(root, RelPath("p/d"))

    assert "p/d" in watch.take().trees
    (top.parent / "away/x/f").touch()
    assert "p/d/x/f" not in heard(feed, watch)[0]


def test_forgotten_directories_are_not_heard(feed: Feed, watch: Watch, top: Path) -> None:
    """After `forget` nothing is heard of the directory and what is below it; its neighbours are heard."""
    make(top, "out", "out/deep", "outer")
    feed.drain()
    arm(watch, top, ".", "out", "out/deep", "outer")
    watch.forget(RelPath("out"))
    for place in ("out/f", "out/deep/f", "outer/f"):
        (top / place).touch()

    assert heard(feed, watch) == ({"outer/f"}, set())


def test_two_workspaces_share_a_directory(feed: Feed, watch: Watch, top: Path) -> None:
    """A directory that two workspaces watch tells both, each by its own path; the one that closes takes nothing from the other."""
    make(top, "in")
    inner = feed.open()
    feed.drain()
    arm(watch, top, ".", "in")
    arm(inner, top / "in", ".")
    (top / "in/f").touch()
    feed.drain()
    assert ({*watch.take().paths}, {*inner.take().paths}) == ({"in/f"}, {"f"})

    inner.close()
    (top / "in/g").touch()

    assert heard(feed, watch)[0] == {"in/g"}
    assert {*inner.take().paths} == set()


def test_moved_inner_root_is_moved_for_both(feed: Feed, watch: Watch, top: Path) -> None:
    """A directory of one workspace that is the root of another moves: a moved tree for the one, and the root's trouble for the other."""
    make(top, "in")
    inner = feed.open()
    arm(watch, top, ".", "in")
    arm(inner, top / "in", ".")
    (top / "in").rename(top / "to")

    assert heard(feed, watch)[1] == {"in", "to"}
    assert inner.health == Health("off", ROOT_MOVED)
    assert watch.health == ON


def test_due_by_the_clock(feed: Feed, watch: Watch, top: Path, clock: Clock) -> None:
    """What is dirty is taken when it was quiet long enough, or when its time is up, and its span says when it was touched."""
    (top / "f").touch()
    feed.drain()
    assert watch.due_s(quiet_s=0.5, at_latest_s=5) == 1000.5
    clock.now_s = 1000.4
    (top / "f").write_bytes(b"x")
    feed.drain()
    clock.now_s = 1000.6
    assert watch.take(quiet_s=0.5, at_latest_s=5) == Dirt()
    clock.now_s = 1000.9

    assert watch.take(quiet_s=0.5, at_latest_s=5).paths == {RelPath("f"): (1000.0, 1000.4)}
    assert watch.due_s(quiet_s=0.5, at_latest_s=5) is None


def test_put_back(feed: Feed, watch: Watch, clock: Clock) -> None:
    """What was put back is there again, and due after the quiet time, not at once."""
    watch.mark([RelPath("f")])
    watch.mark_tree(RelPath("d"))
    dirt = watch.take()
    clock.now_s = 1010.0
    watch.put_back(dirt)

    assert watch.due_s(quiet_s=0.5, at_latest_s=5) == 1010.5
    assert heard(feed, watch) == ({"f"}, {"d"})


def test_closed_is_silent(feed: Feed, watch: Watch, top: Path) -> None:
    """A watch that was closed arms nothing and hears nothing; so does a closed feed; closing twice does no harm."""
    watch.close()
    watch.close()
    assert arm(watch, top, ".") == [False]
    (top / "f").touch()
    assert heard(feed, watch) == (set(), set())
    feed.close()
    feed.close()

    assert feed.drain() == 0
    assert feed.fileno() == -1


def test_let_go_watches_are_ended(feed: Feed, watch: Watch, top: Path) -> None:
    """The kernel's watches of what was let go are ended, a part at each drain, until none is left."""
    names = [f"d{number}" for number in range(1200)]
    make(top, *names)
    arm(watch, top, *names)
    watch.forget(ROOT)
    while feed.drain():
        pass

    assert Path(f"/proc/self/fdinfo/{feed.fileno()}").read_text().count("inotify wd") == 0


def test_mirror_of_moves(feed: Feed, top: Path) -> None:
    """Trees that move within, out and in, swap names, change case, and come again: after one look each the copy equals the disk."""
    mirror = Mirror(feed, top)
    make(top, "a", "a/b", "a/b/c", "k")
    (top / "a/b/c/f").write_bytes(b"1")
    steps: list[Callable[[], object]] = [
        lambda: (top / "a").rename(top / "k/a"),
        lambda: (top / "k/a/b/c/g").write_bytes(b"2"),
        lambda: (top / "k/a").rename(top.parent / "away"),
        lambda: (top.parent / "away/b/late").write_bytes(b"3"),
        lambda: (top.parent / "away").rename(top / "k/A"),
        lambda: (top / "k/A/b/c/g").unlink(),
        lambda: (top / "k/A").rename(top / "k/a"),
        lambda: (top / "k/a/b/c/h").symlink_to("/etc"),
        lambda: (top / "k/a/b").rename(top / "b"),
        lambda: make(top, "k/a/b", "k/a/b/new"),
        lambda: (top / "k/a/b/new/f").write_bytes(b"4"),
        lambda: (top / "b").rename(top / "k/a/b/new/b"),
        lambda: (top / "k/a/b/new/b/c/f").write_bytes(b"5"),
    ]
    for step in steps:
        mirror.look()
        step()
        mirror.look()
        assert mirror.copy == on_disk(top)

    assert mirror.watch.health == ON

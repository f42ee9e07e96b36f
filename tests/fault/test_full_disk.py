"""Real full disks, below the store and below the workspace: what is refused, what goes on, and that all goes on when there is room."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd import errors
from rewindd.client.blocking_session import Session
from rewindd.protocol.replies import RewindResult
from support.clocks import WallClock
from support.daemon import PATIENCE_S, RealDaemon
from support.disks import Disk, prefix

KIB = 1 << 10
SESSION = "the-session"
#: What is still free when the work goes on, in KiB: nothing, a page, less than a log's batch, less than a blob file.
FREE_KIB = (0, 4, 24, 120, 700)
#: Above what goes into the database: a blob file.
BIG_BYTES = 600 * KIB


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RealDaemon]:
    """One that keeps nothing free but its reserve, and makes no backup that could give room back; started by the test."""
    daemon = RealDaemon(tmp_path)
    settings = tmp_path / "config" / "rewindd" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[store]\nmin_free_bytes = 1\n[integrity]\nbackup_interval_s = 0\n")
    yield daemon
    daemon.kill()


@pytest.fixture
def disk(daemon: RealDaemon) -> Iterator[Disk]:
    """The store's file system: small enough for the reserve to be small."""
    disk = Disk(daemon.directory / "disk", 48)
    daemon.data_dir = disk.place / "data"
    yield disk
    daemon.kill()
    disk.remove()


@pytest.fixture
def small(daemon: RealDaemon) -> Iterator[Disk]:
    """The workspace's file system."""
    disk = Disk(daemon.directory / "small", 16)
    yield disk
    daemon.kill()
    disk.remove()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


@contextmanager
def at_work(daemon: RealDaemon, root: Path) -> Iterator[Session]:
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
        with client.session(root, session_id=SESSION, exact=True, attribution="sole") as session:
            yield session


def write(root: Path, word: str) -> dict[str, bytes]:
    """One edit of everything: changed, made, removed, small and large. Returns the tree as it is then."""
    (root / "text").write_text(f"{word}\n" * 10)
    (root / "big").write_bytes(os.urandom(BIG_BYTES))
    (root / "inline").write_bytes(os.urandom(150 * KIB))
    (root / f"only-{word}").write_text(word)
    (root / "sub").mkdir(exist_ok=True)
    for number in range(20):
        (root / "sub" / f"{number}").write_text(f"{word} {number}\n")
    return photograph(root)


def photograph(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def holds(root: Path, tree: dict[str, bytes]) -> bool:
    """True where everything of the tree is there, byte for byte."""
    found = photograph(root)
    return {path: found.get(path) for path in tree} == tree


@contextmanager
def worked(daemon: RealDaemon, disk: Disk, root: Path) -> Iterator[tuple[Session, list[dict[str, bytes]]]]:
    """A session with two saves of two trees, and the trees."""
    daemon.start(prefix=prefix(disk))
    with at_work(daemon, root) as session:
        trees = []
        for word in ("one", "two"):
            trees.append(write(root, word))
            session.save(word)
        yield session, trees


@pytest.mark.parametrize("free_kib", FREE_KIB)
def test_the_store_s_disk_is_full(daemon: RealDaemon, disk: Disk, root: Path, free_kib: int) -> None:
    """What is saved can be looked at and taken back, and nothing new gets in; what was answered is there. With room all goes on."""
    with worked(daemon, disk, root) as (session, (one, two)):
        disk.fill(daemon, free_kib * KIB)
        answered = ["one", "two"]
        for number in range(8):
            (root / f"more-{number}").write_bytes(os.urandom(200 * KIB))
            (root / f"gone-{number}").write_text("made and removed\n")
            try:
                answered.append(session.save(f"more-{number}").label or "")
            except errors.StoreFull:
                break
            (root / f"gone-{number}").unlink()
        else:
            pytest.fail("everything was saved on a full disk")
        with pytest.raises(errors.StoreFull):
            session.save("refused")
        assert daemon.process is not None
        assert daemon.process.poll() is None
        assert [made.label for made in session.list() if not made.automatic] == answered
        assert session.load("two").file_diffs
        session.pending(patch=True)

        session.rewind("one", on_conflict="keep")
        assert holds(root, one)
        assert not (root / "only-two").exists()

        disk.empty(daemon)
        session.undo()
        assert holds(root, two)
        three = write(root, "three")
        assert session.save("three").incomplete.count == 0
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            assert not client.status().store.on_reserve
        session.rewind("two")
        assert holds(root, two)
        session.undo()
        assert holds(root, three)
    assert not list(root.rglob(".rewindd-*"))


def test_what_cannot_be_kept_is_not_overwritten(daemon: RealDaemon, disk: Disk, root: Path) -> None:
    """A rewind over what the full store could not take is refused, and names it; with the caller's word it is done, and lost."""
    with worked(daemon, disk, root) as (session, (one, two)):
        disk.fill(daemon)
        (root / "text").write_text("of the last hour\n")
        (root / "inline").unlink()
        with pytest.raises(errors.StoreFull) as refused:
            session.rewind("one")
        assert refused.value.fields["conflicts"] == [
            {"path": "text", "reason": "what is there now is not kept (no room in the store: its file system is full)"}
        ]
        assert "--lose-unsaved" in refused.value.message
        for on_conflict in ("overwrite", "fail"):
            with pytest.raises(errors.StoreFull):
                session.rewind("one", on_conflict=on_conflict)
        assert (root / "text").read_text() == "of the last hour\n"
        assert [one.path for one in session.rewind("one", dry_run=True).conflicts] == ["text"]

        planned = session.rewind("one", dry_run=True, lose_unsaved=True)
        assert (planned.lost, planned.conflicts) == (["text"], [])
        (root / "text").write_text("of the last minute\n")
        with pytest.raises(errors.HeadMoved):
            session.rewind("one", plan=planned.plan_id, lose_unsaved=True)
        assert session.rewind("one", lose_unsaved=True).lost == ["text"]
        assert holds(root, one)
        disk.empty(daemon)
        session.undo()
        assert holds(root, {path: content for path, content in two.items() if path != "inline"})
        assert not (root / "inline").exists()


def test_what_cannot_be_kept_is_not_overwritten_by_undo_redo_or_restore(daemon: RealDaemon, disk: Disk, root: Path) -> None:
    """Each is refused over what the full store could not take, and touches nothing; with the caller's word it is done."""
    with worked(daemon, disk, root) as (session, (one, two)):
        session.rewind("one")
        disk.fill(daemon)

        def refused(act: Callable[[bool], RewindResult], becomes: dict[str, bytes]) -> None:
            (root / "text").write_bytes(os.urandom(64))
            before = photograph(root)
            with pytest.raises(errors.StoreFull, match="--lose-unsaved"):
                act(False)
            assert photograph(root) == before
            assert act(True).lost == ["text"]
            assert holds(root, becomes)

        refused(lambda is_said: session.undo(lose_unsaved=is_said), two)
        refused(lambda is_said: session.redo(lose_unsaved=is_said), one)
        refused(lambda is_said: session.restore(".", position="two", lose_unsaved=is_said), two)
        # What the log says is there already, and is not.
        refused(lambda is_said: session.restore("text", position="two", lose_unsaved=is_said), two)
        refused(lambda is_said: session.restore("text", position="two", overwrite=False, lose_unsaved=is_said), two)


def test_what_is_in_the_store_already_may_be_overwritten(daemon: RealDaemon, disk: Disk, root: Path) -> None:
    """Where the full store has the content that is on disk, a rewind over it loses nothing, and undo has it again."""
    with worked(daemon, disk, root) as (session, (one, _)):
        disk.fill(daemon)
        (root / "text").write_bytes(one["big"])
        session.rewind("one")
        assert holds(root, one)
        session.undo()
        assert (root / "text").read_bytes() == one["big"]


@contextmanager
def mounts_of(daemon: RealDaemon) -> Iterator[list[str]]:
    """What starts the next daemon where this one has its mounts, which stay for the block."""
    holder = os.open(f"/proc/{daemon.pid}/ns/mnt", os.O_RDONLY)
    try:
        yield ["nsenter", f"--mount=/proc/{os.getpid()}/fd/{holder}"]
    finally:
        os.close(holder)


def test_the_reserve_outlives_the_daemon(daemon: RealDaemon, disk: Disk, root: Path) -> None:
    """A daemon that is killed on a full disk starts again on it, says that it is on reserve, and takes work back."""
    with worked(daemon, disk, root) as (session, (one, _)), mounts_of(daemon) as there:
        disk.fill(daemon)
        write(root, "three")
        with pytest.raises(errors.StoreFull):
            session.save()
        daemon.kill()
        daemon.start(prefix=there)
        with pytest.raises(errors.StoreFull):
            session.save()
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            store = client.status().store
        assert store.on_reserve
        assert store.reserve_bytes > 0
        session.rewind("one", lose_unsaved=True)
        assert holds(root, one)
        disk.empty(daemon)
        assert session.save("again").label == "again"


def test_nothing_is_left_of_the_reserve(daemon: RealDaemon, disk: Disk, root: Path, tmp_path: Path) -> None:
    """A daemon without any room starts, stays, and shows what is there, also when it has answers to forget; a rewind touches nothing."""
    clock = WallClock(tmp_path)
    with worked(daemon, disk, root) as (session, (one, two)), mounts_of(daemon) as there:
        os.truncate(disk.seen_by(daemon, daemon.data_dir / "reserve"), 0)
        disk.fill(daemon)
        daemon.kill()
        clock.turn(2 * 24 * 3600)
        daemon.start(prefix=there, env=clock.env)
        os.truncate(disk.seen_by(daemon, daemon.data_dir / "reserve"), 0)
        disk.fill(daemon)
        assert [made.label for made in session.list()] == ["one", "two"]
        with pytest.raises(errors.StoreFull):
            session.rewind("one")
        assert photograph(root) == two
        disk.empty(daemon)
        session.rewind("one")
        assert holds(root, one)


@pytest.mark.parametrize("free_kib", [0, 40, 400])
def test_the_workspace_s_disk_is_full(daemon: RealDaemon, small: Disk, free_kib: int) -> None:
    """A rewind that has no room touches nothing, names the path and what to do, and leaves nothing lying about; with room it is done."""
    daemon.start(prefix=prefix(small))
    root = small.seen_by(daemon, small.place / "tree")
    root.mkdir()
    with at_work(daemon, small.place / "tree") as session:
        one = write(root, "one")
        session.save("one")
        (root / "big").unlink()
        (root / "inline").write_text("small\n")
        (root / "text").write_text("two\n")
        session.save("two")
        (root / "text").write_text("two, and not saved\n")
        small.fill(daemon, free_kib * KIB)
        before = photograph(root)
        with pytest.raises(errors.Conflict) as refused:
            session.rewind("one")
        conflicts = refused.value.fields["conflicts"]
        assert isinstance(conflicts, list)
        assert isinstance(conflicts[0], dict)
        assert conflicts[0]["path"] in ("big", "inline", "text", "only-one")
        assert "free some space on the workspace's file system" in refused.value.message.lower()
        assert photograph(root) == before
        assert not list(root.rglob(".rewindd-*"))
        small.empty(daemon)
        session.rewind("one")
        assert holds(root, one)
        session.undo()
        assert photograph(root) == before
        assert not list(root.rglob(".rewindd-*"))

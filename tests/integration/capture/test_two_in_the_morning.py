"""`rm -rf src` at two in the morning: whoever did it, all of it comes back, what was made seconds before included."""

from contextlib import nullcontext
from datetime import UTC, datetime

import pytest

from rewindd.client.blocking_session import Session
from rewindd.errors import UnknownPath
from support.yard import Picture, Yard, differing, whole


def fill(yard: Yard) -> None:
    """A repository, some of it committed, some changed since, some of it never shown to git."""
    for number in range(60):
        yard.write(f"src/part{number % 6}/file{number}.py", f"print({number})\n" * number)
    yard.write("src/tool.sh", "#!/bin/sh\n", 0o755)
    yard.git("add", "-A")
    yard.git("commit", "-q", "-m", "x")
    yard.write("src/part1/file1.py", "changed, not committed\n", 0o600)
    yard.write("src/part2/never added.py", "not known to git\n")
    yard.write("src/large.bin", bytes(range(256)) * 12_000)
    (yard.root / "src/empty/inner").mkdir(parents=True)
    (yard.root / "src/empty").chmod(0o750)
    (yard.root / "src/link").symlink_to("tool.sh")
    (yard.root / "src/dangling").symlink_to("/nowhere")
    (yard.root / "src/caf\udce9").write_bytes(b"\xff\xfe")


@pytest.fixture
def source(repository: Yard) -> Yard:
    """A repository with something to lose."""
    fill(repository)
    return repository


def delete(yard: Yard, session: Session, *, window: bool) -> Picture:
    """Makes a file, and deletes the directory with all in it a moment later; returns the tree as it was between."""
    with session.command("clean up") if window else nullcontext():
        yard.write("src/part3/seconds old.py", "made seconds before\n")
        yard.write("src/brand/new/directory/file", "made seconds before\n")
        session.pending()
        before = whole(yard)
        yard.shell("rm -rf src")
    return before


def test_nobodys_with_also_external(source: Yard) -> None:
    """Deleted outside of any window: a plain rewind says what it leaves and the command; `also external` brings all of it back."""
    with source.session() as session:
        saved = session.save("before")
        at_save = whole(source)
        delete(source, session, window=False)
        plain = session.rewind(saved.id, restore="files")
        assert plain.left is not None
        assert "src/tool.sh" in plain.left.paths
        assert "--also external" in plain.left.command
        assert not (source.root / "src").exists()
        session.rewind(saved.id, restore="files", also="external")
        assert not differing(at_save, whole(source))


def test_the_agents_own(source: Yard) -> None:
    """Deleted in the agent's own window: `rewind` takes the deletion back, without a word about anybody else."""
    with source.session() as session:
        saved = session.save("before")
        at_save = whole(source)
        delete(source, session, window=True)
        result = session.rewind(saved.id, restore="files")
        assert result.left is None
        assert not differing(at_save, whole(source))
        session.undo()
        assert not (source.root / "src").exists()
        session.redo()
        assert not differing(at_save, whole(source))


@pytest.mark.parametrize("window", [False, True], ids=["nobodys", "the agent's"])
def test_restored(source: Yard, window: bool) -> None:
    """`restore -- src`, without any position: everything as it was just before, with what was made seconds before."""
    with source.session() as session:
        session.save("before")
        before = delete(source, session, window=window)
        result = session.restore("src")
        assert not differing(before, whole(source))
        assert (result.kept, result.conflicts, result.removed) == ([], [], [])


def test_seen_in_two_looks(source: Yard) -> None:
    """Somebody asks for something in the middle of it, and a file made just before is noted only then: all of it comes back."""
    with source.session() as session:
        session.save("before")
        source.write("src/part3/a moment old.py", "made just before\n")
        before = whole(source)
        source.shell("rm -rf src/part1 src/empty")
        session.pending()
        source.shell("rm -rf src")
        session.restore("src")
        assert not differing(before, whole(source))


def test_it_was_never_saved(source: Yard) -> None:
    """Without a single checkpoint: the first capture alone is enough to bring everything back."""
    with source.session() as session:
        source.until_complete()
        before = whole(source)
        source.shell("rm -rf src")
        session.restore("src")
        assert not differing(before, whole(source))


def test_as_it_was_at_a_time_without_a_change(source: Yard) -> None:
    """By a time after the first capture and before any change: the log has no row yet, and all is known as of then."""
    early = datetime.now(UTC).isoformat()
    with source.session() as session:
        source.until_complete()
        late = datetime.now(UTC).isoformat()
        before = whole(source)
        source.shell("rm -rf src")
        assert session.show(f"@{{{late}}}", "src/tool.sh").content == b"#!/bin/sh\n"
        with pytest.raises(UnknownPath):
            session.show(f"@{{{early}}}", "src/tool.sh")
        session.restore("src", position=f"@{{{late}}}")
        assert not differing(before, whole(source))
        source.shell("rm -rf src")
        session.rewind(f"@{{{late}}}", scope="workspace", restore="files")
        assert not differing(before, whole(source))


def test_the_workspaces_scope(source: Yard) -> None:
    """`--scope workspace` brings the tree to what it was, whoever deleted it."""
    with source.session() as session:
        saved = session.save("before")
        at_save = whole(source)
        delete(source, session, window=False)
        source.write("elsewhere", "new\n")
        session.rewind(saved.id, scope="workspace", restore="files")
        assert not differing(at_save, whole(source))


def test_the_daemon_died_with_it(source: Yard) -> None:
    """The daemon is killed, the tree deleted while nobody looks, and the next daemon brings it back."""
    with source.session(session_id=f"killed-{source.root.name}") as session:
        session.save("before")
        before = whole(source)
        source.daemon.kill()
        source.shell("rm -rf src")
        source.daemon.start(env=source.env)
        session.restore("src")
        assert not differing(before, whole(source))

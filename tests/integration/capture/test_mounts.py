"""What is mounted over a directory of a workspace: the next save holds what is seen there now, and again when it is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd.client.blocking_session import Session
from support.daemon import RealDaemon
from support.mounting import inside, unshared
from support.yard import Yard


def held(yard: Yard, session: Session) -> set[str]:
    """The files that the next save holds."""
    made = session.save()
    assert made.incomplete.count == 0, made.incomplete
    return {path for path, (kind, _, _) in yard.listed(session, made.id).items() if kind == "file"}


@pytest.fixture
def yard(tmp_path_factory: pytest.TempPathFactory, home: Path, env: dict[str, str]) -> Iterator[Yard]:
    """A workspace of a daemon that sees mounts of its own."""
    daemon = RealDaemon(tmp_path_factory.mktemp("mounts").resolve())
    yard = Yard(daemon, daemon.directory / "yard", home, env)
    yard.write("over here/below/file", "1\n")
    yard.write("file", "1\n")
    try:
        daemon.start(env=env, prefix=unshared("true"))
        yield yard
        daemon.stop()
    finally:
        daemon.kill()


def test_a_file_system_over_a_directory(yard: Yard) -> None:
    """A save holds what is mounted, what is written there afterwards, and what was hidden when it is unmounted."""
    over = yard.root / "over here"
    with yard.session() as session:
        assert held(yard, session) == {"file", "over here/below/file"}
        inside(yard.daemon.pid, f"mount -t tmpfs none '{over}'; mkdir '{over}/below'; echo 1 > '{over}/below/mounted'")
        assert held(yard, session) == {"file", "over here/below/mounted"}
        inside(yard.daemon.pid, f"echo 1 > '{over}/below/after'")
        assert held(yard, session) == {"file", "over here/below/mounted", "over here/below/after"}
        inside(yard.daemon.pid, f"umount '{over}'")
        assert held(yard, session) == {"file", "over here/below/file"}
        yard.write("over here/below/after", "2\n")
        assert held(yard, session) == {"file", "over here/below/file", "over here/below/after"}


def test_a_bind_mount_over_a_directory(yard: Yard) -> None:
    """Another directory in the place of one is looked at with the next save, also where nothing else changes."""
    other = yard.root.with_name("other")
    other.mkdir()
    (other / "bound").write_text("1\n")
    over = yard.root / "over here"
    with yard.session() as session:
        assert held(yard, session) == {"file", "over here/below/file"}
        inside(yard.daemon.pid, f"mount --bind '{other}' '{over}'")
        assert held(yard, session) == {"file", "over here/bound"}
        (other / "bound too").write_text("1\n")
        assert held(yard, session) == {"file", "over here/bound", "over here/bound too"}
        inside(yard.daemon.pid, f"umount '{over}'")
        assert held(yard, session) == {"file", "over here/below/file"}

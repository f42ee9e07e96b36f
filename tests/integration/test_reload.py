"""SIGHUP on a real daemon: the configuration is taken over as a whole, or not at all, and what is captured goes by it from then on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.daemon import RealDaemon
from support.yard import Yard, until


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """A workspace of a daemon of its own, whose configuration the test writes."""
    daemon = RealDaemon(tmp_path.resolve())
    (daemon.directory / "config" / "rewindd").mkdir()
    home = daemon.directory / "home"
    home.mkdir()
    env = {"HOME": str(home)}
    found = Yard(daemon, daemon.directory / "yard", home, env)
    found.root.mkdir()
    try:
        daemon.start(env=env)
        yield found
        daemon.stop()
    finally:
        daemon.kill()


def write(yard: Yard, text: str, drop_in: str | None = None) -> None:
    """Writes the configuration, or a drop-in."""
    directory = yard.daemon.directory / "config" / "rewindd"
    if drop_in is not None:
        (directory / "config.d").mkdir(exist_ok=True)
    (directory / "config.d" / drop_in if drop_in is not None else directory / "config.toml").write_text(text)


def config(yard: Yard) -> replies.ConfigInfo:
    """What `status` says of the configuration."""
    with yard.client() as client:
        found = client.status().config
    assert found is not None
    return found


def reload(yard: Yard) -> replies.ConfigInfo:
    """Sends SIGHUP, and returns what `status` says when it was obeyed: read again, or refused with a reason of its own."""
    before = config(yard)
    os.kill(yard.daemon.pid, signal.SIGHUP)
    until(lambda: (config(yard).read_at, config(yard).trouble) != (before.read_at, before.trouble))
    return config(yard)


def left_out(yard: Yard) -> dict[str, str]:
    """What `capture` says is left out, and why."""
    with yard.client() as client:
        found = client.ask(requests.ListCapture(directory=FsText(str(yard.root))), replies.CaptureInfo)
    return {str(one.path): one.reason for one in found.left_out}


def test_what_is_captured(yard: Yard) -> None:
    """Limits, `exclude` and `include` count from the next look on, both ways; no rewind touches a file for it."""
    yard.write(".gitignore", "*.env\n")
    yard.write("local.env", "1\n")
    yard.write("notes.txt", "1\n")
    yard.write("large", bytes(5000))
    with yard.session() as session:
        first = session.save("first")
        assert set(yard.listed(session, first.id)) == {".gitignore", "notes.txt", "large"}
        write(yard, "[capture]\nexclude = ['notes.txt']\n")
        write(yard, "[capture]\ninclude = ['local.env']\nmax_file_bytes = 1000\n", "50-more.toml")
        assert [Path(path).name for path in reload(yard).files] == ["config.toml", "50-more.toml"]
        yard.write("huge", bytes(6000))
        second = session.save("second")
        assert set(yard.listed(session, second.id)) - {"large"} == {".gitignore", "local.env"}
        assert left_out(yard)["notes.txt"] == "excluded by the configuration"
        assert "max_file_bytes" in left_out(yard)["huge"]
        write(yard, "")
        write(yard, "", "50-more.toml")
        reload(yard)
        third = session.save("third")
        assert set(yard.listed(session, third.id)) == {".gitignore", "notes.txt", "large", "huge"}
        session.rewind(first.id, scope="workspace", restore="files", also="external")
        assert {path.name for path in yard.root.iterdir()} >= {"notes.txt", "large", "huge", "local.env"}


def test_watching_is_turned_off_and_on(yard: Yard) -> None:
    """`watch` goes with a reload too, again and again: changes are captured in each way, and nothing is left open."""
    with yard.session() as session:
        session.save()
        for number, (text, word) in enumerate((("[capture]\nwatch = false\n", "off"), ("", "on")) * 2):
            write(yard, text)
            reload(yard)
            yard.write("a.txt", f"{number}\n")
            saved = session.save()
            assert yard.listed(session, saved.id) == yard.disk()
            until(lambda word=word: yard.info().watch == word)  # type: ignore[misc]
            opened = [os.readlink(f"/proc/{yard.daemon.pid}/fd/{name}") for name in os.listdir(f"/proc/{yard.daemon.pid}/fd")]
            assert opened.count("anon_inode:inotify") == (word == "on")


def test_a_bad_file_changes_nothing(yard: Yard) -> None:
    """A wrong drop-in has nothing taken over, of the good file neither; `status` and the log say why, until it is put right."""
    with yard.session() as session:
        session.save()
        write(yard, "[capture]\nexclude = ['*.txt']\n")
        write(yard, "[capture]\nmax_flies = 1\n", "bad.toml")
        told = reload(yard)
        assert told.trouble is not None
        assert "bad.toml: line 2: unknown key capture.max_flies; did you mean capture.max_files?" in told.trouble
        assert told.files == []
        assert told.trouble in yard.daemon.said()
        yard.write("a.txt", "1\n")
        assert "a.txt" in yard.listed(session, session.save().id)
        write(yard, "[capture]\nmax_files = 100\n", "bad.toml")
        told = reload(yard)
        assert (told.trouble, len(told.files)) == (None, 2)
        assert "a.txt" not in yard.listed(session, session.save().id)


def test_room_for_the_store(yard: Yard) -> None:
    """`max_bytes` of `[store]` counts at once: what there is no room for is named, and captured when there is again."""
    with yard.session() as session:
        session.save()
        write(yard, "[store]\nmax_bytes = 1\n")
        reload(yard)
        yard.write("a.bin", os.urandom(50_000))
        assert "no room in the store" in session.save().incomplete.first[0].reason
        write(yard, "")
        reload(yard)
        saved = session.save()
        assert saved.incomplete.count == 0
        assert yard.listed(session, saved.id) == yard.disk()


def test_rules_that_changed_while_no_daemon_ran(yard: Yard) -> None:
    """A restart counts as a reload does: what is excluded since is forgotten, what is not any more is first seen."""
    yard.write("a.txt", "1\n")
    yard.write("b.md", "1\n")
    with yard.session(session_id="s") as session:
        first = session.save("first")
    write(yard, "[capture]\nexclude = ['*.txt']\n")
    yard.restart()
    with yard.session(session_id="s") as session:
        yard.write("a.txt", "2\n")
        assert set(yard.listed(session, session.save("second").id)) == {"b.md"}
    write(yard, "")
    yard.restart()
    with yard.session(session_id="s") as session:
        third = session.save("third")
        assert set(yard.listed(session, third.id)) == {"a.txt", "b.md"}
        session.rewind(first.id, scope="workspace", restore="files", also="external")
        assert (yard.root / "a.txt").exists()


def test_a_large_file_in_place_of_a_directory(yard: Yard) -> None:
    """A limit leaves it out, and what was in the directory is gone: that is said once, not with each look."""
    yard.write("data/a", "1\n")
    with yard.session() as session:
        session.save()
        write(yard, "[capture]\nmax_file_bytes = 1000\nwatch = false\n")
        reload(yard)
        yard.shell("rm -r data")
        session.save()
        yard.write("data", bytes(2000))
        saved = session.save()
        assert "data" not in yard.listed(session, saved.id)
        yard.log(session, ".")
        rows = yard.rows()
        for _ in range(3):
            yard.log(session, ".")
        assert yard.rows() == rows

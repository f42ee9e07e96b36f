"""`[protect]` on a real daemon: captured and shown as everything, and written by nothing that takes back or brings back."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from support.daemon import RealDaemon
from support.desk import photograph, reasons
from support.yard import Yard, until


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    """A workspace of a daemon of its own, in whose configuration directory and private keys are protected."""
    daemon = RealDaemon(tmp_path.resolve())
    home = daemon.directory / "home"
    home.mkdir()
    found = Yard(daemon, daemon.directory / "yard", home, {"HOME": str(home)})
    configure(found, "[protect]\npatterns = ['/deploy/', '*.pem']\n")
    try:
        daemon.start(env=found.env)
        yield found
        daemon.stop()
    finally:
        daemon.kill()


def configure(yard: Yard, text: str) -> None:
    file = yard.daemon.directory / "config" / "rewindd" / "config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def furnish(yard: Yard, word: str) -> None:
    """Every path has this word in it."""
    for name in ("notes", "deploy/run.sh", "deploy/deep/er", "src/key.pem", "src/main"):
        yard.write(name, f"{word}\n")


GUARDED = {"deploy/run.sh": "protected", "deploy/deep/er": "protected", "src/key.pem": "protected"}


def words(yard: Yard) -> dict[str, str]:
    """What each file says now."""
    return {str(path.relative_to(yard.root)): path.read_text().strip() for path in sorted(yard.root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("scope", ["session", "workspace"])
def test_neither_rewind_nor_undo_nor_redo(yard: Yard, scope: str) -> None:
    """The rest goes back and comes again; what is protected stays byte for byte, and each answer names it."""
    furnish(yard, "one")
    with yard.session() as session:
        first = session.save("first")
        with session.command("edit"):
            furnish(yard, "two")
        session.save("second")
        planned = session.rewind(first.id, scope=scope, dry_run=True)
        done = session.rewind(first.id, scope=scope, plan=planned.plan_id)
        assert reasons(planned.kept) == reasons(done.kept) == GUARDED
        now = words(yard)
        assert {name: now[name] for name in GUARDED} == dict.fromkeys(GUARDED, "two")
        assert (now["notes"], now["src/main"]) == ("one", "one")
        session.undo()
        assert set(words(yard).values()) == {"two"}
        session.redo()
        assert words(yard) == now
        changed = {str(one.path) for one in session.load(session.save("third").id).file_diffs}
        assert changed == set(GUARDED), "what stayed is the session's work still, on top of where it went back to"


def test_what_was_deleted_and_made_stays_so(yard: Yard) -> None:
    """A protected file that was deleted does not come back, nor a directory above it; one that was made stays, and its directory."""
    furnish(yard, "one")
    with yard.session() as session:
        first = session.save("first")
        with session.command("edit"):
            (yard.root / "deploy/run.sh").unlink()
            (yard.root / "src/key.pem").unlink()
            yard.write("fresh/new.pem", "new\n")
            yard.write("fresh/notes", "new\n")
        session.save("second")
        done = session.rewind(first.id)
        assert {str(path) for path in done.removed} == {"fresh/notes"}
        kept = reasons(done.kept)
        assert {name: kept[name] for name in ("deploy/run.sh", "src/key.pem", "fresh/new.pem")} == dict.fromkeys(
            ("deploy/run.sh", "src/key.pem", "fresh/new.pem"), "protected"
        )
        assert kept["fresh"].startswith("not-empty")
        assert not (yard.root / "deploy/run.sh").exists()
        assert (yard.root / "fresh/new.pem").read_text() == "new\n"
        restored = session.restore("deploy", "src", position=first.id)
        assert (restored.restored, set(reasons(restored.kept))) == ([], {"deploy/run.sh", "src/key.pem"})
        assert not (yard.root / "src/key.pem").exists()


def test_it_is_captured_and_shown(yard: Yard) -> None:
    """Protected is not left out: what it held can be read, at any checkpoint."""
    furnish(yard, "one")
    with yard.session() as session:
        first = session.save("first")
        furnish(yard, "two")
        session.save("second")
        assert yard.listed(session, first.id)["src/key.pem"][2] == blake3(b"one\n").hexdigest()


def test_a_reload_counts_from_the_next_plan_on(yard: Yard) -> None:
    """A pattern that comes protects from then on, also what an undo would write; one that goes frees, and nothing is looked at for it."""
    furnish(yard, "one")
    with yard.session() as session, yard.client() as client:
        first = session.save("first")
        with session.command("edit"):
            furnish(yard, "two")
        session.save("second")
        session.rewind(first.id)

        def reload(text: str) -> None:
            configure(yard, text)
            config = client.status().config
            assert config is not None
            before = config.read_at
            os.kill(yard.daemon.pid, signal.SIGHUP)
            until(lambda: (told := client.status().config) is not None and told.read_at != before)

        reload("[protect]\npatterns = ['notes']\n")
        before = words(yard)
        assert before["notes"] == "one"
        assert reasons(session.undo().kept) == {"notes": "protected"}
        assert words(yard) == {**before, "src/main": "two"}
        reload("")
        session.rewind(first.id, scope="workspace")
        assert set(words(yard).values()) == {"one"}


def test_what_became_the_daemons_own(yard: Yard) -> None:
    """A directory that was captured, and is the daemon's data directory now, is not gone back to."""
    yard.write("var/store/notes", "one\n")
    yard.write("notes", "one\n")
    with yard.session(session_id="it") as session:
        first = session.save("first")
        with session.command("edit"):
            (yard.root / "var/store/notes").write_text("two\n")
            yard.write("notes", "two\n")
        session.save("second")
    yard.daemon.stop()
    yard.daemon.data_dir.rename(yard.daemon.directory / "moved")
    for name in (yard.daemon.directory / "moved").iterdir():
        name.rename(yard.root / "var/store" / name.name)
    (yard.root / "var/store").chmod(0o700)
    yard.daemon.data_dir = yard.root / "var/store"
    yard.daemon.start(env=yard.env)
    with yard.session(session_id="it") as session:
        done = session.rewind(first.id, scope="workspace")
        assert [str(path) for path in done.restored] == ["notes"]
        kept = reasons(done.kept)
        assert kept.get("var/store/notes") in ("protected", "outside the rules now")
        assert (yard.root / "var/store/notes").read_text() == "two\n"
        assert photograph(yard.root / "var/store").keys() >= {"store.db", "notes"}

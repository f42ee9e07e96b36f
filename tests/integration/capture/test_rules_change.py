"""Rules that change: what they let in is first seen, what they leave out is forgotten, and no rewind touches a file for it."""

import shutil
from pathlib import Path

import pytest

from rewindd.client.blocking_session import Session
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.daemon import RealDaemon
from support.yard import Yard, differing, photograph, until


def capture(yard: Yard, session: Session) -> replies.CaptureInfo:
    """What `capture` lists."""
    with yard.client() as client:
        return client.ask(requests.ListCapture(directory=FsText(str(yard.root))), replies.CaptureInfo)


def left_out(yard: Yard, session: Session) -> dict[str, str]:
    """What `capture` says is left out, and why."""
    return {str(one.path): one.reason for one in capture(yard, session).left_out}


def nothing_moves(yard: Yard, session: Session, position: str, *, but: tuple[str, ...] = (), captured: tuple[str, ...] = ()) -> None:
    """No rewind to the position touches any file but these, and in the workspace's scope what was captured then and is now."""
    for scope in ("session", "workspace"):
        before = photograph(yard.root)
        result = session.rewind(position, scope=scope, restore="files", also="external", across_head=True)
        after = photograph(yard.root)
        assert set(differing(before, after)) <= {*but, *(captured if scope == "workspace" else ())}, (scope, result)
        if result.operation_id is not None:
            session.undo()
        assert not differing(before, photograph(yard.root))


def test_rules_that_do_not_count_are_told(repository: Yard) -> None:
    """A repository that git cannot read: nothing is left out for it, `status` and `capture` say why, and no more once it is mended."""
    yard = repository
    yard.write(".gitignore", "*.log\n")
    yard.write("a.log", "1\n")
    config = yard.root / ".git" / "config"
    whole = config.read_text()
    config.write_text("[broken\n")
    why = "git cannot say what is ignored in '.'; what it did not say is captured"
    with yard.session() as session:
        saved = session.save()
        assert "a.log" in yard.listed(session, saved.id)
        assert (yard.info().rules_reason, capture(yard, session).rules_reason) == (why, why)
        with yard.client() as client:
            asked = requests.ListCapture(directory=FsText(str(yard.root)), dry_run=True)
            assert client.ask(asked, replies.CaptureInfo).rules_reason == why
        config.write_text(whole)
        yard.write("b.log", "1\n")
        session.save()
        assert left_out(yard, session) == {"a.log": "ignored by git", "b.log": "ignored by git"}
        assert (yard.info().rules_reason, capture(yard, session).rules_reason) == (None, None)


def test_left_out_from_now_on(repository: Yard) -> None:
    """A rule that leaves out what is captured: it is listed with the reason, stays as it is, and stays out however it changes."""
    yard = repository
    yard.write("notes.txt", "1\n")
    yard.write("data/big.bin", "1\n")
    with yard.session() as session:
        first = session.save("first")
        yard.write(".gitignore", "data/\nnotes.txt\n")
        second = session.save("second")
        assert set(yard.listed(session, first.id)) == {"notes.txt", "data", "data/big.bin"}
        assert set(left_out(yard, session)) == {"data", "data/big.bin", "notes.txt"}
        yard.write("notes.txt", "2\n")
        yard.write("data/big.bin", "2\n")
        yard.write("data/another", "2\n")
        third = session.save("third")
        for made in (second, third):
            assert yard.listed(session, made.id) == yard.disk()
        assert set(left_out(yard, session)) == {"data", "data/big.bin", "notes.txt"}
        nothing_moves(yard, session, second.id)
        nothing_moves(yard, session, first.id, but=(".gitignore",))


def test_let_in_from_now_on(repository: Yard) -> None:
    """A rule that goes: what it had left out is captured, first seen and nobody's, and no rewind removes or reverts it."""
    yard = repository
    yard.write(".gitignore", "*.env\ndata/\n")
    yard.write("local.env", "secret\n")
    yard.write("data/deep/big.bin", "1\n")
    with yard.session(attribution="sole") as session:
        first = session.save("first")
        assert set(left_out(yard, session)) == {"local.env", "data"}
        yard.write(".gitignore", "")
        second = session.save("second")
        assert yard.listed(session, second.id) == yard.disk()
        assert {one.source for one in yard.log(session, "local.env")} == {"first-seen"}
        assert left_out(yard, session) == {}
        nothing_moves(yard, session, first.id, but=(".gitignore",))
        session.pending()  # the rules came back with the last undo; what they let in is seen from here on
        yard.write("local.env", "another\n")
        third = session.save("third")
        assert yard.listed(session, third.id) == yard.disk()
        result = session.rewind(second.id, restore="files")
        assert list(result.restored) == ["local.env"]
        assert (yard.root / "local.env").read_text() == "secret\n"


def test_made_while_ignored_and_let_in_by_the_same_burst(repository: Yard) -> None:
    """Nobody knows since when a file is there that was left out until now: the session's rewind never removes it."""
    yard = repository
    yard.write(".gitignore", "*.env\n")
    with yard.session(attribution="sole") as session:
        first = session.save("first")
        yard.write("made.env", "secret\n")
        yard.write("sub/made.env", "secret\n")
        yard.write(".gitignore", "")
        yard.write("made.txt", "new\n")
        made = session.save("second")
        assert yard.listed(session, made.id) == yard.disk()
        result = session.rewind(first.id, restore="files")
        assert set(result.removed) == {"made.txt"} | ({"sub"} & set(result.removed))
        assert (yard.root / "made.env").read_text() == "secret\n"
        assert (yard.root / "sub/made.env").read_text() == "secret\n"


def test_a_rewind_changes_the_rules(repository: Yard) -> None:
    """A rewind that brings back a rule file, or takes one away: the rules are asked again, and no other file moves, there and back."""
    yard = repository
    yard.write(".gitignore", "one.txt\n")
    yard.write("one.txt", "1\n")
    yard.write("two.txt", "2\n")
    with yard.session(attribution="sole") as session:
        first = session.save("first")
        yard.write(".gitignore", "two.txt\n")
        second = session.save("second")
        assert set(left_out(yard, session)) == {"two.txt"}
        for position, out in ((first, "one.txt"), (second, "two.txt"), (first, "one.txt")):
            result = session.rewind(position.id, restore="files")
            assert list(result.restored) == [".gitignore"]
            now = session.save()
            assert set(left_out(yard, session)) == {out}
            assert yard.listed(session, now.id) == yard.disk()
        assert (yard.root / "one.txt").read_text() == "1\n"
        assert (yard.root / "two.txt").read_text() == "2\n"


@pytest.mark.parametrize("source", ["info/exclude", "core.excludesFile"])
def test_rules_outside_the_tree(repository: Yard, source: str) -> None:
    """A source that is no captured file: it is noticed by the next request, in both directions, and no rewind moves a file for it."""
    yard = repository
    if source == "core.excludesFile":
        file = yard.root.parent / f"{yard.root.name}.excludes"
        file.write_text("")
        yard.git("config", "core.excludesFile", str(file))
    else:
        file = yard.root / ".git" / source
    yard.write("a.tmp", "1\n")
    with yard.session() as session:
        first = session.save("first")
        file.write_text("*.tmp\n")
        second = session.save("second")
        assert set(left_out(yard, session)) == {"a.tmp"}
        yard.write("a.tmp", "2\n")
        nothing_moves(yard, session, first.id)
        file.write_text("# nothing\n")
        third = session.save("third")
        assert left_out(yard, session) == {}
        assert yard.listed(session, third.id) == yard.disk()
        nothing_moves(yard, session, first.id, captured=("a.tmp",))
        nothing_moves(yard, session, second.id)


def test_rewindignore(yard: Yard) -> None:
    """`.rewindignore` does the same where there is no git."""
    yard.write("a.tmp", "1\n")
    yard.write("sub/b.tmp", "1\n")
    with yard.session() as session:
        first = session.save("first")
        yard.write("sub/.rewindignore", "*.tmp\n")
        session.save("second")
        assert set(left_out(yard, session)) == {"sub/b.tmp"}
        yard.write("sub/b.tmp", "2\n")
        nothing_moves(yard, session, first.id, but=("sub/.rewindignore",))
        (yard.root / "sub/.rewindignore").unlink()
        last = session.save("third")
        assert left_out(yard, session) == {}
        assert yard.listed(session, last.id) == yard.disk()
        nothing_moves(yard, session, first.id, captured=("sub/b.tmp",))


def test_what_a_name_is_now_counts(repository: Yard) -> None:
    """A rule about directories leaves a file of that name in, and the directory out again when it comes back."""
    yard = repository
    yard.write(".gitignore", "build/\n")
    yard.write("build/out", "1\n")
    with yard.session() as session:
        session.save()
        yard.shell("rm -r build; echo a file > build")
        as_file = session.save()
        assert yard.listed(session, as_file.id) == yard.disk()
        assert "build" in yard.disk()
        yard.shell("rm build; mkdir build; echo 2 > build/out; echo 3 > build/more")
        again = session.save()
        assert "build" not in yard.disk()
        assert yard.listed(session, again.id) == yard.disk()
        yard.shell("rm -r build; echo a file again > build")
        last = session.save()
        assert yard.listed(session, last.id) == yard.disk()


def test_changed_and_left_out_at_once(repository: Yard) -> None:
    """A file that changes in the burst that leaves it out: what it was before is kept, and the log's rows follow on each other."""
    yard = repository
    yard.write("notes.txt", "1\n")
    with yard.session() as session:
        first = session.save()
        yard.write("notes.txt", "2\n")
        yard.write(".gitignore", "notes.txt\n")
        session.save()
        yard.write(".gitignore", "")
        last = session.save()
        assert yard.listed(session, last.id) == yard.disk()
        assert session.show(first.id, "notes.txt").content == b"1\n"
        assert session.show(last.id, "notes.txt").content == b"2\n"


class TestConfigured:
    """`[capture]` in the daemon's configuration."""

    CONFIG = "[capture]\nmax_file_bytes = 1000\nmax_files = 40\nexclude = ['*.secret']\ninclude = ['.env']\n"

    def test_limits_include_and_exclude(self, tmp_path_factory: pytest.TempPathFactory, home: Path, env: dict[str, str]) -> None:
        """What is too large, too much, or excluded is listed with the reason; what is included is captured though git ignores it."""
        daemon = RealDaemon(tmp_path_factory.mktemp("configured").resolve())
        (daemon.directory / "config" / "rewindd").mkdir()
        (daemon.directory / "config" / "rewindd" / "config.toml").write_text(self.CONFIG)
        yard = Yard(daemon, daemon.directory / "yard", home, env)
        yard.root.mkdir()
        yard.git("init", "-q")
        yard.write(".gitignore", ".env\n")
        yard.write(".env", "KEY=1\n")
        yard.write("my.secret", "1\n")
        yard.write("large", bytes(1001))
        try:
            daemon.start(env=env)
            with yard.session() as session:
                first = session.save()
                assert first.incomplete.count == 0
                assert set(yard.listed(session, first.id)) == {".gitignore", ".env"}
                left = left_out(yard, session)
                assert set(left) == {"my.secret", "large"}
                assert "max_file_bytes" in left["large"]
                yard.write("large", bytes(999))
                yard.write(".env", "KEY=2\n")
                second = session.save()
                assert set(yard.listed(session, second.id)) == {".gitignore", ".env", "large"}
                for number in range(50):
                    yard.write(f"many{number:02}", "x")
                third = session.save()
                assert len([one for one in yard.listed(session, third.id).values() if one[0] == "file"]) <= 40
                assert any("max_files" in reason for reason in left_out(yard, session).values())
                yard.write("large", bytes(2000))
                session.save()
                nothing_moves(yard, session, third.id)
                result = session.rewind(first.id, scope="workspace", restore="files")
                assert (yard.root / ".env").read_text() == "KEY=1\n"
                assert (yard.root / "large").stat().st_size in (999, 2000), result
            daemon.stop()
        finally:
            daemon.kill()

    def test_room_that_comes_free(self, tmp_path_factory: pytest.TempPathFactory, home: Path, env: dict[str, str]) -> None:
        """What a limit left out is captured once other files are gone or smaller, though nothing happens to it."""
        daemon = RealDaemon(tmp_path_factory.mktemp("free").resolve())
        (daemon.directory / "config" / "rewindd").mkdir()
        (daemon.directory / "config" / "rewindd" / "config.toml").write_text("[capture]\nmax_files = 3\nmax_bytes = 1000\n")
        yard = Yard(daemon, daemon.directory / "yard", home, env)
        for name in ("a", "b", "c", "d"):
            yard.write(name, name)
        try:
            daemon.start(env=env)
            with yard.session() as session:
                held = set(yard.listed(session, session.save().id))
                (out,) = left_out(yard, session)
                assert len(held) == 3
                (yard.root / held.pop()).unlink()
                session.save()
                until(lambda: set(yard.listed(session, session.save().id)) == {*held, out})
                assert left_out(yard, session) == {}
                (yard.root / held.pop()).unlink()
                yard.write(out, bytes(990))
                session.save()
                yard.write("more", bytes(500))
                session.save()
                assert set(left_out(yard, session)) == {"more"}
                yard.write(out, "small")
                session.save()
                until(lambda: "more" in yard.listed(session, session.save().id))
            daemon.stop()
        finally:
            daemon.kill()


@pytest.mark.parametrize("is_repository", [True, False], ids=["in a repository", "in none"])
def test_a_repository_that_comes_to_be(yard: Yard, is_repository: bool) -> None:
    """`git init` right above what is known: from then on its rules hold there and no others, until it goes."""
    if is_repository:
        yard.git("init", "-q")
    for name in (".gitignore", "inner/a.log", "inner/b.c", "inner/deep/c.tmp"):
        yard.write(name, "*.log\n")
    (yard.root / "inner" / "deep" / "d.log").symlink_to("nowhere")
    outer = {".gitignore", "inner", "inner/b.c", "inner/deep", "inner/deep/c.tmp"}
    inner = {".gitignore", "inner", "inner/b.c", "inner/deep", "inner/a.log", "inner/deep/d.log"}
    with yard.session() as session:
        first = session.save("first")
        assert set(yard.listed(session, first.id)) == outer
        yard.git("init", "-q", "inner")
        yard.write("inner/.git/info/exclude", "*.tmp\n")
        second = session.save("second")
        assert set(yard.listed(session, second.id)) == inner
        nothing_moves(yard, session, first.id)
        yard.shell("rm -rf inner/.git")
        third = session.save("third")
        assert set(yard.listed(session, third.id)) == outer
        nothing_moves(yard, session, second.id)


def test_a_repository_that_comes_to_be_is_noticed_unasked(yard: Yard) -> None:
    """Nobody has to ask for anything: what its rules let in is captured in the background."""
    yard.write(".gitignore", "*.log\n")
    yard.write("inner/a.log", "1\n")
    with yard.session() as session:
        session.save()
        before = yard.rows()
        yard.git("init", "-q", "inner")
        until(lambda: yard.rows() > before)
        assert {one.source for one in yard.log(session, "inner/a.log")} == {"first-seen"}


def test_let_in_while_it_is_away(repository: Yard) -> None:
    """A name that was left out goes with its directory, then the rule goes: when both come back the name is captured."""
    yard = repository
    yard.write(".gitignore", "*.log\n")
    yard.write("data/a.log", "1\n")
    with yard.session() as session:
        session.save()
        assert set(left_out(yard, session)) == {"data/a.log"}
        yard.shell("rm -rf data")
        session.save()
        yard.write(".gitignore", "")
        session.save()
        yard.write("data/a.log", "2\n")
        saved = session.save()
        assert yard.listed(session, saved.id) == yard.disk()
        assert left_out(yard, session) == {}


def test_what_was_known_in_a_directory_that_is_left_out(repository: Yard) -> None:
    """What was absent there is not looked for any more: a look at what nobody changed makes no rows."""
    yard = repository
    yard.write("data/a", "1\n")
    yard.write("data/b", "1\n")
    with yard.session() as session:
        session.save()
        yard.shell("rm data/a")
        session.save()
        yard.write(".gitignore", "data/\n")
        session.save()
        rows = yard.log(session, ".")
        assert yard.log(session, ".") == rows
        yard.write(".gitignore", "")
        saved = session.save()
        assert yard.listed(session, saved.id) == yard.disk()


def test_a_directory_that_is_let_in_after_a_restart(repository: Yard) -> None:
    """It was captured, left out, and is let in by another daemon: what is in it is captured with it."""
    yard = repository
    yard.write("data/a", "1\n")
    with yard.session() as session:
        session.save()
        yard.write(".gitignore", "data/\n")
        session.save()
        yard.write("data/b", "1\n")
        yard.write("data/deep/c", "1\n")
        session.save()
    yard.restart()
    yard.write(".gitignore", "")
    with yard.session() as session:
        saved = session.save()
        assert yard.listed(session, saved.id) == yard.disk()


def test_a_repository_inside(repository: Yard) -> None:
    """A repository that comes to be inside answers for itself from then on, and the outer rules again once it is gone."""
    yard = repository
    yard.write(".gitignore", "*.log\nbuild/\n")
    for name in ("sub/a.log", "sub/build/o", "sub/deep/x.log", "sub/kept"):
        yard.write(name, "1\n")
    with yard.session() as session:
        first = session.save("first")
        outer = set(yard.listed(session, first.id))
        assert outer == {".gitignore", "sub", "sub/kept", "sub/deep"}
        for where in ((), ("--separate-git-dir", str(yard.root.with_name(f"{yard.root.name}.git")))):
            yard.git("init", "-q", *where, "sub")
            second = session.save("second")
            assert set(yard.listed(session, second.id)) == outer | {"sub/a.log", "sub/build", "sub/build/o", "sub/deep/x.log"}
            assert left_out(yard, session) == {}
            nothing_moves(yard, session, first.id)
            shutil.rmtree(yard.root / "sub/.git") if not where else (yard.root / "sub/.git").unlink()
            assert set(yard.listed(session, session.save().id)) == outer


def test_a_mark_that_comes_and_goes(repository: Yard) -> None:
    """An environment or a cache is one while its mark is there: without it what is inside is captured, and first seen."""
    yard = repository
    yard.write("env/pyvenv.cfg", "home = /usr\n")
    yard.write("env/lib/mine.py", "1\n")
    yard.write("target/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n")
    yard.write("target/mine", "1\n")
    yard.write("venv/early.py", "1\n")
    with yard.session() as session:
        first = session.save("first")
        assert set(yard.listed(session, first.id)) == {"venv", "venv/early.py"}
        (yard.root / "env/pyvenv.cfg").unlink()
        yard.write("target/CACHEDIR.TAG", "Signature: of nobody\n")
        yard.write("venv/pyvenv.cfg", "home = /usr\n")
        second = session.save("second")
        inside = {"env", "env/lib", "env/lib/mine.py", "target", "target/CACHEDIR.TAG", "target/mine"}
        assert set(yard.listed(session, second.id)) == inside
        assert left_out(yard, session)["venv"] == "built-in: pyvenv.cfg"
        nothing_moves(yard, session, first.id)
        yard.write("env/lib/mine.py", "2\n")
        (yard.root / "venv/pyvenv.cfg").unlink()
        third = session.save()
        assert yard.listed(session, third.id) == yard.disk()
        assert left_out(yard, session) == {}


def test_a_rule_file_that_is_itself_left_out(repository: Yard) -> None:
    """It counts, and it is noticed when it comes, changes and goes."""
    yard = repository
    yard.write(".gitignore", "lib/*\n")
    yard.write("lib/a.log", "1\n")
    yard.write("lib/b.txt", "1\n")
    with yard.session() as session:
        for rules, inside in (("!*.log\n", {"lib/a.log"}), ("!*.txt\n", {"lib/b.txt"}), (None, set[str]())):
            if rules is not None:
                yard.write("lib/.gitignore", rules)
            else:
                (yard.root / "lib/.gitignore").unlink()
            saved = session.save()
            assert set(yard.listed(session, saved.id)) == {".gitignore", "lib"} | inside


def test_tracked_in_a_repository_that_was_just_met(repository: Yard) -> None:
    """What is added to its index before the next look is let in by that."""
    yard = repository
    yard.write("inner/.gitignore", "*.o\n")
    yard.write("inner/a.o", "1\n")
    with yard.session() as session:
        session.save()
        yard.git("init", "-q", "inner")
        session.save()
        yard.git("-C", "inner", "add", "-f", "a.o")
        saved = session.save()
        assert "inner/a.o" in yard.listed(session, saved.id)


def test_directories_in_one_that_is_let_in(repository: Yard) -> None:
    """All of them are known from then on: what comes to be in the deepest is a change, and captured."""
    yard = repository
    yard.write("data/deep/deeper/a", "1\n")
    with yard.session() as session:
        session.save()
        yard.write(".gitignore", "data/\n")
        session.save()
    yard.restart()
    yard.write(".gitignore", "")
    with yard.session() as session:
        session.save()
        yard.write("data/deep/deeper/b", "1\n")
        saved = session.save()
        assert yard.listed(session, saved.id) == yard.disk()
        assert [one.change for one in yard.log(session, "data/deep/deeper/b")] == ["added"]


def test_a_directory_let_in_that_was_made_again(repository: Yard) -> None:
    """Captured, left out by a rule, then let in and made anew in one go: the very next save has all that is in it, to any depth."""
    yard = repository
    yard.write("build/out", "1\n")
    with yard.session() as session:
        session.save()
        yard.write(".gitignore", "build/\n")
        session.save()
        yard.shell(": > .gitignore; rm -r build; mkdir -p build/deep; echo 2 > build/out; echo 3 > build/more; echo 4 > build/deep/er")
        last = session.save()
        assert last.incomplete.count == 0
        assert not differing(yard.disk(), yard.listed(session, last.id))
        yard.shell("rm -r build")
        session.restore("build")
        assert (yard.root / "build/deep/er").read_text() == "4\n"


def test_a_repository_inside_that_is_left_out(repository: Yard) -> None:
    """Left out as a whole by the outer one's rules, whatever its own say: what was made in it just then is not known from then on, too."""
    yard = repository
    yard.git("init", "-q", "lib")
    yard.write("lib/old", "1\n")
    with yard.session() as session:
        session.save()
        (yard.root / ".git/info/exclude").write_text("lib/\n")
        yard.shell("echo 1 > lib/new; mkdir lib/deep; echo 1 > lib/deep/er")
        first = session.save()
        yard.shell("echo 2 > lib/new; echo 2 > lib/deep/er")
        last = session.save()
        assert (first.incomplete.count, last.incomplete.count) == (0, 0)
        for saved in (first, last):
            assert yard.listed(session, saved.id) == {}
        nothing_moves(yard, session, first.id)

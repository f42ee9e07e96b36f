"""The rules in git work trees: git's own answers, from few processes, remembered as long as nothing moved."""

import os
import time
from pathlib import Path

import pytest

from rewindd.paths import RelPath
from rewindd.tree.rules import repository as asking
from rewindd.tree.rules.book import RESERVED
from rewindd.tree.rules.repository import IGNORED
from support.repository import asks, book_of, counted_runs, git, grow, left_out
from support.tree import settle_times


@pytest.fixture
def repository(top: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(top.parent))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    git(top, "init", "-q")
    return top


@pytest.fixture(params=["asked", "listed"])
def listed(request: pytest.FixtureRequest) -> bool:
    """Every answer is the same after `prepare`, which lists the tree, as without."""
    return bool(request.param == "listed")


def ignored(*names: str) -> dict[str, str]:
    return {".git": RESERVED, **dict.fromkeys(names, IGNORED)}


def test_rules_are_gits(repository: Path, listed: bool) -> None:
    """Patterns, negations, nested ignore files, info/exclude and the user's excludes count; tracked files stay, empty directories too."""
    names = [
        "a.log",
        "keep.log",
        "tracked.log",
        "b.txt",
        "sub/c.tmp",
        "sub/c.txt",
        "excluded",
        "personal",
        "build/x",
        "sub/build/y",
        "empty/",
    ]
    grow(repository, {**dict.fromkeys(names, ""), "only/a.log": ""})
    grow(repository, {".gitignore": "*.log\n!keep.log\nbuild/\n", "sub/.gitignore": "*.tmp\n!build/\n", ".git/info/exclude": "excluded\n"})
    grow(repository.parent, {".gitconfig": f"[core]\n\texcludesFile = {repository.parent}/mine\n", "mine": "personal\n"})
    git(repository, "add", "-f", "tracked.log")
    book = book_of(repository)
    if listed:
        book.prepare()
    assert left_out(book, repository) == ignored("a.log", "build", "excluded", "personal", "sub/c.tmp", "only/a.log")
    assert book.reason is None


def test_tracked_in_directories_that_are_left_out(repository: Path, listed: bool) -> None:
    """An ignored or built-in directory that holds tracked files is entered; what is tracked stays, the rest is left out."""
    tracked = ["vendor/lib/a", "node_modules/mine/index.js", "x/__pycache__/kept.pyc"]
    untracked = ["vendor/lib/b", "vendor/other/c", "node_modules/theirs/y", "node_modules/mine/z", "x/__pycache__/no.pyc"]
    grow(repository, {".gitignore": "vendor/\n", **dict.fromkeys([*tracked, *untracked], "x")})
    git(repository, "add", "-f", *tracked)
    book = book_of(repository)
    if listed:
        book.prepare()
    found = left_out(book, repository)
    assert found == {
        **ignored("vendor/lib/b", "vendor/other"),
        **dict.fromkeys(["node_modules/theirs", "node_modules/mine/z"], "built-in: node_modules"),
        "x/__pycache__/no.pyc": "built-in: __pycache__",
    }


def test_odd_names_are_names_for_git_too(repository: Path, listed: bool) -> None:
    """Names that look like options, magic, globs or are no UTF-8 are taken literally, tracked or not."""
    odd = ["-z", "--", ":(top)x.log", ":!x", "*", "[a]", "new\nline.log", os.fsdecode(b"\xff.log"), " lead", "trail ", '"q"', "**.log"]
    grow(repository, {".gitignore": "*.log\n", **dict.fromkeys(odd, "")})
    git(repository, "--literal-pathspecs", "add", "-f", "--", "**.log")
    book = book_of(repository)
    if listed:
        book.prepare()
    assert left_out(book, repository) == ignored(*(name for name in odd if name.endswith(".log") and name != "**.log"))


def test_nested_repositories_answer_for_themselves(repository: Path, listed: bool) -> None:
    """A clone, a submodule and a linked worktree inside use their own rules and their own tracked files; the outer rules end there."""
    other = repository.parent / "other"
    grow(other, {".gitignore": "*.o\n", "node_modules/own": ""})
    git(other, "init", "-q")
    git(other, "add", "-f", ".")
    git(other, "commit", "-qm", "one")
    git(repository, "submodule", "add", "-q", str(other), "module")
    git(repository, "clone", "-q", str(other), "clone")
    git(other, "worktree", "add", "-q", str(repository / "tree"))
    grow(repository, {".gitignore": "*.log\n", "y.log": "", "y.o": ""})
    inside = ("module", "clone", "tree")
    for inner in inside:
        grow(repository / inner, {"x.o": "", "x.log": "", "node_modules/x": ""})
    book = book_of(repository)
    if listed:
        book.prepare()
    expected = ignored("y.log", *(f"{inner}/x.o" for inner in inside))
    expected |= {f"{inner}/.git": RESERVED for inner in inside}
    expected |= {f"{inner}/node_modules/x": "built-in: node_modules" for inner in inside}
    assert left_out(book, repository) == expected
    assert book.reason is None


def test_a_submodule_that_is_not_there_yet(repository: Path, listed: bool) -> None:
    """What lies in the empty directory of a submodule spoils no answer."""
    other = repository.parent / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "one")
    git(repository, "submodule", "add", "-q", str(other), "module")
    git(repository, "submodule", "deinit", "-f", "module")
    grow(repository, {".gitignore": "*.log\n", "module/x": "", "module/a.log": "", "a.log": ""})
    book = book_of(repository)
    if listed:
        book.prepare()
    assert left_out(book, repository) == ignored("a.log", "module/a.log")


def test_a_workspace_below_the_top(repository: Path, listed: bool) -> None:
    """A workspace deeper in the work tree has the rules from above too."""
    grow(
        repository,
        {".gitignore": "*.log\n/sub/here\n", "sub/a.log": "", "sub/here": "", "sub/tracked.log": "", "sub/deep/b.log": "", "sub/c": ""},
    )
    git(repository, "add", "-f", "sub/tracked.log")
    book = book_of(repository / "sub")
    if listed:
        book.prepare()
    assert left_out(book, repository / "sub") == dict.fromkeys(["a.log", "here", "deep/b.log"], IGNORED)


def test_after_listing_what_is_new_is_asked_about(repository: Path) -> None:
    """A name that came after `prepare` is judged as any; after `changed` the listing does not count."""
    grow(repository, {".gitignore": "*.log\n", "a": "", "b.log": ""})
    book = book_of(repository)
    book.prepare()
    grow(repository, {"new.log": "", "new": ""})
    assert asks(book, "a", "b.log", "new.log", "new").keys() == {"b.log", "new.log"}
    grow(repository, {".gitignore": "a\n"})
    book.changed([RelPath(".gitignore")])
    assert asks(book, "a", "b.log", "new.log", "new").keys() == {"a"}
    book.finish()
    assert asks(book, "a", "b.log").keys() == {"a"}


def test_few_processes(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole tree takes two processes and one a level for what is not listed; a new name one, an ignored one two, and then none."""
    grow(repository, {".gitignore": "*.log\n"})
    grow(repository, {f"d{n}/s{n}/{name}": "" for n in range(20) for name in ("a", "b.log", "c")})
    settle_times(repository)
    book = book_of(repository)
    book.moved()
    with counted_runs(monkeypatch) as runs:
        book.prepare()
        assert len(left_out(book, repository)) == 21
        assert runs == ["ls-files", "ls-files", "check-ignore"]
        book.finish()
        runs.clear()
        assert asks(book, "d1/new", "d1/s1/newer") == {}
        assert runs == ["check-ignore"]
        runs.clear()
        assert asks(book, "d1/new.log").keys() == {"d1/new.log"}
        assert runs == ["check-ignore", "ls-files"]
        runs.clear()
        assert asks(book, "d1/new.log").keys() == {"d1/new.log"}
        assert asks(book, ".git/", "d1/.rewindd-x") != {}
        assert runs == []


@pytest.mark.parametrize("how", ["tracked", "rule", "exclude", "config", "kind"])
def test_what_is_remembered_is_not_believed_blindly(repository: Path, how: str) -> None:
    """A name that was left out is asked about again when the index, a rule file, a source outside the tree or its kind changed."""
    grow(repository, {".gitignore": "*.log\n", "sub/a.log": "", ".git/info/exclude": "", "sub/venv/pyvenv.cfg": ""})
    settle_times(repository)
    book = book_of(repository)
    assert asks(book, "sub/a.log", "sub/venv/").keys() == {"sub/a.log", "sub/venv"}
    if how == "tracked":
        git(repository, "add", "-f", "sub/a.log")
    elif how == "rule":
        grow(repository, {"sub/.gitignore": "!a.log\n"})
    elif how == "exclude":
        grow(repository, {".gitignore": "", ".git/info/exclude": "b.log\n"})
    elif how == "config":
        (repository / ".gitignore").write_text("*.LOG\n")
        assert asks(book, "sub/a.log") == {}
        git(repository, "config", "core.ignorecase", "true")
        assert asks(book, "sub/a.log").keys() == {"sub/a.log"}
        return
    elif how == "kind":
        (repository / "sub" / "venv" / "pyvenv.cfg").unlink()
        assert asks(book, "sub/venv/") == {}
        return
    assert asks(book, "sub/a.log") == {}


def test_sources_outside_the_tree(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`moved` is True once for every source that says something else, and False for what says nothing about ignoring."""
    home = repository.parent
    grow(home, {".gitconfig": "[include]\n\tpath = more\n", "more": ""})
    book = book_of(repository)
    assert not book.moved()
    changes: list[tuple[Path, str, bool]] = [
        (repository / ".git" / "info" / "exclude", "x\n", True),
        (home / "more", f"[core]\n\texcludesFile = {home}/mine\n", True),
        (home / "mine", "y\n", True),
        (home / "mine", "z\n", True),
        (home / "more", f"[core]\n\texcludesFile = {home}/mine\n[alias]\n\tx = y\n", False),
        (home / "more", "", True),
        (home / ".config" / "git" / "ignore", "w\n", True),
        (repository / ".git" / "info" / "attributes", "* text\n", False),
    ]
    for path, text, expected in changes:
        grow(path.parent, {path.name: text})
        assert book.moved() is expected, (path, text)
        assert not book.moved()
    git(repository, "config", "branch.x.remote", "origin")
    assert not book.moved()
    git(repository, "config", "core.ignorecase", "true")
    assert book.moved()
    settle_times(home)
    assert not book.moved()
    with counted_runs(monkeypatch) as runs:
        assert not any(book.moved() for _ in range(5))
    assert runs == []


def test_repositories_that_come_and_go(top: Path) -> None:
    """A work tree made of the workspace, and taken away, moves the rules; so does one inside that is gone."""
    grow(top, {".gitignore": "*.log\n", "a.log": "", "inner/a.log": "", "inner/.gitignore": "!a.log\n"})
    book = book_of(top)
    assert not book.moved()
    git(top, "init", "-q")
    git(top / "inner", "init", "-q")
    assert book.moved()
    assert asks(book, "a.log", "inner/a.log") == {"a.log": IGNORED}
    assert not book.moved()
    (top / "inner" / ".git").rename(top.parent / "inner-git")
    assert book.moved()
    (top / ".git").rename(top.parent / "git")
    assert book.moved()
    assert not book.moved()
    assert asks(book, "a.log") == {"a.log": "ignored by .gitignore"}


def test_an_ignore_file_above_the_workspace_is_a_source(repository: Path) -> None:
    """Of a workspace below the top, the ignore files above it are not captured, so they are looked at."""
    grow(repository, {"sub/deep/x": ""})
    book = book_of(repository / "sub" / "deep")
    assert not book.moved()
    grow(repository / "sub", {".gitignore": "x\n"})
    assert book.moved()
    assert asks(book, "x") == {"x": IGNORED}


@pytest.mark.parametrize("broken", ["[broken\n", "[core]\n\trepositoryformatversion = 99\n"])
def test_a_broken_repository_loses_nothing(repository: Path, listed: bool, broken: str) -> None:
    """Where git fails, git's rules and the built-in ones leave nothing out, and the reason is given; mended, they count again."""
    grow(repository, {".gitignore": "*.log\n", "a.log": "", ".rewindignore": "b\n", "b": "", "node_modules/x": ""})
    whole = (repository / ".git" / "config").read_text()
    (repository / ".git" / "config").write_text(broken)
    book = book_of(repository)
    book.moved()
    if listed:
        book.prepare()
    assert left_out(book, repository) == {".git": RESERVED, "b": "ignored by .rewindignore"}
    assert book.reason == "git cannot say what is ignored in '.'; what it did not say is captured"
    (repository / ".git" / "config").write_text(whole)
    assert book.moved() or "repositoryformatversion" in broken
    book.finish()
    assert asks(book, "a.log", "node_modules/").keys() == {"a.log", "node_modules"}
    assert book.reason is None


def test_a_git_that_does_not_end(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed in time, nothing is left out for it, and that is said."""
    grow(repository, {".gitignore": "*.log\n", "a.log": ""})
    book = book_of(repository)
    book.moved()
    (repository.parent / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (repository.parent / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{repository.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(asking, "TIMEOUT_S", 0.1)
    assert asks(book, "a.log") == {}
    assert book.reason is not None
    with counted_runs(monkeypatch) as runs:
        assert asks(book, "b.log") == {}
        assert (runs, book.reason is None) == ([], False)


def test_a_pipe_in_place_of_a_rule_file(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git waits for whoever would write into it; that costs one wait, and then nobody waits until it is asked again."""
    os.mkfifo(repository / ".gitignore")
    monkeypatch.setattr(asking, "TIMEOUT_S", 0.1)
    book = book_of(repository)
    book.prepare()
    with counted_runs(monkeypatch) as runs:
        assert asks(book, "a.log") == {}
    assert (runs, book.reason) == ([], "git cannot say what is ignored in '.'; what it did not say is captured")
    book.finish()
    (repository / ".gitignore").unlink()
    grow(repository, {".gitignore": "*.log\n"})
    monkeypatch.setattr(asking, "TIMEOUT_S", 30.0)
    assert asks(book, "a.log") == {}
    monkeypatch.setattr(asking, "monotonic", lambda: time.monotonic() + asking.PAUSE_S)
    assert asks(book, "a.log") == {"a.log": IGNORED}
    assert book.reason is None


def test_what_is_remembered_does_not_hide_that_git_failed(repository: Path) -> None:
    """The reason stays until git was asked again, and answered."""
    grow(repository, {".gitignore": "*.log\n"})
    (repository / "link").symlink_to("/")
    book = book_of(repository)
    settle_times(repository)
    assert asks(book, "a.log") == {"a.log": IGNORED}
    asks(book, "link/etc/")
    assert book.reason is not None
    assert asks(book, "a.log") == {"a.log": IGNORED}
    assert book.reason is not None
    assert asks(book, "b.log") == {"b.log": IGNORED}
    assert book.reason is None


def test_one_bad_path_does_not_let_the_others_in(repository: Path) -> None:
    """Paths that git refuses (beyond a link) are kept; those before and after are judged, and it is said that some are not."""
    grow(repository, {".gitignore": "*.log\n"})
    (repository / "link").symlink_to("/")
    book = book_of(repository)
    assert asks(book, "a.log", "link/etc/", "link/usr/", "b.log", "c", "link/tmp/") == {"a.log": IGNORED, "b.log": IGNORED}
    assert book.reason is not None
    assert asks(book, "a.log").keys() == {"a.log"}
    assert book.reason is None


def test_many_candidates_are_asked_at_once(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tracked of many ignored names is one process's answer too."""
    names = [f"f{n}.log" for n in range(200)]
    grow(repository, {".gitignore": "*.log\n", **dict.fromkeys(names, "")})
    git(repository, "add", "-f", *names[:50])
    book = book_of(repository)
    book.moved()
    with counted_runs(monkeypatch) as runs:
        assert asks(book, *names).keys() == set(names[50:])
    assert runs == ["check-ignore", "ls-files"]

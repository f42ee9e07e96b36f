"""The rules outside any repository, and those that hold everywhere: .rewindignore, the configuration, built-in directories."""

import os
from pathlib import Path

import pytest

from rewindd.paths import RelPath
from rewindd.tree.rules.book import GIT_MISSING, RESERVED, NoRules
from rewindd.tree.rules.places import BY_GITIGNORE, BY_REWINDIGNORE, EXCLUDED
from rewindd.tree.rules.repository import IGNORED
from support.repository import asks, book_of, counted_runs, git, grow, left_out

TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# a cache\n"


def test_gitignore_directory_by_directory(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every .gitignore on the way counts, nearer ones win, one in a directory that is left out does not; no process runs."""
    grow(top, {".gitignore": "*.log\nbuild/\n/here\n", "sub/.gitignore": "!keep.log\n*.tmp\n", "build/.gitignore": "!*\n"})
    grow(
        top, dict.fromkeys(["a.log", "here", "sub/here", "sub/keep.log", "sub/a.log", "sub/deep/x.tmp", "x.tmp", "build/x", "empty/"], "x")
    )
    book = book_of(top)
    with counted_runs(monkeypatch) as runs:
        assert left_out(book, top) == dict.fromkeys(["a.log", "build", "here", "sub/a.log", "sub/deep/x.tmp"], BY_GITIGNORE)
    assert (runs, book.reason) == ([], None)


def test_changes_of_a_rule_file_count_at_once(top: Path) -> None:
    """What a rule file says is read again when it changed, also where it leaves itself out and nobody told of it."""
    grow(top, {"sub/.gitignore": "*\n", "sub/a": "x", "sub/b": "x"})
    book = book_of(top)
    assert asks(book, "sub/a", "sub/b", "sub/.gitignore").keys() == {"sub/a", "sub/b", "sub/.gitignore"}
    grow(top, {"sub/.gitignore": "a\n"})
    assert asks(book, "sub/a", "sub/b").keys() == {"sub/a"}
    (top / "sub" / ".gitignore").unlink()
    book.changed([RelPath("sub/.gitignore")])
    assert asks(book, "sub/a", "sub/b") == {}


def test_rewindignore(top: Path) -> None:
    """Nearer ones win, `!` undoes only other .rewindignore patterns, tracked files are left out too."""
    git(top, "init", "-q")
    grow(top, {".gitignore": "*.log\n", ".rewindignore": "*.csv\n!*.log\ndata/\n", "sub/.rewindignore": "!keep.csv\n"})
    grow(top, dict.fromkeys(["a.log", "tracked.csv", "sub/keep.csv", "sub/b.csv", "data/x"], "x"))
    git(top, "add", "tracked.csv")
    expected = {".git": RESERVED, "a.log": IGNORED, "tracked.csv": BY_REWINDIGNORE, "sub/b.csv": BY_REWINDIGNORE, "data": BY_REWINDIGNORE}
    assert left_out(book_of(top), top) == expected


def test_a_rule_file_that_is_no_file_does_not_count(top: Path) -> None:
    """A link is not followed, a directory and a FIFO are not read; one too large or too long does not count, and that is said."""
    (top.parent / "all").write_text("*\n")
    for directory in ("link", "deep", "large", "many", "pipe"):
        (top / directory).mkdir()
    (top / "link" / ".gitignore").symlink_to(top.parent / "all")
    (top / "deep" / ".rewindignore").mkdir()
    (top / "large" / ".rewindignore").write_text("*\n" + "#" * (1 << 20))
    (top / "many" / ".gitignore").write_text("*\n" * 10_001)
    os.mkfifo(top / "pipe" / ".gitignore")
    book = book_of(top)
    assert asks(book, *(f"{directory}/x" for directory in ("link", "deep", "large", "many", "pipe"))) == {}
    assert (
        book.reason == "large/.rewindignore is over 1 MiB and no rule file; many/.gitignore has more than 10,000 lines and is no rule file"
    )
    grow(top, {"large/.rewindignore": "x\n", "many/.gitignore": "x\n"})
    assert asks(book, "large/x", "many/x").keys() == {"large/x", "many/x"}
    assert book.reason is None


def test_a_directory_that_became_a_link_is_not_followed(top: Path) -> None:
    """Rule files behind a link do not count."""
    grow(top.parent / "elsewhere", {".gitignore": "*\n", "x": "x"})
    (top / "sub").symlink_to(top.parent / "elsewhere")
    assert asks(book_of(top), "sub/x") == {}


def test_built_in_directories(top: Path) -> None:
    """By name, by pyvenv.cfg in a directory of a usual name, by a cache's tag with its signature; files of such names stay."""
    grow(top, dict.fromkeys(["node_modules/x/y", "sub/__pycache__/x.pyc", ".hg/store", "env/settings", "plain/.env", "sub/.tox"], "x"))
    grow(
        top, {"venv/pyvenv.cfg": "", "other/pyvenv.cfg": "", ".env/pyvenv.cfg": "", "target/CACHEDIR.TAG": TAG, "fake/CACHEDIR.TAG": "no\n"}
    )
    (top / "link").mkdir()
    (top / "link" / "CACHEDIR.TAG").symlink_to(top / "target" / "CACHEDIR.TAG")
    (top / "pnpm").mkdir()
    (top / "pnpm" / "node_modules").symlink_to(top / "node_modules")
    assert left_out(book_of(top), top) == {
        "node_modules": "built-in: node_modules",
        "sub/__pycache__": "built-in: __pycache__",
        ".hg": "built-in: .hg",
        "venv": "built-in: pyvenv.cfg",
        ".env": "built-in: pyvenv.cfg",
        "target": "built-in: CACHEDIR.TAG",
    }


def test_the_root_itself_is_no_built_in_directory(tmp_path: Path) -> None:
    """A workspace that is a virtual environment or a cache is captured: somebody opened a session in it."""
    grow(tmp_path, {"node_modules/pyvenv.cfg": "", "node_modules/CACHEDIR.TAG": TAG, "node_modules/x": ""})
    assert left_out(book_of(tmp_path / "node_modules"), tmp_path / "node_modules") == {}


@pytest.mark.parametrize("versioned", [False, True])
def test_include_brings_back(top: Path, versioned: bool) -> None:
    """It wins over every other rule, and with a slash reaches into directories that are left out, where all else stays out."""
    if versioned:
        git(top, "init", "-q")
    by = IGNORED if versioned else BY_GITIGNORE
    grow(top, {".gitignore": ".env\ndata/\nvendor/\n", ".rewindignore": "notes\n"})
    grow(
        top,
        dict.fromkeys(
            [".env", "sub/.env", "data/local.db", "data/other", "data/.env", "data/deep/x", "vendor/a/b", "notes", "no.iso"], "x"
        ),
    )
    grow(top, dict.fromkeys(["node_modules/mine/a", "node_modules/theirs/b", "keep.iso", "logs/.env"], "x"))
    include = (".env", "data/local.db", "vendor/", "notes", "/node_modules/mine/", "keep.iso", "/logs/x")
    book = book_of(top, exclude=("*.iso",), include=include)
    found = left_out(book, top)
    found.pop(".git", None)
    assert found == {
        "data/other": by,
        "data/.env": by,
        "data/deep": by,
        "no.iso": EXCLUDED,
        "node_modules/theirs": "built-in: node_modules",
    }


def test_include_takes_back_with_a_bang(top: Path) -> None:
    """The last pattern decides; what `!` takes out of `include` is judged by the other rules."""
    grow(top, {".gitignore": "vendor/\n", "vendor/a": "", "vendor/big/x": "", "src/big/x": ""})
    assert left_out(book_of(top, include=("vendor/", "!big")), top) == {"vendor/big": BY_GITIGNORE}


def test_include_with_stars_reaches_only_from_a_place(top: Path) -> None:
    """`data/**/x.db` passes through all of data; `**/x.db` through nothing that is left out."""
    grow(top, {".gitignore": "data/\ncache/\n", "data/a/b/x.db": "", "data/a/y": "", "cache/x.db": "", "x.db": ""})
    assert left_out(book_of(top, include=("data/**/x.db", "**/x.db")), top) == {"data/a/y": BY_GITIGNORE, "cache": BY_GITIGNORE}


def test_a_file_and_a_pattern_side_by_side(top: Path) -> None:
    """A pattern that reaches into a directory and one that does not, for names in the directory that the first brings back."""
    grow(top, {".gitignore": "build/\n", "build/out/x.db": "", "build/out/y": "", "build/z.db": ""})
    assert left_out(book_of(top, include=("build/out/", "*.db")), top) == {"build/z.db": BY_GITIGNORE}


def test_exclude_also_for_tracked(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration leaves out what its patterns match, tracked or not, and git is not asked about it."""
    git(top, "init", "-q")
    grow(top, {"a.iso": "", "scratch/x": ""})
    git(top, "add", ".")
    book = book_of(top, exclude=("*.iso", "/scratch/"))
    book.moved()
    with counted_runs(monkeypatch) as runs:
        assert asks(book, "a.iso", "scratch/") == {"a.iso": EXCLUDED, "scratch": EXCLUDED}
    assert runs == []


def test_without_git(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a repository without git installed the .gitignore files are read here, repository by repository, with the reason."""
    git(top, "init", "-q")
    grow(
        top, {".gitignore": "*.log\n", "a.log": "", "inner/.git": "gitdir: x", "inner/a.log": "", "inner/.gitignore": "b\n", "inner/b": ""}
    )
    monkeypatch.setenv("PATH", str(top))
    book = book_of(top)
    book.prepare()
    assert left_out(book, top) == {".git": RESERVED, "a.log": BY_GITIGNORE, "inner/.git": RESERVED, "inner/b": BY_GITIGNORE}
    assert book.reason == GIT_MISSING


def test_no_rules(top: Path) -> None:
    """`--no-ignore` leaves out only what is never captured."""
    rules = NoRules()
    names = [(RelPath(".git"), True), (RelPath("a/.rewindd-1-1"), False), (RelPath("node_modules"), True)]
    assert rules.leaves_out(names) == {".git": RESERVED, "a/.rewindd-1-1": RESERVED}
    assert rules.reason is None


def test_a_root_that_is_gone(top: Path) -> None:
    """Rules of a directory that is not there leave nothing out, but what names alone say."""
    book = book_of(top / "gone")
    book.prepare()
    assert asks(book, "a", ".git/", "node_modules/") == {".git": RESERVED, "node_modules": "built-in: node_modules"}
    assert not book.moved()


def test_what_old_rules_had_left_out(top: Path) -> None:
    """Names that a rule file left out before it changed, itself or a directory above; the last matching pattern wins."""
    book = book_of(top)
    old = {RelPath(".gitignore"): b"*.log\n!keep.log\nbuild/\n", RelPath("sub/.rewindignore"): b"/x\n"}
    names = ["a.log", "keep.log", "build", "build/deep/x", "b.txt", "sub/x", "sub/deep/x", "x", "sub/a.log"]
    asked = [(RelPath(name), name == "build") for name in names]
    assert book.let_in(asked, old) == {"a.log", "build", "build/deep/x", "sub/x", "sub/a.log"}
    assert book.let_in([(RelPath("build"), False)], old) == set()
    assert book.let_in(asked, {}) == set()

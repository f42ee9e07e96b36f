"""The census: what a first capture goes through, in which order, and what is left out of it."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rewindd.model.capture import LIMIT, CaptureSettings
from rewindd.model.versions import Directory
from rewindd.paths import ROOT, RelPath
from rewindd.tree import census as census_module
from rewindd.tree.census import Census, census
from rewindd.tree.gitindex import staged
from rewindd.tree.look import SPECIAL, TOO_DEEP, is_unchanged
from rewindd.tree.root import Root
from rewindd.tree.rules.book import NoRules
from rewindd.tree.rules.repository import IGNORED
from support.repository import book_of, git, grow
from support.tree import settle_times

DEFAULTS = CaptureSettings()


class Told(NoRules):
    """Leaves out the names that it is told, and remembers how many it was asked about at once."""

    def __init__(self, *left: str) -> None:
        self.left, self.asked = left, list[int]()

    def leaves_out(self, names: Sequence[tuple[RelPath, bool]]) -> dict[RelPath, str]:
        self.asked.append(len(names))
        return {path: "told" for path, _ in names if path.name in self.left}


@pytest.fixture
def repository(top: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(top.parent))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    git(top, "init", "-q")
    return top


def counted(
    root: Root, rules: NoRules | None = None, settings: CaptureSettings = DEFAULTS, arm: Callable[[RelPath], object] = lambda _: None
) -> Census:
    return census(root, rules or NoRules(), settings, arm)


def in_order(root: Root, settings: CaptureSettings = DEFAULTS) -> list[str]:
    return [str(one.path) for one in counted(root, settings=settings).files]


def left_out(found: Census) -> dict[str, str]:
    return {str(one.path): one.reason for one in found.left_out}


def unseen(found: Census) -> dict[str, str]:
    return {str(one.path): one.reason for one in found.unseen}


def age(top: Path, *names: str) -> None:
    """Gives files times of change, the first the oldest, all long past."""
    for number, name in enumerate(names):
        os.utime(top / name, ns=(10**18 + number * 1000, 10**18 + number * 1000), follow_symlinks=False)


def test_everything_that_the_rules_leave(root: Root, top: Path) -> None:
    """Files, links and directories are counted, links with size 0 and unfollowed; what is left out is named and not entered."""
    grow(top, {"a": "four", "d/b": "", "d/empty/": "", "out/x": "", "d/no": "", ".git/HEAD": "", ".rewindd-1": "", "e/.git": ""})
    (top / "link").symlink_to("out")
    found = counted(root, Told("out", "no"))
    assert {str(one.path): one.size for one in found.files} == {"a": 4, "d/b": 0, "link": 0}
    assert all(one.mtime_ns == (top / one.path).lstat().st_mtime_ns for one in found.files)
    assert {str(one.path) for one in found.directories} == {".", "d", "d/empty", "e"}
    assert left_out(found) == {"out": "told", "d/no": "told"}
    assert not found.unseen


def test_directories_are_watched_then_looked_at_then_listed(root: Root, top: Path) -> None:
    """A directory is armed before it is looked at, and looked at before it is listed: what comes in between shows in its signature."""
    grow(top, {"a/b/c": ""})
    settle_times(top)
    armed: list[str] = []

    def arm(directory: RelPath) -> None:
        armed.append(directory)
        (top / directory / "late").touch()

    late: list[str] = []
    real = os.scandir

    def scandir(fd: int) -> "os._ScandirIterator[str]":
        late.append(os.readlink(f"/proc/self/fd/{fd}"))
        (Path(late[-1]) / "later").touch()
        return real(fd)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "scandir", scandir)
        found = counted(root, arm=arm)
    assert armed == [".", "a", "a/b"] == [one.path for one in found.directories]
    assert {"late", "later", "a/late", "a/later"} <= {str(one.path) for one in found.files}
    for one in found.directories:
        assert isinstance(one.version, Directory)
        assert one.signature is not None
        assert not is_unchanged(one.signature, (top / one.path).stat())


def test_the_rules_are_asked_about_many_at_once(root: Root, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question is about all directories of a level, up to a bound."""
    grow(top, {f"{directory}/{name}": "" for directory in "abcd" for name in "xyz"})
    rules = Told()
    counted(root, rules)
    assert rules.asked == [4, 12]
    monkeypatch.setattr(census_module, "BATCH_NAMES", 5)
    rules = Told()
    counted(root, rules)
    assert rules.asked == [4, 6, 6]


def test_what_cannot_be_captured_or_listed_is_named(root: Root, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A special file, a directory without permission to list it, and one too deep to have a name are unseen, with the reason."""
    grow(top, {"shut/x": "", "deep/x": ""})
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(top / "socket"))
    real = Root.listable

    def listable(self: Root, path: RelPath) -> int:
        if path == "shut":
            raise PermissionError(13, "Permission denied")
        return real(self, path)

    monkeypatch.setattr(Root, "listable", listable)
    monkeypatch.setattr(census_module, "MAX_PATH_BYTES", 3)
    monkeypatch.setattr(census_module, "_SURELY_SHORT", 0)
    monkeypatch.setattr(os, "fsencode", lambda path: b"1234" if path == "deep" else b"1")
    found = counted(root)
    assert unseen(found) == {"fifo": SPECIAL, "socket": SPECIAL, "shut": "permission denied", "deep": TOO_DEEP}
    assert {str(one.path) for one in found.directories} == {".", "shut"}
    assert not found.files


def test_what_goes_meanwhile_is_passed_over(root: Root, top: Path) -> None:
    """A directory that is gone, a file or a link by the time it is its turn is neither an error nor followed."""
    names = ["a", "b", "c", "d"]
    grow(top, {f"{name}/x": "" for name in names})
    first: list[str] = []

    def arm(directory: RelPath) -> None:
        if directory == ROOT or first:
            return
        first.append(directory)
        gone, file, link = (name for name in names if name != directory)
        for name in (gone, file, link):
            (top / name).rename(top.parent / name)
        (top / file).touch()
        (top / link).symlink_to(f"../{link}")

    found = counted(root, arm=arm)
    assert [str(one.path) for one in found.directories] == [".", *first]
    assert [str(one.path) for one in found.files] == [f"{first[0]}/x"]
    assert not found.unseen


def test_without_git_the_newest_are_first(root: Root, top: Path) -> None:
    """Outside a repository the newest changed file is first, links among them."""
    grow(top, {"old": "", "d/middle": ""})
    (top / "new").symlink_to("nowhere")
    age(top, "old", "d/middle", "new")
    assert in_order(root) == ["new", "d/middle", "old"]


def test_what_git_cannot_bring_back_is_first(root: Root, repository: Path) -> None:
    """Untracked and modified files come before those that are as git's index has them, each newest first; links and odd names too."""
    odd = os.fsdecode(b"\xff odd\n")
    grow(repository, dict.fromkeys(["kept1", "kept2", "rewritten", "grown", odd, "d/kept3", "intended"], "same"))
    (repository / "link").symlink_to("kept1")
    age(repository, "kept1", "kept2", "link", "rewritten", "grown", odd, "d/kept3", "intended")
    git(repository, "add", ".")
    git(repository, "rm", "-q", "--cached", "intended")
    git(repository, "add", "-N", "intended")
    grow(repository, {"untracked": ""})
    age(repository, "untracked")
    (repository / "rewritten").write_text("said")
    stamp = (repository / "grown").stat().st_mtime_ns
    (repository / "grown").write_text("more than before")
    os.utime(repository / "grown", ns=(stamp, stamp))
    assert in_order(root) == ["rewritten", "intended", "grown", "untracked", "d/kept3", odd, "link", "kept2", "kept1"]


def test_each_repository_has_its_own_index(root: Root, repository: Path) -> None:
    """A repository inside, a worktree by its `.git` file, and one above the root each say what they have; a broken one is no harm."""
    grow(repository, {"outer": "x"})
    git(repository, "add", "outer")
    for name in ("inner", "deep/er"):
        grow(repository / name, {"tracked": "x", "fresh": "x"})
        git(repository / name, "init", "-q")
        git(repository / name, "add", "tracked")
    grow(repository / "broken", {".git": "gitdir: /nowhere\n", "file": "x"})
    age(repository, "outer", "inner/tracked", "deep/er/tracked", "inner/fresh", "deep/er/fresh", "broken/file")
    for name in (".", "inner", "deep/er"):
        git(repository / name, "add", "-u")
    assert in_order(root) == ["broken/file", "deep/er/fresh", "inner/fresh", "deep/er/tracked", "inner/tracked", "outer"]
    grow(repository, {"d/tracked": "x", "d/fresh": "x"})
    age(repository, "d/fresh", "d/tracked")
    git(repository, "add", "d/tracked")
    found = (repository / "d").stat()
    with Root.open(str(repository / "d"), found.st_dev, found.st_ino) as inside:
        assert in_order(inside) == ["fresh", "tracked"]


def test_the_user_s_repository_is_untouched(root: Root, repository: Path) -> None:
    """The index is read and not refreshed, though every file looks other than it says."""
    grow(repository, {"a": "x", "b": "y"})
    git(repository, "add", ".")
    age(repository, "a", "b")
    index = (repository / ".git" / "index").read_bytes()
    before = sorted(os.listdir(repository / ".git")), (repository / ".git" / "index").stat().st_mtime_ns
    counted(root)
    assert (repository / ".git" / "index").read_bytes() == index
    assert (sorted(os.listdir(repository / ".git")), (repository / ".git" / "index").stat().st_mtime_ns) == before


def test_an_index_of_whole_seconds_counts(root: Root, repository: Path) -> None:
    """Where the index keeps no nanoseconds, as other programs than git write it, the second decides."""
    grow(repository, {"tracked": "x"})
    os.utime(repository / "tracked", ns=(10**18, 10**18))
    git(repository, "add", ".")
    grow(repository, {"fresh": "x"})
    os.utime(repository / "fresh", ns=(10**18 + 7, 10**18 + 7))
    os.utime(repository / "tracked", ns=(10**18 + 999_999_999, 10**18 + 999_999_999))
    assert in_order(root) == ["fresh", "tracked"]


def test_an_answer_in_pieces(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However what git writes is cut into pieces, every entry is found; what is no entry is passed over."""
    grow(repository, {f"d{number}/name {number}": "x" * number for number in range(20)})
    git(repository, "add", ".")
    whole = list(staged(str(repository)))
    assert [(name, size) for name, _, size in sorted(whole, key=lambda one: one[2])] == [(f"d{n}/name {n}", n) for n in range(20)]
    output = git(repository, "ls-files", "-z", "--debug")
    for size in (1, 7, 150, 4096):
        pieces = [output[start : start + size] for start in range(0, len(output), size)]
        monkeypatch.setattr(
            "rewindd.tree.gitindex.read_git", lambda *_, pieces=pieces, **__: iter([b"x" * 9000, b"\n\0\n", *pieces, b"rest\0"])
        )
        found = list(staged(str(repository)))
        assert found == whole


def test_rules_of_git(root: Root, repository: Path) -> None:
    """With git's rules what is ignored is left out, and an ignored directory is not entered."""
    grow(repository, {".gitignore": "*.log\nbuild/\n", "a.log": "", "build/x": "", "src/a": "", "node_modules/m/x": ""})
    book = book_of(repository)
    book.prepare()
    found = counted(root, book)  # type: ignore[arg-type] # any rules do
    assert left_out(found) == {"a.log": IGNORED, "build": IGNORED, "node_modules": "built-in: node_modules"}
    assert {str(one.path) for one in found.files} == {".gitignore", "src/a"}


def test_limits_leave_out_what_matters_least(root: Root, top: Path) -> None:
    """Files over a limit are left out with it as the reason: too large ones, and of the others the last; links take no room."""
    grow(top, {"1": "xxxx", "2": "xxxx", "3": "xxxxxxx", "4": "xx", "large": "x" * 11})
    (top / "link").symlink_to("1")
    age(top, "link", "1", "2", "3", "4", "large")
    few = counted(root, settings=CaptureSettings(max_file_bytes=10, max_files=2))
    assert [str(one.path) for one in few.files] == ["4", "3", "link"]
    assert left_out(few) == {
        "large": f"{LIMIT}larger than max_file_bytes, 10 bytes",
        **dict.fromkeys("12", f"{LIMIT}the workspace has max_files already, 2"),
    }
    little = counted(root, settings=CaptureSettings(max_file_bytes=20, max_bytes=16))
    assert [str(one.path) for one in little.files] == ["large", "4", "link"]
    assert left_out(little) == dict.fromkeys("123", f"{LIMIT}the workspace has max_bytes already, 16 bytes")


def test_a_large_tree_takes_little_time(root: Root, repository: Path) -> None:
    """2,000 files of a repository are counted in a fifth of a second of this thread's time; a bound for what is no longer linear."""
    grow(repository, {f"d{number % 200}/f{number}": "x" for number in range(2000)})
    git(repository, "add", ".")
    before_s = time.thread_time()
    found = counted(root)
    assert time.thread_time() - before_s < 0.2
    assert len(found.files) == 2000

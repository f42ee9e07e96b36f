"""HEAD as the files say it, against git's own answer."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rewindd.tree import githead
from rewindd.tree.githead import head_of
from rewindd.tree.gitrun import GitRun, run_git
from support.desk import photograph


def git(top: Path, *args: str) -> str:
    """Runs git as a user does who has no configuration, and returns what it says."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(top), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *identity, *args], cwd=top, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(top: Path) -> str:
    """Makes a commit and returns its id."""
    git(top, "commit", "-q", "--allow-empty", "-m", "it")
    return git(top, "rev-parse", "HEAD")


@pytest.fixture
def repository(top: Path) -> Path:
    git(top, "init", "-q", "-b", "main")
    return top


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no question go to git."""

    def refuse(*args: object, **kwargs: object) -> GitRun:
        raise AssertionError("git was asked")

    monkeypatch.setattr(githead, "run_git", refuse)


@pytest.mark.usefixtures("no_process")
def test_branches_and_commits(repository: Path) -> None:
    """A branch without a commit, its first commit, another branch, a detached HEAD and a new orphan are each told apart."""
    assert head_of(str(repository)) == "unborn:refs/heads/main"
    first = commit(repository)
    assert head_of(str(repository)) == first
    git(repository, "checkout", "-q", "-b", "deep/er/branch")
    second = commit(repository)
    assert head_of(str(repository)) == second != first
    git(repository, "checkout", "-q", first)
    assert head_of(str(repository)) == first
    git(repository, "checkout", "-q", "--orphan", "new")
    assert head_of(str(repository)) == "unborn:refs/heads/new"


@pytest.mark.usefixtures("no_process")
def test_packed_refs(repository: Path) -> None:
    """A ref among many in `packed-refs` is found, one that was packed and moved since is as it is now, a longer name is another one."""
    first = commit(repository)
    git(repository, "branch", "main-2")
    second = commit(repository)
    git(repository, "tag", "-a", "-m", "peeled", "v1")
    listed = "".join(f"create refs/heads/many/{number} {first}\n" for number in range(3000))
    subprocess.run(["git", "update-ref", "--stdin"], cwd=repository, input=listed, text=True, check=True)
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    assert head_of(str(repository)) == second
    third = commit(repository)
    assert head_of(str(repository)) == third
    git(repository, "pack-refs", "--all")
    git(repository, "checkout", "-q", "main-2")
    assert head_of(str(repository)) == first
    git(repository, "symbolic-ref", "HEAD", "refs/heads/mai")
    assert head_of(str(repository)) == "unborn:refs/heads/mai"


@pytest.mark.usefixtures("no_process")
def test_a_kept_answer_is_as_good_as_its_file(repository: Path) -> None:
    """A name that was looked up in `packed-refs` is looked up again when the file is another one."""
    packed = repository / ".git" / "packed-refs"
    first, second = "1" * 40, "2" * 40
    packed.write_text(f"{first} refs/heads/main\n")
    long_ago = time.time_ns() - 10_000_000_000
    os.utime(packed, ns=(long_ago, long_ago))
    assert [head_of(str(repository)) for _ in range(2)] == [first, first]
    packed.write_text(f"{second} refs/heads/main\n")
    assert head_of(str(repository)) == second


@pytest.mark.usefixtures("no_process")
def test_worktrees_and_submodules(repository: Path, tmp_path: Path) -> None:
    """A linked worktree and a submodule have a HEAD of their own, also where the branch is packed."""
    first = commit(repository)
    linked = tmp_path / "linked"
    git(repository, "worktree", "add", "-q", "-b", "side", str(linked))
    second = commit(linked)
    assert (head_of(str(linked)), head_of(str(repository))) == (second, first)
    git(repository, "pack-refs", "--all")
    assert (head_of(str(linked)), head_of(str(repository))) == (second, first)
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q", "-b", "main")
    third = commit(inner)
    git(repository, "submodule", "--quiet", "add", str(inner), "sub")
    assert head_of(str(repository / "sub")) == third
    assert (repository / "sub" / ".git").is_file()
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "loose"), first)
    assert head_of(str(tmp_path / "loose")) == first


def test_sha256(top: Path) -> None:
    """The ids of a repository with SHA-256 are 64 digits long."""
    git(top, "init", "-q", "-b", "main", "--object-format=sha256")
    made = commit(top)
    assert len(made) == 64
    assert head_of(str(top)) == made
    git(top, "pack-refs", "--all")
    assert head_of(str(top)) == made


def test_where_the_repository_is_looked_for(repository: Path, tmp_path: Path) -> None:
    """From the directory upwards, past what only looks like a repository, but not in the home directory when coming from below."""
    made = commit(repository)
    below = repository / "a" / "b"
    below.mkdir(parents=True)
    (repository / "a" / ".git").mkdir()
    assert head_of(str(below)) == made
    assert head_of(str(below), home=str(tmp_path)) == made
    assert head_of(str(below), home=str(repository)) is None
    assert head_of(str(repository), home=str(repository)) == made
    assert head_of(str(tmp_path)) is None
    assert head_of(str(tmp_path / "not-there")) is None


def test_refs_that_are_no_files(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where HEAD's file says that refs are elsewhere git is asked, and asked again only when they may have moved."""
    asked: list[str] = []
    head = "c" * 40

    def answer(args: list[str], **_: object) -> GitRun:
        asked.append(args[0])
        return GitRun(0, f"{head}\n".encode()) if args[0] == "rev-parse" else GitRun(1, b"")

    monkeypatch.setattr(githead, "run_git", answer)
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/.invalid\n")
    tables = repository / ".git" / "reftable" / "tables.list"
    tables.parent.mkdir()
    tables.write_text("1\n")
    monkeypatch.setattr(githead, "_SETTLED_NS", -(1 << 62))
    assert [head_of(str(repository)) for _ in range(3)] == [head] * 3
    assert asked == ["rev-parse"]
    head = "d" * 40
    tables.write_text("1\n2\n")
    assert head_of(str(repository)) == head


def test_what_is_too_large_is_left_to_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `packed-refs` above the limit is not read here, and the answer is the same: a commit, or a branch without one."""
    made = commit(repository)
    git(repository, "pack-refs", "--all")
    asked: list[str] = []

    def ask(args: list[str], *, cwd: str, timeout_s: float) -> GitRun:
        asked.append(args[0])
        return run_git(args, cwd=cwd, timeout_s=timeout_s)

    monkeypatch.setattr(githead, "run_git", ask)
    monkeypatch.setattr(githead, "_MAX_PACKED_BYTES", 10)
    assert head_of(str(repository)) == made
    assert asked == ["rev-parse"]
    git(repository, "symbolic-ref", "HEAD", "refs/heads/none")
    assert head_of(str(repository)) == "unborn:refs/heads/none"


def endless(git_dir: Path) -> None:
    (git_dir / "HEAD").write_text("ref: refs/heads/a\n")
    (git_dir / "refs" / "heads" / "a").write_text("ref: refs/heads/b\n")
    (git_dir / "refs" / "heads" / "b").write_text("ref: refs/heads/a\n")


def a_pipe(git_dir: Path) -> None:
    (git_dir / "HEAD").unlink()
    os.mkfifo(git_dir / "HEAD")


def a_device(git_dir: Path) -> None:
    (git_dir / "HEAD").unlink()
    (git_dir / "HEAD").symlink_to("/dev/zero")


def huge(git_dir: Path) -> None:
    with (git_dir / "HEAD").open("w") as head:
        head.truncate(1 << 40)


def content(said: bytes) -> Callable[[Path], None]:
    def write(git_dir: Path) -> None:
        (git_dir / "HEAD").write_bytes(said)

    return write


@pytest.mark.parametrize(
    "spoil",
    [
        endless,
        a_pipe,
        a_device,
        huge,
        content(b""),
        content(b"ref: refs/heads/../../../secret\n"),
        content(b"ref: /etc/passwd\n"),
        content(b"ref: refs/heads/a\0b\n"),
        content(b"ref: refs/heads/.hidden\n"),
        content(b"ref: HEAD\n"),
        content(b"1234\n"),
        content(b"1" * 41),
        content(b"\xff\xfe\n"),
    ],
)
@pytest.mark.usefixtures("no_process")
def test_a_hostile_head_says_nothing(repository: Path, spoil: Callable[[Path], None]) -> None:
    """Loops, pipes, devices, huge files and names that lead elsewhere: no answer, at once, and nothing written."""
    (repository / ".git" / "secret").write_text("a" * 40)
    spoil(repository / ".git")
    assert head_of(str(repository)) is None


@pytest.mark.usefixtures("no_process")
def test_a_git_directory_elsewhere(repository: Path, tmp_path: Path) -> None:
    """A linked `.git` is read, as git does, and not written; one that is named and not there, or names a file, is none."""
    made = commit(repository)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".git").symlink_to(repository / ".git")
    before = photograph(repository / ".git")
    assert head_of(str(other)) == made
    assert photograph(repository / ".git") == before
    for said in (b"gitdir: nowhere\n", b"gitdir: .git\n", b"gitdir: a\0b\n", b"gitdir:\n"):
        (other / ".git").unlink()
        (other / ".git").write_bytes(said)
        assert head_of(str(other)) is None


@pytest.mark.usefixtures("no_process")
def test_odd_names_of_branches(repository: Path) -> None:
    """A branch's name that is no UTF-8 is still text that can be stored, and a HEAD that is a link to a ref is that ref."""
    (repository / ".git" / "HEAD").write_bytes(b"ref: refs/heads/\xff\n")
    head = head_of(str(repository))
    assert head == "unborn:refs/heads/\\xff"
    git(repository, "symbolic-ref", "HEAD", "refs/heads/main")
    made = commit(repository)
    (repository / ".git" / "HEAD").unlink()
    (repository / ".git" / "HEAD").symlink_to("refs/heads/main")
    assert head_of(str(repository)) == made == git(repository, "rev-parse", "HEAD")

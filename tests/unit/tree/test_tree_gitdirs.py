"""git's own directories are known by what is in them, under any name."""

import subprocess
from pathlib import Path

from rewindd.paths import ROOT, RelPath
from rewindd.tree.gitdirs import git_directories
from support.tree import open_root


def git(top: Path, *args: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *args], cwd=top, check=True, capture_output=True)


def found(top: Path, *paths: str, coming: tuple[str, ...] = ()) -> set[str]:
    with open_root(top) as root:
        return {str(one) for one in git_directories(root, map(RelPath, paths), [RelPath(one) for one in coming])}


def test_by_any_name(top: Path) -> None:
    """A bare repository, a separate git directory and what a worktree has in it are; a work tree and what merely resembles one are not."""
    git(top, "init", "--bare", "bare")
    git(top, "init", "--separate-git-dir", "own", "work")
    git(top / "work", "commit", "--allow-empty", "-m", "one")
    git(top / "work", "worktree", "add", "../second")
    (top / "like" / "objects").mkdir(parents=True)
    (top / "like" / "HEAD").write_text("no refs\n")
    assert found(top, "bare/hooks/pre-commit", "work/file", "like/objects/file", "gone/file") == {"bare"}
    assert found(top, "own/config", "own/worktrees/second/HEAD", "second/file") == {"own", "own/worktrees/second"}


def test_the_root_itself(top: Path) -> None:
    """A workspace may be a bare repository."""
    git(top, "init", "--bare", ".")
    assert found(top, "hooks/post-receive") == {ROOT}


def test_what_would_become_one(top: Path) -> None:
    """What is about to be there counts; a link leads nowhere."""
    (top / "half" / "objects").mkdir(parents=True)
    (top / "link").symlink_to("half")
    assert found(top, "half/HEAD", "half/refs", coming=("half/HEAD", "half/refs")) == {"half"}
    assert found(top, "half/HEAD", coming=("half/HEAD",)) == set()
    assert found(top, "link/HEAD", coming=("link/HEAD", "link/refs")) == set()

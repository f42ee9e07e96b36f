"""A workspace with repositories in it that come, go and move, rules that change, and git itself as the referee of what is left out."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from support.plays import Acts
from support.yard import IDENTITY, Picture, Yard, seen

#: Patterns whose meaning is easily got wrong: negated, anchored, of directories, through directories, with a space or a CR at the end.
PATTERNS = (
    *("*.o", "build/", "!keep*", "/x*", "sub/**/y*", "*.log", "out", "!*.log"),
    *("a*", "!a*.c", "lib/*", "!lib/x*", "\\#x", "x ", "*.tmp\r"),
)
#: More repositories than that in one workspace only make a run slow.
MOST_REPOSITORIES = 5


class Repositories(Acts):
    """A workspace that is a repository, has others in it, and is judged by git."""

    def __init__(self, yard: Yard, seed: int, elsewhere: Path) -> None:
        """Makes the workspace a repository. `elsewhere`: a directory outside, for what is moved there."""
        super().__init__(yard, seed)
        self._elsewhere, self._home = elsewhere, yard.home
        self._kept: set[str] = set()
        (self._home / ".gitconfig").unlink(missing_ok=True)
        self._git("init", "-q")
        self._git("init", "-q", "--bare", str(elsewhere / "referee"))

    def disk(self) -> Picture:
        """The tree without what is left out, as git says, of each repository for itself, and without the root and `.git`."""
        found: Picture = {}
        self._see(self.root, self.root if self._is_top(self.root) else None, found)
        return found

    def may_stay(self, path: str) -> bool:
        """True of what was captured only because it, or what is in it, was tracked: no rule changed when it is so no more."""
        return any(path == kept or path.startswith(f"{kept}/") for kept in self._kept)

    # ---- the referee

    def _see(self, directory: Path, top: Path | None, found: Picture) -> None:
        names = [name for name in os.listdir(directory) if name != ".git"]
        ignored = self._ignored(directory, top, names) if names else set()
        for name in sorted(set(names) - ignored):
            path = directory / name
            found[os.path.relpath(path, self.root)] = seen(path)
            if path.is_dir() and not path.is_symlink():
                self._see(path, path if self._is_top(path) else top, found)

    def _ignored(self, directory: Path, top: Path | None, names: list[str]) -> set[str]:
        """Where there is no repository only .gitignore files count. Where git fails nothing is left out, nor what holds tracked files."""
        base = self.root if top is None else top
        by_path = {os.path.relpath(directory / name, base): name for name in names}
        asked = b"".join(b"./" + os.fsencode(path) + b"\0" for path in by_path)
        plain = ("--git-dir", str(self._elsewhere / "referee"), "--work-tree", str(base), "-c", "core.excludesFile=/dev/null")
        of = (*plain, "-c", "core.bare=false") if top is None else ()
        answer = self._git(*of, "check-ignore", "--no-index", "-z", "--stdin", at=base, stdin=asked)
        paths = [os.fsdecode(path)[2:] for path in answer.stdout.split(b"\0") if path]
        tracked = {path for path in paths if top is not None and self._is_tracked(top, path)}
        self._kept |= {os.path.relpath(base / path, self.root) for path in tracked}
        return {by_path[path] for path in paths if path not in tracked}

    def _is_tracked(self, top: Path, path: str) -> bool:
        return bool(self._git("--literal-pathspecs", "ls-files", "--", path, at=top).stdout)

    # ---- what there is

    @staticmethod
    def _is_top(directory: Path) -> bool:
        return os.path.lexists(directory / ".git")

    def _tops(self) -> list[Path]:
        return [one for one in self._directories() if self._is_top(one)]

    def _top(self) -> Path:
        """Any repository's top; the root where there is none, and git refuses what is asked of it there."""
        return self._random.choice(self._tops() or [self.root])

    def _tracked(self, top: Path) -> str | None:
        return self._random.choice(
            [os.fsdecode(name) for name in self._git("ls-files", "-z", at=top).stdout.split(b"\0") if name] or [None]
        )

    def _git(self, *args: str, at: Path | None = None, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        env = {"PATH": os.environ["PATH"], "HOME": str(self._home), "GIT_CONFIG_NOSYSTEM": "1"}
        command = ["git", *IDENTITY, "-c", "protocol.file.allow=always", *args]
        return subprocess.run(command, cwd=at or self.root, env=env, input=stdin, capture_output=True, check=False)

    # ---- the acts

    def acts(self) -> list[Callable[[], None]]:
        often = [self._write, self._edit, self._write_rules, self._commit, self._make_directory]
        seldom = [self._remove, self._remove_tree, self._move_tree, self._exclude, self._exclude_for_user, self._link, self._make_bare]
        of_index = [self._add_ignored, self._assume]
        of_trees = [self._switch_branch, self._stash, self._reset, self._clean, self._make_sparse]
        of_repositories = [self._begin, self._end, self._move_git, self._add_worktree, self._add_submodule]
        return [*often * 4, *seldom, *of_index, *of_trees, *of_repositories]

    def _write_rules(self) -> None:
        path = self._directory() / ".gitignore"
        path.write_text("\n".join(self._random.sample(PATTERNS, self._random.randint(0, 3))) + "\n")

    def _exclude(self) -> None:
        info = self._top() / ".git" / "info"
        if info.parent.is_dir():
            info.mkdir(exist_ok=True)
            (info / "exclude").write_text(self._random.choice(["", "*.tmp\n", "b*\n"]))

    def _exclude_for_user(self) -> None:
        path = self._elsewhere / "excludes"
        path.write_text(self._random.choice(["", "y*\n", "*.c\n"]))
        self._git("config", "--global", "core.excludesFile", str(path))

    def _commit(self) -> None:
        top = self._top()
        self._git("add", "-A", at=top)
        self._git("commit", "-qm", "x", at=top)

    def _add_ignored(self) -> None:
        if (path := self._file()) is not None:
            self._git("add", "-f", path.name, at=path.parent)

    def _assume(self) -> None:
        top = self._top()
        if (name := self._tracked(top)) is not None:
            self._git("update-index", self._random.choice(["--assume-unchanged", "--no-assume-unchanged", "--skip-worktree"]), name, at=top)

    def _switch_branch(self) -> None:
        top, branch = self._top(), self._random.choice(["one", "two"])
        if self._git("checkout", "-q", branch, at=top).returncode:
            self._git("checkout", "-q", "-b", branch, at=top)

    def _stash(self) -> None:
        self._git("stash", *self._random.choice([("push", "-q", "-u"), ("pop", "-q")]), at=self._top())

    def _reset(self) -> None:
        top = self._top()
        self._git("reset", "-q", "--hard", at=top)
        self._git("clean", "-qfd", at=top)

    def _clean(self) -> None:
        self._git("clean", "-qfdx", at=self._top())

    def _make_sparse(self) -> None:
        self._git("sparse-checkout", *self._random.choice([("set", "sub", "lib"), ("disable",)]), at=self._top())

    def _make_bare(self) -> None:
        path = self._directory() / "bare"
        if not os.path.lexists(path):
            self._git("init", "-q", "--bare", str(path))

    def _begin(self) -> None:
        path = self._below()
        if path is not None and len(self._tops()) < MOST_REPOSITORIES:
            self._git("init", "-q", at=path)

    def _end(self) -> None:
        top = self._top()
        if top != self.root:
            git = top / ".git"
            shutil.rmtree(git) if git.is_dir() else git.unlink()

    def _move_git(self) -> None:
        """The workspace's own repository goes, or comes back; submodules and worktrees lead nowhere meanwhile."""
        here, away = self.root / ".git", self._elsewhere / "away"
        if here.is_dir() and not away.exists():
            here.rename(away)
        elif away.exists() and not os.path.lexists(here):
            away.rename(here)

    def _add_worktree(self) -> None:
        path = self._directory() / f"tree{self._random.randint(0, 2)}"
        if not os.path.lexists(path) and len(self._tops()) < MOST_REPOSITORIES:
            self._git("worktree", "add", "-q", "--detach", str(path), at=self._top())

    def _add_submodule(self) -> None:
        source = self._elsewhere / "module"
        if not source.exists():
            source.mkdir()
            self._git("init", "-q", at=source)
            (source / ".gitignore").write_text("*.o\n")
            (source / "f.c").write_text("1")
            self._git("add", "-A", at=source)
            self._git("commit", "-qm", "1", at=source)
        if len(self._tops()) < MOST_REPOSITORIES:
            self._git("submodule", "add", "-q", "-f", str(source), self._random.choice(["mod", "sub/mod", "build/mod"]))

"""Shadow git: a second git directory over the user's tree, as Cline, Gemini CLI, OpenCode and others keep checkpoints."""

import os
import subprocess
from pathlib import Path

#: Nothing here takes longer; a git that hangs must not hang the benchmark.
PATIENCE_S = 900.0
_PERSON = {
    f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "bench"), ("EMAIL", "bench@localhost"))
}


def clean_environment() -> dict[str, str]:
    """Returns an environment in which git's defaults hold, whatever is configured for the user or the system."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return inherited | _PERSON | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


class ShadowGit:
    """A git directory elsewhere, over a work tree. Each method runs whole git processes: that is what its users pay."""

    def __init__(self, git_directory: Path, work_tree: Path) -> None:
        self._directory = git_directory
        self._work_tree = work_tree
        self._environment = clean_environment() | {"GIT_DIR": str(git_directory), "GIT_WORK_TREE": str(work_tree)}
        self._run("init", "-q")

    def capture(self) -> str:
        """Captures the tree: `add -A` and `write-tree`. Returns the tree's id."""
        self._run("add", "-A")
        return self._run("write-tree").strip()

    def commit(self, tree: str) -> str:
        """Returns a commit of a captured tree, for `reset`."""
        return self._run("commit-tree", "-m", "checkpoint", tree).strip()

    def check_out(self, tree: str) -> None:
        """Restores a tree by `read-tree` and `checkout-index -a -f`."""
        self._run("read-tree", tree)
        self._run("checkout-index", "-a", "-f")

    def reset(self, commit: str) -> None:
        """Restores a commit by `reset --hard`."""
        self._run("reset", "-q", "--hard", commit)

    def files(self) -> list[str]:
        """Returns the paths of all that it captured, in order."""
        return sorted(path for path in self._run("ls-files", "-z").split("\0") if path)

    def disk_bytes(self) -> int:
        """Returns what it takes on disk."""
        return disk_bytes(self._directory)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._work_tree,
            env=self._environment,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=PATIENCE_S,
        )
        return os.fsdecode(done.stdout)


def status(repository: Path) -> str:
    """Returns what `git status` says in the user's own repository. What it finds out of its index it keeps there, as always."""
    done = subprocess.run(
        ["git", "status", "--porcelain"],
        cwd=repository,
        env=clean_environment(),
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=PATIENCE_S,
    )
    return os.fsdecode(done.stdout)


def disk_bytes(directory: Path) -> int:
    """Returns what a directory and all below it take on disk, in blocks, as du(1) counts."""
    found = 0
    for above, _, names in os.walk(directory):
        found += sum(os.lstat(path).st_blocks for path in (above, *(f"{above}/{name}" for name in names)))
    return found * 512


def version() -> str:
    """Returns git's version."""
    return subprocess.run(["git", "version"], check=True, capture_output=True, text=True).stdout.split()[2]

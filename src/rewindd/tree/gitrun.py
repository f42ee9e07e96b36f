"""Running git as a calculator: no program of the repository, of its configuration or of the environment runs with it.

docs/design.md, "git is run with": a repository's configuration may name programs (`core.fsmonitor`, hooks, drivers, filters,
transports), and the daemon looks at repositories that it knows nothing about.
"""

import os
import select
import subprocess
from collections.abc import Generator, Mapping, Sequence
from pathlib import PurePath
from time import monotonic
from typing import NamedTuple

#: As a shell says them: the program is not there; it did not end in time.
MISSING = 127
TIMED_OUT = 124

#: A pipe holds no more (pipe(7), "Pipe capacity").
PIECE_BYTES = 1 << 16

#: Options that switch off what a repository's configuration could start; they win over every configuration file.
_HARDENED = (
    "--no-pager",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.alternateRefsCommand="),
    *("-c", "diff.external="),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    # git refuses another owner's repository because of the programs that its configuration names (git-config(1), safe.directory): none
    # of them runs. Without this all that is ignored would be captured where a container's user is not the owner of the tree.
    *("-c", "safe.directory=*"),
)
#: GIT_ALLOW_PROTOCOL: a partial clone's missing objects would be fetched, by a transport that the configuration names.
#: GIT_TRACE2: the user's configuration may have git write down each of its runs; ours are not the user's.
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TRACE2": "0",
    "GIT_TRACE2_EVENT": "0",
    "GIT_TRACE2_PERF": "0",
    "LC_ALL": "C",
}
_KEPT = ("PATH",)
#: Where git finds the user's `core.excludesFile` (gitignore(5)).
_KEPT_FOR_USER = ("PATH", "HOME", "XDG_CONFIG_HOME")


class GitRun(NamedTuple):
    """How git ended, and what it wrote on stdout. `returncode` may be `MISSING` or `TIMED_OUT`, negative for a signal."""

    returncode: int
    stdout: bytes


def run_git(args: Sequence[str], *, cwd: str, stdin: bytes | None = None, timeout_s: float, user_config: bool = False) -> GitRun:
    """Runs git and waits for it; blocks for `timeout_s` at most, then kills it.

    Args:
        args: the command and its arguments; for a diff pass `--no-ext-diff --no-textconv` with it.
        cwd: where it runs. Without `user_config` no repository above it is found, so a private directory is outside all.
        stdin: what it reads; None for nothing.
        timeout_s: how long it may take, seconds.
        user_config: the user's and the system's configuration count, and `cwd` may lie in a repository. For ignore rules only:
            a command that reads content (`diff`, `status`) would run the filters that the repository's attributes name.
    """
    try:
        done = subprocess.run(
            ["git", *_HARDENED, *args],
            cwd=cwd,
            env=_environment(os.environ, cwd, user_config=user_config),
            input=b"" if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return GitRun(TIMED_OUT, b"")
    except OSError:
        return GitRun(MISSING, b"")
    return GitRun(done.returncode, done.stdout)


def read_git(args: Sequence[str], *, cwd: str, timeout_s: float, user_config: bool = False) -> Generator[bytes, None, None]:
    """Yields what git writes on stdout, piece by piece, and nothing where it cannot be run; as `run_git` otherwise.

    What was written before git failed, or was killed after `timeout_s`, is yielded too: for what need not be whole.
    """
    try:
        process = subprocess.Popen(
            ["git", *_HARDENED, *args],
            cwd=cwd,
            env=_environment(os.environ, cwd, user_config=user_config),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return
    until_s = monotonic() + timeout_s
    with process, select.epoll() as readable:
        try:
            output = process.stdout.fileno() if process.stdout is not None else -1
            readable.register(output, select.EPOLLIN)
            while readable.poll(max(until_s - monotonic(), 0)) and (piece := os.read(output, PIECE_BYTES)):
                yield piece
        finally:
            process.kill()


def _environment(inherited: Mapping[str, str], cwd: str, *, user_config: bool) -> dict[str, str]:
    kept = {name: inherited[name] for name in (_KEPT_FOR_USER if user_config else _KEPT) if name in inherited}
    if user_config:
        return kept | _ENVIRONMENT
    private = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CEILING_DIRECTORIES": str(PurePath(os.path.realpath(cwd)).parent),
        "HOME": "/nonexistent",
    }
    return kept | _ENVIRONMENT | private

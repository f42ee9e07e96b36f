"""Git as a calculator: its rules and merges, without any program of the repository's."""

import os
import subprocess
from pathlib import Path

import pytest

from rewindd.model.capture import CaptureSettings
from rewindd.paths import RelPath
from rewindd.tree.gitrun import TIMED_OUT, read_git, run_git
from rewindd.tree.merge import merge_text
from rewindd.tree.rules.book import RuleBook


def git(top: Path, *args: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(top), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *identity, *args], cwd=top, env=environment, check=True, capture_output=True)


@pytest.fixture
def repository(top: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(top.parent))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    git(top, "init", "-q")
    return top


CONFIGURED = """
[core]
    fsmonitor = {canary}
    hooksPath = {hooks}
    pager = {canary}
    editor = {canary}
    sshCommand = {canary}
    gitProxy = {canary}
    askPass = {canary}
    untrackedCache = true
    attributesFile = {attributes}
    alternateRefsCommand = {canary}
[diff]
    external = {canary}
[diff "canary"]
    command = {canary}
    textconv = {canary}
[merge]
    tool = canary
    default = canary
[merge "canary"]
    driver = {canary} %O %A %B
[filter "canary"]
    clean = {canary}
    smudge = {canary}
    process = {canary}
    required = true
[alias]
    check-ignore = !{canary}
    merge-file = !{canary}
    diff = !{canary}
[pager]
    check-ignore = {canary}
    merge-file = {canary}
[gc]
    recentObjectsHook = {canary}
[uploadpack]
    packObjectsHook = {canary}
[credential]
    helper = !{canary}
[remote "origin"]
    url = ext::{canary}
    promisor = true
    partialclonefilter = blob:none
[extensions]
    partialClone = origin
[core]
    repositoryformatversion = 1
"""


def test_no_program_of_a_repository_runs(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting that names a program, in the repository, the user's configuration and the environment: none of them runs, while
    rules, merges and diffs (in a private directory, here below the repository) work; plain git does run them."""
    ran, canary, hooks = repository.parent / "ran", repository.parent / "canary", repository.parent / "hooks"
    canary.write_text(f"#!/bin/sh\necho ran >> {ran}\nexit 1\n")
    canary.chmod(0o755)
    hooks.mkdir()
    for hook in ("post-index-change", "pre-commit", "fsmonitor-watchman", "query-watchman", "reference-transaction", "pre-auto-gc"):
        (hooks / hook).symlink_to(canary)
        (repository / ".git" / "hooks" / hook).unlink(missing_ok=True)
        (repository / ".git" / "hooks" / hook).symlink_to(canary)
    (repository.parent / "attributes").write_text("* filter=canary diff=canary merge=canary\n")
    for name in ("tracked", "a.log", "b"):
        (repository / name).write_text("x\n")
    (repository / ".gitignore").write_text("*.log\n")
    git(repository, "add", "tracked")
    (repository / ".gitattributes").write_text("* filter=canary diff=canary merge=canary\n")
    configured = CONFIGURED.format(canary=canary, hooks=hooks, attributes=repository.parent / "attributes")
    with (repository / ".git" / "config").open("a") as config:
        config.write(configured)
    for name in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_EDITOR", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_PROXY_COMMAND"):
        monkeypatch.setenv(name, str(canary))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(canary))

    subprocess.run(["git", "status"], cwd=repository, capture_output=True, check=False)
    assert ran.exists(), "the canary must be able to sing"
    ran.unlink()

    rules = RuleBook(str(repository), CaptureSettings())
    assert set(rules.leaves_out([(RelPath(name), False) for name in ("tracked", "a.log", "b")])) == {"a.log"}
    assert rules.reason is None
    assert merge_text(b"1\n2\n3\n", b"one\n2\n3\n", b"1\n2\nthree\n") == b"one\n2\nthree\n"
    private = repository / "private"
    private.mkdir()
    (private / "a").write_text("1\n")
    (private / "b").write_text("2\n")
    done = run_git(["diff", "--no-index", "--no-ext-diff", "--no-textconv", "a", "b"], cwd=str(private), timeout_s=5)
    assert done.returncode == 1
    assert b"-1\n+2\n" in done.stdout
    assert not ran.exists()


def test_a_merge_is_outside_any_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken repository around the temporary directory does not matter."""
    (repository / ".git" / "config").write_text("[broken\n")
    monkeypatch.setattr("tempfile.tempdir", str(repository))
    assert merge_text(b"1\n2\n3\n", b"one\n2\n3\n", b"1\n2\nthree\n") == b"one\n2\nthree\n"


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (b"a\nb\nc\n", b"A\nb\nc\n", b"a\nb\nC\n", b"A\nb\nC\n"),
        (b"a\nb\nc\n", b"A\nb\nc\n", b"X\nb\nc\n", None),
        (b"a\nb\nc", b"A\nb\nc", b"a\nb\nC", b"A\nb\nC"),
        (b"a\r\nb\r\nc\r\n", b"A\r\nb\r\nc\r\n", b"a\r\nb\r\nC\r\n", b"A\r\nb\r\nC\r\n"),
        (b"a\0", b"b\0", b"c\0", None),
        (b"", b"a\n", b"b\n", None),
        (b"\xff\n\n\nx\n", b"\xfe\n\n\nx\n", b"\xff\n\n\ny\n", b"\xfe\n\n\ny\n"),
        (b"a\0", b"b\0", b"a\0", b"b\0"),
        (b"a", b"b", b"b", b"b"),
    ],
)
def test_merges(base: bytes, ours: bytes, theirs: bytes, merged: bytes | None) -> None:
    """Clean merges are byte-exact, also without a last newline, with CRLF and other encodings; a conflict or binary is None."""
    assert merge_text(base, ours, theirs) == merged


def test_a_merge_that_cannot_write_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """No temporary directory, no merge; and no error either."""
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    assert merge_text(b"a\n", b"b\n", b"c\n") is None


def test_git_is_killed_in_time(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that does not end is killed, and it is said."""
    (top / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (top / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{top}:{os.environ['PATH']}")
    assert run_git(["version"], cwd=str(top), timeout_s=0.1).returncode == TIMED_OUT


def test_what_git_writes_comes_in_pieces(top: Path) -> None:
    """More than a pipe holds is read whole, whatever the number of pieces."""
    written = b"".join(read_git(["help", "-a"], cwd=str(top), timeout_s=20))
    assert written == run_git(["help", "-a"], cwd=str(top), timeout_s=20).stdout
    assert written


@pytest.mark.parametrize("program", [None, "exec sleep 60", "echo some; exec sleep 60"])
def test_git_that_is_not_there_or_never_ends(top: Path, monkeypatch: pytest.MonkeyPatch, program: str | None) -> None:
    """Without git nothing comes; one that does not end in time is killed, and what it wrote before is had."""
    monkeypatch.setenv("PATH", str(top))
    if program is not None:
        (top / "git").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{program}\n")
        (top / "git").chmod(0o755)
    assert b"".join(read_git(["version"], cwd=str(top), timeout_s=0.2)) == (b"some\n" if program and "some" in program else b"")


def test_who_has_enough_ends_git(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that reads no further leaves no process behind."""
    monkeypatch.setenv("PATH", f"{top}:/usr/bin:/bin")
    (top / "git").write_text(f"#!/bin/sh\necho $$ > {top}/pid\nexec yes\n")
    (top / "git").chmod(0o755)
    pieces = read_git(["version"], cwd=str(top), timeout_s=20)
    assert next(pieces).startswith(b"y\n")
    pieces.close()
    assert not Path(f"/proc/{(top / 'pid').read_text().strip()}").exists()

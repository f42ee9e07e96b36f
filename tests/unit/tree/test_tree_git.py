"""Git as a calculator: its rules and merges, without any program of the repository's."""

import os
import subprocess
from pathlib import Path

import pytest

from rewindd.paths import ROOT, RelPath
from rewindd.tree import ignore
from rewindd.tree.gitrun import MISSING, TIMED_OUT, run_git
from rewindd.tree.ignore import GIT_FAILED, GIT_MISSING, BuiltIn, GitRules, NoRules, choose_rules
from rewindd.tree.merge import merge_text


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


def test_rules_are_gits(repository: Path) -> None:
    """Patterns, negations, directories, nested ignore files, info/exclude and the user's own excludes count; tracked files stay in."""
    (repository / "sub" / "build").mkdir(parents=True)
    (repository / "build").mkdir()
    for name in ("a.log", "keep.log", "tracked.log", "b.txt", "sub/c.tmp", "sub/c.txt", "excluded", "personal", "build/x"):
        (repository / name).touch()
    (repository / ".gitignore").write_text("*.log\n!keep.log\nbuild/\n")
    (repository / "sub" / ".gitignore").write_text("*.tmp\n!build/\n")
    (repository / ".git" / "info" / "exclude").write_text("excluded\n")
    (repository.parent / ".gitconfig").write_text(f"[core]\n\texcludesFile = {repository.parent}/mine\n")
    (repository.parent / "mine").write_text("personal\n")
    git(repository, "add", "-f", "tracked.log")
    rules = choose_rules(str(repository))
    names = [(name, (repository / name).is_dir()) for name in sorted(os.listdir(repository))]
    assert rules.leaves_out(ROOT, names) == {".git", "a.log", "build", "excluded", "personal"}
    assert rules.leaves_out(RelPath("sub"), [("c.tmp", False), ("c.txt", False), ("build", True)]) == {"c.tmp"}
    assert rules.leaves_out(ROOT, [("sub/c.tmp", False), ("sub/c.txt", False), ("b.txt", False)]) == {"sub/c.tmp"}
    assert rules.reason is None


def test_odd_names_are_names_for_git_too(repository: Path) -> None:
    """Names that look like options, magic, globs or are no UTF-8 are taken literally."""
    odd = ["-z", ":(top)x.log", ":!x", "*", "[a]", "new\nline.log", os.fsdecode(b"\xff.log"), " lead", "trail ", '"q"']
    (repository / ".gitignore").write_text("*.log\n")
    for name in odd:
        (repository / name).touch()
    assert choose_rules(str(repository)).leaves_out(ROOT, [(name, False) for name in odd]) == {
        name for name in odd if name.endswith(".log")
    }


def test_nested_repositories_answer_for_themselves(repository: Path) -> None:
    """A clone and a submodule inside use their own ignore files, and their `.git` is left out."""
    other = repository.parent / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / ".gitignore").write_text("*.o\n")
    git(other, "add", ".")
    git(other, "commit", "-qm", "one")
    git(repository, "submodule", "add", "-q", str(other), "module")
    git(repository, "clone", "-q", str(other), "clone")
    (repository / ".gitignore").write_text("*.log\n")
    for inner in ("module", "clone"):
        for name in ("x.o", "x.log"):
            (repository / inner / name).touch()
    rules = choose_rules(str(repository))
    asked = [(f"{inner}/{name}", False) for inner in ("module", "clone") for name in ("x.o", "x.log", ".git", ".gitignore")] + [
        ("y.log", False)
    ]
    assert rules.leaves_out(ROOT, asked) == {"module/x.o", "module/.git", "clone/x.o", "clone/.git", "y.log"}
    assert rules.reason is None


def test_outside_a_repository_only_reserved_names_are_left_out(top: Path) -> None:
    """No repository, no rules, no process; `--no-ignore` the same within one."""
    (top / ".gitignore").write_text("*\n")
    names = [(".git", True), (".rewindd-op-1", False), ("x", False)]
    for rules in (choose_rules(str(top)), NoRules(), BuiltIn()):
        assert rules.leaves_out(ROOT, names) == {".git", ".rewindd-op-1"}
        assert rules.reason is None


def test_without_git_it_is_said(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No git: the built-in rules, with the reason; no merge but the trivial ones."""
    monkeypatch.setenv("PATH", str(top))
    assert choose_rules(str(top)).reason == GIT_MISSING
    assert run_git(["version"], cwd=str(top), timeout_s=1).returncode == MISSING
    assert merge_text(b"a\n", b"b\n", b"c\n") is None
    assert merge_text(b"a\n", b"a\n", b"c\n") == b"c\n"


def test_a_broken_repository_lets_nothing_escape(repository: Path) -> None:
    """Where git fails nothing is left out but reserved names, and the reason is given."""
    (repository / ".git" / "config").write_text("[broken\n")
    rules = choose_rules(str(repository))
    assert rules.leaves_out(ROOT, [("x", False), (".git", True)]) == {".git"}
    assert rules.reason == GIT_FAILED


def test_one_bad_path_does_not_let_the_others_in(repository: Path) -> None:
    """A path that git refuses (beyond a link) spoils its own directory only."""
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "link").symlink_to("/")
    rules = GitRules(str(repository))
    assert rules.leaves_out(ROOT, [("link/etc", True), ("x.log", False)]) == {"x.log"}
    assert rules.reason == GIT_FAILED


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

    rules = choose_rules(str(repository))
    assert rules.leaves_out(ROOT, [("tracked", False), ("a.log", False), ("b", False)]) == {"a.log"}
    assert rules.reason is None
    assert merge_text(b"1\n2\n3\n", b"one\n2\n3\n", b"1\n2\nthree\n") == b"one\n2\nthree\n"
    monkeypatch.setattr(ignore, "TIMEOUT_S", 5.0)
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

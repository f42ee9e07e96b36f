"""No program that a repository, a configuration or the environment names runs while rules are worked out or an index is read."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewindd.paths import RelPath
from rewindd.tree.gitindex import staged
from rewindd.tree.rules.repository import IGNORED
from support.repository import asks, book_of, git, grow, left_out

#: Every key of git-config(1) that names a program to run, a file to write, or a transport; `{canary}` is the program.
RUNNING = """
[core]
    fsmonitor = {canary}
    hooksPath = {hooks}
    pager = {canary}
    editor = {canary}
    sshCommand = {canary}
    gitProxy = {canary}
    askPass = {canary}
    alternateRefsCommand = {canary}
    attributesFile = {attributes}
    untrackedCache = true
    splitIndex = true
[sequence]
    editor = {canary}
[diff]
    external = {canary}
    tool = canary
    guitool = canary
[diff "canary"]
    command = {canary}
    textconv = {canary}
    cachetextconv = true
[difftool "canary"]
    cmd = {canary}
    path = {canary}
[merge]
    tool = canary
    default = canary
[merge "canary"]
    driver = {canary} %O %A %B
[mergetool "canary"]
    cmd = {canary}
    path = {canary}
[filter "canary"]
    clean = {canary}
    smudge = {canary}
    process = {canary}
    required = true
[filter "lfs"]
    clean = {canary}
    smudge = {canary}
    process = {canary}
[interactive]
    diffFilter = {canary}
[alias]
    check-ignore = !{canary}
    ls-files = !{canary}
    config = !{canary}
    status = !{canary}
[pager]
    check-ignore = {canary}
    ls-files = {canary}
    config = {canary}
[gpg]
    program = {canary}
    format = ssh
[gpg "ssh"]
    program = {canary}
    defaultKeyCommand = {canary}
[gpg "x509"]
    program = {canary}
[credential]
    helper = !{canary}
[credential "https://example.org"]
    helper = {canary}
[gc]
    auto = 1
    recentObjectsHook = {canary}
[maintenance]
    auto = true
    strategy = incremental
[uploadpack]
    packObjectsHook = {canary}
[receive]
    procReceiveRefs = refs
[submodule "sub"]
    update = !{canary}
[trailer "canary"]
    ifexists = add
    cmd = {canary}
    command = {canary}
[browser "canary"]
    cmd = {canary}
    path = {canary}
[web]
    browser = canary
[man]
    viewer = canary
[man "canary"]
    cmd = {canary}
    path = {canary}
[guitool "canary"]
    cmd = {canary}
[instaweb]
    httpd = {canary}
[imap]
    tunnel = {canary}
[sendemail]
    smtpServer = {canary}
    toCmd = {canary}
    ccCmd = {canary}
[tar "canary"]
    command = {canary}
[bisect]
    run = {canary}
[ssh]
    variant = simple
[help]
    autoCorrect = immediate
[trace2]
    normalTarget = {ran}
    perfTarget = {ran}
    eventTarget = {ran}
[url "ext::{canary}"]
    insteadOf = https://example.org
[remote "origin"]
    url = file://{origin}
    vcs = canary
    uploadpack = {canary}
    receivepack = {canary}
    proxy = {canary}
    promisor = true
    partialclonefilter = blob:none
[remote "other"]
    url = ext::{canary}
    promisor = true
[protocol]
    allow = always
[protocol "ext"]
    allow = always
[protocol "file"]
    allow = always
"""

ENVIRONMENT = (
    *("GIT_EXTERNAL_DIFF", "GIT_PAGER", "PAGER", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "EDITOR", "VISUAL", "GIT_SSH", "GIT_SSH_COMMAND"),
    *("GIT_ASKPASS", "SSH_ASKPASS", "GIT_PROXY_COMMAND", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "BROWSER"),
)
TRACES = ("GIT_TRACE", "GIT_TRACE2", "GIT_TRACE2_EVENT", "GIT_TRACE2_PERF", "GIT_TRACE_SETUP", "GIT_TRACE_PACKET", "GIT_TRACE_PERFORMANCE")
HOOKS = ("post-index-change", "pre-commit", "fsmonitor-watchman", "reference-transaction", "pre-auto-gc", "post-checkout", "post-merge")


@pytest.fixture
def ran(top: Path) -> Path:
    """The file that comes to be when anything runs."""
    return top.parent / "ran"


@pytest.fixture
def canary(top: Path, ran: Path) -> Path:
    """A program that says that it ran; also under the name of a transport that git finds on PATH."""
    program = top.parent / "bin" / "canary"
    grow(top.parent, {"bin/canary": f"#!/bin/sh\necho ran >> {ran}\nexit 1\n"})
    program.chmod(0o755)
    (program.parent / "git-remote-canary").symlink_to(program)
    return program


@pytest.fixture(params=["repository", "included", "user", "worktree", "command line", "another's"])
def caged(request: pytest.FixtureRequest, top: Path, canary: Path, ran: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A work tree with one inside, and every key in the repository's configuration, a file it includes, the user's, the worktree's.

    "another's": git takes both for repositories of another user.
    """
    home = top.parent
    grow(top, {".gitignore": "*.log\n", "tracked": "x\n", "a.log": "x\n", "b": "x\n", "sub/.gitignore": "*.o\n", "sub/x.o": "x\n"})
    grow(top / "inner", {".gitignore": "*.log\n", "a.log": "x\n", "tracked": "x\n"})
    grow(home, {"attributes": "* filter=canary diff=canary merge=canary\n", "hooks/": ""})
    for repository in (top / "inner", top):
        git(repository, "init", "-q")
        git(repository, "add", "tracked", ".gitignore")
        grow(repository, {".gitattributes": "* filter=canary diff=canary merge=canary\n"})
    git(top, "add", "sub/.gitignore")
    for hook in HOOKS:
        (home / "hooks" / hook).symlink_to(canary)
        for repository in (top, top / "inner"):
            (repository / ".git" / "hooks" / hook).unlink(missing_ok=True)
            (repository / ".git" / "hooks" / hook).symlink_to(canary)
    keys = RUNNING.format(canary=canary, hooks=home / "hooks", attributes=home / "attributes", ran=ran, origin=home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{canary.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for repository in (top, top / "inner"):
        with (repository / ".git" / "config").open("a") as config:
            if request.param in ("repository", "another's"):
                config.write(keys)
            elif request.param == "included":
                config.write(f'[include]\n\tpath = {home}/keys\n[includeIf "gitdir:**"]\n\tpath = ../../keys\n')
            elif request.param == "worktree":
                config.write("[core]\n\trepositoryformatversion = 1\n[extensions]\n\tworktreeConfig = true\n")
                (repository / ".git" / "config.worktree").write_text(keys)
    (home / "keys").write_text(keys)
    if request.param == "user":
        (home / ".gitconfig").write_text(keys)
    if request.param == "command line":
        monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
        for number, key in enumerate(("core.fsmonitor", "core.hooksPath")):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", str(canary))
        monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.fsmonitor={canary}'")
    subprocess.run(["git", "ls-files", "-o", "-m", "--exclude-standard"], cwd=top, capture_output=True, check=False)
    assert ran.exists(), "the canary must be able to sing"
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, str(canary))
    for name in TRACES:
        monkeypatch.setenv(name, str(ran))
    ran.unlink()
    if request.param == "another's":
        of_another(canary.parent / "git", top)
    yield top
    assert not ran.exists()


def of_another(wrapper: Path, top: Path) -> None:
    """Puts a git on PATH that takes every repository for another user's, which it refuses to read."""
    wrapper.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    clean = {"PATH": os.environ["PATH"], "HOME": str(top)}
    assert subprocess.run(["git", "ls-files"], cwd=top, env=clean, capture_output=True, check=False).returncode != 0


def test_nothing_runs(caged: Path) -> None:
    """Every function of the rules gives its answer, in a repository and in one inside it, and no program ran, no file came to be."""
    expected = {"a.log": IGNORED, "sub/x.o": IGNORED, "inner/a.log": IGNORED}
    book = book_of(caged, include=("x.keep",), exclude=("no",))
    assert not book.moved()
    for _ in range(2):
        found = left_out(book, caged)
        assert {path: reason for path, reason in found.items() if reason == IGNORED} == expected
        book.prepare()
    (caged / ".git" / "info" / "exclude").write_text("b\n")
    assert book.moved()
    book.changed([RelPath(".gitignore"), RelPath("inner/.gitignore")])
    assert asks(book, "b", "tracked", "inner/new.log", "node_modules/").keys() == {"b", "inner/new.log", "node_modules"}
    assert book.let_in([(RelPath("x"), False)], {RelPath(".gitignore"): b"x\n"}) == {RelPath("x")}
    book.finish()
    assert asks(book, "a.log", "inner/a.log", "new", "node_modules/").keys() == {"a.log", "inner/a.log", "node_modules"}
    assert book.reason is None
    for repository in (caged, caged / "inner"):
        assert {".gitignore", "tracked"} <= {name for name, _, _ in staged(str(repository))}


@pytest.mark.parametrize("origin", ["file", "vcs"])
def test_nothing_is_fetched(top: Path, canary: Path, ran: Path, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    """An ignore file that only the index has, and whose content a partial clone would fetch, is not fetched."""
    monkeypatch.setenv("HOME", str(top.parent))
    monkeypatch.setenv("PATH", f"{canary.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    git(top, "init", "-q")
    grow(top, {"sub/.gitignore": "*.o\n", "sub/x.o": "x\n"})
    git(top, "add", "sub/.gitignore")
    git(top, "update-index", "--skip-worktree", "sub/.gitignore")
    name = git(top, "rev-parse", ":sub/.gitignore").decode().strip()
    (top / ".git" / "objects" / name[:2] / name[2:]).unlink()
    (top / "sub" / ".gitignore").unlink()
    how = f"url = file://{top.parent}\n\tuploadpack = {canary}\n" if origin == "file" else "url = x\n\tvcs = canary\n"
    with (top / ".git" / "config").open("a") as config:
        config.write(
            f'[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\tpromisor = true\n\t{how}'
        )
    subprocess.run(["git", "ls-files", "-o", "--exclude-standard"], cwd=top, capture_output=True, check=False)
    assert ran.exists(), "the canary must be able to sing"
    ran.unlink()
    book = book_of(top)
    book.prepare()
    asks(book, "sub/x.o", "sub/y")
    book.finish()
    asks(book, "sub/x.o", "sub/y")
    assert [name for name, _, _ in staged(str(top))] == ["sub/.gitignore"]
    assert not ran.exists()

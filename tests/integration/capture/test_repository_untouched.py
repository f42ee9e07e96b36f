"""The user's repository is the user's: nothing that the daemon does changes a byte below `.git`, or runs what a repository names."""

import os
from pathlib import Path

import pytest

from rewindd.client.blocking_session import Session
from support.yard import Seen, Yard, seen


def fill(yard: Yard) -> None:
    """A repository with a bit of everything: commits, a branch, a tag, a stash, staged and unstaged changes, hooks, configuration."""
    yard.write(".gitignore", "*.log\n")
    for number in range(40):
        yard.write(f"src/file{number}.py", f"{number}\n")
    yard.git("add", "-A")
    yard.git("commit", "-q", "-m", "first")
    yard.git("tag", "v1")
    yard.git("branch", "other")
    yard.write("src/file1.py", "stashed\n")
    yard.git("stash", "-q")
    yard.write("src/file2.py", "staged\n")
    yard.git("add", "src/file2.py")
    yard.write("src/file3.py", "not staged\n")
    yard.write("untracked", "1\n")
    yard.write("noise.log", "1\n")
    yard.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n", 0o755)
    yard.git("config", "user.name", "B")
    yard.git("update-index", "--refresh", check=False)


def below_git(yard: Yard) -> dict[str, tuple[Seen, int]]:
    """Everything below `.git`, with contents and times of modification."""
    found: dict[str, tuple[Seen, int]] = {}
    for directory, directories, files in os.walk(yard.root / ".git"):
        for name in (*directories, *files, ""):
            path = Path(directory, name)
            found[str(path.relative_to(yard.root))] = (seen(path), path.lstat().st_mtime_ns)
    return found


def work(yard: Yard, session: Session) -> None:
    """Everything that looks at the tree or changes it, once."""
    saved = session.save("one")
    with session.command("edit"):
        yard.write("src/file4.py", "edited\n" * 3)
        yard.write("src/new/file", "new\n")
        yard.write("src/new/noise.log", "new\n")
    session.save("two")
    yard.write("src/file5.py", "external\n")
    with yard.client() as client:
        client.status()
    session.pending(patch=True)
    session.load(saved.id, content=True)
    session.rewind(saved.id, restore="files", dry_run=True)
    session.rewind(saved.id, restore="files", also="external")
    session.undo()
    session.redo()
    session.undo()
    session.rewind(saved.id, restore="files", scope="workspace")
    yard.shell("rm -r src/new/noise.log; rmdir src/new; git -c core.quotePath=false ls-files >noise.log")


def test_untouched(repository: Yard, tmp_path: Path) -> None:
    """Index, refs, stash, HEAD, hooks, configuration, logs and objects are the same bytes, never written; `git status` says the same."""
    yard = repository
    fill(yard)
    status = yard.git("--no-optional-locks", "status", "--porcelain=v2", "--branch", "--show-stash", "--ignored")
    before = below_git(yard)
    with yard.session() as session:
        yard.until_complete()
        assert below_git(yard) == before
        work(yard, session)
        session.materialize("one", tmp_path / "elsewhere")
        session.close()
    yard.restart()
    with yard.session(session_id=f"again-{yard.root.name}") as session:
        session.save()
    assert below_git(yard) == before
    assert yard.git("--no-optional-locks", "status", "--porcelain=v2", "--branch", "--show-stash", "--ignored") == status
    assert yard.git("stash", "list") != b""
    yard.git("fsck", "--strict")


#: A part of the keys by which git runs what a repository names; tests of the rules have them all.
HOSTILE = """
[core]
    fsmonitor = {canary}
    hooksPath = {hooks}
    pager = {canary}
    editor = {canary}
    sshCommand = {canary}
    attributesFile = {attributes}
[diff]
    external = {canary}
[diff "canary"]
    command = {canary}
    textconv = {canary}
[merge]
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
    ls-files = !{canary}
    status = !{canary}
[credential]
    helper = !{canary}
[gc]
    auto = 1
"""


@pytest.fixture
def canary(repository: Yard) -> Path:
    """Makes the repository hostile; returns the file that any of its programs leaves behind."""
    yard, place = repository, repository.root.parent / f"{repository.root.name}.canary"
    sang = Path(f"{place}.sang")
    place.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{sang}'\ncat\n")
    place.chmod(0o755)
    hooks = Path(f"{place}.hooks")
    hooks.mkdir()
    attributes = Path(f"{place}.attributes")
    attributes.write_text("* filter=canary diff=canary merge=canary\n")
    yard.write("poem.txt", "".join(f"line {number}\n" for number in range(9)))
    yard.git("add", "-A")
    yard.git("commit", "-q", "-m", "x")
    yard.write(".gitattributes", "* filter=canary diff=canary merge=canary\n")
    for name in ("post-index-change", "fsmonitor-watchman", "query-watchman", "reference-transaction", "post-checkout", "pre-commit"):
        (hooks / name).symlink_to(place)
        (yard.root / ".git/hooks").mkdir(exist_ok=True)
        (yard.root / ".git/hooks" / name).symlink_to(place)
    with (yard.root / ".git/config").open("a") as config:
        config.write(HOSTILE.format(canary=place, hooks=hooks, attributes=attributes))
    return sang


def test_no_canary_sings(repository: Yard, canary: Path) -> None:
    """A hostile repository: no program that its configuration, attributes or hooks name runs while the daemon captures, saves, rewinds,
    merges and compares."""
    yard = repository
    poem = yard.root / "poem.txt"
    with yard.session() as session:
        yard.write(".gitignore", "*.log\n")
        first = session.save()
        yard.write("a.log", "x\n")
        yard.write("new/file", "x\n")
        with session.command("edit"):
            poem.write_text(poem.read_text().replace("line 0", "LINE 0"))
        second = session.save()
        poem.write_text(poem.read_text().replace("line 8", "LINE 8"))
        session.pending(patch=True)
        result = session.rewind(first.id, restore="files")
        assert list(result.merged) == ["poem.txt"]
        assert poem.read_text() == "".join(f"line {number}\n" for number in range(8)) + "LINE 8\n"
        session.undo()
        session.rewind(second.id, restore="files", scope="workspace")
        session.close()
    assert not canary.exists(), canary.read_text()
    yard.git("status", check=False)
    assert canary.exists(), "the canary must sing where git itself is asked"

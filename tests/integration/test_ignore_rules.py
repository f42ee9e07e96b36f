"""What a snapshot of a directory leaves out: git's rules, `.git` itself, and the daemon's own places."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.desk import Desk, reasons

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")]

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def git(root: Path, *arguments: str) -> None:
    """Runs git in a directory."""
    subprocess.run(["git", *arguments], cwd=root, env=CLEAN, check=True, capture_output=True)


def paths(kept: replies.Snapshots) -> set[str]:
    """The paths of a snapshot's answer."""
    return {str(one.path) for one in kept.snapshots}


@pytest.fixture
def repository(desk: Desk) -> Path:
    """The workspace as a git work tree with an ignore file."""
    git(desk.root, "init", "--quiet")
    desk.write(".gitignore", "*.o\nbuild/\n/secret\n!keep.o\n")
    for name in ("main.c", "main.o", "keep.o", "build/out", "secret", "sub/secret", "sub/deep/x.o", "sub/deep/y.c"):
        desk.write(name, f"{name}\n")
    return desk.root


CAPTURED = {".gitignore", "main.c", "keep.o", "sub", "sub/secret", "sub/deep", "sub/deep/y.c"}


async def test_git_s_rules_hold(desk: Desk, repository: Path) -> None:
    """A directory means what git's rules leave below it; `.git` is never captured, and a rewind leaves all of that alone."""
    async with desk.session() as session:
        assert paths(await session.snapshot(".")) == CAPTURED
        start = await session.save()
        for name in ("main.o", "build/out", "secret", "new.o", "new.c", ".git/description"):
            desk.write(name, "changed\n")
        made = await session.save()
        assert [diff.path for diff in (await session.load(made.id)).file_diffs] == ["new.c"] or made.files == 0
        await session.rewind(start.id, scope="workspace")
        assert not (repository / "new.c").exists()
        for name in ("main.o", "build/out", "secret", "new.o", ".git/description"):
            assert desk.read(name) == "changed\n"


async def test_no_ignore_and_named_files(desk: Desk, repository: Path) -> None:
    """A named file is taken whatever the rules say; `no_ignore` takes all below a directory, but never `.git`."""
    async with desk.session() as session:
        assert paths(await session.snapshot("main.o", "build/out")) == {"main.o", "build/out"}
        asked = requests.TakeSnapshot(session=session.id, paths=[FsText(".")], no_ignore=True)
        everything = await desk.client.ask(asked, replies.Snapshots)
        assert paths(everything) == CAPTURED | {"main.o", "build", "build/out", "secret", "sub/deep/x.o"}
        for name in ("main.o", "build/out", "secret"):
            desk.write(name, "changed\n")
        made = await session.save()
        assert made.files == 3
        await session.rewind(made.id, before=True)
        assert (desk.read("main.o"), desk.read("secret")) == ("main.o\n", "secret\n")


async def test_a_rule_that_lets_a_name_in(desk: Desk, repository: Path) -> None:
    """What a changed rule lets in is first seen, never added: no rewind removes it."""
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        await session.snapshot(".")
        desk.write(".gitignore", "build/\n")
        desk.write("new.c", "new\n")
        made = await session.save()
        changed = {str(diff.path): diff.change for diff in (await session.load(made.id)).file_diffs}
        assert changed == {".gitignore": "modified", "new.c": "added"}
        for scope in ("session", "workspace"):
            await session.rewind(start.id, scope=scope)
            assert (desk.read("main.o"), desk.read("secret")) == ("main.o\n", "secret\n")
            assert not (repository / "new.c").exists()
            await session.undo()


async def test_a_session_opens_at_the_top_of_the_work_tree(desk: Desk, repository: Path) -> None:
    """Opened in a directory of a work tree, the workspace is its top; `exact` takes the directory itself."""
    async with desk.client.session(repository / "sub") as top, desk.client.session(repository / "sub" / "deep") as joined:
        assert top.info is not None
        assert joined.info is not None
        assert (str(top.info.root), joined.info.workspace) == (str(repository), top.info.workspace)
    exact = desk.daemon.directory / f"{repository.name}-exact"
    (exact / "sub").mkdir(parents=True)
    git(exact, "init", "--quiet")
    async with desk.client.session(exact / "sub", exact=True) as session:
        assert session.info is not None
        assert str(session.info.root) == str(exact / "sub")


async def test_a_repository_inside(desk: Desk, repository: Path) -> None:
    """A repository nested in the workspace is captured without its `.git`, under its own rules."""
    (repository / "nested").mkdir()
    git(repository / "nested", "init", "--quiet")
    desk.write("nested/.gitignore", "*.tmp\n")
    desk.write("nested/a.tmp", "x\n")
    desk.write("nested/a.o", "x\n")
    async with desk.session() as session:
        found = paths(await session.snapshot("nested"))
        assert found >= {"nested", "nested/.gitignore"}
        assert not {name for name in found if ".git/" in f"{name}/" or name.endswith(".tmp")}


async def test_git_s_own_state_is_never_touched(desk: Desk, repository: Path) -> None:
    """Index, HEAD, refs and stash are the same bytes after saves, rewinds and merges as before."""
    git(repository, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--allow-empty", "-m", "first")
    git(repository, "add", "main.c")
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        await session.snapshot(".")
        desk.write("main.c", "".join(f"{n}\n" for n in range(9)))
        await session.save()
        before = {name: one for name, one in desk.photograph().items() if name.startswith(".git/")}
        desk.write("main.c", "".join(f"{n}\n" for n in range(9)) + "person\n")
        await session.rewind(start.id, on_conflict="overwrite")
        await session.undo()
        assert {name: one for name, one in desk.photograph().items() if name.startswith(".git/")} == before


async def test_a_repository_runs_no_code_in_the_daemon(desk: Desk, repository: Path) -> None:
    """Programs that a repository's configuration names are not run by capture, merges or diffs."""
    canary = desk.daemon.directory / f"{repository.name}-canary"
    program = desk.write("program", f"#!/bin/sh\ntouch {canary}\n", 0o755)
    for setting in ("core.fsmonitor", "diff.external", "merge.x.driver", "core.pager", "core.sshCommand"):
        git(repository, "config", setting, str(program))
    desk.write(".gitattributes", "*.c merge=x diff=x\n")
    text = [f"{number}\n" for number in range(9)]
    desk.write("main.c", "".join(text))
    async with desk.session() as session:
        await session.snapshot(".")
        start = await session.save()
        await session.snapshot("main.c")
        desk.write("main.c", "".join([*text[:2], "agent\n", *text[3:]]))
        await session.save()
        desk.write("main.c", "".join([*text[:2], "agent\n", *text[3:8], "person\n"]))
        await session.pending(patch=True)
        result = await session.rewind(start.id)
        assert (result.merged, desk.read("main.c")) == (["main.c"], "".join([*text[:8], "person\n"]))
    assert not canary.exists()


async def test_the_daemon_s_own_places(desk: Desk) -> None:
    """In a workspace that holds the daemon's directories these are left out, and cannot be named either."""
    async with desk.client.session(desk.daemon.directory, agent="outer", exact=True) as session:
        found = paths(await session.snapshot("."))
        own = [name for name in found if name.split("/")[0] == "data" or name.startswith("run/rewindd")]
        assert own == []
        for name in ("data", "data/store.db", "run/rewindd", desk.daemon.socket):
            with pytest.raises(errors.NotPermitted):
                await session.snapshot(name)
        await session.close()


async def test_below_git_is_not_permitted(desk: Desk, repository: Path) -> None:
    """Nothing below `.git` is kept, claimed, listed or rewound, at any depth, however it is spelled; the whole request fails."""
    async with desk.session() as session:
        start = await session.save()
        for name in (".git", ".git/config", "./.git/HEAD", "sub/.git/x", repository / ".git" / "index", b".git/\xff"):
            with pytest.raises(errors.NotPermitted):
                await session.snapshot("main.c", name)
            with pytest.raises(errors.NotPermitted):
                await session.rewind(start.id, paths=name)
        assert await session.release() == 0
        assert reasons((await session.snapshot("main.c", ".gitignore", ".github")).skipped) == {}

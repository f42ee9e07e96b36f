"""Rewinding files across a checkout or a commit is said first, and done when that is what was meant."""

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

import rewindd
from rewindd import errors
from rewindd.protocol import replies
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio


def git(top: Path, *args: str) -> str:
    """Runs git as a user does who has no configuration, and returns what it says."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(top), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(["git", *identity, *args], cwd=top, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def commit(top: Path) -> str:
    """Commits what is there and returns the commit's id."""
    git(top, "add", "-A")
    git(top, "commit", "-q", "--allow-empty", "-m", "it")
    return git(top, "rev-parse", "HEAD")


@pytest.fixture
def repository(desk: Desk) -> Desk:
    """A workspace that is a git work tree with one commit on `main`."""
    git(desk.root, "init", "-q", "-b", "main")
    desk.write("it", "0\n")
    commit(desk.root)
    return desk


@asynccontextmanager
async def opened(desk: Desk, session_id: str | None = None) -> AsyncIterator[rewindd.Session]:
    """A session that keeps what it snapshots."""
    async with desk.client.session(desk.root, agent="tester", session_id=session_id, capture="snapshots") as session:
        yield session


def heads(then: str | None, now: str | None) -> replies.GitHeads:
    return replies.GitHeads(then=then, now=now)


@pytest.mark.parametrize("scope", ["session", "workspace"])
async def test_a_commit_in_between(repository: Desk, scope: str) -> None:
    """The rewind is refused, naming both commits, with nothing touched; the plan names them; it is done when that is said."""
    desk, then = repository, git(repository.root, "rev-parse", "HEAD")
    async with opened(desk) as session:
        first = await saved(session, desk, "it", "1\n")
        await saved(session, desk, "it", "2\n")
        now = commit(desk.root)
        with pytest.raises(errors.GitHeadMoved) as refused:
            await session.rewind(first.id, scope=scope)
        assert (refused.value.then, refused.value.now, refused.value.retryable) == (then, now, False)
        for said in (then[:12], now[:12], "--across-head", f"git checkout {then[:12]}"):
            assert said in refused.value.message
        assert desk.read("it") == "2\n"
        plan = await session.rewind(first.id, scope=scope, dry_run=True)
        assert plan.git_heads == heads(then, now)
        with pytest.raises(errors.GitHeadMoved):
            await session.rewind(first.id, scope=scope, plan=plan.plan_id)
        done = await session.rewind(first.id, scope=scope, plan=plan.plan_id, across_head=True)
        assert (done.git_heads, desk.read("it")) == (heads(then, now), "1\n")
        assert git(desk.root, "rev-parse", "HEAD") == now


async def test_the_same_head_again(repository: Desk) -> None:
    """Another branch is in the way as long as it is checked out; back on the first one nothing is asked."""
    desk = repository
    async with opened(desk) as session:
        first = await saved(session, desk, "it", "1\n")
        await saved(session, desk, "it", "0\n")
        git(desk.root, "checkout", "-q", "-b", "side")
        plan = await session.rewind(first.id, dry_run=True)
        assert plan.git_heads is None, "another branch of the same commit"
        side = commit(desk.root)
        with pytest.raises(errors.GitHeadMoved) as refused:
            await session.rewind(first.id)
        assert refused.value.now == side
        git(desk.root, "checkout", "-q", "main")
        assert (await session.rewind(first.id)).git_heads is None
        assert desk.read("it") == "1\n"


async def test_without_files_nothing_is_asked(repository: Desk) -> None:
    """Conversation and statistics go back across any commit; with the files among what goes back, they do not."""
    desk = repository
    async with opened(desk) as session:
        first = await saved(session, desk, "it", "1\n")
        await session.save()
        commit(desk.root)
        result = await session.rewind(first.id, restore=["conversation", "stats"])
        assert (result.git_heads, session.head) == (None, first.id)
        with pytest.raises(errors.GitHeadMoved):
            await session.rewind(first.id, restore=["conversation", "files"])


async def test_undo_and_redo_do_not_ask(repository: Desk) -> None:
    """What a rewind did is taken back, and done again, also after a commit of it."""
    desk = repository
    async with opened(desk) as session:
        first = await saved(session, desk, "it", "1\n")
        await saved(session, desk, "it", "2\n")
        await session.rewind(first.id)
        commit(desk.root)
        assert (await session.undo()).git_heads is None
        assert desk.read("it") == "2\n"
        commit(desk.root)
        assert (await session.redo()).git_heads is None
        assert desk.read("it") == "1\n"


async def test_any_position_has_its_head(repository: Desk) -> None:
    """Times and numbers of the log are compared like checkpoints, also where only HEAD moved in between."""
    desk, then = repository, git(repository.root, "rev-parse", "HEAD")
    async with opened(desk) as session:
        await saved(session, desk, "it", "1\n")
        early = datetime.now(UTC).isoformat()
        now = commit(desk.root)
        await session.save("after the commit")
        late = datetime.now(UTC).isoformat()
        await edit(session, desk, "it", "2\n")
        for position, expected in ((f"@{{{early}}}", heads(then, now)), ("#1", heads(then, now)), (f"@{{{late}}}", None)):
            assert (await session.rewind(position, dry_run=True)).git_heads == expected, position
        with pytest.raises(errors.GitHeadMoved):
            await session.rewind("#1")
        await session.rewind(f"@{{{late}}}")
        assert desk.read("it") == "1\n"


async def test_a_commit_before_the_session(repository: Desk) -> None:
    """What was committed before a session was opened is not between its start and now."""
    desk = repository
    async with opened(desk) as first:
        await saved(first, desk, "it", "1\n")
        await first.close()
    commit(desk.root)
    async with opened(desk) as second:
        made = await saved(second, desk, "it", "2\n")
        await second.rewind(made.id, before=True)
        assert desk.read("it") == "1\n"


async def test_a_repository_that_was_made_since(desk: Desk) -> None:
    """Where there was no repository then, there is no commit to name; a branch without a commit is named as such."""
    async with opened(desk) as session:
        first = await saved(session, desk, "it", "1\n")
        await saved(session, desk, "it", "2\n")
        git(desk.root, "init", "-q", "-b", "main")
        plan = await session.rewind(first.id, dry_run=True)
        assert plan.git_heads == heads(None, "unborn:refs/heads/main")
        with pytest.raises(errors.GitHeadMoved, match="is main without a commit and was no repository"):
            await session.rewind(first.id)


async def test_another_worktree(repository: Desk) -> None:
    """A commit in the repository's other worktree is none in this one."""
    desk = repository
    linked = desk.root.with_name(f"{desk.root.name}-linked")
    git(desk.root, "worktree", "add", "-q", "-b", "side", str(linked))
    async with desk.client.session(linked, agent="tester", capture="snapshots") as session:
        await session.snapshot("it")
        (linked / "it").write_text("1\n")
        first = await session.save()
        await session.snapshot("it")
        (linked / "it").write_text("2\n")
        commit(desk.root)
        await session.rewind(first.id)
        assert (linked / "it").read_text() == "1\n"
        commit(linked)
        with pytest.raises(errors.GitHeadMoved):
            await session.rewind(first.id)


async def test_over_a_restart(repository: Desk) -> None:
    """A HEAD that moved while no daemon ran is another one than at the checkpoints from before."""
    desk, then = repository, git(repository.root, "rev-parse", "HEAD")
    async with opened(desk, "kept") as session:
        first = await saved(session, desk, "it", "1\n")
    desk.daemon.stop()
    now = commit(desk.root)
    desk.daemon.start()
    async with opened(desk, "kept") as session:
        assert (await session.rewind(first.id, dry_run=True)).git_heads == heads(then, now)

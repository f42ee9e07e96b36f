"""Which workspace a directory is: the nearest around it, its own, the same one elsewhere, or another one in its place."""

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import rewindd
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.store import workspaces
from rewindd.store.database import open_database
from support.daemon import RealDaemon
from support.desk import Desk, saved
from support.mounting import unshared

pytestmark = pytest.mark.anyio


def git(top: Path, *args: str) -> None:
    """Runs git as a user does who has no configuration."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(top), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *identity, *args], cwd=top, env=environment, check=True, capture_output=True)


def repository(top: Path) -> Path:
    """Makes a directory a git work tree with one commit."""
    top.mkdir(parents=True, exist_ok=True)
    git(top, "init", "-q", "-b", "main")
    git(top, "commit", "-q", "--allow-empty", "-m", "it")
    return top


@asynccontextmanager
async def opened(
    desk: Desk, where: Path | None = None, *, session_id: str | None = None, replaced: str | None = None, capture: str = "snapshots"
) -> AsyncIterator[rewindd.Session]:
    """A session on a directory, by default the desk's."""
    async with desk.client.session(
        where or desk.root, agent="tester", session_id=session_id, capture=capture, replaced=replaced
    ) as session:
        yield session


async def root_of(desk: Desk, where: Path) -> str:
    """The root of the workspace that a session on a directory is in."""
    async with opened(desk, where) as session:
        assert session.info is not None
        return str(session.info.root)


def workspace_of(session: rewindd.Session) -> str:
    assert session.info is not None
    return session.info.workspace


async def test_the_nearest_one_around(desk: Desk) -> None:
    """A directory inside workspaces belongs to the innermost of them."""
    inner = desk.root / "a" / "inner"
    (inner / "x" / "y").mkdir(parents=True)
    assert await root_of(desk, inner) == str(inner)
    assert await root_of(desk, desk.root) == str(desk.root)
    assert await root_of(desk, inner / "x" / "y") == str(inner)
    assert await root_of(desk, desk.root / "a") == str(desk.root)


async def test_the_top_of_a_work_tree(desk: Desk) -> None:
    """A directory in a git work tree means its top; with `exact` it means itself."""
    top = repository(desk.root / "repository")
    (top / "src").mkdir()
    async with desk.client.session(top / "src", agent="tester", exact=True) as session:
        assert session.info is not None
        assert str(session.info.root) == str(top / "src")
    (top / "lib").mkdir()
    assert await root_of(desk, top / "lib") == str(top)


@pytest.mark.parametrize("kind", ["repository", "worktree", "submodule"])
async def test_a_work_tree_of_its_own(desk: Desk, kind: str) -> None:
    """Inside a workspace the top of a repository, a linked worktree or a submodule is one of its own, which the outer leaves out."""
    repository(desk.root)
    inner = desk.root / "in" / "side"
    async with opened(desk) as outer:
        if kind == "repository":
            repository(inner)
        elif kind == "worktree":
            git(desk.root, "worktree", "add", "-q", "-b", "side", str(inner))
        else:
            origin = repository(desk.root.with_name(f"{desk.root.name}-origin"))
            git(desk.root, "submodule", "--quiet", "add", str(origin), "in/side")
        (inner / "below").mkdir()
        assert await root_of(desk, inner / "below") == str(inner)
        desk.write("in/side/it", "1\n")
        with pytest.raises(errors.OutsideWorkspace):
            await outer.snapshot("in/side/it")


async def test_a_moved_workspace_opened_from_inside(desk: Desk) -> None:
    """A directory that was moved is its workspace also for who comes through a directory below it."""
    (desk.root / "below").mkdir()
    async with opened(desk) as session:
        await saved(session, desk, "it", "1\n")
    moved = desk.root.with_name(f"{desk.root.name}-moved")
    desk.root.rename(moved)
    async with opened(desk, moved / "below") as again:
        assert workspace_of(again) == workspace_of(session)
        assert again.info is not None
        assert str(again.info.root) == str(moved)


async def test_moved_into_another_workspace(desk: Desk) -> None:
    """A workspace that was moved into another one stays one of its own there, and the outer one leaves it out."""
    outside = desk.root.with_name(f"{desk.root.name}-outside")
    outside.mkdir()
    (outside / "it").write_text("1\n")
    async with opened(desk, outside) as inner, opened(desk) as outer:
        await inner.snapshot("it")
        await outer.snapshot(".")
        outside.rename(desk.root / "inside")
        async with opened(desk, desk.root / "inside", session_id=inner.id) as again:
            assert workspace_of(again) == workspace_of(inner)
        assert not [one for one in (await outer.snapshot(".")).snapshots if one.path.startswith("inside")]


async def test_a_bind_mount(tmp_path: Path) -> None:
    """The same directory under a second path is the same workspace, whose paths are understood by both names."""
    real, second = tmp_path / "real", tmp_path / "second"
    (real / "below").mkdir(parents=True)
    second.mkdir()
    (real / "it").write_text("1\n")
    daemon = RealDaemon(tmp_path / "there")
    try:
        daemon.start(prefix=unshared(f"mount --bind {real} {second}"))
        async with rewindd.connect(socket=daemon.socket, autostart=False) as client:

            async def enter(where: Path) -> replies.SessionInfo:
                # Without what this process sees there: for it the second path is an empty directory.
                return (await client.ask(requests.OpenSession(directory=FsText(str(where))), replies.SessionReply)).session

            first = await enter(real)
            for where in (second, second / "below"):
                other = await enter(where)
                assert (other.workspace, str(other.root)) == (first.workspace, str(real))
            listed = await client.ask(requests.ListSessions(directory=FsText(str(second / "below"))), replies.Sessions)
            assert {one.workspace for one in listed.sessions} == {first.workspace}
            for root in (real, second):
                taken = requests.TakeSnapshot(session=first.id, paths=[FsText(str(root / "it"))])
                assert [str(one.path) for one in (await client.ask(taken, replies.Snapshots)).snapshots] == ["it"]
        daemon.stop()
    finally:
        daemon.kill()


async def clone_again(desk: Desk) -> Path:
    """Puts another directory in the workspace's place, with other content; returns where the old one is."""
    old = desk.root.with_name(f"{desk.root.name}-old")
    desk.root.rename(old)
    desk.root.mkdir()
    desk.write("it", "cloned\n")
    return old


async def test_a_replaced_workspace_is_asked_about(desk: Desk) -> None:
    """Another directory under a known path: nothing is opened or made until it is said which is meant, by a known session either."""
    async with opened(desk) as session:
        await saved(session, desk, "it", "1\n")
    await clone_again(desk)
    (desk.root / "below").mkdir()
    for where, session_id in ((desk.root, None), (desk.root / "below", None), (desk.root, session.id)):
        with pytest.raises(errors.AlreadyExists, match=r"--adopt.*--new") as asked:
            async with opened(desk, where, session_id=session_id):
                pass
        assert (asked.value.workspace, asked.value.path) == (workspace_of(session), str(desk.root))
    with pytest.raises(errors.BadRequest, match="adopt"):
        async with opened(desk, replaced="perhaps"):
            pass
    assert len(await desk.client.sessions(desk.root, closed=True)) == 1


@pytest.mark.parametrize("capture", ["snapshots", "workspace"])
async def test_adopted(desk: Desk, capture: str) -> None:
    """The workspace goes on: its session too, what differs is nobody's, even where it was claimed, and can be taken back."""
    async with opened(desk, capture=capture) as session:
        await session.snapshot(".")
        made = await saved(session, desk, "it", "1\n")
        await session.snapshot("it")
    await clone_again(desk)
    async with opened(desk, session_id=session.id, replaced="adopt", capture=capture) as again:
        assert workspace_of(again) == workspace_of(session)
        assert await again.pending() == []
        shown = await desk.client.ask(requests.ReadLog(session=again.id), replies.Edits)
        assert [(str(row.path), row.source, row.session_id) for row in shown.edits][-1] == ("it", "external", None)
        desk.write("below/later", "made after that\n")
        await again.rewind(made.id, scope="workspace")
        assert {name: said[2] for name, said in desk.photograph().items()} == {"it": b"1\n"}
    async with opened(desk) as later:
        assert workspace_of(later) == workspace_of(session)


async def test_a_new_workspace_in_its_place(desk: Desk) -> None:
    """The path is the new one's; the old one is kept, is found by its directory wherever that is, and never by the path again."""
    async with opened(desk) as session:
        made = await saved(session, desk, "it", "1\n")
    old = await clone_again(desk)
    async with opened(desk, replaced="new") as new:
        assert workspace_of(new) != workspace_of(session)
        await saved(new, desk, "it", "2\n")
    with pytest.raises(errors.AlreadyExists, match="another workspace"):
        async with opened(desk, session_id=session.id):
            pass
    assert [one.id for one in await desk.client.sessions(desk.root)] == [new.id]
    shown = await desk.client.ask(requests.ShowCheckpoint(session=session.id, position=made.id), replies.CheckpointReply)
    assert shown.checkpoint.id == made.id
    desk.root.rename(desk.root.with_name(f"{desk.root.name}-new"))
    desk.root.mkdir()
    async with opened(desk, desk.root.with_name(f"{desk.root.name}-new")) as moved, opened(desk) as third:
        assert workspace_of(moved) == workspace_of(new)
        assert workspace_of(third) not in (workspace_of(session), workspace_of(new))
    async with opened(desk, old, session_id=session.id) as back:
        assert workspace_of(back) == workspace_of(session)
        assert back.info is not None
        assert str(back.info.root) == str(old)


async def test_an_empty_workspace_is_adopted_silently(desk: Desk) -> None:
    """Where nothing can be gone back to there is nothing to ask; `new` is a new one all the same."""
    async with opened(desk) as session:
        pass
    for replaced, is_same in ((None, True), ("new", False)):
        await clone_again(desk)
        async with opened(desk, replaced=replaced) as again:
            assert (workspace_of(again) == workspace_of(session)) is is_same
        desk.root.with_name(f"{desk.root.name}-old").rename(desk.root.with_name(f"{desk.root.name}-older-{replaced}"))


async def test_an_answer_without_a_question(desk: Desk) -> None:
    """Who always says which is meant, as an agent that nobody watches, gets the workspace that is there."""
    async with opened(desk) as session:
        await saved(session, desk, "it", "1\n")
    for replaced in ("adopt", "new"):
        async with opened(desk, replaced=replaced) as again:
            assert workspace_of(again) == workspace_of(session)


async def test_mounted_again_under_another_number(tmp_path: Path) -> None:
    """A file system that has another device number since the last boot holds the same directories: nothing is asked."""
    root = tmp_path / "tree"
    root.mkdir()
    daemon = RealDaemon(tmp_path / "there").start()
    try:
        async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
            desk = Desk(client, root, daemon)
            async with opened(desk) as session:
                made = await saved(session, desk, "it", "1\n")
            daemon.stop()
            db = open_database(str(daemon.data_dir))
            (known,) = workspaces.all_of(db)
            if not known.born_ns:
                pytest.fail("the temporary directory is on a file system without times of birth")
            workspaces.place(db, known.id, known.device + 1, known.inode, known.born_ns)
            db.close()
            daemon.start()
            async with opened(desk, session_id=session.id) as again:
                assert workspace_of(again) == known.id
                await again.rewind(made.id, before=True)
                assert list(root.iterdir()) == []
        daemon.stop()
    finally:
        daemon.kill()


async def test_the_home_directory(desk: Desk, home: Path) -> None:
    """It is never kept whole, which is the default too; with snapshots alone it is, and a project in it is still one of its own."""
    for capture in (None, "workspace"):
        with pytest.raises(errors.RefusedRoot, match="--capture snapshots"):
            async with desk.client.session(home, agent="tester", capture=capture):
                pass
    async with opened(desk, home) as session:
        assert session.info is not None
        assert str(session.info.root) == str(home)
    project = home / "project"
    project.mkdir()
    assert await root_of(desk, project) == str(home)
    async with opened(desk, project, capture="workspace") as own:
        assert own.info is not None
        assert str(own.info.root) == str(project)
    for refused in (Path("/"), home.parent):
        with pytest.raises(errors.RefusedRoot):
            async with opened(desk, refused):
                pass

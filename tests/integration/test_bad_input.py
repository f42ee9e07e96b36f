"""Bad input, case by case: each has its code and message, and nothing is lost."""

import socket
import struct
from pathlib import Path

import msgspec
import pytest
import zmq

import rewindd.blocking
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests, wire
from support.daemon import RealDaemon, real_daemon
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio

WRONG_IDS = ("", "a/b", "..", ".", ".hidden", "-dash", "a\0b", "x" * 129, "with space", "ünï", "a\nb", "../../etc/passwd", "a:b", "a\n")
RIGHT_IDS = ("a", "x" * 128, "A.b_c-d.9", "_", "0", "con", "a..b")


@pytest.mark.parametrize("wrong", WRONG_IDS, ids=ascii)
async def test_ids_that_are_none(desk: Desk, wrong: str) -> None:
    """An id that is empty, over-long, or no plain name is `bad-request`, for checkpoints and for sessions, and makes nothing."""
    async with desk.session() as session:
        with pytest.raises(errors.BadRequest) as refused:
            await session.save(checkpoint_id=wrong)
        assert refused.value.code == "bad-request"
        assert await session.list() == []
        with pytest.raises(errors.BadRequest):
            async with desk.session(session_id=wrong):
                pass
        with pytest.raises((errors.UnknownCheckpoint, errors.BadRequest)):
            await session.load(wrong)
        with pytest.raises((errors.UnknownSession, errors.BadRequest)):
            async with desk.session(parent_id=wrong):
                pass
        assert len(await desk.client.sessions(desk.root)) == 1


async def test_ids_that_may_be_chosen(desk: Desk) -> None:
    """Any id of the allowed characters and length is taken as it is, and found again; no file has its name."""
    async with desk.session() as session:
        for chosen in RIGHT_IDS:
            assert (await session.save(checkpoint_id=chosen)).id == chosen
            assert (await session.load(chosen)).id == chosen
    for number, chosen in enumerate(RIGHT_IDS):
        async with desk.session(session_id=f"{number}{desk.root.name}{chosen}"[:128]) as session:
            assert session.id == f"{number}{desk.root.name}{chosen}"[:128]
    assert {path.name for path in desk.daemon.data_dir.iterdir()}.isdisjoint(RIGHT_IDS)


async def test_a_checkpoint_id_used_twice(desk: Desk) -> None:
    """A checkpoint id is unique in its session: the second is `already-exists` and changes nothing; another session may use it."""
    async with desk.session() as session:
        await edit(session, desk, "it", "one\n")
        first = await session.save("first", checkpoint_id="mine")
        await edit(session, desk, "it", "two\n")
        with pytest.raises(errors.AlreadyExists) as twice:
            await session.save("second", checkpoint_id="mine")
        assert twice.value.fields["id"] == "mine"
        assert [one.label for one in await session.list()] == ["first"]
        assert session.head == first.id
        assert (await session.save("second")).files == 1, "what was refused is still there to be saved"
        async with desk.session() as other:
            assert (await other.save(checkpoint_id="mine")).session_id == other.id


async def test_a_session_id_used_twice(desk: Desk, tmp_path: Path) -> None:
    """The same id returns the session; for another agent or in another workspace it is `already-exists`."""
    name = f"chosen-{desk.root.name}"
    async with desk.session(session_id=name, agent="one") as first:
        made = await first.save()
        async with desk.session(session_id=name, agent="one") as again, desk.client.session(desk.root, session_id=name) as unnamed:
            assert (again.id, again.head, unnamed.head) == (name, made.id, made.id)
        with pytest.raises(errors.AlreadyExists):
            async with desk.session(session_id=name, agent="two"):
                pass
        with pytest.raises(errors.AlreadyExists):
            async with desk.client.session(tmp_path, session_id=name, agent="one"):
                pass


OUTSIDE = ("..", "../x", "a/../../x", "a/../b", "/", "/etc/passwd", "/etc", "through/passwd", "through/deep/er", "loop/x")


@pytest.mark.parametrize("path", OUTSIDE)
async def test_paths_outside(desk: Desk, path: str) -> None:
    """A path that leaves the workspace, by `..`, by being elsewhere or through a symlink, fails the whole request; nothing is kept."""
    desk.write("fine", "fine\n")
    (desk.root / "through").symlink_to("/etc")
    (desk.root / "loop").symlink_to("loop")
    async with desk.session() as session:
        for given in (path, path.encode()):
            with pytest.raises(errors.OutsideWorkspace) as outside:
                await session.snapshot("fine", given)
            assert "path" in outside.value.fields
        assert await session.release() == 0
        with pytest.raises(errors.OutsideWorkspace):
            async with session.editing(path):
                pass
        if "through" not in path and "loop" not in path:
            with pytest.raises(errors.OutsideWorkspace):
                await session.pending(path)


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 256, "/".join(["d" * 200] * 21)], ids=lambda path: ascii(path[:12]))
async def test_malformed_paths(desk: Desk, path: str) -> None:
    """A path that cannot exist is `bad-request`, and fails the whole request."""
    async with desk.session() as session:
        with pytest.raises(errors.BadRequest):
            await session.snapshot("fine", path)
        assert await session.release() == 0


async def test_odd_ways_to_name_a_path(desk: Desk) -> None:
    """A path through a link to the workspace, with dots and doubled slashes, is the same path."""
    desk.write("sub/it", "x\n")
    way = desk.daemon.directory / f"way-{desk.root.name}"
    way.symlink_to(desk.root)
    async with desk.client.session(way) as session:
        assert session.info is not None
        assert str(session.info.root) == str(desk.root)
        for given in ("sub/it", "./sub//it", "sub/./it", way / "sub" / "it", desk.root / "sub" / "it", f"{desk.root}//sub/it"):
            assert [one.path for one in (await session.snapshot(given)).snapshots] == ["sub/it"]
        kept = await session.snapshot("sub/it", "./sub/it", desk.root / "sub/it")
        assert len(kept.snapshots) == 1


async def test_roots_that_are_refused(desk: Desk, home: Path) -> None:
    """`/`, what holds the home directory, and the daemon's own directories are no workspaces."""
    inside = desk.daemon.data_dir / "blobs"
    for root in (Path("/"), home.parent, Path("/tmp"), desk.daemon.data_dir, inside, Path(desk.daemon.socket).parent):
        with pytest.raises(errors.RefusedRoot) as refused:
            async with desk.client.session(root, exact=True):
                pass
        assert refused.value.fields["path"] == str(root)


async def test_a_work_tree_whose_top_is_refused(desk: Desk, home: Path) -> None:
    """Where the top of the git work tree holds the home directory, or is it, the directory itself is the workspace; then home is one."""
    for top in (home.parent, home):
        (top / ".git").mkdir()
        project = top / "project"
        project.mkdir()
        async with desk.client.session(project) as session:
            assert session.info is not None
            assert str(session.info.root) == str(project)
            await session.close()
        (top / ".git").rmdir()
    async with desk.client.session(home, capture="snapshots") as session:
        assert session.info is not None
        assert str(session.info.root) == str(home)
        await session.close()


async def test_roots_that_are_none(desk: Desk) -> None:
    """A root that does not exist, is a file, or is a dangling link is `unknown-workspace`; an empty one or one with NUL `bad-request`."""
    desk.write("file", "x\n")
    (desk.root / "dangling").symlink_to("nowhere")
    for name in ("missing", "file", "file/below", "dangling", "x" * 300):
        with pytest.raises(errors.UnknownWorkspace):
            async with desk.client.session(desk.root / name):
                pass
    for name in ("", "a\0b"):
        with pytest.raises(errors.BadRequest):
            async with desk.client.session(name):
                pass
    assert await desk.client.sessions(desk.root) == []


async def test_a_root_that_is_another_directory_for_the_daemon(desk: Desk) -> None:
    """A caller who sees another device or inode under the path is in a container: told so, and no workspace is made."""
    found = desk.root.stat()
    for device, inode in ((found.st_dev, found.st_ino + 1), (found.st_dev + 1, found.st_ino)):
        request = requests.OpenSession(directory=FsText(str(desk.root)), device=device, inode=inode)
        with pytest.raises(errors.UnknownWorkspace, match="container"):
            await desk.client.ask(request, replies.SessionReply)
    assert not [one for one in (await desk.client.status()).workspaces if one.root == str(desk.root)]


async def test_wrong_words(desk: Desk) -> None:
    """Words outside their closed sets are `bad-request`, and the message names those there are."""
    async with desk.session() as session:
        await session.save("x")
        for wrong, known in (
            ({"scope": "universe"}, "workspace"),
            ({"on_conflict": "hope"}, "overwrite"),
            ({"restore": "memory"}, "conversation"),
            ({"also": "internal"}, "external"),
        ):
            with pytest.raises(errors.BadRequest, match=known):
                await session.rewind("x", **wrong)  # type: ignore[arg-type]  # each value is the text that it should be
        with pytest.raises(errors.BadRequest, match="user_prompt, assistant_response, tool_call, clear"):
            await session.record([{"kind": "hearsay", "text": "x"}])
        for word, value, known in (("capture", "everything", "snapshots, workspace"), ("attribution", "shared", "declared, sole")):
            given: dict[str, str] = {word: value}
            with pytest.raises(errors.BadRequest, match=known):
                async with desk.client.session(desk.root, **given):  # type: ignore[arg-type]  # likewise
                    pass


async def test_unknown_sessions(desk: Desk) -> None:
    """What is asked of a session that does not exist, or with a parent that does not, is `unknown-session`."""
    for request in (
        requests.Save(session="none-such"),
        requests.ListCheckpoints(session="none-such"),
        requests.Rewind(session="none-such", position="@"),
        requests.Undo(session="none-such"),
        requests.CloseSession(session="none-such"),
        requests.ShowSession(session="none-such"),
        requests.Diff(session="none-such", a="@"),
        requests.Save(),
        requests.ShowSession(),
    ):
        with pytest.raises(errors.UnknownSession):
            await desk.client.ask(request, replies.Saved)
    with pytest.raises(errors.UnknownSession):
        async with desk.session(parent_id="none-such"):
            pass


async def test_a_closed_session(desk: Desk) -> None:
    """A closed session takes no new work, and says how to go on; it can be listed, shown and opened again."""
    async with desk.session() as session:
        made = await saved(session, desk, "it", "one\n")
        await session.close()
        for request in (requests.Save(session=session.id), requests.TakeSnapshot(session=session.id, paths=[FsText("it")])):
            with pytest.raises(errors.UnknownSession, match="closed"):
                await desk.client.ask(request, replies.Saved)
        assert [one.id for one in await session.list()] == [made.id]
    async with desk.session(session_id=session.id) as again:
        await again.rewind(made.id, before=True)
        assert desk.photograph() == {}


async def test_garbage_on_the_socket(desk: Desk, running: RealDaemon) -> None:
    """Garbage, 64 MiB bodies and peers that close in the middle get an error reply or are dropped; others are answered all the while."""
    bodies = (
        (b"", b"\xc1", b"not msgpack", b"\x80", msgspec.msgpack.encode([1, 2]), b"\xdd\xff\xff\xff\xff", b"\x91" * 5000),
        (msgspec.msgpack.encode({"v": 1, "id": 7, "op": "save", "events": [[]] * 9}), b"\x00" * (64 << 20)),
    )
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.RCVTIMEO, 20_000)
        dealer.connect(f"ipc://{running.socket}")
        for body in (*bodies[0], *bodies[1]):
            dealer.send(body)
            head = wire.decode_reply_head(dealer.recv())
            assert head.ok is False
            assert head.error is not None
            assert head.error["code"] in ("bad-request", "too-large")
        dealer.send_multipart([b"too", b"many", b"frames", b"here"])
        assert (await desk.client.status()).pid == running.pid
    for beginning in (b"", b"\xff\0\0\0\0\0\0\0\x01\x7f", b"GET / HTTP/1.1\r\n\r\n", struct.pack("Q", 1 << 62)):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(running.socket)
            peer.sendall(beginning)
            peer.shutdown(socket.SHUT_WR)
    async with desk.session() as session:
        assert (await session.save()).files == 0


async def test_too_large_an_event(desk: Desk) -> None:
    """An event that fits into no request is refused where it is added; many large ones travel in several requests."""
    async with desk.session() as session:
        with pytest.raises(errors.TooLarge):
            session.history.add_user_message("x" * (16 << 20))
        for number in range(6):
            session.history.add_assistant_message(f"{number}" * (1 << 20))
        made = await session.save()
        found = await session.load(made.id)
        assert [(len(text), text[0]) for text in found.assistant_responses] == [(1 << 20, str(number)) for number in range(6)]


def test_a_second_daemon_on_the_same_store(running: RealDaemon, tmp_path: Path) -> None:
    """A daemon on a store that is in use ends with 75 and says who has it; the first goes on."""
    second = RealDaemon(tmp_path / "second")
    second.data_dir = running.data_dir
    second.start(wait=False)
    assert second.wait() == 75
    assert str(running.pid) in second.said()
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client:
        assert client.status().pid == running.pid


def test_our_own_daemon_is_not_needed_twice(tmp_path: Path) -> None:
    """A daemon that was stopped leaves its socket's place and its store to the next one."""
    (tmp_path / "one").mkdir()
    for _ in range(2):
        with real_daemon(tmp_path / "one") as daemon, rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            assert client.status().store.checkpoints == 0


def test_a_socket_beside_other_things(tmp_path: Path) -> None:
    """A socket in a directory that holds a project too does not make the project the daemon's own; its files are left out."""
    tmp_path.chmod(0o700)
    (tmp_path / "file").write_text("it\n")
    daemon = RealDaemon(tmp_path / "there")
    daemon.socket = str(tmp_path / "d.sock")
    daemon.start()
    try:
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path) as session:
            kept = {str(one.path) for one in session.snapshot(".").snapshots}
    finally:
        daemon.stop()
    assert "file" in kept
    assert not [name for name in kept if name.startswith(("d.sock", "there/data"))]

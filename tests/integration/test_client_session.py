"""Session handles, asynchronous and blocking, against a daemon that answers as told."""

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import rewindd
from rewindd import errors
from rewindd.client import blocking
from rewindd.client import history as history_module
from rewindd.protocol import replies, requests
from support.peer import Answer, Book, Peer, peer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def socket(tmp_path: Path) -> str:
    tmp_path.chmod(0o700)
    return str(tmp_path / "d.sock")


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(root=str(tmp_path))


@pytest.fixture
def daemon(socket: str, book: Book) -> Iterator[Peer]:
    with peer(socket, book.answer) as one:
        yield one


async def test_a_session_as_the_interface_shows_it(daemon: Peer, book: Book, tmp_path: Path) -> None:
    """Snapshot, history, save, list, dry run, rewind: what was said goes with the save, and a rewind takes it from the lists."""
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path, agent="a") as session:
        assert (session.id, session.head) == ("s1", None)
        kept = await session.snapshot("app.py", b"\xff", tmp_path / "x")
        session.history.add_user_message("make it faster", tokens=12, duration=timedelta(seconds=1))
        session.history.add_tool_call(rewindd.ToolCallRecord("edit", "{}", "ok", True))
        first = await session.save("faster")
        session.history.add_assistant_message("done", tokens=3)
        await session.save()
        plan = await session.rewind(first.id, dry_run=True)
        result = await session.rewind(first.id, plan=plan.plan_id)

        assert [one.path for one in kept.snapshots] == ["app.py", "\udcff", str(tmp_path / "x")]
        assert [one.id for one in await session.list()] == ["c1", "c2"]
        assert (result.head, session.head) == ("c1", "c1")
        assert (session.history.user_prompts, session.history.assistant_responses) == (["make it faster"], [])
        assert session.stats.estimated_tokens == 15

    assert [event.kind for event in book.events] == ["user_prompt", "tool_call", "assistant_response"]
    opened = next(request for request in book.done if isinstance(request, requests.OpenSession))
    assert (opened.device, opened.inode) == (tmp_path.stat().st_dev, tmp_path.stat().st_ino)


def test_the_same_without_async(daemon: Peer, book: Book, tmp_path: Path) -> None:
    """The blocking session does what the asynchronous one does."""
    with blocking.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path, agent="a") as session:
        assert session.snapshot("app.py").snapshots[0].path == "app.py"
        session.history.add_user_message("make it faster", tokens=12)
        first = session.save("faster")
        session.history.add_assistant_message("done", tokens=3)
        with session.editing("b"):
            session.save()
        session.rewind(first.id)

        assert session.history.assistant_responses == []
        assert session.diff("a") is None
        assert session.release() == 1
        assert session.read(replies.FileVersion(kind="file", blob="abcd")) == b"abcd" * 3
        session.close()

    assert [event.kind for event in book.events] == ["user_prompt", "assistant_response"]


async def test_read_in_pieces_and_to_a_file(daemon: Peer, tmp_path: Path) -> None:
    """A content larger than a chunk is read whole, into memory or a file; what a version carries itself is not asked for."""
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path) as session:
        version = replies.FileVersion(kind="file", blob="abcd")
        assert await session.read(version) == b"abcd" * 3
        assert await session.read(version, to=tmp_path / "out") == 12
        assert await session.read(replies.FileVersion(kind="file", text="hi")) == b"hi"
        with pytest.raises(errors.BadRequest):
            await session.read(replies.FileVersion(kind="directory"))

    assert (tmp_path / "out").read_bytes() == b"abcd" * 3


async def say_and_fail(client: rewindd.Client, workspace: Path) -> None:
    """What an agent does that fails in the middle."""
    async with client.session(workspace) as session:
        session.history.add_user_message("a")
        raise KeyError("mine")


async def test_leaving_tells_what_was_recorded(daemon: Peer, book: Book, tmp_path: Path) -> None:
    """Leaving the block tells what is unsent, also when the user's exception passes through, and leaves the session open."""
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
        with pytest.raises(KeyError, match="mine"):
            await say_and_fail(client, tmp_path)

    assert [event.text for event in book.events] == ["a"]
    assert not any(isinstance(request, requests.CloseSession) for request in daemon.received)


async def test_leaving_never_masks_the_users_exception(socket: str, book: Book, tmp_path: Path) -> None:
    """A daemon that falls silent does not replace the user's exception, nor hold it up for more than two seconds."""

    def answer(request: requests.Request) -> Answer:
        return None if isinstance(request, requests.Record) else book.answer(request)

    with peer(socket, answer), anyio.fail_after(4):
        async with rewindd.connect(socket=socket, autostart=False) as client:
            with pytest.raises(KeyError, match="mine"):
                await say_and_fail(client, tmp_path)


async def test_a_cancelled_save_is_settled_by_its_key(socket: str, book: Book, tmp_path: Path) -> None:
    """A save that was carried out although its caller left is taken in by the next one: each event is recorded once."""
    hold = True

    def answer(request: requests.Request) -> Answer:
        reply = book.answer(request)
        return None if hold and isinstance(request, requests.Save) else reply

    with peer(socket, answer) as one:
        async with rewindd.connect(socket=socket, autostart=False) as client, client.session(tmp_path) as session:
            session.history.add_user_message("a", tokens=1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.save)
                with anyio.fail_after(5):
                    while not any(isinstance(request, requests.Save) for request in one.received):
                        await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
            hold = False
            session.history.add_user_message("b", tokens=1)
            second = await session.save()

            assert second.id == "c2"
            assert session.stats.total_messages == 2

    assert [event.text for event in book.events] == ["a", "b"]


async def test_a_cancelled_save_that_was_not_done_stays_undone(socket: str, book: Book, tmp_path: Path) -> None:
    """A save that never was carried out is not carried out later: its events go with the next one, in one checkpoint."""
    hold = True

    def answer(request: requests.Request) -> Answer:
        return None if hold and isinstance(request, requests.Save) else book.answer(request)

    with peer(socket, answer):
        async with rewindd.connect(socket=socket, autostart=False) as client, client.session(tmp_path) as session:
            session.history.add_user_message("a")
            with anyio.move_on_after(0.1):
                await session.save()
            hold = False
            assert (await session.save()).id == "c1"

    assert [event.text for event in book.events] == ["a"]


async def test_a_session_that_moved_on_is_looked_at_again(daemon: Peer, book: Book, tmp_path: Path) -> None:
    """Another handle's save makes this one's fail once, with nothing lost; then it knows, and can."""
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
        async with client.session(tmp_path) as mine, client.session(tmp_path) as other:
            mine.history.add_user_message("mine", tokens=2)
            other.history.add_user_message("other", tokens=5)
            await other.save()
            with pytest.raises(errors.HeadMoved):
                await mine.save()
            assert mine.head == "c1"
            await mine.save()

            assert mine.stats.estimated_tokens == 7

    assert [event.text for event in book.events] == ["other", "mine"]


async def test_long_conversations_travel_in_parts(daemon: Peer, book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into one request is recorded before the save, in order, and counted once."""
    monkeypatch.setattr(history_module, "BATCH_BYTES", 1000)
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path) as session:
        for number in range(50):
            session.history.add_user_message(f"{number} " + "x" * 100, tokens=1)
        await session.save()
        assert session.stats.estimated_tokens == 50

    assert [int(event.text.split()[0]) for event in book.events] == list(range(50))
    assert sum(isinstance(request, requests.Record) for request in daemon.received) > 3


async def test_record_tells_at_once(daemon: Peer, book: Book, tmp_path: Path) -> None:
    """Events given to `record` follow what history holds, and show in the lists; one of no kind is refused."""
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path) as session:
        session.history.add_user_message("a")
        recorded = await session.record([{"kind": "assistant_response", "text": "b"}, requests.EventBody(kind="user_prompt", text="c")])
        with pytest.raises(errors.BadRequest):
            await session.record([{"text": "no kind"}])

        assert recorded.recorded == 2
        assert session.history.user_prompts == ["a", "c"]

    assert [event.text for event in book.events] == ["a", "b", "c"]


async def test_saves_of_one_handle_do_not_overlap(daemon: Peer, book: Book, tmp_path: Path) -> None:
    """Many tasks that save by one handle all succeed: each knows where the one before left the session."""
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path) as session:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(session.save)

    assert len(book.heads) == 20


async def test_paths_by_another_name_of_the_root(daemon: Peer, tmp_path: Path) -> None:
    """An absolute path through a symlink to the workspace is named by its real root; other paths travel as given."""
    link = tmp_path.parent / "link"
    link.symlink_to(tmp_path)
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client, client.session(link) as session:
        kept = await session.snapshot(link / "a" / "b", link, "/elsewhere/x", "rel")

    assert [one.path for one in kept.snapshots] == [f"{tmp_path}/a/b", str(tmp_path), "/elsewhere/x", "rel"]


async def test_without_a_daemon_that_is_not_required(socket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing raises, everything returns at once something false of the promised type, and one warning is logged."""
    with anyio.fail_after(3):
        async with rewindd.connect(socket=socket, autostart=False, required=False) as client:
            async with client.session(tmp_path, session_id="mine") as session:
                kept = await session.snapshot("a", "b")
                async with session.editing("c"):
                    session.history.add_user_message("hello")
                saved = await session.save("x")
                assert (session.id, saved.id, bool(saved), bool(await client.status())) == ("mine", "", False, False)
                assert [(one.path, one.reason) for one in kept.skipped] == [("a", "unavailable"), ("b", "unavailable")]
                assert not bool(await session.rewind("c1"))
                assert not bool(await session.undo())
                assert not bool(await session.redo())
                assert not bool(await session.load("c1"))
                assert not bool(await session.record([]))
                assert (await session.list(), await session.pending(), await session.diff("a")) == ([], [], None)
                assert (await session.release(), await session.read(replies.FileVersion(kind="file", blob="00"))) == (0, b"")
                assert (await client.sessions(), await client.checkpoints("w"), await client.barriers("w")) == ([], [], [])
                barrier = await client.barrier("w", "of nobody")
                assert (bool(barrier), barrier.id, barrier.workspace, barrier.label) == (False, "", "w", "of nobody")
                await session.close()
                assert client.gaps > 10

    assert sum(record.levelname == "WARNING" and "goes on without" in record.message for record in caplog.records) == 1


async def test_a_daemon_that_comes_late_is_used(socket: str, book: Book, tmp_path: Path) -> None:
    """A handle opened without a daemon opens its session when there is one, and tells what it kept until then."""
    async with rewindd.connect(socket=socket, autostart=False, required=False) as client, client.session(tmp_path) as session:
        session.history.add_user_message("early")
        assert not bool(await session.save())
        with peer(socket, book.answer):
            assert (await session.save()).id == "c1"
            assert session.id == "s1"

    assert [event.text for event in book.events] == ["early"]


async def test_a_silent_daemon_costs_an_optional_caller_its_timeout_once(socket: str, tmp_path: Path) -> None:
    """A daemon that hangs delays the first call by the timeout, the following ones hardly."""
    with peer(socket, lambda request: None), anyio.fail_after(5):
        async with rewindd.connect(socket=socket, autostart=False, required=False, timeout_s=0.5) as client:
            async with client.session(tmp_path) as session:
                for _ in range(10):
                    assert (await session.snapshot("a")).skipped


def test_a_blocking_client_may_be_shared_by_threads(daemon: Peer) -> None:
    """Requests of several threads wait for each other, and each gets its own answer."""
    wrong: list[int] = []

    def ask(number: int) -> None:
        for turn in range(50):
            name = f"{number}-{turn}"
            reply = client.ask(requests.ReadBlob(session="s", blob=name), replies.Chunk)
            if reply.data != (name * 3).encode()[:5]:
                wrong.append(number)

    with blocking.connect(socket=daemon.socket, autostart=False) as client:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert wrong == []


def test_a_blocking_client_asks_the_heir_of_a_dead_daemon(socket: str, book: Book) -> None:
    """The blocking client, too, sends the same bytes again to the next daemon; and knows what it cannot know."""
    dying = Peer(socket, lambda request: None)
    dying.end_after = 1
    dying.start()
    heirs: list[Peer] = []

    def succeed() -> None:
        dying.join()
        heirs.append(Peer(socket, book.answer).start())

    succession = threading.Thread(target=succeed)
    succession.start()
    with blocking.connect(socket=socket, autostart=False) as client:
        client.ask(requests.Save(session="s1"), replies.Saved)
        succession.join()
        assert heirs[0].bodies == dying.bodies
        heirs[0].stop()
        with peer(socket, lambda request: None), pytest.raises(errors.OutcomeUnknown):
            client.ask(requests.Save(session="s1"), replies.Saved, timeout_s=0.3)
        with pytest.raises(errors.Unavailable):
            client.ask(requests.Save(session="s1"), replies.Saved, timeout_s=0.1)
    with pytest.raises(errors.Unavailable, match="closed"):
        client.ask(requests.Ping(), replies.Pong)


def test_a_blocking_client_leaves_nothing_open(daemon: Peer) -> None:
    """Fifty blocking clients leave no descriptor behind."""
    with blocking.connect(socket=daemon.socket, autostart=False) as client:
        client.ask(requests.Ping(), replies.Pong)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        with blocking.connect(socket=daemon.socket, autostart=False) as client:
            client.ask(requests.Ping(), replies.Pong)

    assert len(os.listdir("/proc/self/fd")) <= before

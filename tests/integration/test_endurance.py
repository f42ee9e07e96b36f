"""What outlives a daemon, and what stays small: restarts, reopened sessions, long conversations, what a save adds to the store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import rewindd
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.daemon import RealDaemon, real_daemon
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio

KIB = 1024
EVENTS = 10_000


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RealDaemon]:
    """A daemon of the test's own, so that nobody else writes to its store."""
    with real_daemon(tmp_path) as daemon:
        yield daemon


async def test_a_restart_keeps_everything(own: RealDaemon) -> None:
    """After a restart, and after a kill, a session reopened by its id has checkpoints, conversation, statistics, claims and undo."""
    root = own.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=own.socket, autostart=False) as client:
        desk = Desk(client, root, own)
        async with desk.session(session_id="lasting") as session:
            first = await saved(session, desk, "it", "one\n", "one")
            session.history.add_user_message("remember", tokens=5)
            second = await saved(session, desk, "it", "two\n", "two")
            await session.snapshot("later")
            before = desk.photograph()
    for end in (own.stop, own.kill):
        end()
        own.start()
        async with rewindd.connect(socket=own.socket, autostart=False) as client:
            desk = Desk(client, root, own)
            async with desk.session(session_id="lasting") as session:
                assert (session.head, session.stats.total_messages, session.stats.estimated_tokens) == (second.id, 1, 5)
                assert [one.id for one in await session.list()][:2] == [first.id, second.id]
                assert (await session.load("two")).user_prompts == ["remember"]
                await session.rewind("one")
                assert desk.read("it") == "one\n"
        own.restart()
        async with rewindd.connect(socket=own.socket, autostart=False) as client:
            desk = Desk(client, root, own)
            async with desk.session(session_id="lasting") as session:
                assert session.head == first.id
                await session.undo()
                assert (desk.photograph(), session.head) == (before, second.id)
                assert (await client.status()).recovered == []
    async with rewindd.connect(socket=own.socket, autostart=False) as client:
        desk = Desk(client, root, own)
        async with desk.session(session_id="lasting") as session:
            desk.write("later", "claimed three lives ago\n")
            assert [diff.path for diff in await session.pending()] == ["later"]


async def test_a_client_lives_through_a_restart(own: RealDaemon) -> None:
    """A handle that was opened before a restart goes on after it, with the same session; what was recorded meanwhile is told."""
    root = own.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=own.socket, autostart=False) as client:
        desk = Desk(client, root, own)
        async with desk.session() as session:
            await edit(session, desk, "it", "one\n")
            session.history.add_user_message("before")
            own.restart()
            session.history.add_user_message("after")
            made = await session.save("over the restart")
            assert (made.files, (await session.load("@")).user_prompts) == (1, ["before", "after"])
            own.restart()
            await session.rewind("@", before=True)
            assert desk.photograph() == {}


async def test_changes_while_no_daemon_ran(own: RealDaemon) -> None:
    """What happens to the tree while no daemon runs is seen by the next one: the claims' as the session's, the rest as nobody's."""
    root = own.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=own.socket, autostart=False) as client:
        desk = Desk(client, root, own)
        async with desk.session() as session:
            desk.write("mine", "one\n")
            desk.write("theirs", "one\n")
            await session.snapshot("mine", "theirs")
            start = await session.save()
            await session.snapshot("mine")
            own.stop()
            desk.write("mine", "two\n")
            desk.write("theirs", "two\n")
            own.start()
            assert [diff.path for diff in await session.pending()] == ["mine"]
            result = await session.rewind(start.id)
            assert (desk.read("mine"), desk.read("theirs")) == ("one\n", "two\n")
            assert result.left is not None
            assert result.left.paths == ["theirs"]


async def test_open_sessions_and_ids_after_a_restart(own: RealDaemon) -> None:
    """Open sessions are open, closed ones closed; reopening a closed one by its id opens it."""
    root = own.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=own.socket, autostart=False) as client:
        async with client.session(root, session_id="open"), client.session(root, session_id="shut") as shut:
            await shut.close()
        own.restart()
        assert [one.id for one in await client.sessions(root)] == ["open"]
        async with client.session(root, session_id="shut") as again:
            await again.save()
        assert {one.id for one in await client.sessions()} == {"open", "shut"}
        with pytest.raises(errors.AlreadyExists):
            async with client.session(root, session_id="shut", agent="another"):
                pass


async def store_bytes(client: rewindd.Client) -> int:
    """The size of the store on disk."""
    return (await client.status()).store.bytes


async def growth(client: rewindd.Client, session: rewindd.Session, saves: int, event: str | None) -> float:
    """Saves so often, each time with one new event or none; returns the bytes that each save added to the store, on average."""
    before = await store_bytes(client)
    for _ in range(saves):
        if event is not None:
            session.history.add_user_message(event)
        await session.save()
    return (await store_bytes(client) - before) / saves


def incompressible(size: int) -> str:
    """Text of so many bytes that hardly compresses: hex digits would, by half."""
    return os.urandom(size * 2).decode("ascii", "ignore").replace("\0", "x").ljust(size, "y")[:size]


async def test_what_a_checkpoint_costs_in_a_long_conversation(own: RealDaemon) -> None:
    """At 10,000 events and 300 files, a checkpoint without changes adds at most 1 KiB to the store, with one event 1 KiB and that."""
    root = own.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=own.socket, autostart=False) as client:
        desk = Desk(client, root, own)
        for number in range(300):
            desk.write(f"d{number % 10}/file{number}", f"{number}\n" * 20)
        async with desk.session() as session:
            await session.snapshot(".")
            for number in range(EVENTS):
                session.history.add_user_message(f"message {number} of a long conversation, {number * 7919} and so on")
            first = await session.save()
            assert len((await session.load(first.id)).user_prompts) == EVENTS
            await growth(client, session, 50, None)  # the store's files grow in steps: away from the first of them
            assert await growth(client, session, 400, None) <= KIB
            event = incompressible(500)
            assert await growth(client, session, 200, event) <= KIB + len(event)
            await session.rewind(first.id)
            assert len(session.history.user_prompts) == EVENTS
            await session.undo()
            assert len(session.history.user_prompts) == EVENTS + 200


async def test_a_content_is_stored_once(own: RealDaemon) -> None:
    """The same content in many files, sessions and checkpoints is in the store once."""
    content = os.urandom(300_000)
    root = own.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=own.socket, autostart=False) as client:
        desk = Desk(client, root, own)
        async with desk.session() as one, desk.session() as two:
            await saved(one, desk, "a0", content)
            before = await store_bytes(client)
            for number in range(1, 10):
                await saved(one, desk, f"a{number}", content)
                await saved(two, desk, f"b{number}", content)
            assert await store_bytes(client) - before < len(content)
            assert (await client.status()).store.blobs == 1


async def test_a_small_change_in_a_large_workspace(own: RealDaemon) -> None:
    """A save in a workspace of 2,000 files adds what changed: some KiB, not a list of all."""
    root = own.directory / "tree"
    root.mkdir()
    async with rewindd.connect(socket=own.socket, autostart=False) as client:
        desk = Desk(client, root, own)
        for number in range(2000):
            desk.write(f"d{number % 40}/file{number}", f"{number}\n")
        async with desk.session() as session:
            assert len((await session.snapshot(".")).snapshots) == 2040
            await session.save()
            await saved(session, desk, "d1/file1", "warm\n")
            before = await store_bytes(client)
            for number in range(20):
                made = await saved(session, desk, "d1/file1", f"changed {number}\n")
                assert made.files == 1
            assert (await store_bytes(client) - before) / 20 < 4 * KIB


@pytest.mark.long
async def test_progress_of_a_long_snapshot(desk: Desk) -> None:
    """A snapshot that takes long tells how far it is, before its answer; the numbers only grow."""
    for number in range(30_000):
        desk.write(f"d{number % 99}/f{number}", f"{number}\n")
    seen: list[int] = []
    desk.capture = "snapshots"  # else the first capture has read it all before
    async with desk.session() as session:
        request = requests.TakeSnapshot(session=session.id, paths=[FsText(".")], progress=True)
        answer = await desk.client.ask(request, replies.Snapshots, on_progress=lambda progress: seen.append(progress.done))
        assert len(answer.snapshots) == 30_099
        assert seen == sorted(seen)
        assert seen, "it took less than the second after which the first frame comes"

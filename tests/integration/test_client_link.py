"""The asynchronous client against a daemon that answers as told: cancellation, death, silence, life cycle."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import anyio
import pytest

import rewindd
from rewindd import errors
from rewindd.client.api import Client
from rewindd.protocol import replies, requests
from rewindd.protocol.wire import Progress
from support import peer as program
from support.peer import Answer, Book, Peer, peer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def socket(tmp_path: Path) -> str:
    tmp_path.chmod(0o700)
    return str(tmp_path / "d.sock")


def silent(request: requests.Request) -> Answer:
    return None


async def connect(socket: str, timeout_s: float | None = None) -> Client:
    return await rewindd.open(socket=socket, autostart=False, timeout_s=timeout_s)


async def native(call: Callable[[], Coroutine[None, None, None]], chance: random.Random) -> None:
    task = asyncio.create_task(call())  # noqa: TID251 - what agents do is the point here
    await asyncio.sleep(chance.random() * 0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def by_timeout(call: Callable[[], Coroutine[None, None, None]], chance: random.Random) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(chance.random() * 0.01):  # noqa: TID251 - what agents do is the point here
            await call()


async def by_scope(call: Callable[[], Coroutine[None, None, None]], chance: random.Random) -> None:
    with anyio.move_on_after(chance.random() * 0.01):
        await call()


async def test_cancelled_calls_cross_no_reply(socket: str) -> None:
    """Of 10,000 calls cancelled at random in three ways, none gets another's reply, and none loses its own place."""
    chance = random.Random(7)
    answered: list[int] = []
    wrong: list[int] = []

    def answer(request: requests.Request) -> Answer:
        assert isinstance(request, requests.ReadBlob)
        return replies.Chunk(data=request.blob.encode(), size=1)

    async def one(client: Client, number: int) -> None:
        async def call() -> None:
            reply = await client.ask(requests.ReadBlob(session="s", blob=str(number)), replies.Chunk)
            (answered if reply.data == str(number).encode() else wrong).append(number)

        await (native, by_timeout, by_scope)[number % 3](call, chance)

    async def several(client: Client, numbers: range) -> None:
        for number in numbers:
            await one(client, number)

    with peer(socket, answer, delay_s=lambda: random.random() * 0.005):
        async with rewindd.connect(socket=socket, autostart=False) as client:
            async with anyio.create_task_group() as tasks:
                for first in range(20):
                    tasks.start_soon(several, client, range(first, 10_000, 20))
            last = await client.ask(requests.ReadBlob(session="s", blob="last"), replies.Chunk)
            left = len(client._link._waiting), client._link._slots.value

    assert wrong == []
    assert last.data == b"last"
    assert left == (0, 48)
    assert 500 < len(answered) < 9_900


async def test_a_dead_daemon_is_asked_again_with_the_same_key(socket: str) -> None:
    """A daemon that dies with a request is noticed; its successor gets the same bytes, and the caller one answer."""
    book = Book()
    dying = Peer(socket, silent)
    dying.end_after = 1
    dying.start()
    client = await connect(socket)
    try:
        async with anyio.create_task_group() as tasks:
            saved: list[replies.Saved] = []

            async def save() -> None:
                saved.append(await client.ask(requests.Save(session="s1"), replies.Saved))

            tasks.start_soon(save)
            await anyio.to_thread.run_sync(dying.join)
            heir = Peer(socket, book.answer).start()
    finally:
        await client.aclose()
    heir.stop()

    assert len(saved) == 1
    assert len(book.done) == 1
    assert heir.bodies == dying.bodies


async def test_an_effect_whose_reply_was_lost_is_not_done_twice(socket: str) -> None:
    """The daemon did it and died before it answered: the answer comes from what its successor kept under the key."""
    book = Book()

    def do_and_say_nothing(request: requests.Request) -> Answer:
        book.answer(request)
        return None

    dying = Peer(socket, do_and_say_nothing)
    dying.end_after = 1
    dying.start()
    async with anyio.create_task_group() as tasks:
        client = await connect(socket)

        async def save() -> None:
            await client.ask(requests.Save(session="s1"), replies.Saved)

        tasks.start_soon(save)
        await anyio.to_thread.run_sync(dying.join)
        heir = Peer(socket, book.answer).start()
    await client.aclose()
    heir.stop()

    assert len(book.done) == 1


async def test_the_last_reply_of_a_daemon_that_ends_arrives(socket: str) -> None:
    """A reply handed over right before the daemon's end is read, not lost with the connection."""
    for _ in range(20):
        ending = Peer(socket, Book().answer)
        ending.end_after = 1
        ending.start()
        async with rewindd.connect(socket=socket, autostart=False) as client:
            assert (await client.ask(requests.Stop(), replies.Stopping)).pid == os.getpid()
        ending.join()
        assert len(ending.received) == 1


async def test_a_stopped_daemon_is_noticed_by_heartbeat(socket: str, tmp_path: Path) -> None:
    """A daemon that hangs as a process is given up within seconds, and its successor on the socket asked."""
    stopped = subprocess.Popen([sys.executable, program.__file__, socket, str(tmp_path / "pids")], env=program_env())
    try:
        async with rewindd.connect(socket=await listening(socket), autostart=False) as client:
            await client.ask(requests.Ping(), replies.Pong)
            stopped.send_signal(signal.SIGSTOP)
            os.waitpid(stopped.pid, os.WUNTRACED)  # it may go on for a moment
            os.unlink(socket)
            with peer(socket, Book().answer):
                pong = await client.ask(requests.Ping(), replies.Pong)
    finally:
        stopped.kill()
        stopped.wait()

    assert pong.pid == os.getpid()


def program_env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(program.__file__).parents[1])}


async def listening(socket: str) -> str:
    with anyio.fail_after(10):
        while not Path(socket).is_socket():
            await anyio.sleep(0.01)
    return socket


async def test_outcome_unknown_only_where_it_may_have_arrived(socket: str) -> None:
    """Silence: a sent change is outcome-unknown, a sent question a timeout; without a daemon both are unavailable, at once."""
    with peer(socket, silent):
        client = await connect(socket)
        with pytest.raises(errors.OutcomeUnknown):
            await client.ask(requests.Save(session="s1"), replies.Saved, timeout_s=0.1)
        with pytest.raises(errors.Timeout):
            await client.ask(requests.Ping(), replies.Pong, timeout_s=0.1)
    with anyio.fail_after(2):
        while client._link._is_up:  # until that is noticed a request may still be on its way
            await anyio.sleep(0.01)
    with anyio.fail_after(2), pytest.raises(errors.Unavailable):
        await client.ask(requests.Save(session="s1"), replies.Saved, timeout_s=0.2)
    await client.aclose()
    with anyio.fail_after(2), pytest.raises(errors.Unavailable):
        await connect(socket)


async def test_a_question_lost_with_its_daemon_is_unavailable(socket: str) -> None:
    """A change that was under way when the daemon died for good is outcome-unknown, a question unavailable."""
    for request, expected in ((requests.Save(session="s1"), errors.OutcomeUnknown), (requests.Ping(), errors.Unavailable)):
        dying = Peer(socket, silent)
        dying.end_after = 1
        dying.start()
        async with rewindd.connect(socket=socket, autostart=False) as client:
            with pytest.raises(expected):
                await client.ask(request, replies.Pong, timeout_s=0.5)
        dying.join()


async def test_the_timeout_bounds_silence_not_work(socket: str) -> None:
    """Progress keeps a call waiting beyond its timeout, and is reported."""
    seen: list[Progress] = []
    script = [(0.25 * (1 + done), Progress(done=done, total=3, what="x")) for done in range(3)]
    with peer(socket, lambda request: [*script, (1.0, replies.Pong(pid=1))]):
        async with rewindd.connect(socket=socket, autostart=False) as client:
            pong = await client.ask(requests.Ping(), replies.Pong, timeout_s=0.4, on_progress=seen.append)

    assert pong.pid == 1
    assert [one.done for one in seen] == [0, 1, 2]


async def test_a_daemons_error_is_the_same_class_here(socket: str) -> None:
    """What the daemon raised is raised, with its fields."""
    with peer(socket, lambda request: errors.AmbiguousCheckpoint("which?", candidates=["a", "b"])):
        async with rewindd.connect(socket=socket, autostart=False) as client:
            with pytest.raises(errors.AmbiguousCheckpoint) as caught:
                await client.status()

    assert caught.value.candidates == ["a", "b"]


async def test_garbage_is_dropped(socket: str) -> None:
    """A reply to a number that nobody waits for changes nothing for the others."""
    with peer(socket, Book().answer):
        async with rewindd.connect(socket=socket, autostart=False) as client:
            client._link._deliver(b"\xc1")
            client._link._deliver(b"\x82\xa1v\x01\xa2id\xcd\xff\xff")
            assert (await client.ask(requests.Ping(), replies.Pong)).pid == os.getpid()


async def test_open_and_close_in_different_tasks(socket: str) -> None:
    """A client is opened in one task, used in a second, closed in a third, and closing again does nothing."""
    box: list[Client] = []

    async def open_it() -> None:
        box.append(await connect(socket))

    async def use_it() -> None:
        await box[0].ask(requests.Ping(), replies.Pong)

    async def close_it() -> None:
        await box[0].aclose()
        await box[0].aclose()

    with peer(socket, Book().answer):
        for step in (open_it, use_it, close_it):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(step)

    with pytest.raises(errors.Unavailable, match="closed"):
        await box[0].ask(requests.Ping(), replies.Pong)


async def test_closing_wakes_who_waits(socket: str) -> None:
    """A call on its way when the client is closed fails; it does not hang."""
    with peer(socket, silent) as one:
        client = await connect(socket)
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(errors.OutcomeUnknown, match="closed"):
                    await client.ask(requests.Save(session="s1"), replies.Saved)

            tasks.start_soon(ask)
            await anyio.to_thread.run_sync(one.got_one.wait)
            await client.aclose()


async def test_nothing_is_left_open(socket: str) -> None:
    """A hundred clients leave no descriptor behind, whether they found a daemon or not."""
    with peer(socket, Book().answer):
        async with rewindd.connect(socket=socket, autostart=False) as client:
            await client.ask(requests.Ping(), replies.Pong)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            async with rewindd.connect(socket=socket, autostart=False) as client:
                await client.ask(requests.Ping(), replies.Pong)
            with pytest.raises(errors.Unavailable):
                await connect(socket + "x")
        with anyio.fail_after(5):
            while len(os.listdir("/proc/self/fd")) > before:
                await anyio.sleep(0.01)


async def test_many_calls_at_once_wait_for_a_place(socket: str) -> None:
    """More calls than a client may have on its way wait for each other, and all are answered."""
    count = 500
    done: list[int] = []

    async def ask(client: Client, number: int) -> None:
        reply = await client.ask(requests.ReadBlob(session="s", blob=str(number)), replies.Chunk)
        done.append(number if reply.size == 3 * len(str(number)) else -1)

    with peer(socket, Book().answer):
        async with rewindd.connect(socket=socket, autostart=False) as client, anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(ask, client, number)

    assert sorted(done) == list(range(count))

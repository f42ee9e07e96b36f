"""Notices: two sessions and a person in one workspace, a real daemon, real sockets. Each is told of the others, and not of itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest
import zmq

import rewindd
import rewindd.blocking
from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests, wire
from support.daemon import PATIENCE_S, real_daemon
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio


class Raw:
    """A DEALER of the test's own: sees each reply's envelope."""

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket, self._numbers = socket, iter(range(1000, 9999))

    def send(self, request: requests.Request, number: int) -> None:
        self._socket.send(wire.encode_request(request, number))

    def receive(self) -> wire.ReplyHead:
        assert self._socket.poll(int(PATIENCE_S * 1000)), "no answer"
        return wire.decode_reply_head(self._socket.recv())

    def __call__(self, request: requests.Request) -> wire.ReplyHead:
        self.send(request, number := next(self._numbers))
        head = self.receive()
        assert head.id == number
        return head


@contextmanager
def raw(path: str) -> Iterator[Raw]:
    """A connected one for the block."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(f"ipc://{path}")
        yield Raw(socket)


def told(head: wire.ReplyHead) -> list[tuple[str, str | None]]:
    """What rode on a reply: paths, and whose doing it was."""
    return [(str(one.path), one.session_id) for one in head.notices.events] if head.notices is not None else []


async def edited(session: rewindd.Session, desk: Desk, name: str, content: str) -> None:
    """The session edits a file in a bracket: no claim is left, and the change is in the log."""
    async with session.editing(name):
        desk.write(name, content)


async def left(desk: Desk, session: rewindd.Session, wait_ms: int = 0) -> list[replies.Notice]:
    """What a session is still to be told; acknowledges nothing."""
    request = requests.ReadEvents(session=session.id, ack=False, wait_ms=wait_ms)
    return (await desk.client.ask(request, replies.Notices)).events


def said(notices: Sequence[replies.Notice]) -> list[tuple[str, str, str | None]]:
    """Path, kind and change of each notice."""
    return [(str(one.path), one.kind, one.change) for one in notices]


async def test_another_session_s_change_is_told(desk: Desk) -> None:
    """Who claimed a path hears of another's change of it, with who, what and a text; who made it hears nothing."""
    desk.write("app.py", "one\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("app.py")
        await edited(b, desk, "app.py", "two\n")
        await a.pending()
        (one,) = a.notices
        assert (one.told, one.path, one.kind, one.change) == (a.id, "app.py", "changed", "modified")
        assert (one.session_id, one.agent, one.contested, one.operation_id) == (b.id, "b", [], None)
        assert one.text.startswith(f"app.py, which you work on, was changed by session {b.id} (agent b) at ")
        assert one.text.endswith(" UTC; read it again before you edit it")
        await b.pending()
        assert b.notices == []


async def test_a_person_s_change_is_told_to_all_who_edited(desk: Desk) -> None:
    """What nobody announced is told as nobody's, to each session that edited the path; made, deleted and mode are said."""
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        for session in (a, b):
            await saved(session, desk, "shared", f"{session.id}\n")
            await saved(session, desk, f"own-{session.id}", "0\n")
        for session in (a, b):
            await session.pending()
            session.take_notices()
        (desk.root / "shared").unlink()
        await a.pending()
        desk.write("shared", "person\n", mode=0o600)
        await a.pending()
        (desk.root / "shared").chmod(0o640)
        await a.pending()
        told = [("shared", "changed", "deleted"), ("shared", "changed", "added"), ("shared", "changed", "mode")]
        await b.pending()
        assert said(a.notices) == said(b.notices) == told
        assert [one.session_id for one in a.notices] == [None] * 3
        assert "somebody who announced nothing" in a.notices[0].text
        assert "it is not there any more" in a.notices[0].text


async def test_a_contested_change_is_told_to_those_it_may_be_of(desk: Desk) -> None:
    """A change while two sessions were at work is nobody's own: each is told, and by whom it may be."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        async with b.command("make"):
            desk.write("f", "1\n")
        await a.pending()
        (one,) = a.notices
        assert one.session_id is None
        assert one.contested == sorted([a.id, b.id])
        assert f"one of you and session {b.id} (agent b) (which one cannot be told)" in one.text
        assert await left(desk, b) == []


async def test_rewinds_and_undos_are_told(desk: Desk) -> None:
    """Two sessions that take back changes of the same file tell each other; neither is told of its own operation."""
    desk.write("f", "".join(f"{n}\n" for n in range(30)))
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        start = {}
        for session, line in ((a, 2), (b, 25)):
            start[session.id] = await session.save("before")
            lines = desk.read("f").splitlines()
            lines[line] = session.id
            await edited(session, desk, "f", "\n".join(lines) + "\n")
            await session.save("after")
        for session in (a, b):
            await session.pending()
            session.take_notices()
            await session.pending()
        await a.rewind(start[a.id].id)
        await a.undo()
        await a.redo()
        await b.rewind(start[b.id].id)
        kinds = [("f", kind, "modified") for kind in ("rewound", "undone", "redone")]
        told = await left(desk, b)
        assert said(told) == kinds
        assert all((one.session_id, one.operation_id is not None) == (a.id, True) for one in told)
        assert f"was changed by a rewind of session {a.id} (agent a)" in told[0].text
        (one,) = await left(desk, a)
        assert (one.kind, one.session_id) == ("rewound", b.id)
        assert desk.read("f") == "".join(f"{n}\n" for n in range(30))


async def test_a_parent_is_told_of_its_sub_agent(desk: Desk) -> None:
    """A sub-agent is another session: its parent hears of it as of anybody."""
    desk.write("f", "0\n")
    async with desk.session(agent="parent") as parent:
        await parent.snapshot("f")
        async with desk.session(agent="child", parent_id=parent.id) as child:
            await edited(child, desk, "f", "1\n")
        assert [one.session_id for one in await left(desk, parent)] == [child.id]


async def test_a_claimed_directory(desk: Desk) -> None:
    """A claim on a directory is a stake in all below it; one on a file is none in its neighbour."""
    desk.write("d/x", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b, desk.session(agent="c") as c:
        await a.snapshot("d")
        await c.snapshot("d/x")
        await edited(b, desk, "d/deep/new", "1\n")
        assert said(await left(desk, a)) == [("d/deep", "changed", "added"), ("d/deep/new", "changed", "added")]
        assert await left(desk, c) == []


async def test_they_ride_until_they_are_acknowledged(desk: Desk) -> None:
    """Every reply of the session has them, errors too, until a request acknowledges; another session's replies never do."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        await edited(b, desk, "f", "1\n")
        with raw(desk.daemon.socket) as ask:
            for request in (requests.ListPending(session=a.id), requests.Record(session=a.id), requests.ReadLog(session=a.id)):
                assert told(ask(request)) == [("f", b.id)]
            assert told(ask(requests.ShowCheckpoint(session=a.id, position="nowhere"))) == [("f", b.id)]
            assert told(ask(requests.ListPending(session=b.id))) == []
            head = ask(requests.Ping(session=a.id))
            assert head.notices is not None
            assert not head.notices.more
            assert told(ask(requests.Ping(session=a.id, noticed=head.notices.cursor))) == []
            assert told(ask(requests.Ping(session=a.id))) == []


async def test_taking_them_acknowledges_with_the_next_request(desk: Desk) -> None:
    """`take_notices` gives each once; they are the daemon's to repeat until the session's next request."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        await edited(b, desk, "f", "1\n")
        await a.pending()
        await a.pending()
        assert len(a.notices) == 1
        assert [one.path for one in a.take_notices()] == ["f"]
        assert a.notices == []
        with raw(desk.daemon.socket) as ask:
            assert told(ask(requests.Ping(session=a.id))) == [("f", b.id)]
            await a.pending()
            assert told(ask(requests.Ping(session=a.id))) == []
        assert a.take_notices() == []


async def test_twenty_ride_at_most_and_the_rest_follows(desk: Desk) -> None:
    """A reply has the oldest twenty, and says that there are more; these come when the first are acknowledged."""
    names = [f"f{n:02}" for n in range(30)]
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot(*names)
        async with b.editing(*names):
            for name in names:
                desk.write(name, "b\n")
        await a.pending()
        first = [one.path for one in a.take_notices()]
        await a.pending()
        assert (first, [one.path for one in a.take_notices()]) == (names[:20], names[20:])


async def test_no_part_of_the_kept_answer(desk: Desk) -> None:
    """The answer under a key has no notices in it; the reply that repeats it has those of now, and `noticed` is not what was asked."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        request = requests.TakeSnapshot(session=a.id, paths=[FsText("f")], key="once")
        with raw(desk.daemon.socket) as ask:
            assert told(ask(request)) == []
            await edited(b, desk, "f", "1\n")
            head = ask(request)
            assert head.ok
            assert told(head) == [("f", b.id)]
            assert head.notices is not None
            again = ask(msgspec.structs.replace(request, noticed=head.notices.cursor))
            assert (again.ok, told(again)) == (True, [])


async def test_a_req_client(desk: Desk) -> None:
    """A REQ socket, which knows nothing of envelopes that grow, gets notices with its answers and acknowledges by a field."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        await edited(b, desk, "f", "1\n")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        with context, context.socket(zmq.REQ) as socket:
            socket.connect(f"ipc://{desk.daemon.socket}")
            answers = []
            for noticed in ({}, {"noticed": 1 << 40}, {}):
                socket.send(msgspec.msgpack.encode({"v": 1, "id": 1, "op": "pending", "session": a.id, **noticed}))
                assert socket.poll(int(PATIENCE_S * 1000))
                answers.append(msgspec.msgpack.decode(socket.recv()))
        assert [one["ok"] for one in answers] == [True] * 3
        assert [event["path"] for event in answers[0]["notices"]["events"]] == [b"f"]
        assert "notices" not in answers[1]
        assert "notices" not in answers[2]


async def test_a_taken_claim_is_told(desk: Desk) -> None:
    """A newer claim ends the older one, and its holder is told who took it."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        await b.snapshot("f")
        (one,) = await left(desk, a)
        assert (one.kind, one.change, one.session_id) == ("claim-taken", None, b.id)
        assert "your claim on it ended" in one.text
        await edited(b, desk, "f", "1\n")
        assert [one.kind for one in await left(desk, a)] == ["claim-taken", "changed"]
        assert await left(desk, b) == []


async def test_a_closed_session_is_told_of_nothing(desk: Desk) -> None:
    """Closing ends the stakes: after it is opened again a session hears only of what it works on anew."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        await edited(b, desk, "f", "1\n")
        await a.close()
        with pytest.raises(errors.UnknownSession):
            await left(desk, a)
        await edited(b, desk, "f", "2\n")
        async with desk.session(agent="a", session_id=a.id) as again:
            assert await left(desk, again) == []
            await edited(b, desk, "f", "3\n")
            assert await left(desk, again) == []


# ---- long polls


async def test_a_long_poll_wakes(desk: Desk) -> None:
    """It is answered by the change it waits for, however long it might have waited; its patch says what changed."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        async with anyio.create_task_group() as tasks:

            async def poll() -> None:
                request = requests.ReadEvents(session=a.id, wait_ms=60_000, diff=True)
                (one,) = (await desk.client.ask(request, replies.Notices)).events
                assert one.patch is not None
                assert one.patch.endswith("-0\n+1\n")

            tasks.start_soon(poll)
            await edited(b, desk, "f", "1\n")


async def test_a_long_poll_ends(desk: Desk) -> None:
    """With nothing to tell it is answered after `wait_ms`; a later one of the same waiter has it answered at once; so has closing."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a:
        await a.snapshot("f")
        began = anyio.current_time()
        assert await left(desk, a, wait_ms=100) == []
        assert anyio.current_time() - began >= 0.1
        with raw(desk.daemon.socket) as ask:
            ask.send(requests.ReadEvents(session=a.id, wait_ms=60_000, waiter="w"), 1)
            ask.send(requests.ReadEvents(session=a.id, wait_ms=60_000, waiter="w"), 2)
            assert ask.receive().id == 1
            await a.close()
            head = ask.receive()
            assert (head.id, head.ok) == (2, False)


async def test_out_of_bounds(desk: Desk) -> None:
    """A wait or number beyond the limits, and a seventeenth who waits, are refused by name."""
    async with desk.session(agent="a") as a:
        for request in (
            requests.ReadEvents(session=a.id, wait_ms=60_001),
            requests.ReadEvents(session=a.id, limit=0),
            requests.ReadEvents(session=a.id, limit=1001),
        ):
            with pytest.raises(errors.BadRequest):
                await desk.client.ask(request, replies.Notices)
        with raw(desk.daemon.socket) as ask:
            for number in range(17):
                ask.send(requests.ReadEvents(session=a.id, wait_ms=60_000), number)
            head = ask.receive()
            assert head.error is not None
            assert (head.id, head.error["code"]) == (16, "busy")
            await a.close()


async def test_those_who_wait_keep_nobody_out(desk: Desk) -> None:
    """Sixty-four polls of one connection wait, and it asks as ever; the sixty-fifth is `busy`."""
    async with desk.session(agent="a") as first, desk.session(agent="b") as second, desk.session(agent="c") as third:
        async with desk.session(agent="d") as fourth:
            sessions = [one.id for one in (first, second, third, fourth)]
            with raw(desk.daemon.socket) as ask:
                for number in range(65):
                    ask.send(requests.ReadEvents(session=sessions[number % 4], wait_ms=60_000), number)
                head = ask.receive()
                assert head.error is not None
                assert (head.id, head.error["code"]) == (64, "busy")
                assert ask(requests.ListPending(session=first.id)).ok
                for session in (first, second, third, fourth):
                    await session.close()


async def test_a_stopping_daemon_answers_who_waits(tmp_path: Path) -> None:
    """SIGTERM answers a long poll at once; the daemon does not wait for it."""
    (tmp_path / "tree").mkdir()
    with real_daemon(tmp_path, env={"HOME": str(tmp_path)}) as daemon:
        async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
            async with client.session(tmp_path / "tree", agent="a") as a:
                with raw(daemon.socket) as ask:
                    ask.send(requests.ReadEvents(session=a.id, wait_ms=60_000), 1)
                    assert ask(requests.Ping()).ok
                    assert daemon.process is not None
                    daemon.process.terminate()
                    assert (head := ask.receive()).ok
                    assert head.id == 1
        assert daemon.wait() == 0


# ---- iterators


async def test_the_async_iterator(desk: Desk) -> None:
    """`client.events()` yields for all its sessions, `told` says which; each once, in order, however often it is cancelled."""
    desk.write("f", "0\n")
    desk.write("g", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        await b.snapshot("g")
        events = desk.client.events()
        with anyio.move_on_after(0.02):
            await anext(events)
        for content in ("1\n", "2\n"):
            await edited(b, desk, "f", content)
        await edited(a, desk, "g", "1\n")
        found: list[replies.Notice] = []
        with anyio.fail_after(PATIENCE_S):
            while len(found) < 3:
                with anyio.move_on_after(0.01):
                    found.append(await anext(events))
        assert sorted((one.told, str(one.path), one.session_id) for one in found) == sorted(
            [(a.id, "f", b.id), (a.id, "f", b.id), (b.id, "g", a.id)]
        )
        assert [one.seq for one in found if one.told == a.id] == sorted(one.seq for one in found if one.told == a.id)
        assert a.notices == []
        await a.close()
        await b.close()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
    assert [one async for one in desk.client.events()] == []


async def test_the_iterator_s_last_is_told_again(desk: Desk) -> None:
    """A notice is acknowledged when the next one is asked for: who dies with it in hand is told again; an onlooker takes none away."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        for content in ("1\n", "2\n"):
            await edited(b, desk, "f", content)
        onlooker, owner = desk.client.events(a, ack=False), a.events(diff=True)
        assert [(await anext(onlooker)).patch, (await anext(onlooker)).patch] == [None, None]
        first = await anext(owner)
        assert first.patch is not None
        assert len(await left(desk, a)) == 2
        await anext(owner)
        again = await anext(desk.client.events(a))
        assert again.seq == first.seq


async def test_the_blocking_iterator(desk: Desk) -> None:
    """The blocking client's iterator does the same, and ends with the session."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        await a.snapshot("f")
        await edited(b, desk, "f", "1\n")

        def read() -> list[str]:
            with rewindd.blocking.connect(socket=desk.daemon.socket, autostart=False) as client:
                events = client.events(a.id)
                found = [str(next(events).path)]
                client.ask(requests.CloseSession(session=a.id), replies.SessionReply)
                return [*found, *(str(one.path) for one in events)]

        assert await anyio.to_thread.run_sync(read) == ["f"]


# ---- over restarts


async def test_a_restart_keeps_stakes_and_cursor(tmp_path: Path) -> None:
    """After a restart a session is told what it was not told before, once more what it did not acknowledge, and nothing else."""
    root = tmp_path / "tree"
    root.mkdir()
    with real_daemon(tmp_path, env={"HOME": str(tmp_path)}) as daemon:
        async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
            desk = Desk(client, root, daemon)
            for name in ("f", "g"):
                desk.write(name, "0\n")
            async with desk.session(agent="a") as a, desk.session(agent="b") as b:
                await edited(b, desk, "f", "before a's claim\n")
                await edit(a, desk, "f", "a\n")
                await saved(a, desk, "g", "a\n")
                await edited(b, desk, "f", "acknowledged\n")
                await a.pending()
                assert len(a.take_notices()) == 1
                await a.pending()
                await edited(b, desk, "f", "not acknowledged\n")
                await edited(a, desk, "g", "own\n")
                assert len(await left(desk, a)) == 1
                daemon.restart()
                desk.write("g", "person\n")
                await a.pending()
                assert [(str(one.path), one.session_id, one.agent) for one in a.take_notices()] == [("f", b.id, "b"), ("g", None, None)]
                await a.pending()
                daemon.kill()
                daemon.start()
                await edited(b, desk, "g", "after\n")
                await a.pending()
                assert [str(one.path) for one in a.notices][-1:] == ["g"]


async def test_waiting_over_a_restart(tmp_path: Path) -> None:
    """An iterator that waits does not notice that the daemon was another one meanwhile."""
    root = tmp_path / "tree"
    root.mkdir()
    with real_daemon(tmp_path, env={"HOME": str(tmp_path)}) as daemon:
        async with rewindd.connect(socket=daemon.socket, autostart=False) as client:
            desk = Desk(client, root, daemon)
            desk.write("f", "0\n")
            async with desk.session(agent="a") as a, desk.session(agent="b") as b:
                await a.snapshot("f")
                async with anyio.create_task_group() as tasks:

                    async def wait() -> None:
                        assert (await anext(a.events())).session_id == b.id

                    tasks.start_soon(wait)
                    await anyio.to_thread.run_sync(daemon.restart)
                    await edited(b, desk, "f", "1\n")

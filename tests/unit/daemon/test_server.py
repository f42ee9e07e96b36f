"""The server in this process, with a service of the test's: what cannot be brought about from outside."""

import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec
import pytest
import zmq
import zmq.asyncio

from rewindd.daemon.server import Server
from rewindd.protocol import requests, wire
from rewindd.protocol.replies import Pong
from rewindd.protocol.wire import Progress


class FakeService:
    def __init__(self, delay_s: float = 0) -> None:
        self.delay_s = delay_s
        self.began = anyio.Event()
        self.cancelled = False

    async def answer(self, request: requests.Request, body: bytes, report: Callable[[Progress], None]) -> bytes:
        self.began.set()
        try:
            await anyio.sleep(self.delay_s)
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        return wire.encode_reply(Pong(pid=os.getpid()))

    def riding(self, request: requests.Request) -> bytes | None:
        return None

    def end_waiting(self) -> None:
        return

    def is_needed(self) -> bool:
        return False

    def active_sessions(self) -> int:
        return 0


class HeldService(FakeService):
    """Answers when it is let go, as one whose store thread hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = anyio.Event()

    async def answer(self, request: requests.Request, body: bytes, report: Callable[[Progress], None]) -> bytes:
        self.began.set()
        await self.goes_on.wait()
        return wire.encode_reply(Pong(pid=os.getpid()))


def run(tmp_path: Path, scene: Callable[[Server, zmq.asyncio.Socket, str], Awaitable[None]], drain_s: float = 5) -> None:
    """Plays a scene with a bound server and a connected DEALER."""
    path = str(tmp_path / "s")

    async def play() -> None:
        server = Server(path, drain_s=drain_s)
        context = zmq.asyncio.Context()
        client = context.socket(zmq.DEALER)
        client.linger = 0
        client.connect(f"ipc://{path}")
        try:
            with anyio.fail_after(20):
                await scene(server, client, path)
        finally:
            client.close()
            context.term()
            await server.close()
            await server.close()
        assert not Path(path).exists()

    anyio.run(play)


def test_the_drain_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A request that outlasts the drain is cancelled, said, and gets no reply: its caller asks again by key."""
    service: list[FakeService] = []

    async def scene(server: Server, client: zmq.asyncio.Socket, path: str) -> None:
        service.append(FakeService(60))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, service[0])
            await client.send(wire.encode_request(requests.Ping(), 1))
            await service[0].began.wait()
            server.stop()
        assert server.is_idle
        assert not await client.poll(100)

    with caplog.at_level(logging.WARNING):
        run(tmp_path, scene, drain_s=0.05)
    assert service[0].cancelled
    assert "1 requests were still in hand" in caplog.text


def test_an_unknown_operation_is_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its line has the name that the caller gave: quoted, escaped so that it stays one line, and cut off."""

    async def scene(server: Server, client: zmq.asyncio.Socket, path: str) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, FakeService())
            for op in ("later.thing", "ping code=- \nrequest op=\U0001f600" + "x" * 200):
                await client.send(msgspec.msgpack.encode({"v": wire.PROTOCOL_VERSION, "id": 1, "op": op}))
                head = wire.decode_reply_head(await client.recv())
                assert head.error is not None
                assert head.error["code"] == "unknown-op"
            server.stop()

    with caplog.at_level(logging.INFO, "rewindd"):
        run(tmp_path, scene)
    first, second = (line for line in caplog.text.splitlines() if "request op=" in line)
    assert "request op='later.thing' session=- id=1" in first
    assert r"request op='ping code=- \nrequest op=\U0001f600xxx" in second
    assert "x" * 100 not in second
    assert "outcome=error code=unknown-op" in second


def test_stop_before_serve(tmp_path: Path) -> None:
    """A stop that was asked for while the service was opening is obeyed at once."""

    async def scene(server: Server, client: zmq.asyncio.Socket, path: str) -> None:
        server.stop()
        await server.serve(FakeService())

    run(tmp_path, scene)


def test_a_reader_that_ends_is_an_error(tmp_path: Path) -> None:
    """When reading ends though nobody asked, `serve` raises: a deaf daemon must not end with status 0."""

    async def scene(server: Server, client: zmq.asyncio.Socket, path: str) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_reading, server)
            with pytest.raises(RuntimeError, match="without being asked"):
                await server.serve(FakeService())

    run(tmp_path, scene)


def test_a_socket_closed_under_the_reader(tmp_path: Path) -> None:
    """pyzmq cancels the reader natively then; the server does not end as if all were well."""

    async def scene(server: Server, client: zmq.asyncio.Socket, path: str) -> None:
        async def close() -> None:
            await anyio.lowlevel.checkpoint()
            server._socket.close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close)
            with pytest.raises((RuntimeError, anyio.get_cancelled_exc_class())):
                await server.serve(FakeService())

    run(tmp_path, scene)


async def _end_reading(server: Server) -> None:
    await anyio.lowlevel.checkpoint()
    server._accepting.cancel()


def test_a_cancelled_server_leaves_nothing(tmp_path: Path) -> None:
    """Cancelled from outside with a request in hand, `serve` ends, and `close` frees path and context."""

    async def scene(server: Server, client: zmq.asyncio.Socket, path: str) -> None:
        service = FakeService(60)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, service)
            await client.send(wire.encode_request(requests.Ping(), 1))
            await service.began.wait()
            tasks.cancel_scope.cancel()
        assert service.cancelled

    run(tmp_path, scene)


def test_a_path_that_cannot_be_bound(tmp_path: Path) -> None:
    """A directory that is gone is an OSError that names the path."""

    async def play() -> None:
        with pytest.raises(OSError, match="cannot listen on"):
            Server(str(tmp_path / "none" / "s"))

    anyio.run(play)


def test_the_pulse_is_no_timer(tmp_path: Path) -> None:
    """What feeds the watchdog waits for the service's answer, and with it for the store's; it is neither counted nor work."""

    async def scene(server: Server, client: zmq.asyncio.Socket, path: str) -> None:
        service = HeldService()
        beaten = anyio.Event()

        async def beat() -> None:
            await server.beat()
            beaten.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, service)
            tasks.start_soon(beat)
            await service.began.wait()
            await anyio.wait_all_tasks_blocked()
            assert not beaten.is_set()
            service.goes_on.set()
            await beaten.wait()
            server.stop()
        assert server.counts.requests == 0

    run(tmp_path, scene)

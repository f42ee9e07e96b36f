"""The real daemon around a fake service: what it is to do is in the `session` of a `session.show`, as `WORD:NUMBER`."""

import os
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from rewindd import errors, faults
from rewindd.daemon.doors import Doors
from rewindd.daemon.start import run
from rewindd.model.capture import CaptureSettings
from rewindd.protocol import requests, wire
from rewindd.protocol.replies import Chunk, ConfigInfo, Pong, Stopping
from rewindd.protocol.wire import Progress
from rewindd.service.numbers.meter import Meter


class FakeService:
    def __init__(self, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._modules = set(sys.modules)

    async def answer(self, request: requests.Request, body: bytes, report: Callable[[Progress], None]) -> bytes:
        if isinstance(request, requests.Stop):
            self._on_stop()
            return wire.encode_reply(Stopping(pid=os.getpid()))
        if isinstance(request, requests.ShowSession):
            word, _, number = (request.session or "").partition(":")
            return wire.encode_reply(await self._do(word, float(number or 0), report))
        return wire.encode_reply(Pong(pid=os.getpid()))

    def riding(self, request: requests.Request) -> bytes | None:
        return None

    def end_waiting(self) -> None:
        return

    def is_needed(self) -> bool:
        return False

    def active_sessions(self) -> int:
        return 0

    async def admit(self, doors: Doors) -> None:
        del doors

    def retune(self, capture: CaptureSettings, told: ConfigInfo) -> None:
        del capture, told

    async def exposition(self) -> str:
        return "up 1\n"

    async def _do(self, word: str, number: float, report: Callable[[Progress], None]) -> Chunk:
        if word == "sleep":
            report(Progress(done=1, total=2, what="sleeping"))
            await anyio.sleep(number)
        elif word == "hang":
            _hang()
        elif word == "bug":
            raise RuntimeError("a secret of the daemon")
        elif word == "moved":
            raise errors.HeadMoved("it moved", head=None, path=os.fsdecode(b"\xff"))
        elif word == "effect":
            faults.effect("test.effect")
        elif word == "big":
            return Chunk(data=bytes(int(number)), size=int(number))
        elif word == "modules":
            return Chunk(data=" ".join(sorted(set(sys.modules) - self._modules)).encode(), size=0)
        elif word == "limits":
            return Chunk(data=b"", size=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        elif word == "environment":
            return Chunk(data="\n".join(sorted(os.environ)).encode(), size=0)
        return Chunk(data=word.encode(), size=0)


def _hang() -> None:
    """Blocks the event loop, in a system call, for good."""
    print("hanging", file=sys.stderr, flush=True)
    os.read(os.pipe()[0], 1)


@asynccontextmanager
async def running(
    *, data_dir: str, socket: str, runtime_dir: str, on_stop: Callable[[], None], capture: CaptureSettings, meter: Meter
) -> AsyncIterator[FakeService]:
    if Path(data_dir, "refuse").exists():
        raise errors.StoreCorrupt("row 5 of edits does not have its checksum; restore a backup")
    yield FakeService(on_stop)
    Path(data_dir, "closed").touch()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], os.environ, running))

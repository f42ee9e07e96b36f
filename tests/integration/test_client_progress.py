"""A save that waits for a first capture: progress is life, and is told; the caller may choose not to wait."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import rewindd
from rewindd import errors
from rewindd.client import blocking
from rewindd.protocol import requests
from rewindd.protocol.wire import Progress
from support.peer import Answer, Book, Peer, peer

pytestmark = pytest.mark.anyio

#: Seconds of silence that the client bears, and between two frames; together the frames take longer than that.
PATIENCE_S, STEP_S = 0.4, 0.1
FRAMES = [Progress(done=number, total=8, what="baseline") for number in range(8)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Slow(Book):
    """Works at a save for a while and tells how far it is; `ends`: whether it ever answers."""

    ends = True

    def slowly(self, request: requests.Request) -> Answer:
        answer = self.answer(request)
        if not isinstance(request, requests.Save):
            return answer
        told: list[tuple[float, Progress]] = [(STEP_S * number, frame) for number, frame in enumerate(FRAMES)]
        return [*told, *([(STEP_S * len(FRAMES), answer)] if self.ends else [])]


@pytest.fixture
def book(tmp_path: Path) -> Slow:
    return Slow(root=str(tmp_path))


@pytest.fixture
def daemon(tmp_path: Path, book: Slow) -> Iterator[Peer]:
    tmp_path.chmod(0o700)
    with peer(str(tmp_path / "d.sock"), book.slowly) as one:
        yield one


async def saved(daemon: Peer, root: Path, told: list[Progress], *, is_async: bool) -> str:
    """Saves by one of the two clients, and returns the checkpoint's id."""
    if is_async:
        async with rewindd.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client, client.session(root) as session:
            return (await session.save(progress=told.append)).id
    with blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as one, one.session(root) as handle:
        return handle.save(progress=told.append).id


@pytest.mark.parametrize("is_async", [True, False])
async def test_progress_is_told_and_is_life(daemon: Peer, tmp_path: Path, is_async: bool) -> None:
    """A save that takes longer than the caller's patience ends well while frames come, and each frame is told, in order."""
    told: list[Progress] = []
    assert await saved(daemon, tmp_path, told, is_async=is_async) == "c1"
    assert [one.done for one in told] == sorted({one.done for one in told})
    assert told[-1] == FRAMES[-1]
    if not is_async:
        assert told == FRAMES


@pytest.mark.parametrize("is_async", [True, False])
async def test_silence_after_progress_is_silence(daemon: Peer, book: Slow, tmp_path: Path, is_async: bool) -> None:
    """When the frames cease and no answer comes, the patience runs from the last frame, and nobody knows whether it was done."""
    book.ends = False
    told: list[Progress] = []
    with pytest.raises(errors.OutcomeUnknown, match=f"no answer from the daemon in {PATIENCE_S:g} s"):
        await saved(daemon, tmp_path, told, is_async=is_async)
    assert told[-1] == FRAMES[-1]


async def test_who_does_not_want_to_wait(daemon: Peer, tmp_path: Path) -> None:
    """`wait=False` travels with the save; without it the daemon is asked to wait."""
    async with rewindd.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path) as session:
        await session.save(wait=False)
        await session.save()
    with blocking.connect(socket=daemon.socket, autostart=False) as one, one.session(tmp_path) as handle:
        handle.save(wait=False)
    assert [request.wait for request in daemon.received if isinstance(request, requests.Save)] == [False, True, False]


async def test_a_callback_that_raises(daemon: Peer, book: Slow, tmp_path: Path) -> None:
    """What a callback raises ends the call; the save is in doubt then, and the next one is not made twice under its name."""

    def fails(progress: Progress) -> None:
        raise LookupError(progress.what)

    async with rewindd.connect(socket=daemon.socket, autostart=False) as client, client.session(tmp_path) as session:
        with pytest.raises(LookupError, match="baseline"):
            await session.save("first", progress=fails)
        assert (await session.save("second")).id == "c2"
    assert [request.label for request in book.done if isinstance(request, requests.Save)] == ["first", "second"]

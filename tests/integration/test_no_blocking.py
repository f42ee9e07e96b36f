"""The event loop never waits for a disk: every blocking call of a use case is made in a thread."""

import os
from pathlib import Path

import anyio
import pytest
from blockbuster import blockbuster_ctx

from rewindd.model.capture import CaptureSettings
from rewindd.paths import FsText
from rewindd.protocol import replies, requests, wire
from rewindd.protocol.replies import Reply
from rewindd.service.dispatch import Service
from rewindd.service.running import running

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Asker:
    """Asks a service in this process, each change with a key of its own."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._number = 0

    async def ask(self, request: requests.Request) -> bytes:
        self._number += 1
        return await self._service.answer(request, b"", lambda progress: None)

    async def session(self, root: Path) -> str:
        answer = await self.ask(requests.OpenSession(directory=FsText(root), key="open"))
        return wire.decode_fields(answer, replies.SessionReply).session.id


async def change(root: Path, text: str) -> None:
    """Changes a file, makes one and removes one, in a thread."""

    def work() -> None:
        (root / "a").write_text(text)
        (root / f"new-{text}").write_text(text)
        (root / "gone").unlink(missing_ok=True)

    await anyio.to_thread.run_sync(work)


async def test_no_use_case_blocks_the_loop(tmp_path: Path) -> None:
    """Opening, snapshots, saves, reading, rewinding and undoing make no blocking call in the event loop."""
    root, data = tmp_path / "tree", tmp_path / "data"
    root.mkdir()
    for name in ("a", "gone"):
        (root / name).write_text("1\n")
    async with running(
        data_dir=str(data), socket=str(tmp_path / "s"), runtime_dir=str(tmp_path), on_stop=lambda: None, capture=CaptureSettings()
    ) as service:
        asker = Asker(service)
        with blockbuster_ctx("rewindd"):
            session = await asker.session(root)
            await asker.ask(requests.TakeSnapshot(session=session, paths=[FsText(".")], key="1"))
            await change(root, "2")
            first = wire.decode_fields(await asker.ask(requests.Save(session=session, label="first", key="2")), replies.Saved)
            await asker.ask(requests.BeginEdit(session=session, paths=[FsText("a")], key="3"))
            await change(root, "3")
            asked = requests.OpenWindow(session=session, kind="turn", pid=os.getpid(), key="8")
            window = wire.decode_fields(await asker.ask(asked), replies.Window).window
            await change(root, "4")
            told: list[type[Reply]] = []
            for request, expected in (
                (requests.CloseWindow(session=session, window=window, key="9"), replies.Changes),
                (requests.ListPending(session=session, patch=True), replies.Changes),
                (requests.Save(session=session, key="4"), replies.Saved),
                (requests.ShowCheckpoint(session=session, position="first", content=True), replies.CheckpointReply),
                (requests.Diff(session=session, a="first"), replies.Changes),
                (requests.Rewind(session=session, position=first.checkpoint.id, key="5"), replies.RewindResult),
                (requests.Undo(session=session, key="6"), replies.RewindResult),
                (requests.ReadLog(session=session), replies.Edits),
                (requests.GetStatus(), replies.Status),
                (requests.Verify(drill=1), replies.Verified),
                (requests.MakeBackup(directory=FsText(tmp_path / "backup"), key="10"), replies.BackedUp),
                (requests.CloseSession(session=session, key="7"), replies.SessionReply),
            ):
                told.append(type(wire.decode_fields(await asker.ask(request), expected)))
    assert len(told) == 12

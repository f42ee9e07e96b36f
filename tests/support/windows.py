"""The service in this process, with a clock of its own for windows, and what tests of windows ask of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio

from rewindd.model.capture import CaptureSettings
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests, wire
from rewindd.protocol.replies import Reply
from rewindd.service.dispatch import Service
from rewindd.service.running import running

R = TypeVar("R", bound=Reply)
#: Seconds; far above what anything here takes.
PATIENCE_S = 20.0


class Sill:
    """A service with one workspace, which the first session covers; files are written in place, in the test's thread."""

    def __init__(self, service: Service, root: Path) -> None:
        self.service, self.root = service, root

    async def ask(self, request: requests.Request, expected: type[R]) -> R:
        """Asks and decodes the answer."""
        return wire.decode_fields(await self.service.answer(request, b"", lambda progress: None), expected)

    async def open(self, name: str, *, attribution: str | None = None) -> str:
        """Opens a session of this id on the workspace."""
        request = requests.OpenSession(
            directory=FsText(self.root), agent=name, id=name, capture="snapshots", attribution=attribution, exact=True
        )
        return (await self.ask(request, replies.SessionReply)).session.id

    async def cover(self, session: str) -> None:
        """Makes the workspace known, and lets go of it."""
        await self.ask(requests.TakeSnapshot(session=session, paths=[FsText(".")]), replies.Snapshots)
        await self.ask(requests.Release(session=session), replies.Released)

    async def window(self, session: str, kind: str = "command", *, pid: int | None = None, key: str | None = None) -> str:
        """Opens a window and returns its id."""
        return (await self.ask(requests.OpenWindow(session=session, kind=kind, pid=pid, key=key), replies.Window)).window

    async def shut(self, session: str, window: str, *, key: str | None = None) -> list[str]:
        """Closes a window and returns the paths that its session changed in it."""
        request = requests.CloseWindow(session=session, window=window, key=key)
        return [str(one.path) for one in (await self.ask(request, replies.Changes)).changes]

    def write(self, name: str, text: str) -> None:
        """Writes a file in place."""
        (self.root / name).write_text(text)

    async def owners(self, session: str, name: str) -> list[tuple[str, ...]]:
        """Whose the changes of a path are, oldest first; the first sight of it is none."""
        found = await self.ask(requests.ReadLog(session=session, path=RelPath(name)), replies.Edits)
        told = [one for one in found.edits if one.source in ("tool", "command", "external")]
        return [tuple(one.contested) or ((one.session_id,) if one.session_id else ()) for one in told]

    async def is_quiet(self, session: str) -> bool:
        """Says whether no window is open in the workspace: what a plan tells of it."""
        plan = await self.ask(requests.Rewind(session=session, position="#1", dry_run=True), replies.RewindResult)
        return "." not in plan.not_quiet

    async def until_quiet(self, session: str) -> None:
        """Returns when no window is open any more, whoever ended it."""
        with anyio.fail_after(PATIENCE_S):
            while not await self.is_quiet(session):
                await anyio.sleep(0.005)


@asynccontextmanager
async def sill(directory: Path) -> AsyncIterator[Sill]:
    """A service of its own for the block, with an empty workspace."""
    root, data = directory / "tree", directory / "data"
    root.mkdir(exist_ok=True)
    async with running(
        data_dir=str(data), socket=str(directory / "s"), runtime_dir=str(directory), on_stop=lambda: None, capture=CaptureSettings()
    ) as service:
        yield Sill(service, root.resolve())

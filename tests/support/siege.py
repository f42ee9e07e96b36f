"""The whole service, without its socket, under whatever bodies come; and a file beside its workspace that nobody may touch."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests, wire
from support import dying

#: Seconds; far above what any answer takes here.
PATIENCE_S = 30.0
SECRET = "nobody's business\n"
#: What these write, they write where they are told to, and that may be anywhere.
WITHOUT = frozenset({requests.MakeBackup.op})
#: Values of fields that mean something to it.
KNOWN: dict[str, object] = {"session": dying.SESSION, "paths": [b"file"], "path": b"file", "position": "@", "directory": b"/nowhere"}


@dataclass
class Besieged:
    """A service in a loop of its own, with a session that has a checkpoint; `outside` is beside its workspace."""

    portal: BlockingPortal
    desk: dying.Desk
    top: Path

    @property
    def outside(self) -> Path:
        return self.top / "outside" / "secret"

    def answer(self, body: bytes) -> str:
        """Answers a body as the server does; returns the error's code, or `-`."""
        return self.portal.call(self._answer, body)

    def check(self, body: bytes) -> None:
        """Answers a body; fails where that is a bug, or where what is outside is not as it was."""
        assert self.answer(body) != errors.InternalError.code
        assert self.outside.read_text() == SECRET
        assert [one.name for one in self.outside.parent.iterdir()] == ["secret"]

    async def _answer(self, body: bytes) -> str:
        with anyio.fail_after(PATIENCE_S):
            try:
                envelope = wire.decode_envelope(body)
                request = wire.decode_request(body, envelope.op)
                fields = await self.desk._service.answer(request, body, lambda _: None)
                wire.decode_reply_head(wire.seal(envelope.id, fields, self.desk._service.riding(request)))
            except errors.RewinddError as exc:
                wire.decode_reply_head(wire.encode_error(1, exc))
                return exc.code
        return "-"

    async def begin(self) -> None:
        """The session is open again, whatever was done to it, and has something to save."""
        root = dying.tree_of(str(self.top))
        opening = requests.OpenSession(directory=FsText(str(root)), id=dying.SESSION, exact=True, capture="snapshots")
        try:
            await self.desk.ask(opening, replies.SessionReply)
        except errors.AlreadyExists:
            return
        root.joinpath("file").write_text("one\n")
        await self.desk.ask(requests.TakeSnapshot(session=dying.SESSION, paths=[FsText("file")]), replies.Snapshots)


@contextmanager
def siege() -> Iterator[Besieged]:
    """One service for all that comes in the block."""
    with tempfile.TemporaryDirectory(prefix="siege-") as place, start_blocking_portal() as portal:
        top = Path(place)
        dying.tree_of(place).mkdir(parents=True)
        (top / "outside").mkdir()
        with portal.wrap_async_context_manager(dying.life(place)) as desk:
            made = Besieged(portal, desk, top)
            made.outside.write_text(SECRET)
            desk._service.end_waiting()
            portal.call(made.begin)
            yield made

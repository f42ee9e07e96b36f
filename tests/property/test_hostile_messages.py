"""Messages that were valid, spoilt, against the whole service: each is answered, none by a bug, and nothing outside is touched."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewindd import errors
from rewindd.legacy import format as layout
from rewindd.paths import FsText
from rewindd.protocol import replies, requests, wire
from support import dying
from support.hostile import ODD, requests_kept, spoilt

#: Seconds; far above what any answer takes here.
PATIENCE_S = 30.0
SECRET = "nobody's business\n"
#: It writes where it is told to, and that may be anywhere.
WITHOUT = frozenset({requests.MakeBackup.op})
ORIGINALS = sorted((Path(__file__).parents[1] / "data" / "checkpoint-json").glob("*.json"))
FUZZ = Path(__file__).parents[1] / "data" / "fuzz"


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


@pytest.fixture(scope="module")
def besieged() -> "Iterator[Besieged]":
    """One service for all that comes."""
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


def check(besieged: Besieged, body: bytes) -> None:
    assert besieged.answer(body) != errors.InternalError.code
    assert besieged.outside.read_text() == SECRET
    assert [one.name for one in besieged.outside.parent.iterdir()] == ["secret"]


KNOWN: dict[str, object] = {"session": dying.SESSION, "paths": [b"file"], "path": b"file", "position": "@", "directory": b"/nowhere"}


def besiege(besieged: Besieged, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spoilt(requests_kept(WITHOUT), KNOWN))
    def send(body: bytes) -> None:
        besieged.portal.call(besieged.begin)
        check(besieged, body)

    send()


def test_spoilt_messages(besieged: Besieged) -> None:
    """Each is answered, with an answer or an error of the protocol's."""
    besiege(besieged, 300)
    assert besieged.answer(wire.encode_request(requests.Save(session=dying.SESSION), 1)) in ("-", errors.UnknownSession.code)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_spoilt_messages_for_long(besieged: Besieged) -> None:
    """The same, ten thousand times."""
    besiege(besieged, 10_000)


@pytest.mark.parametrize("file", sorted(FUZZ.glob("message-*")), ids=lambda file: file.name)
def test_what_was_found(besieged: Besieged, file: Path) -> None:
    """Messages that once were a trouble, or lead somewhere seldom seen, are answered."""
    check(besieged, file.read_bytes())


def _spoil(fields: dict[str, object], chosen: list[tuple[str, object]]) -> bytes:
    return json.dumps({**fields, **dict(chosen)}).encode()


_IN_JSON = [value for value in ODD if isinstance(value, (str, int, float, type(None), list, dict)) and "b'" not in repr(value)]


@given(
    st.sampled_from(ORIGINALS),
    st.lists(st.tuples(st.sampled_from(["id", "timestamp", "stats", "user_prompts", "file_diffs"]), st.sampled_from(_IN_JSON)), max_size=2),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=4),
)
def test_spoilt_checkpoint_files(file: Path, chosen: list[tuple[str, object]], flips: list[tuple[int, int]]) -> None:
    """A checkpoint file of the reference that was spoilt is a checkpoint that can be written again, or refused as what it is."""
    content = bytearray(_spoil(json.loads(file.read_bytes()), chosen))
    for at, flipped in flips:
        content[at % len(content)] ^= flipped
    try:
        found = layout.decode(bytes(content))
    except errors.BadRequest:
        return
    assert layout.decode(layout.encode(found)) == found

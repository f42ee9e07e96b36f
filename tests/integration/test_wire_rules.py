"""Keys, deadlines, base head and event, through plain DEALER and REQ sockets against the real daemon."""

import time
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest
import zmq

from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests, wire
from support.daemon import RealDaemon
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio

PATIENCE_MS = 20_000
Body = dict[str, object]


class Plain:
    """A socket that speaks msgpack and nothing of ours: what a client in another language is."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str, kind: int) -> None:
        self.socket = context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        self.socket.connect(f"ipc://{path}")
        self._number = 0

    def send(self, op: str, **fields: object) -> int:
        """Sends a request as the protocol's page says, and returns its id."""
        self._number += 1
        self.socket.send(msgspec.msgpack.encode({"v": 1, "id": self._number, "op": op, **fields}))
        return self._number

    def ask(self, op: str, **fields: object) -> Body:
        """Sends a request and returns the reply with its id, whatever it is; progress frames are passed over."""
        number = self.send(op, **fields)
        while True:
            reply: Body = msgspec.msgpack.decode(self.socket.recv())
            assert reply["id"] == number
            if "progress" not in reply:
                return reply

    def error(self, op: str, **fields: object) -> str:
        """Sends a request that must fail, and returns the error's code."""
        reply = self.ask(op, **fields)
        assert reply["ok"] is False, reply
        error = msgspec.convert(reply["error"], Body)
        assert isinstance(error["message"], str)
        assert isinstance(error["retryable"], bool)
        return str(error["code"])


@pytest.fixture
def plains(running: RealDaemon) -> Iterator[Callable[..., Plain]]:
    """Makes sockets to the daemon, and closes them."""
    made: list[Plain] = []
    with zmq.Context() as context:

        def plain(kind: int = zmq.DEALER) -> Plain:
            made.append(Plain(context, running.socket, kind))
            return made[-1]

        yield plain
        for one in made:
            one.socket.close()


@pytest.fixture(params=[zmq.DEALER, zmq.REQ], ids=["DEALER", "REQ"])
def plain(plains: Callable[..., Plain], request: pytest.FixtureRequest) -> Plain:
    """A socket of either kind that may ask."""
    return plains(int(request.param))


@pytest.fixture
async def opened(desk: Desk) -> AsyncIterator[str]:
    """The id of an open session on the workspace."""
    async with desk.session() as session:
        yield session.id


async def test_the_main_job_in_plain_frames(desk: Desk, plain: Plain) -> None:
    """Open, snapshot, save, list, rewind, undo with nothing but msgpack: the fields are those of the interface, paths are bin."""
    opened = plain.ask("session.open", directory=bytes(desk.root), agent="plain", unknown_field=[1, {}])
    session = msgspec.convert(opened["session"], Body)["id"]
    kept = plain.ask("snapshot", session=session, paths=[b"\xff"])
    assert kept["snapshots"] == [{"path": b"\xff", "kind": "absent", "size": None, "blob": None}]
    (desk.root / "\udcff").write_text("x")
    made = msgspec.convert(plain.ask("save", session=session, label="first")["checkpoint"], Body)
    assert (made["label"], made["files"], made["parent_id"], made["is_head"]) == ("first", 1, None, True)
    listed = msgspec.convert(plain.ask("list", session=session)["checkpoints"], list[Body])
    assert listed == [made]
    rewound = plain.ask("rewind", session=session, position=made["id"], before=True)
    assert (rewound["ok"], rewound["v"], rewound["removed"], rewound["head"]) == (True, 1, [b"\xff"], None)
    assert not (desk.root / "\udcff").exists()
    assert plain.ask("undo", session=session)["restored"] == [b"\xff"]
    assert (desk.root / "\udcff").read_text() == "x"


async def test_same_key_same_answer(desk: Desk, plain: Plain, opened: str) -> None:
    """Every op that changes something is done once for each key: the same request again gets the same bytes and has no effect."""
    first = plain.ask("save", session=opened, key="k1", label="once")
    again = plain.ask("save", session=opened, key="k1", label="once", deadline_ms=1.0, progress=True)
    assert {**first, "id": 0} == {**again, "id": 0}
    told = plain.ask("record", session=opened, key="k2", events=[{"kind": "user_prompt", "text": "x"}])
    plain.ask("record", session=opened, key="k2", events=[{"kind": "user_prompt", "text": "x"}])
    assert msgspec.convert(plain.ask("session.show", session=opened)["session"], Body)["event"] == told["event"]

    await_path = desk.write("it", "one\n")
    for op, fields in (
        ("snapshot", {"paths": [b"it"]}),
        ("edit.begin", {"paths": [b"it"]}),
        ("release", {}),
        ("rewind", {"position": "once"}),
        ("undo", {}),
        ("redo", {}),
        ("session.close", {}),
    ):
        answer = plain.ask(op, session=opened, key=f"of-{op}", **fields)
        assert answer["ok"] is True, answer
        repeated = plain.ask(op, session=opened, key=f"of-{op}", **fields)
        assert {**answer, "id": 0} == {**repeated, "id": 0}
    assert await_path.read_text() == "one\n"
    listed = msgspec.convert(plain.ask("list", session=opened)["checkpoints"], list[Body])
    assert [entry["automatic"] for entry in listed] == [False, True], "the rewind abandoned what was recorded, once"


async def test_same_key_other_body(plain: Plain, opened: str) -> None:
    """A key that was used for another request is `bad-request`, for another op too; keys of other sessions are others."""
    plain.ask("save", session=opened, key="k", label="one")
    assert plain.error("save", session=opened, key="k", label="two") == "bad-request"
    assert plain.error("release", session=opened, key="k") == "bad-request"
    for key in ("", "x" * 129, 7):
        assert plain.error("save", session=opened, key=key) == "bad-request"


async def test_a_failed_request_leaves_its_key_free(desk: Desk, plain: Plain, opened: str) -> None:
    """A key whose request failed may be used again, and then has its effect."""
    assert plain.error("rewind", session=opened, key="k", position="later") == "unknown-checkpoint"
    plain.ask("save", session=opened, label="later")
    assert plain.ask("rewind", session=opened, key="k", position="later")["ok"] is True


async def test_open_with_a_key(desk: Desk, plain: Plain) -> None:
    """Opening a session with a key opens one session, however often it is asked."""
    key = f"open-{desk.root.name}-{int(plain.socket.type)}"
    opened = [plain.ask("session.open", directory=bytes(desk.root), key=key) for _ in range(3)]
    assert len({str(msgspec.convert(answer["session"], Body)["id"]) for answer in opened}) == 1


async def test_deadlines(plain: Plain, opened: str) -> None:
    """A deadline that passed is `expired`, with no effect, for reads too; one that is far away is none."""
    now_ms = time.monotonic() * 1000
    for op in ("save", "status", "list"):
        assert plain.error(op, session=opened, deadline_ms=now_ms - 1) == "expired"
        assert plain.ask(op, session=opened, deadline_ms=now_ms + 60_000)["ok"] is True
    assert len(msgspec.convert(plain.ask("list", session=opened)["checkpoints"], list[Body])) == 1


async def test_base_head_and_event(plain: Plain, opened: str) -> None:
    """`record`, `save` and `rewind` with another head or last event than the session has are `head-moved`, and nothing happens."""
    made = msgspec.convert(plain.ask("save", session=opened, base={"head": None, "event": None})["checkpoint"], Body)["id"]
    for op, fields in (("save", {}), ("record", {"events": [{"kind": "user_prompt"}]}), ("rewind", {"position": made})):
        for base in ({"head": None, "event": None}, {"head": made, "event": 7}, {"head": "other", "event": None}):
            reply = plain.ask(op, session=opened, base=base, **fields)
            error = msgspec.convert(reply["error"], Body)
            assert (error["code"], error["head"], error["event"]) == ("head-moved", made, None)
    right = plain.ask("record", session=opened, base={"head": made, "event": None}, events=[{"kind": "user_prompt"}])
    assert right["ok"] is True
    assert plain.error("save", session=opened, base={"head": made, "event": None}) == "head-moved"
    assert plain.ask("save", session=opened, base={"head": made, "event": right["event"]})["ok"] is True


async def test_wrong_ops_types_and_versions(plain: Plain, opened: str) -> None:
    """What is malformed gets an error with its own id and code, and the daemon goes on."""
    plain.ask("save", session=opened)
    assert plain.error("no.such.op") == "unknown-op"
    assert plain.error("save", session=7) == "bad-request"
    assert plain.error("save", session=opened, label=["x"]) == "bad-request"
    assert plain.error("snapshot", session=opened) == "bad-request"
    assert plain.error("snapshot", session=opened, paths=["text, not bin"]) == "bad-request"
    assert plain.error("snapshot", session=opened, paths=b"not a list") == "bad-request"
    assert plain.error("rewind", session=opened, position=None) == "bad-request"
    assert plain.error("rewind", session=opened, position="@", scope="universe") == "bad-request"
    assert plain.error("save") == "unknown-session"
    assert plain.error("save", session="no-such-session") == "unknown-session"
    for version in (0, 2, 99):
        plain.socket.send(msgspec.msgpack.encode({"v": version, "id": 1, "op": "ping"}))
        assert msgspec.convert(msgspec.msgpack.decode(plain.socket.recv(), type=Body)["error"], Body)["code"] == "unsupported-version"
    assert plain.ask("ping")["ok"] is True


async def test_labels(plain: Plain, opened: str) -> None:
    """A label has 1 to 1,000 characters and no NUL; any text else, also one that looks like an id or a position."""
    for label in ("", " ", "x" * 1001, "a\0b"):
        assert plain.error("save", session=opened, label=label) == "bad-request"
    for label in ("x" * 1000, "two\nlines", "ünïcödé ✓", "@~1", "-m"):
        assert msgspec.convert(plain.ask("save", session=opened, label=label)["checkpoint"], Body)["label"] == label


async def test_many_requests_at_once_on_one_connection(plains: Callable[..., Plain], opened: str) -> None:
    """Replies to requests that overlap carry their own ids; changes of one session are done one after the other."""
    plain = plains()
    numbers = [plain.send("save", session=opened, label=str(number)) for number in range(40)]
    labels = {}
    for _ in numbers:
        reply: Body = msgspec.msgpack.decode(plain.socket.recv())
        labels[reply["id"]] = msgspec.convert(reply["checkpoint"], Body)["label"]
    assert labels == {number: str(place) for place, number in enumerate(numbers)}
    listed = msgspec.convert(plain.ask("list", session=opened)["checkpoints"], list[Body])
    assert [entry["parent_id"] for entry in listed] == [None, *(entry["id"] for entry in listed[:-1])]


async def test_the_same_key_at_the_same_time(plains: Callable[..., Plain], opened: str) -> None:
    """Two connections that send the same key at once get one answer: one effect."""
    first, second = plains(), plains()
    for plain in (first, second):
        plain.send("save", session=opened, key="both", label="once")
    answers = [msgspec.msgpack.decode(plain.socket.recv(), type=Body)["checkpoint"] for plain in (first, second)]
    assert answers[0] == answers[1]
    assert len(msgspec.convert(first.ask("list", session=opened)["checkpoints"], list[Body])) == 1


async def test_keys_outlive_the_daemon(desk: Desk, plains: Callable[..., Plain], opened: str) -> None:
    """After a restart a key still gets its first answer, of a save and of a rewind."""
    plain = plains()
    saved_once = plain.ask("save", session=opened, key="s", label="once")
    rewound = plain.ask("rewind", session=opened, key="r", position="once")
    plain.socket.close()
    desk.daemon.restart(env=None)
    plain = plains()
    assert plain.ask("save", session=opened, key="s", label="once")["checkpoint"] == saved_once["checkpoint"]
    assert plain.ask("rewind", session=opened, key="r", position="once")["operation_id"] == rewound["operation_id"]
    assert plain.error("save", session=opened, key="s", label="twice") == "bad-request"


async def test_reading_blobs(desk: Desk) -> None:
    """A blob is read in pieces that make the whole; what is no blob, or no piece of one, is `bad-request`."""
    async with desk.session() as session:
        await edit(session, desk, "it", "0123456789")
        made = await session.save()
        (diff,) = (await session.load(made.id)).file_diffs
        assert diff.after is not None
        blob = diff.after.blob or ""

        async def piece(offset: int, length: int, name: str = blob) -> replies.Chunk:
            return await desk.client.ask(requests.ReadBlob(session=session.id, blob=name, offset=offset, length=length), replies.Chunk)

        found = [await piece(0, 4), await piece(4, 100), await piece(10, 5), await piece(3, 0)]
        assert [(chunk.data, chunk.size) for chunk in found] == [(b"0123", 10), (b"456789", 10), (b"", 10), (b"", 10)]
        for offset, length, name in ((-1, 1, blob), (0, -1, blob), (0, 1 << 40, blob), (0, 1, ""), (0, 1, "zz" * 32), (0, 1, "00" * 32)):
            with pytest.raises(errors.BadRequest):
                await piece(offset, length, name)


async def test_the_log_of_a_path(desk: Desk) -> None:
    """`log` shows who changed a path, in order, newest last, of all below a directory, and the newest N."""
    desk.capture = "snapshots"
    async with desk.session(agent="logger") as session:
        await saved(session, desk, "d/a", "1\n", "first")
        await saved(session, desk, "d/b", "2\n")
        await session.rewind("first")

        async def log(path: str | None, limit: int | None = None) -> list[tuple[str, str, str]]:
            asked = requests.ReadLog(session=session.id, path=None if path is None else FsText(path), limit=limit)
            return [(str(row.path), row.change, row.source) for row in (await desk.client.ask(asked, replies.Edits)).edits]

        assert (await log("d"))[0] == ("d", "seen", "first-seen")
        assert await log("d/a") == [("d/a", "added", "tool")]
        assert (await log("d"))[-1] == ("d/b", "deleted", "effect")
        assert await log(None, 1) == [("d/b", "deleted", "effect")]
        assert await log("no/such") == []
        for limit in (0, -5):
            with pytest.raises(errors.BadRequest):
                await log(None, limit)


def test_our_own_encoding_is_the_protocol_s() -> None:
    """What our client sends is what the plain sockets here send: a map with `v`, `id`, `op` and the named fields, nothing hidden."""
    body = wire.encode_request(requests.Save(session="s", label="l", key="k"), 5)
    plain = {"v": 1, "id": 5, "op": "save", "session": "s", "key": "k", "label": "l"}
    assert {name: value for name, value in msgspec.msgpack.decode(body).items() if name in plain} == plain

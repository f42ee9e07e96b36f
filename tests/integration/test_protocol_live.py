"""docs/protocol.md against a running daemon, with nothing of ours between: MessagePack maps over a DEALER."""

import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest
import zmq

from rewindd.protocol.requests import REQUESTS
from support.daemon import RealDaemon
from support.protocol_page import PAGE, in_replies, sections
from support.repository import git
from support.store_page import columns_of_the_store

SECTIONS = sections()
PATIENCE_MS = 20_000
#: Tested elsewhere: these take a crash, damage, or other settings.
NOT_HERE = {"Recovered", "Dropped", "OverQuota", "Biggest", "GoneWorkspace", "LossInfo", "Damage", "CheckpointRef"}
SCALARS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "bin": bytes, "path": bytes, "time": datetime}

Fields = dict[str, object]
Ask = Callable[..., Fields]


class Peer:
    """A DEALER that knows the page and no more."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        self.socket.connect(f"ipc://{path}")
        self.numbers = count(1)
        self.seen: set[str] = set()
        self.asked: set[str] = set()

    def exchange(self, op: str, **fields: object) -> Fields:
        """Sends a request and returns its answer or error, whole."""
        number = next(self.numbers)
        self.socket.send(msgspec.msgpack.encode({"v": 1, "id": number, "op": op, **fields}))
        reply = msgspec.convert(msgspec.msgpack.decode(self.socket.recv()), dict[str, object])
        assert (reply.pop("v"), reply.pop("id")) == (1, number)
        riding = reply.pop("notices", None)
        if riding is not None:
            self.check(riding, "Notices", op)
        return reply

    def ask(self, op: str, **fields: object) -> Fields:
        """Returns an answer's fields, each of which is as the page says."""
        reply = self.exchange(op, **fields)
        assert reply.pop("ok") is True, reply
        self.asked.add(op)
        self.check(reply, SECTIONS[f"`{op}`"].reply, op)
        return reply

    def code(self, op: str, **fields: object) -> object:
        """Returns the code of the error that a request gets; its fields are those that the page names for the code."""
        reply = self.exchange(op, **fields)
        assert reply.pop("ok") is False, reply
        error = msgspec.convert(reply.pop("error"), dict[str, object])
        assert not reply
        code = error.pop("code")
        assert isinstance(error.pop("message"), str)
        row = SECTIONS["Errors"].fields[str(code)]
        assert error.pop("retryable") is (row[0] == "yes")
        assert error.keys() <= set(row[3].replace("`", "").replace(" ", "").split(",")), code
        return code

    def check(self, value: object, kind: str, where: str) -> None:
        """Fails where a value is not of the page's type."""
        if kind.endswith(" or nil"):
            if value is not None:
                self.check(value, kind.removesuffix(" or nil"), where)
        elif kind.startswith("["):
            assert isinstance(value, list), where
            for one in value:
                self.check(one, kind[1:-1], where)
        elif kind in SCALARS:
            assert type(value) is SCALARS[kind], (where, value)
        else:
            assert isinstance(value, dict), where
            fields = SECTIONS[kind].fields
            assert value.keys() == fields.keys(), where
            self.seen.add(kind)
            for name, row in fields.items():
                self.check(value[name], row[0], f"{where}.{name}")


@pytest.fixture(autouse=True)
def up_again(running: RealDaemon, home: Path) -> Iterator[None]:
    """A test that stopped the daemon leaves it running for those after it, also where it failed."""
    yield
    if running.process is None:
        running.start(env={"HOME": str(home)})


@pytest.fixture
def peer(running: RealDaemon) -> Iterator[Peer]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield Peer(context, running.socket)
    context.destroy(linger=0)


def play(peer: Peer, tree: Path, name: str) -> None:
    """One session that makes use of every operation but `stop`."""
    ask, here = peer.ask, os.fsencode(tree)
    git(tree, "init", "-q")
    (tree / "app.txt").write_bytes(b"one\ntwo\nthree\n")
    os.mkfifo(tree / "pipe")
    found = os.stat(tree)
    ask("ping")
    ask("session.open", directory=here, device=found.st_dev, inode=found.st_ino, session_id=name, agent="test", key=f"{name}-0")
    ask("snapshot", session=name, paths=[b".", b"caf\xe9.txt", b"pipe"], key="k1")
    edit = ask("edit.begin", session=name, paths=[b"app.txt"])["edit"]
    (tree / "app.txt").write_bytes(b"one\n2\nthree\n")
    (tree / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"\xff\0")
    (tree / "made").mkdir()
    (tree / "link").symlink_to(os.fsdecode(b"to-\xff"))
    ask("edit.end", session=name, edit=edit)
    window = ask("window.open", session=name, kind="command", pid=os.getpid())["window"]
    (tree / "made" / "by-a-command").write_bytes(b"made\n")
    ask("window.close", session=name, window=window)
    ask("pending", session=name, patch=True)
    ask("record", session=name, events=[{"kind": "user_prompt", "text": "go", "tokens": 3}], base={"head": None, "event": None})
    call = {"kind": "tool_call", "tool_name": "edit", "arguments": "{}", "result": "ok", "duration_s": 0.5}
    ask("save", session=name, label="first", checkpoint_id="c1", events=[call], key="k2", missed=1)
    ask("show", session=name, position="first", content=True)
    ask("release", session=name)
    (tree / "app.txt").write_bytes(b"one\n2\nthree\nnobody's\n")
    ask("diff", session=name, a="c1", paths=[b"app.txt"])
    ask("events", session=name, diff=True)
    with_others(peer, tree, name)
    ask("list", session=name, all=True)
    ask("rewind", session=name, position="@", dry_run=True)
    ask("rewind", session=name, position="c1", before=True, on_conflict="keep", key="k3")
    ask("undo", session=name, key="k4")
    ask("redo", session=name, key="k5")
    ask("log", session=name)
    blob = "10e1a16f0805bd7128d2ff11264ffd33566f0ad1d980ebd0f2b3848815d2e72b"  # of the first `app.txt`
    assert ask("read", session=name, blob=blob, offset=4, length=3) == {"data": b"two", "size": 14}
    assert ask("read.many", session=name, blobs=[blob])["contents"] == [b"one\ntwo\nthree\n"]
    ask("show.path", session=name, position="c1", path=b".")
    ask("show.path", session=name, position="c1", path=b"app.txt")
    ask("tree", session=name, position="c1", limit=2)
    (tree / "app.txt").unlink()
    ask("restore", session=name, paths=[b"app.txt"], key="k6")
    portable = ask("export", session=name, position="c1", skip_binary=True)
    ask("import", directory=here, checkpoint=portable["checkpoint"])
    ask("capture", directory=here)
    ask("status")
    git(tree, "commit", "-q", "--allow-empty", "-m", "meanwhile")
    ask("rewind", session=name, position="c1", dry_run=True)
    ask("session.list", directory=here, all=True)
    ask("session.show", session=name)
    assert ask("blame", session=name, path=b"app.txt")["spans"]
    with_a_child(peer, tree, name)
    ask("barrier", session=name, label=f"all of {name}")
    assert ask("barriers", session=name)["barriers"]
    ask("save", session=name, label="after the barrier")
    ask("save", session=f"{name}-child", label="after the barrier")
    assert ask("rewind", session=name, position=f"barrier:all of {name}")["moved"]
    ask("metrics")
    window = ask("window.open", session=name, kind="turn")["window"]
    ask("health")
    ask("verify", sample=50.0, drill=1)
    ask("backup", directory=os.fsencode(tree.parent / f"backup of {name}"), key=f"{name}-backup")
    ask("window.close", session=name, window=window)
    ask("session.close", session=name)
    granted = ask("grant", directory=here, ops=["save"], inside=b"/work", key=f"{name}-grant")["grant"]
    assert ask("grants")["grants"] == [granted]
    ask("grant.revoke", grant_id=granted["id"])  # type: ignore[index]
    assert ask("prune", directory=here, dry_run=True)["workspaces"]
    ask("prune")
    ask("gc")
    assert ask("forget", what=b"app.txt", path=os.fsencode(tree / "app.txt"), dry_run=True)["rows"]


def with_others(peer: Peer, tree: Path, name: str) -> None:
    """A second session claims and changes a path meanwhile, so that a save is incomplete, and a third makes it contested."""
    others = (f"{name}-other", f"{name}-third")
    for other in others:
        peer.ask("session.open", directory=os.fsencode(tree), session_id=other)
        peer.ask("edit.begin", session=other, paths=[b"theirs.txt"])
    edit = peer.ask("edit.begin", session=others[0], paths=[b"app.txt"])["edit"]
    (tree / "app.txt").write_bytes(b"one\n2\nthree\nanother's\n")
    peer.ask("edit.end", session=others[0], edit=edit)
    assert peer.ask("snapshot", session=name, paths=[b"app.txt"])["overlaps"]
    (tree / "theirs.txt").write_bytes(b"theirs\n")
    assert peer.ask("save", session=name, checkpoint_id="c2")["checkpoint"]
    for other in others:
        peer.ask("session.close", session=other)


def with_a_child(peer: Peer, tree: Path, name: str) -> None:
    """A sub-agent changes a path after its parent, and saves: the parent's rewind offers that, and the save depends on it."""
    child, lines = f"{name}-child", [b"line %d\n" % number for number in range(20)]

    def edit(session: str) -> None:
        peer.ask("snapshot", session=session, paths=[b"family.txt"])
        (tree / "family.txt").write_bytes(b"".join(lines))
        peer.ask("save", session=session)

    edit(name)
    lines[2] = b"the parent's\n"
    edit(name)
    peer.ask("session.open", directory=os.fsencode(tree), session_id=child, parent=name)
    lines[15] = b"the child's\n"
    edit(child)
    planned = peer.ask("rewind", session=name, position="@~1", dry_run=True)
    assert planned["children"]
    assert planned["dependents"]


def test_every_reply(peer: Peer, tree: Path, running: RealDaemon) -> None:
    """Each operation's answer has exactly the documented fields, of the documented types, down to the last structure."""
    play(peer, tree, "live")
    assert peer.ask("stop")["pid"] == running.pid
    assert running.wait() == 0
    assert peer.asked == REQUESTS.keys()
    assert peer.seen == in_replies().keys() - NOT_HERE


def test_every_checksum(peer: Peer, tree: Path, running: RealDaemon) -> None:
    """Each row that the daemon wrote has the checksum of its columns in the order of docs/store.md, as that page says."""
    play(peer, tree, "stored")
    peer.ask("session.open", directory=os.fsencode(tree), session_id="stored")
    peer.ask("snapshot", session="stored", paths=[b"app.txt"])
    peer.ask("session.open", directory=os.fsencode(tree), session_id="another")
    edit = peer.ask("edit.begin", session="another", paths=[b"app.txt"])["edit"]
    (tree / "app.txt").write_bytes(b"another's\n")
    peer.ask("edit.end", session="another", edit=edit)
    peer.ask("events", session="stored", after=peer.ask("events", session="stored")["cursor"])
    running.stop()
    db = sqlite3.connect(running.data_dir / "store.db")
    for table, columns in columns_of_the_store().items():
        if "checksum" not in columns:
            continue
        # The page: "computed without `number`", for two of them.
        named = [one for one in columns if one != "checksum" and (one != "number" or table not in ("answers", "operations"))]
        rows = db.execute(f"SELECT {', '.join(named)}, checksum FROM {table}").fetchall()
        assert rows or table in ("steps", "stretches"), table
        assert [zlib.crc32(msgspec.msgpack.encode(row[:-1])) for row in rows] == [row[-1] for row in rows], table
    versions = {bytes(found) for pair in db.execute("SELECT before, after FROM edits") for found in pair}
    assert {msgspec.msgpack.decode(one)[0] for one in versions} == {"u", "a", "f", "l", "d"}
    db.close()


def test_errors(peer: Peer, tree: Path) -> None:
    """What cannot be is answered with the documented code, and with no fields but those documented for it."""
    here = os.fsencode(tree)
    peer.ask("session.open", directory=here, session_id="wrong")
    peer.ask("save", session="wrong", checkpoint_id="c1")
    expected: list[tuple[str, str, Fields]] = [
        ("bad-request", "session.open", {"directory": b"relative"}),
        ("bad-request", "session.open", {"directory": here + b"\0"}),
        ("bad-request", "session.open", {"directory": here, "session_id": ""}),
        ("bad-request", "session.open", {"directory": here, "parent": ""}),
        ("bad-request", "session.show", {"session": ""}),
        ("bad-request", "session.open", {"directory": here, "capture": "everything"}),
        ("bad-request", "snapshot", {"session": "wrong", "paths": []}),
        ("bad-request", "snapshot", {"session": "wrong", "paths": [b"a\0b"]}),
        ("bad-request", "list", {"session": "wrong", "limit": 0}),
        ("bad-request", "read", {"session": "wrong", "blob": "00" * 32}),
        ("bad-request", "save", {"session": "wrong", "key": ""}),
        ("bad-request", "rewind", {"session": "wrong", "position": "@", "scope": "all"}),
        ("bad-request", "rewind", {"session": "wrong", "position": "@{soon}"}),
        ("bad-request", "rewind", {"session": "wrong", "position": "#1000000"}),
        ("bad-request", "rewind", {"session": "wrong", "position": "@{1s}", "restore": ["conversation", "stats"]}),
        ("unknown-op", "dance", {}),
        ("unknown-session", "save", {}),
        ("unknown-session", "list", {"all": True}),
        ("unknown-session", "save", {"session": "nobody"}),
        ("unknown-checkpoint", "show", {"session": "wrong", "position": "none"}),
        ("unknown-workspace", "session.open", {"directory": here + b"/none"}),
        ("unknown-workspace", "session.open", {"directory": here, "device": 1, "inode": 1}),
        ("unknown-workspace", "list", {"workspace": "none"}),
        ("nothing-to-undo", "undo", {"session": "wrong"}),
        ("nothing-to-undo", "redo", {"session": "wrong"}),
        ("outside-workspace", "snapshot", {"session": "wrong", "paths": [b"../\xff"]}),
        ("refused-root", "session.open", {"directory": b"/"}),
        ("not-permitted", "snapshot", {"session": "wrong", "paths": [b".git/config"]}),
        ("head-moved", "save", {"session": "wrong", "base": {"head": "c9", "event": 1}}),
        ("already-exists", "session.open", {"directory": here, "session_id": "wrong", "agent": "another"}),
        ("already-exists", "save", {"session": "wrong", "checkpoint_id": "c1"}),
        ("expired", "save", {"session": "wrong", "deadline_ms": 1.0}),
    ]
    assert [(peer.code(op, **fields), op, fields) for _, op, fields in expected] == expected


def test_a_conflict(peer: Peer, tree: Path) -> None:
    """Work of a person over the session's own is a `conflict` that names the path and touches nothing; `keep` leaves the path."""
    peer.ask("session.open", directory=os.fsencode(tree), session_id="torn")
    (tree / "app.txt").write_bytes(b"one\n")
    peer.ask("snapshot", session="torn", paths=[b"app.txt"])
    (tree / "app.txt").write_bytes(b"two\n")
    peer.ask("save", session="torn", checkpoint_id="c1")
    (tree / "app.txt").write_bytes(b"three\n")
    reply = peer.exchange("rewind", session="torn", position="c1", before=True)
    assert isinstance(reply["error"], dict)
    assert reply["error"]["code"] == "conflict"
    assert [entry["path"] for entry in reply["error"]["conflicts"]] == ["app.txt"]
    assert (tree / "app.txt").read_bytes() == b"three\n"
    kept = peer.ask("rewind", session="torn", position="c1", before=True, on_conflict="keep")["kept"]
    assert [entry["path"] for entry in msgspec.convert(kept, list[dict[str, object]])] == [b"app.txt"]


def test_keys(peer: Peer, tree: Path) -> None:
    """A key's second request gets the first answer, also after its deadline; another body is refused; an error keeps nothing."""
    peer.ask("session.open", directory=os.fsencode(tree), session_id="keyed")
    first = peer.ask("save", session="keyed", key="a", label="x")
    assert peer.ask("save", session="keyed", key="a", label="x", deadline_ms=1.0, later=True) == first
    assert peer.code("save", session="keyed", key="a", label="y") == "bad-request"
    assert peer.code("save", session="keyed", key="b", deadline_ms=1.0) == "expired"
    peer.ask("save", session="keyed", key="b")
    assert len(peer.exchange("list", session="keyed")["checkpoints"]) == 2  # type: ignore[arg-type]


def test_the_example(running: RealDaemon, tree: Path) -> None:
    """The page's client runs as it stands, in a directory of its own."""
    (tree / "client.py").write_text(PAGE.read_text().split("```python\n")[1].split("```")[0])
    environment = {**os.environ, "REWINDD_SOCKET": running.socket}
    done = subprocess.run([sys.executable, "client.py"], cwd=tree, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")

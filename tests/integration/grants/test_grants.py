"""Grants: what an agent can do through a socket of its own, with the paths that it sees; how long, and how much."""

import os
import select
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

import rewindd.blocking
from rewindd.blocking import Client
from rewindd.errors import BadRequest, Busy, RefusedRoot
from rewindd.paths import FsText
from rewindd.protocol import replies
from rewindd.protocol.requests import MakeGrant, RevokeGrant
from support.daemon import RealDaemon, real_daemon
from support.grants import INSIDE, Box, Fields, box, grant, grants, paths_of, revoke, wait_until_said


def test_an_agent_works_through_its_grant(inside: Box, granted: replies.Grant, tree: Path) -> None:
    """Snapshot, save, list, show, diff, rewind, undo, redo and restore do what they do outside; paths are the sandbox's, both ways."""
    (tree / "app.txt").write_text("one\n")
    opened = inside.ask("session.open", directory=os.fsencode(f"{INSIDE}/src"), session_id="worker", agent="boxed", device=1, inode=2)
    assert opened["session"]["root"] == os.fsencode(INSIDE)  # type: ignore[index]
    kept = inside.ask("snapshot", session="worker", paths=[os.fsencode(f"{INSIDE}/app.txt")])
    assert paths_of(kept, "snapshots") == {"app.txt": ""}
    (tree / "app.txt").write_text("two\n")
    inside.ask("record", session="worker", events=[{"kind": "user_prompt", "text": "go"}])
    inside.ask("save", session="worker", checkpoint_id="first", label="the first")
    inside.saved("worker", tree, "app.txt", "three\n", "second")
    inside.edit("worker", tree, "app.txt", "four\n")
    assert paths_of(inside.ask("pending", session="worker", patch=True), "changes") == {"app.txt": ""}
    shown = inside.ask("show", session="worker", position="the first", content=True)["checkpoint"]
    diff = shown["file_diffs"][0]  # type: ignore[index]
    assert (diff["before"]["text"], diff["after"]["text"]) == ("one\n", "two\n")
    assert inside.ask("read", session="worker", blob=diff["before"]["blob"])["data"] == b"one\n"
    assert inside.ask("read.many", session="worker", blobs=[diff["after"]["blob"]])["contents"] == [b"two\n"]
    patches = [inside.ask("diff", session="worker", a=a, b=b)["changes"][0]["patch"] for a, b in (("first", "@"), ("@", "first"))]  # type: ignore[index]
    assert ["-two\n+three\n" in patches[0], "-three\n+two\n" in patches[1]] == [True, True]
    assert len(inside.ask("list", session="worker")["checkpoints"]) == 2  # type: ignore[arg-type]
    plan = inside.ask("rewind", session="worker", position="first", dry_run=True)
    inside.ask("rewind", session="worker", position="first", plan=plan["plan_id"])
    assert (tree / "app.txt").read_text() == "two\n"
    inside.ask("undo", session="worker")
    assert (tree / "app.txt").read_text() == "four\n"
    inside.ask("redo", session="worker")
    assert (tree / "app.txt").read_text() == "two\n"
    inside.ask("restore", session="worker", paths=[os.fsencode(f"{INSIDE}/app.txt")], position="second")
    assert (tree / "app.txt").read_text() == "three\n"
    inside.ask("session.close", session="worker")
    listed = inside.ask("session.list", directory=os.fsencode(INSIDE), all=True)
    assert [one["id"] for one in listed["sessions"]] == ["worker"]  # type: ignore[attr-defined]
    assert os.fsencode(tree) not in inside.told
    assert granted.inside == INSIDE


def test_brackets_and_windows(inside: Box, tree: Path) -> None:
    """What an agent announces by a bracket or a window is its own; a number of a process says nothing here, and closes nothing."""
    inside.open("announcer")
    edit = inside.ask("edit.begin", session="announcer", paths=[b"bracketed"])["edit"]
    (tree / "bracketed").write_text("1\n")
    inside.ask("edit.end", session="announcer", edit=edit)
    inside.ask("window.open", session="announcer", kind="turn", pid=4_000_000)
    window = inside.ask("window.open", session="announcer", kind="command", pid=1)["window"]
    (tree / "by-a-command").write_text("2\n")
    changed = inside.ask("window.close", session="announcer", window=window)
    assert paths_of(changed, "changes").keys() == {"by-a-command"}
    assert inside.ask("release", session="announcer")["released"] == 0
    assert paths_of(inside.ask("pending", session="announcer"), "changes").keys() == {"bracketed", "by-a-command"}


def test_the_same_key_again(inside: Box, granted: replies.Grant, tree: Path) -> None:
    """A request that is sent twice has its effect once, through a grant too; its key is the grant's own."""
    first = inside.ask("session.open", directory=os.fsencode(INSIDE), key="the key")
    again = inside.ask("session.open", directory=os.fsencode(INSIDE), key="the key")
    assert first["session"] == again["session"]
    session = first["session"]["id"]  # type: ignore[index]
    saves = [inside.ask("save", session=session, key="another")["checkpoint"] for _ in range(2)]
    assert saves[0] == saves[1]
    assert granted.id not in str(saves)


def test_where_it_listens(running: RealDaemon, person: Client, granted: replies.Grant) -> None:
    """The socket lies alone in a directory of its own, nobody else's, beside the daemon's."""
    directory = Path(granted.socket).parent
    assert directory.parent == Path(running.socket).parent / "grants"
    assert [path.name for path in directory.iterdir()] == ["rewindd.sock"]
    assert [oct(path.stat().st_mode & 0o777) for path in (directory.parent, directory, directory / "rewindd.sock")] == [
        "0o700",
        "0o700",
        "0o600",
    ]
    assert granted.id in [one.id for one in grants(person)]


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_it_survives_a_restart(running: RealDaemon, home: Path, tree: Path, person: Client, way: str) -> None:
    """After a stop and after a kill the grant listens in the same directory, knows its sessions and what they used, and no others."""
    granted = grant(person, tree, "snapshot", "save", "list", quota_bytes=100_000)
    directory = os.stat(os.path.dirname(granted.socket)).st_ino
    with box(granted) as before:
        before.open(f"old-{way}")
        before.saved(f"old-{way}", tree, "kept", "x" * 1000, "made")
    used = grants(person)[-1].used_bytes
    getattr(running, way)()
    running.start(env={"HOME": str(home)})
    found = next(one for one in grants(person) if one.id == granted.id)
    assert (found.socket, found.sessions, found.ops) == (granted.socket, [f"old-{way}"], granted.ops)
    assert found.used_bytes >= used >= 1000
    assert os.stat(os.path.dirname(granted.socket)).st_ino == directory, "it is mounted somewhere"
    with box(found) as after:
        assert after.ask("list", session=f"old-{way}")["checkpoints"]
        assert after.code("rewind", session=f"old-{way}", position="made") == "not-permitted"


def test_a_directory_that_the_sandbox_writes_in(running: RealDaemon, home: Path, tree: Path, person: Client) -> None:
    """What a sandbox puts in the socket's place is replaced at the next start, and nothing is opened or changed through it."""
    made = [grant(person, tree) for _ in range(4)]
    sockets = [Path(one.socket) for one in made]
    victim = tree / "victim"
    victim.write_text("not for you\n")
    victim.chmod(0o644)
    for socket in sockets:
        socket.unlink()
    sockets[0].symlink_to(victim)
    sockets[1].write_text("in the way\n")
    sockets[2].mkdir()
    sockets[3].parent.chmod(0o777)
    running.restart(env={"HOME": str(home)})
    assert (victim.read_text(), oct(victim.stat().st_mode & 0o777)) == ("not for you\n", "0o644")
    for one in made[:2]:
        with box(one) as inside:
            inside.ask("ping")
    for one in made[2:]:
        assert f"grant {one.id} has no socket now" in running.said()
        revoke(person, one)


def test_what_it_held(person: Client, inside: Box, granted: replies.Grant, tree: Path) -> None:
    """What an agent inside is in the middle of editing holds others up as long as the grant lasts, and no longer."""
    with person.session(tree, agent="other") as session:
        session.snapshot("held")
        (tree / "held").write_text("1\n")
        session.save("one")
        inside.open("holder")
        inside.ask("edit.begin", session="holder", paths=[b"held"])
        with pytest.raises(Busy):
            session.rewind("one", before=True)
        revoke(person, granted)
        session.rewind("one", before=True)
    assert not (tree / "held").exists()


def test_a_store_that_came_back_from_a_backup(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A backup may not know that a grant was revoked: so all that are older than the store's return have ended."""
    tmp_path = tmp_path_factory.mktemp("g")  # a socket of a grant has a long path
    daemon, root = RealDaemon(tmp_path), tmp_path / "tree"
    root.mkdir()
    try:
        daemon.start(env={"HOME": str(tmp_path)})
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            made = grant(client, root)
        daemon.stop()
        shutil.copy(daemon.data_dir / "store.db", daemon.data_dir / "store.db.backup")
        daemon.start(env={"HOME": str(tmp_path)})
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            assert [one.id for one in grants(client)] == [made.id]
            revoke(client, made)
        daemon.stop()
        (daemon.data_dir / "store.db").write_bytes(b"")
        daemon.start(env={"HOME": str(tmp_path)})
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            assert client.status().loss is not None
            assert grants(client) == []
        assert f"grant {made.id} ends" in daemon.said()
        assert not Path(made.socket).exists()
        daemon.stop()
    finally:
        daemon.kill()


def test_what_is_left_of_others(running: RealDaemon, home: Path, tree: Path, person: Client) -> None:
    """A grant that ends while no daemon runs leaves nothing beside the socket, and no session open, when the next one is up."""
    short, long = grant(person, tree, ttl_s=1.0), grant(person, tree)
    with box(short) as inside, box(long) as other:
        inside.open(f"short-{tree.name}")
        other.open(f"long-{tree.name}")
    running.kill()
    Path(f"{Path(short.socket).parent}.sock").touch()
    while time.time_ns() < short.ends_at.timestamp() * 1e9:
        select.select([], [], [], 0.01)
    running.start(env={"HOME": str(home)})
    left = {path.name for path in Path(long.socket).parents[1].iterdir()}
    assert long.id in left
    assert not left & {short.id, f"{short.id}.sock"}
    assert [one.id for one in person.sessions(tree)] == [f"long-{tree.name}"]


def test_it_ends_in_time(running: RealDaemon, person: Client, tree: Path) -> None:
    """At its end the socket is gone with its directory, without anybody doing anything, and it is listed no more."""
    granted = grant(person, tree, ttl_s=1.0)
    with box(granted) as inside:
        inside.open("short")
        while Path(granted.socket).parent.exists() or person.sessions(tree):
            inside.socket.poll(10)
    assert granted.id not in [one.id for one in grants(person)]
    assert running.process is not None


def test_its_end_is_written_down(tmp_path_factory: pytest.TempPathFactory) -> None:
    """So a clock that is set back does not bring it back with the next daemon."""
    tmp_path = tmp_path_factory.mktemp("g")  # a socket of a grant has a long path
    (tmp_path / "tree").mkdir()
    with real_daemon(tmp_path, env={"HOME": str(tmp_path)}) as daemon:
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            granted = grant(client, tmp_path / "tree", ttl_s=1.0)
            with box(granted) as inside:
                while Path(granted.socket).parent.exists():
                    inside.socket.poll(10)
    with closing(sqlite3.connect(daemon.data_dir / "store.db")) as db:
        assert db.execute("SELECT revoked_at_ns IS NOT NULL FROM grants").fetchall() == [(1,)]


def test_revoked(person: Client, tree: Path) -> None:
    """When `--revoke` returns the socket is closed, its directory gone, and nobody inside is answered; twice does no harm."""
    granted = grant(person, tree)
    with box(granted) as inside:
        inside.open("gone")
        revoke(person, granted)
        assert not Path(granted.socket).parent.exists()
        inside.socket.send(b"\x83\xa1v\x01\xa2id\x01\xa2op\xa4ping")
        assert not inside.socket.poll(200)
    assert person.sessions(tree) == []
    assert [one.id for one in person.sessions(tree, closed=True)] == ["gone"]
    revoke(person, granted)
    assert granted.id not in [one.id for one in grants(person)]
    with pytest.raises(BadRequest, match="no grant"):
        person.ask(RevokeGrant(id="none"), replies.GrantReply)


def test_the_quota(running: RealDaemon, person: Client, tree: Path) -> None:
    """What its sessions snapshot, change and say counts; at the end nothing comes in, and what is there can still be taken back."""
    (tree / ".rewindignore").write_text("large\nhalf\n")  # what is captured anyhow costs a snapshot nothing
    granted = grant(person, tree, quota_bytes=60_000)
    (tree / "large").write_bytes(b"x" * 70_000)
    (tree / "half").write_bytes(b"y" * 20_000)
    with box(granted) as inside:
        inside.open("spender", capture="snapshots")
        assert inside.code("snapshot", session="spender", paths=[b"large"]) == "over-quota"
        inside.ask("snapshot", session="spender", paths=[b"half"])
        inside.ask("save", session="spender", checkpoint_id="start")
        inside.edit("spender", tree, "half", "z" * 20_000)
        assert inside.ask("pending", session="spender")["changes"]
        used = grants(person)[-1].used_bytes
        assert 40_000 < used < 50_000
        inside.ask("record", session="spender", events=[{"kind": "user_prompt", "text": "w" * (60_000 - used - 2_000)}])
        too_long = "v" * 1_000  # a field that nobody knows
        adding: dict[str, dict[str, object]] = {
            "snapshot": {"paths": [b"half"]},
            "edit.begin": {"paths": [b"half"]},
            "window.open": {"kind": "turn"},
            "record": {},
            "save": {},
        }
        for op, fields in adding.items():
            assert inside.code(op, session="spender", more=too_long, **fields) == "over-quota"
        assert inside.code("session.open", directory=os.fsencode(INSIDE), more=too_long) == "over-quota"
        inside.ask("rewind", session="spender", position="start")
        assert (tree / "half").read_bytes() == b"y" * 20_000
    wait_until_said(running, f"grant {granted.id}: refused op=save code=over-quota")


@pytest.mark.parametrize("way", ["bracket", "window"])
def test_changes_beyond_the_quota_are_not_read(person: Client, tree: Path, way: str) -> None:
    """What its sessions hold and change beyond it, each save names as missing; when the grant has ended it is anybody's work."""
    granted = grant(person, tree, quota_bytes=1 << 20)
    (tree / "growing").write_bytes(b"small\n")
    with box(granted) as inside:
        inside.open(way)
        assert missing(inside, way, "start") == {}
        if way == "bracket":
            inside.ask("edit.begin", session=way, paths=[b"growing"])
        else:
            inside.ask("window.open", session=way, kind="turn")
        for number in range(4):
            (tree / "growing").write_bytes(os.urandom(3 << 20))
            assert missing(inside, way, f"{number}") == {
                "growing": f"no room in the store: grant {granted.id} has a quota of 1 MiB; `rewindctl grant --revoke {granted.id}` ends it"
            }
        (tree / "growing").write_bytes(b"fits\n")
        assert missing(inside, way, "fits") == {}
        (used,) = [one.used_bytes for one in grants(person) if one.id == granted.id]
        assert used < 1 << 20
        (tree / "growing").write_bytes(b"l" * (3 << 20))
    revoke(person, granted)
    with person.session(tree, agent="outside") as outside:
        assert [one.path for one in outside.save().incomplete.first] == []


def missing(inside: Box, session: str, name: str) -> dict[str, str]:
    """What a save of the session could not have, with the reasons."""
    saved = msgspec.convert(inside.ask("save", session=session, checkpoint_id=f"{session}-{name}")["checkpoint"], Fields)
    return paths_of(msgspec.convert(saved["incomplete"], Fields), "first")


def test_too_many(person: Client, tree: Path) -> None:
    """There are 64 at most; the next one is refused until one ends."""
    free = 64 - len(grants(person))
    made = [grant(person, tree) for _ in range(free)]
    with pytest.raises(Busy, match="64 grants"):
        grant(person, tree)
    for one in made:
        revoke(person, one)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"ops": ["steal"]}, BadRequest),
        ({"ttl_s": 0.0}, BadRequest),
        ({"ttl_s": float("nan")}, BadRequest),
        ({"ttl_s": 1e12}, BadRequest),
        ({"quota_bytes": -1}, BadRequest),
        ({"quota_bytes": 1 << 63}, BadRequest),
        ({"inside": FsText("work")}, BadRequest),
        ({"inside": FsText("/a/../b")}, BadRequest),
        ({"inside": FsText("//.")}, RefusedRoot),
        ({"outside": FsText("/elsewhere")}, BadRequest),
    ],
    ids=lambda value: str(value),
)
def test_what_cannot_be(person: Client, tree: Path, fields: dict[str, object], error: type[Exception]) -> None:
    """A grant that makes no sense is refused, and none is there afterwards."""
    before = grants(person)
    with pytest.raises(error):
        person.ask(MakeGrant(directory=FsText(str(tree)), **fields), replies.GrantReply)  # type: ignore[arg-type]
    assert grants(person) == before


def test_a_grant_of_a_directory_below(person: Client, tree: Path) -> None:
    """It is no grant of what is around it, unless that was named as well; then the root is called as outside without a map of its own."""
    (tree / ".git").mkdir()
    (tree / "below").mkdir()
    below = (tree / "below").stat()
    plain = MakeGrant(directory=FsText(str(tree / "below")))
    for request in (plain, structs.replace(plain, device=below.st_dev, inode=below.st_ino)):
        with pytest.raises(BadRequest, match="is of all of one"):
            person.ask(request, replies.GrantReply)
    made = person.ask(MakeGrant(directory=FsText(str(tree / "below")), outside=FsText(str(tree))), replies.GrantReply).grant
    assert (made.root, made.inside) == (str(tree), str(tree))
    assert made.ops == ["diff", "list", "rewind", "save", "snapshot"]


def test_a_daemon_that_was_started_on_demand(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It stays as long as a grant lets somebody in, who could not start another one; then it ends as without."""
    tmp_path = tmp_path_factory.mktemp("g")  # a socket of a grant has a long path
    daemon = RealDaemon(tmp_path)
    config = tmp_path / "config.toml"
    config.write_text("[daemon]\nidle_exit_s = 1\n")
    root = tmp_path / "tree"
    root.mkdir()
    try:
        daemon.start("--config", str(config), env={"REWINDD_STARTED_BY": "autostart", "HOME": str(tmp_path)})
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            made = grant(client, root, ttl_s=2.5)
        assert daemon.wait() == 0
        assert time.time() >= made.ends_at.timestamp()
    finally:
        daemon.kill()

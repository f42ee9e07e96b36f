"""`forget` on a real daemon: after it the bytes are nowhere in the data directory, compressed or not, and all else is as it was."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rewindd import errors
from rewindd.model.ids import SessionId
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.store import sessions
from rewindd.store.compression import ZstdDecompressor, ZstdError
from rewindd.store.database import open_database
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio

SECRET = "TOKEN-" + "b64fd1c0ffee" * 3


def found_in(desk: Desk, secret: str) -> list[str]:
    """Where in the data directory the secret is: in a file as it is, or in what any Zstandard frame in it holds."""
    wanted = secret.encode()
    return [str(path) for path in Path(desk.daemon.data_dir).rglob("*") if path.is_file() and _holds(path.read_bytes(), wanted)]


def _holds(data: bytes, wanted: bytes) -> bool:
    if wanted in data:
        return True
    at = data.find(b"\x28\xb5\x2f\xfd")
    while at >= 0:
        try:
            if wanted in ZstdDecompressor().decompress(data[at:]):
                return True
        except (ZstdError, EOFError):
            pass  # four bytes that look like a frame's
        at = data.find(b"\x28\xb5\x2f\xfd", at + 1)
    return _in_rows(data, wanted)


def _in_rows(data: bytes, wanted: bytes) -> bool:
    """A frame that does not lie in one piece of the file is in a row of the database."""
    if not data.startswith(b"SQLite format 3\0"):
        return False
    db = sqlite3.connect(":memory:")
    # What is in the log is in the file too, after `forget`; before it the other searches find it.
    db.deserialize(data[:18] + b"\x01\x01" + data[20:])
    try:
        for table in ("blobs", "packs"):
            for (stored,) in db.execute(f"SELECT data FROM {table} WHERE data IS NOT NULL"):
                try:
                    if wanted in stored or wanted in ZstdDecompressor().decompress(stored):
                        return True
                except (ZstdError, EOFError):
                    continue
    except sqlite3.OperationalError:  # all of it is in the log still
        return False
    finally:
        db.close()
    return False


async def forget(desk: Desk, what: str, *, dry_run: bool = False) -> replies.Forgotten:
    """Forgets, as `rewindctl` asks it from the workspace's root."""
    path = FsText(what if what.startswith("/") else f"{desk.root}/{what}")
    return await desk.client.ask(requests.Forget(what=FsText(what), path=path, dry_run=dry_run), replies.Forgotten)


async def test_a_path(keeping_two: Desk) -> None:
    """Every version of a file goes, small and large, from database, files and log; other files and their undo stay, and it is said."""
    desk = keeping_two
    desk.write(".env", f"first={SECRET}\n")
    desk.write("other", "".join(f"line {n}\n" for n in range(40)))
    async with desk.session() as session, desk.session(agent="neighbour") as neighbour:
        await session.snapshot(".")
        for number in range(4):
            await edit(session, desk, ".env", f"{number}={SECRET}\n" * (1 if number % 2 else 40_000))
            await edit(session, desk, "other", desk.read("other").replace(f"line {number}\n", f"changed {number}\n"))
            made = await session.save()
        await edit(session, desk, ".env", "harmless\n")
        before = await neighbour.save()
        await edit(neighbour, desk, "other", desk.read("other").replace("line 30\n", "neighbour's\n"))
        await session.save()
        after = desk.photograph()
        await neighbour.rewind(before.id)
        assert found_in(desk, SECRET)
        told = await forget(desk, ".env", dry_run=True)
        assert found_in(desk, SECRET)
        went = await forget(desk, ".env")
        assert found_in(desk, SECRET) == []
        assert (went.kind, went.paths, went.rows, went.checkpoints) == ("path", 1, told.rows, told.checkpoints)
        await neighbour.undo()
        assert {path: look for path, look in desk.photograph().items() if path != ".env"} == {
            path: look for path, look in after.items() if path != ".env"
        }
        listed = {one.id: one.incomplete.first for one in await session.list()}
        assert ("forgotten", ".env") in {(one.reason, str(one.path)) for one in listed[made.id]}
        await session.rewind(made.id, scope="workspace")
        assert "neighbour's" not in desk.read("other")
    found = await desk.client.ask(requests.Verify(), replies.Verified)
    assert found.damage == []


async def test_what_was_said(keeping_two: Desk) -> None:
    """A session's conversation and labels go, its changes of files stay, and nobody goes back to what it saved."""
    desk = keeping_two
    async with desk.session() as session:
        await session.record([{"kind": "user_prompt", "text": f"use {SECRET}"}])
        await edit(session, desk, "file", "one\n")
        await session.save(f"with {SECRET}")
        await session.close()
        session_id = session.id
    async with desk.session(agent="next") as session:
        await saved(session, desk, "file", "two\n")
        with pytest.raises(errors.UnknownPath):
            await forget(desk, "/nowhere")
    assert found_in(desk, SECRET)
    went = await forget(desk, session_id)
    assert (went.kind, went.checkpoints) == ("session", 1)
    assert found_in(desk, SECRET) == []


async def test_a_workspace(keeping_two: Desk) -> None:
    """All of it goes: contents, rows, conversations; and it can be kept anew."""
    desk = keeping_two
    async with desk.session() as session:
        await saved(session, desk, "file", f"{SECRET}\n" * 20_000, f"label {SECRET}")
        with pytest.raises(errors.Busy):
            await forget(desk, str(desk.root))
        await session.close()
    went = await forget(desk, str(desk.root))
    assert went.kind == "workspace"
    assert found_in(desk, SECRET) == []
    assert (await desk.client.status()).workspaces == []
    async with desk.session() as session:
        await saved(session, desk, "file", "anew\n")


async def test_what_sessions_claimed(keeping_two: Desk) -> None:
    """It goes with a session that was closed, or is only idle; with a path what anybody claimed there, and nothing beside it."""
    desk = keeping_two
    for name in ("d/f", "d.f", "other"):
        desk.write(name, "0\n")
    for name, claimed in (("stays", ["d/f", "d.f", "other"]), ("goes", ["other"]), ("idle", ["other"])):
        async with desk.session(agent=name, session_id=name) as session:
            await session.snapshot(*claimed)
            await session.save()
            if name == "idle":
                await session.snapshot(*claimed)
            else:
                await session.close()
    assert {whose for _, whose in _claimed(desk)} == {"stays", "goes", "idle"}
    with closing(open_database(str(desk.daemon.data_dir))) as db:
        sessions.seen(db, SessionId("idle"), 0)  # long ago
    desk.daemon.start(env={"HOME": str(desk.daemon.directory / "home")})
    for what in ("goes", "idle", "d"):
        await forget(desk, what)
    assert _claimed(desk) == {("d.f", "stays"), ("other", "stays")}
    with closing(sqlite3.connect(Path(desk.daemon.data_dir) / "store.db")) as db:
        assert db.execute("SELECT path, session FROM claims").fetchall() == []


def _claimed(desk: Desk) -> set[tuple[str, str]]:
    """Which paths the store says were claimed, and by whom; the daemon is stopped for it."""
    desk.daemon.stop()
    query = "SELECT path, id FROM {} JOIN sessions ON number = session"
    with closing(sqlite3.connect(Path(desk.daemon.data_dir) / "store.db")) as db:
        return {(path.decode(), id_) for table in ("stakes", "former_stakes") for path, id_ in db.execute(query.format(table))}

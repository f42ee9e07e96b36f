"""Every row of the interface's table of what the reference has: the same words, on a real daemon, in both clients."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import rewindd
from rewindd import errors
from rewindd.protocol import replies, requests
from support.daemon import RealDaemon
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio

CALL = rewindd.ToolCallRecord("edit_file", '{"path": "a"}', "ok", True)


async def test_session_stats(desk: Desk) -> None:
    """`record_*` count, `format_duration` needs no instance, the fields are the reference's, and the daemon keeps the sums."""
    forms = {0: "0s", 59: "59s", 60: "1m 0s", 3599: "59m 59s", 3600: "1h 0m", 3660: "1h 1m", 90000: "25h 0m"}
    assert {seconds: rewindd.SessionStats.format_duration(timedelta(seconds=seconds)) for seconds in forms} == forms
    new = rewindd.SessionStats.new()
    assert (new.total_messages, new.total_tool_calls, new.total_duration, new.estimated_tokens) == (0, 0, timedelta(), 0)
    assert datetime.now(UTC) - new.start_time < timedelta(minutes=1)

    async with desk.session() as session:
        session.stats.record_message(tokens=10, duration=timedelta(seconds=1.5))
        session.stats.record_message(5, timedelta(seconds=2))
        session.stats.record_tool_call()
        made = await session.save()
        assert (made.stats.total_messages, made.stats.total_tool_calls) == (2, 1)
        assert (made.stats.total_duration_s, made.stats.estimated_tokens) == (3.5, 15)
        assert (session.stats.total_duration, session.stats.estimated_tokens) == (timedelta(seconds=3.5), 15)
        assert session.stats.start_time == made.stats.start_time
        session.stats.record_tool_call()
    async with desk.session(session_id=session.id) as again:
        assert again.stats.total_tool_calls == 2, "leaving tells what was counted"


async def test_session_history(desk: Desk) -> None:
    """`add_*` note; a message counts with `tokens` or `duration` only; `clear` starts anew and forgets nothing saved."""
    async with desk.session() as session:
        session.history.add_user_message("first")
        session.history.add_user_message("second", tokens=3)
        session.history.add_assistant_message("answer", duration=timedelta(seconds=2))
        session.history.add_tool_call(CALL)
        assert (session.stats.total_messages, session.stats.estimated_tokens, session.stats.total_tool_calls) == (2, 3, 0)
        before = await session.save("before")
        session.history.clear()
        assert (session.history.user_prompts, session.history.assistant_responses, session.history.tool_calls) == ([], [], [])
        session.history.add_user_message("anew")
        after = await session.save("after")

        first, second = await session.load(before.id), await session.load(after.id)
        assert (first.user_prompts, first.assistant_responses, first.tool_calls) == (["first", "second"], ["answer"], [CALL])
        assert (second.user_prompts, second.assistant_responses, second.tool_calls) == (["anew"], [], [])
        await session.rewind(before.id)
        assert (session.history.user_prompts, session.history.tool_calls) == (["first", "second"], [CALL])


async def test_only_what_is_new_travels(desk: Desk) -> None:
    """Each checkpoint holds the whole conversation to its moment, though each event was sent and stored once."""
    async with desk.session() as session:
        for number in range(5):
            session.history.add_user_message(f"prompt {number}")
            session.history.add_assistant_message(f"answer {number}")
            await session.save(str(number))
            assert session.history.unsent == 0
        for number, summary in enumerate(await session.list()):
            found = await session.load(summary.id)
            assert found.user_prompts == [f"prompt {earlier}" for earlier in range(number + 1)]
            assert found.assistant_responses == [f"answer {earlier}" for earlier in range(number + 1)]


async def test_checkpoint_and_file_diff(desk: Desk) -> None:
    """A checkpoint has the reference's fields; a diff's versions say absent, file, link or directory, and `read` gives the bytes."""
    desk.write("changed", "before\n", 0o640)
    async with desk.session() as session:
        await session.snapshot("changed", "added", "link", "empty", "binary")
        desk.write("changed", "after\n")
        desk.write("added", "added\n")
        desk.write("empty", b"")
        desk.write("binary", b"\0\xff")
        (desk.root / "link").symlink_to("added")
        session.history.add_tool_call(CALL)
        made = await session.save("all kinds")
        found = await session.load(made.id)
        assert isinstance(found, rewindd.Checkpoint)
        assert (found.id, found.timestamp, found.label, found.tool_calls) == (made.id, made.created_at, "all kinds", [CALL])
        assert (found.session_id, found.is_head, found.automatic, found.parent_id) == (session.id, True, False, None)
        diffs = {diff.path: diff for diff in found.file_diffs}
        assert {path: diff.change for path, diff in diffs.items()} == {
            "changed": "modified",
            "added": "added",
            "empty": "added",
            "binary": "added",
            "link": "added",
        }
        changed = diffs[next(path for path in diffs if path == "changed")]
        assert isinstance(changed, rewindd.FileDiff)
        assert changed.before is not None
        assert changed.after is not None
        assert (changed.before.kind, changed.before.mode, changed.before.size) == ("file", 0o640, 7)
        assert (await session.read(changed.before), await session.read(changed.after)) == (b"before\n", b"after\n")
        assert (changed.insertions, changed.deletions, changed.binary, changed.mixed) == (1, 1, False, False)
        assert abs(datetime.now(UTC) - changed.timestamp) < timedelta(minutes=5)
        contents = {diff.path: await session.read(diff.after) for diff in found.file_diffs if diff.after is not None}
        assert contents == {"changed": b"after\n", "added": b"added\n", "empty": b"", "binary": b"\0\xff", "link": b"added"}
        assert all(diff.before is None for path, diff in diffs.items() if path != "changed")

        shown = {diff.path: diff.after for diff in (await session.load(made.id, content=True)).file_diffs}
        texts = {str(path): (version.text, version.base64) for path, version in shown.items() if version is not None}
        assert texts == {
            "changed": ("after\n", None),
            "added": ("added\n", None),
            "empty": ("", None),
            "binary": (None, "AP8="),
            "link": (None, None),
        }


async def test_snapshot_file(desk: Desk) -> None:
    """`snapshot` takes paths as str, bytes and PathLike, relative or absolute; a kind each, absent is one; nothing named is an error."""
    desk.write("file", "12345")
    (desk.root / "link").symlink_to("file")
    (desk.root / "directory").mkdir()
    async with desk.session() as session:
        kept = await session.snapshot("file", b"link", Path("directory"), desk.root / "absent", f"{desk.root}/.//sub/")
        kinds = {str(one.path): one.kind for one in kept.snapshots}
        assert kinds == {"file": "file", "link": "symlink", "directory": "directory", "absent": "absent", "sub": "absent"}
        assert (kept.snapshots[0].size, len(kept.snapshots[0].blob or "")) == (5, 64)
        with pytest.raises(errors.BadRequest):
            await session.snapshot()


async def test_diffs(desk: Desk) -> None:
    """`diff` is None for unchanged and untracked paths, else the change with its patch; `pending` lists all; `release` touches no file."""
    desk.write("it", "one\ntwo\n")
    async with desk.session() as session:
        assert await session.diff("it") is None
        await session.snapshot("it", "new")
        assert await session.diff("it") is None
        desk.write("it", "one\n2\n")
        desk.write("new", "x\n", 0o755)
        found = await session.diff("it")
        assert found is not None
        assert found.patch is not None
        assert found.patch.splitlines()[-3:] == [" one", "-two", "+2"]
        pending = await session.pending()
        assert [(one.path, one.change, one.insertions, one.deletions) for one in pending] == [
            ("it", "modified", 1, 1),
            ("new", "added", 1, 0),
        ]
        assert [one.path for one in await session.pending("new")] == ["new"]
        assert await session.release() == 2
        assert desk.read("it") == "one\n2\n"
        assert len(await session.pending()) == 2, "what was already observed stays the session's"
        desk.write("it", "nobody's\n")
        assert [(one.path, one.insertions) for one in await session.pending("it")] == [("it", 1)]
        assert await session.diff("no/such/file") is None


async def test_rewind_to(desk: Desk) -> None:
    """`rewind(id, before=True)` does what the reference did, `rewind(id)` what it says: several saves back, empty and binary whole."""
    async with desk.session() as session:
        first = await saved(session, desk, "binary", bytes(range(256)))
        await session.snapshot("binary", "empty")
        desk.write("binary", b"\xff" * 99)
        desk.write("empty", b"")
        await session.save()
        await edit(session, desk, "binary", "text")
        await session.save()
        await session.rewind(first.id)
        assert desk.photograph() == {"binary": ("file", 0o644, bytes(range(256)))}
        await session.rewind(first.id, before=True)
        assert desk.photograph() == {}


async def test_record(desk: Desk) -> None:
    """`record` tells events at once, counted by the daemon, after what the history has not told; a wrong one is `bad-request`."""
    async with desk.session() as session:
        session.history.add_user_message("first")
        told = await session.record(
            [
                {"kind": "assistant_response", "text": "second", "tokens": 7, "duration_s": 1.5},
                {"kind": "tool_call", "tool_name": "ls", "arguments": "{}", "result": "", "success": False},
            ]
        )
        assert (told.recorded, told.stats.total_messages, told.stats.total_tool_calls, told.stats.estimated_tokens) == (2, 1, 1, 7)
        for wrong in ({"kind": "rumour"}, {"kind": "user_prompt", "tokens": -1}, {"kind": "user_prompt", "text": 7}, {}):
            with pytest.raises(errors.BadRequest):
                await session.record([wrong])
        made = await session.save()
        found = await session.load(made.id)
        assert (found.user_prompts, found.assistant_responses) == (["first"], ["second"])
        assert found.tool_calls == [rewindd.ToolCallRecord("ls", "{}", "", False)]


async def test_client_calls(desk: Desk) -> None:
    """`status`, `sessions` and `checkpoints` show what there is, of a directory or by workspace id."""
    async with desk.session(agent="one") as one, desk.session(agent="two") as two:
        first, second = await one.save("first"), await two.save("second")
        status = await desk.client.status()
        assert (status.version, status.protocol, status.pid) == (rewindd.__version__, 1, desk.daemon.pid)
        assert (str(status.socket), str(status.data_dir)) == (desk.daemon.socket, str(desk.daemon.data_dir))
        (workspace,) = [entry for entry in status.workspaces if entry.root == str(desk.root)]
        assert (workspace.capture, workspace.baseline.state) == ("workspace", "complete")
        (desk.root / "sub").mkdir()
        for where in (desk.root, desk.root / "sub", bytes(desk.root)):
            assert [entry.id for entry in await desk.client.sessions(where)] == [one.id, two.id]
            assert [entry.id for entry in await desk.client.checkpoints(where)] == [first.id, second.id]
        assert [entry.label for entry in await desk.client.checkpoints(workspace.id, limit=1)] == ["second"]
        await two.close()
        assert [entry.agent for entry in await desk.client.sessions(desk.root)] == ["one"]
        closed = await desk.client.sessions(desk.root, closed=True)
        assert [entry.closed_at is None for entry in closed] == [True, False]
        assert await desk.client.sessions(desk.daemon.directory) == []
        with pytest.raises(errors.UnknownWorkspace):
            await desk.client.checkpoints("no-such-workspace")
        for limit in (0, -1):
            with pytest.raises(errors.BadRequest):
                await one.list(limit=limit)


async def test_open_and_aclose(running: RealDaemon, tree: Path) -> None:
    """`open` and `aclose` do what `connect` does, for code without `async with`; closing twice does nothing."""
    client = await rewindd.open(socket=running.socket, autostart=False)
    async with client.session(tree) as session:
        assert (await session.save("opened")).label == "opened"
        assert session.info is not None
        assert (session.info.agent, session.info.capture, session.info.attribution) == ("agent", "workspace", "declared")
    await client.aclose()
    await client.aclose()


def test_the_blocking_client(running: RealDaemon, tree: Path) -> None:
    """The blocking client has the same calls with the same results, each of them against the real daemon."""
    with rewindd.blocking.connect(socket=running.socket, autostart=False) as client, client.session(tree, agent="plain") as session:
        assert client.status().pid == running.pid
        assert session.snapshot("it").snapshots[0].kind == "absent"
        (tree / "it").write_text("one\n")
        session.history.add_user_message("go", tokens=2)
        first = session.save("first", checkpoint_id="first.id")
        with session.editing("it") as kept:
            assert kept.edit is not None
            (tree / "it").write_text("two\n")
        found = session.diff("it")
        assert found is not None
        assert (found.change, len(session.pending()), session.release()) == ("modified", 1, 0)
        session.record([{"kind": "assistant_response", "text": "done"}])
        second = session.save("second")
        assert [one.id for one in session.list()] == [first.id, second.id] == ["first.id", second.id]
        plan = session.rewind("first", dry_run=True)
        result = session.rewind("first", plan=plan.plan_id)
        assert (result.restored, (tree / "it").read_text()) == (["it"], "one\n")
        session.undo()
        assert (tree / "it").read_text() == "two\n"
        session.redo()
        loaded = session.load("second", content=True)
        (diff,) = loaded.file_diffs
        assert diff.after is not None
        assert (diff.after.text, session.read(diff.after), loaded.user_prompts) == ("two\n", b"two\n", ["go"])
        assert session.read(diff.after, to=tree / "copy") == 4
        assert [one.id for one in client.sessions(tree)] == [session.id]
        assert [one.label for one in client.checkpoints(tree)] == ["first", "second"]
        session.close()
        assert client.sessions(tree) == []
        with pytest.raises(errors.UnknownSession):
            session.save()


async def test_without_a_daemon_nothing_breaks(tmp_path: Path) -> None:
    """`required=False`: where no daemon is, every call returns a placeholder that says so, and no file is touched."""
    (tmp_path / "it").write_text("mine\n")
    async with rewindd.connect(socket=tmp_path / "none.sock", autostart=False, required=False, timeout_s=0.2) as client:
        async with client.session(tmp_path) as session:
            kept = await session.snapshot("it")
            assert [(one.path, one.reason.partition(":")[0]) for one in kept.skipped] == [("it", "unavailable")]
            session.history.add_user_message("lost")
            assert (await session.save()).files == 0
            assert (await session.rewind("x")).restored == []
            assert client.gaps >= 3
    with pytest.raises(errors.Unavailable):
        async with rewindd.connect(socket=tmp_path / "none.sock", autostart=False, timeout_s=0.2):
            pass
    assert (tmp_path / "it").read_text() == "mine\n"


async def test_diff_between_positions(desk: Desk) -> None:
    """The wire's `diff` shows how the workspace differs between two positions, or from one to now, whoever changed it."""
    async with desk.session() as session:
        first = await saved(session, desk, "a", "1\n", "first")
        second = await saved(session, desk, "b", "2\n", "second")
        desk.write("a", "nobody's\n")

        async def between(a: str, b: str | None) -> dict[str, str]:
            found = await desk.client.ask(requests.Diff(session=session.id, a=a, b=b), replies.Changes)
            return {str(one.path): one.change for one in found.changes}

        assert await between(first.id, second.id) == {"b": "added"}
        assert await between(second.id, first.id) == {"b": "deleted"}
        assert await between("first", None) == {"a": "modified", "b": "added"}
        assert await between("@", "@") == {}

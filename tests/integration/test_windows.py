"""`session.command` and `session.turn` against a running daemon, in both clients; and a window whose process dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

import rewindd
import rewindd.blocking
from rewindd import errors
from rewindd.client.blocking_session import Session as PlainSession
from rewindd.client.windows import LABEL_CHARS, Command, Turn
from rewindd.protocol import replies, requests
from support.daemon import PATIENCE_S, RealDaemon
from support.desk import Desk

pytestmark = pytest.mark.anyio
T = TypeVar("T")
#: Opens a window that ends with this process at the latest, says so, and waits to be killed.
HOLDER = """
import sys, rewindd.blocking
with rewindd.blocking.connect(socket=sys.argv[1], autostart=False) as client:
    with client.session(sys.argv[2], agent="holder", capture="snapshots", exact=True) as session:
        with session.command("sleep"):
            print(session.id, flush=True)
            sys.stdin.read()
"""


async def owners(desk: Desk, session: rewindd.Session | PlainSession, path: str) -> list[str | None]:
    """Whose the changes of a path are, oldest first."""
    found = await desk.client.ask(requests.ReadLog(session=session.id), replies.Edits)
    return [one.session_id for one in found.edits if one.path == path and one.source in ("tool", "command", "external")]


async def failing(block: AbstractAsyncContextManager[T], act: Callable[[], object], told: list[T]) -> None:
    """Enters a block, which tells what it is, acts in it, and raises."""
    async with block as window:
        told.append(window)
        act()
        raise ZeroDivisionError


def interrupted(desk: Desk) -> None:
    """Changes a file, then hears ^C."""
    desk.write("old", "3\n")
    raise KeyboardInterrupt


async def shell(desk: Desk, command: str) -> None:
    """Runs a shell command in the workspace."""
    await anyio.run_process(["sh", "-c", command], cwd=desk.root)


async def cover(desk: Desk, session: rewindd.Session) -> None:
    """Makes the workspace known, and lets go of it."""
    await session.snapshot(".")
    await session.release()


async def test_a_shell_command(desk: Desk) -> None:
    """What a command changes in the block is the session's, and comes back with a rewind; what changes after it is nobody's."""
    desk.write("old", "0\n")
    desk.write("doomed", "0\n")
    async with desk.session() as session:
        await cover(desk, session)
        start = await session.save("start")
        before = desk.photograph()
        async with session.command("make") as command:
            await shell(desk, "echo 1 > old; echo 1 > new; rm doomed")
        assert [(str(one.path), one.change) for one in command.changes] == [("doomed", "deleted"), ("new", "added"), ("old", "modified")]
        assert (command.text, command.unowned, command.contested, command.incomplete) == ("make", 0, 0, 0)
        await session.save("made")
        await session.rewind(start.id)
        assert desk.photograph() == before
        await shell(desk, "echo 2 > old")
        assert (await owners(desk, session, "old"))[-1] is None


async def test_a_command_that_fails(desk: Desk) -> None:
    """The block's exception comes out, and the window is closed all the same; so it is when the block is cancelled."""
    desk.write("old", "0\n")
    async with desk.session() as session:
        await cover(desk, session)
        with pytest.raises(ZeroDivisionError):
            await failing(session.command("false"), lambda: desk.write("old", "1\n"), told := list[Command]())
        (command,) = told
        assert [str(one.path) for one in command.changes] == ["old"]
        with anyio.CancelScope() as scope:
            async with session.command("sleep") as command:
                desk.write("old", "2\n")
                scope.cancel()  # noticed when the window is closed
        assert scope.cancelled_caught
        assert [str(one.path) for one in command.changes] == ["old"]
        plan = await session.rewind("#1", dry_run=True)
        assert "." not in plan.not_quiet


async def test_a_turn(desk: Desk) -> None:
    """A turn notes the prompt, owns what changes, and saves at its end under the prompt's first line."""
    desk.write("old", "0\n")
    async with desk.session() as session:
        await cover(desk, session)
        async with session.turn("make it better\nand faster") as turn:
            early = turn.checkpoint
            await shell(desk, "echo 1 > old")
        assert early is None
        assert turn.checkpoint is not None
        assert (turn.checkpoint.label, turn.checkpoint.files, turn.checkpoint.is_head) == ("make it better", 1, True)
        assert [str(one.path) for one in turn.changes] == ["old"]
        found = await session.load("make it better")
        assert found.user_prompts == ["make it better\nand faster"]
        async with session.turn() as silent:
            pass
        assert silent.checkpoint is not None
        assert (silent.checkpoint.label, silent.checkpoint.files) == (None, 0)


async def test_a_turn_that_fails(desk: Desk) -> None:
    """The work of a turn that raised or was cancelled is saved, and what it raised comes out."""
    desk.write("old", "0\n")
    async with desk.session() as session:
        await cover(desk, session)
        with pytest.raises(ZeroDivisionError):
            await failing(session.turn("fail"), lambda: desk.write("old", "1\n"), told := list[Turn]())
        (turn,) = told
        assert turn.checkpoint is not None
        assert (turn.checkpoint.label, turn.checkpoint.files) == ("fail", 1)
        with anyio.CancelScope() as scope:
            async with session.turn("cancelled") as turn:
                desk.write("old", "2\n")
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert [one.label for one in await session.list()] == ["fail", "cancelled"]
        assert [str(one.path) for one in turn.changes] == ["old"]


async def test_a_turn_whose_session_was_moved(desk: Desk) -> None:
    """Another handle that saved meanwhile does not keep the turn from being saved."""
    async with desk.session() as session:
        async with session.turn("mine") as turn:
            async with desk.session(session_id=session.id) as other:
                await other.save("theirs")
        assert turn.checkpoint is not None
        assert [one.label for one in await session.list()] == ["theirs", "mine"]


async def test_a_turn_that_cannot_begin(desk: Desk) -> None:
    """Where no window can be opened the block does not run, and nothing is saved or noted."""
    async with desk.session() as session:
        await session.close()
        with pytest.raises(errors.UnknownSession):
            await failing(session.turn("never"), lambda: None, told := list[Turn]())
        assert told == []
        assert session.history.user_prompts == []


async def test_without_async(desk: Desk, running: RealDaemon) -> None:
    """The blocking client does the same."""
    desk.write("old", "0\n")

    def work() -> None:
        with rewindd.blocking.connect(socket=running.socket, autostart=False) as client:
            with client.session(desk.root, agent="plain", session_id="plain", capture="snapshots") as session:
                session.snapshot(".")
                session.release()
                with session.command("make") as command:
                    desk.write("old", "1\n")
                assert [str(one.path) for one in command.changes] == ["old"]
                with session.turn("first line\nsecond") as turn:
                    desk.write("old", "2\n")
                assert turn.checkpoint is not None
                assert (turn.checkpoint.label, turn.checkpoint.files) == ("first line", 1)
                with pytest.raises(KeyboardInterrupt), session.turn("interrupted"):
                    interrupted(desk)
                assert [one.label for one in session.list()] == ["first line", "interrupted"]

    await anyio.to_thread.run_sync(work)


async def test_without_a_daemon(tmp_path: Path) -> None:
    """Where none is required the blocks run, and say that nothing was opened or saved."""
    async with rewindd.connect(socket=str(tmp_path / "none"), autostart=False, required=False) as client:
        async with client.session(tmp_path, agent="lonely") as session:
            async with session.command("make") as command:
                pass
            assert (command.window, command.changes) == ("", [])
            async with session.turn("go on") as turn:
                pass
            assert not turn.checkpoint
            assert session.history.user_prompts == ["go on"]


@pytest.fixture
def holder(running: RealDaemon, tree: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with a window open on the workspace."""
    command = [sys.executable, "-c", HOLDER, running.socket, str(tree)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def holding(process: "subprocess.Popen[bytes]") -> str:
    """Waits until the window is open; returns its session's id."""
    assert process.stdout is not None
    said = process.stdout.readline().decode().strip()
    assert said, "the holder failed"
    return said


async def test_its_process_is_killed(desk: Desk, holder: "subprocess.Popen[bytes]") -> None:
    """A window ends with the process that opened it, however that dies; what changed until then is its session's."""
    desk.write("it", "0\n")
    its = await anyio.to_thread.run_sync(holding, holder)
    async with desk.session() as session:
        await cover(desk, session)
        desk.write("it", "1\n")
        os.kill(holder.pid, signal.SIGKILL)
        with anyio.fail_after(PATIENCE_S):
            while "." in (await session.rewind("#1", dry_run=True)).not_quiet:
                await anyio.sleep(0.01)
        desk.write("it", "2\n")
        assert (await owners(desk, session, "it"))[-2:] == [its, None]


async def test_two_windows(desk: Desk, holder: "subprocess.Popen[bytes]") -> None:
    """What changes while windows of two sessions are open is of neither, and each is told."""
    desk.write("it", "0\n")
    await anyio.to_thread.run_sync(holding, holder)
    async with desk.session() as session:
        await cover(desk, session)
        async with session.command("make") as command:
            await shell(desk, "echo 1 > it")
        assert (command.changes, command.contested) == ([], 1)
        assert await session.pending() == []


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        (None, None),
        ("", None),
        (" \n ", None),
        ("\n  first  \nsecond", "first"),
        ("x" * LABEL_CHARS, "x" * LABEL_CHARS),
        ("x" * (LABEL_CHARS + 1), "x" * (LABEL_CHARS - 1) + "…"),
        ("a\0b", "ab"),
    ],
)
def test_labels(prompt: str | None, label: str | None) -> None:
    """A label is the prompt's first line that says something, cut to what a line of a terminal has room for."""
    assert Turn(prompt).label == label

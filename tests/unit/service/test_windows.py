"""Windows: whose the changes in one are, all that ends one, and what others are told of one. The service is in this process."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rewindd import errors
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.service.capture import windows
from support.windows import Sill, sill

pytestmark = pytest.mark.anyio
A, B = "a", "b"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Sill]:
    """A service, and a covered workspace with the sessions `a` and `b`."""
    async with sill(tmp_path) as one:
        one.write("old", "0\n")
        for name in (A, B):
            await one.open(name)
        await one.cover(A)
        yield one


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that lives until the test ends it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


async def test_what_changes_in_it_is_the_session_s(at: Sill) -> None:
    """Changed, made and deleted between opening and closing: the session's; before and after: nobody's."""
    at.write("old", "before\n")
    window = await at.window(A)
    at.write("old", "inside\n")
    at.write("new", "inside\n")
    assert await at.shut(A, window) == ["new", "old"]
    at.write("new", "after\n")
    assert await at.owners(A, "old") == [(), (A,)]
    assert await at.owners(A, "new") == [(A,), ()]


async def test_two_windows_are_contested(at: Sill) -> None:
    """What changes in windows of two sessions is of neither alone; each is told how many paths that are."""
    ours, theirs = await at.window(A), await at.window(B, "turn")
    at.write("old", "whose?\n")
    answer = await at.ask(requests.CloseWindow(session=A, window=ours), replies.Changes)
    assert (answer.changes, answer.unowned, answer.contested) == ([], 0, 1)
    pending = await at.ask(requests.ListPending(session=A), replies.Changes)
    assert (pending.changes, pending.contested) == ([], 1)
    at.write("old", "theirs\n")
    assert await at.shut(B, theirs) == ["old"]
    assert await at.owners(A, "old") == [(A, B), (B,)]


async def test_a_window_and_another_s_claim(at: Sill) -> None:
    """A path that another session claimed is contested; in another's bracket it is the bracket's; the rest is the window's."""
    for name in ("claimed", "bracketed"):
        at.write(name, "0\n")
    await at.ask(requests.TakeSnapshot(session=B, paths=[FsText("claimed")]), replies.Snapshots)
    await at.ask(requests.BeginEdit(session=B, paths=[FsText("bracketed")]), replies.Snapshots)
    window = await at.window(A)
    for name in ("claimed", "bracketed", "old"):
        at.write(name, "1\n")
    assert await at.shut(A, window) == ["old"]
    assert (await at.owners(A, "claimed"))[-1] == (A, B)
    assert (await at.owners(A, "bracketed"))[-1] == (B,)


async def test_the_next_of_the_same_kind_ends_it(at: Sill) -> None:
    """A session has one window of a kind: what changed until the next opens is its own, and closing the first then does nothing."""
    first = await at.window(A)
    at.write("old", "in the first\n")
    turn = await at.window(A, "turn")
    second = await at.window(A)
    assert await at.shut(A, first) == []
    assert not await at.is_quiet(B)
    assert await at.shut(A, second) == []
    assert await at.shut(A, turn) == []
    assert await at.is_quiet(B)
    assert await at.owners(A, "old") == [(A,)]


async def test_closing_twice(at: Sill) -> None:
    """The second closing changes nothing and tells of nothing; with the same key it is the first answer again."""
    window = await at.window(A)
    at.write("old", "1\n")
    assert await at.shut(A, window, key="once") == ["old"]
    at.write("old", "2\n")
    assert await at.shut(A, window) == []
    assert await at.shut(A, window, key="once") == ["old"]
    assert await at.owners(A, "old") == [(A,), ()]


async def test_opening_twice_with_one_key(at: Sill) -> None:
    """The same key again gets the first answer, and opens nothing."""
    window = await at.window(A, key="once")
    assert await at.window(A, key="once") == window
    await at.shut(A, window)
    assert await at.is_quiet(B)


async def test_another_s_window_cannot_be_closed(at: Sill) -> None:
    """A window is its session's: another that names it ends nothing and hears of nothing."""
    window = await at.window(A)
    at.write("old", "1\n")
    assert await at.shut(B, window) == []
    assert await at.shut(A, window) == ["old"]


async def test_a_save_ends_the_command_s_window_alone(at: Sill) -> None:
    """The saver's command is over with its save, its turn is not, nor is another session's command."""
    await at.window(A)
    turn, theirs = await at.window(A, "turn"), await at.window(B)
    await at.ask(requests.Save(session=A), replies.Saved)
    await at.shut(A, turn)
    at.write("old", "theirs\n")
    assert await at.shut(B, theirs) == ["old"]
    assert await at.is_quiet(B)


async def test_closing_the_session_ends_its_windows(at: Sill) -> None:
    """What changed until the session was closed is its own."""
    await at.window(A)
    await at.window(A, "turn")
    at.write("old", "1\n")
    await at.ask(requests.CloseSession(session=A), replies.SessionReply)
    assert await at.is_quiet(B)
    at.write("old", "2\n")
    assert await at.owners(B, "old") == [(A,), ()]
    with pytest.raises(errors.UnknownSession):
        await at.window(A)


async def test_it_ends_with_its_process(at: Sill, sleeper: "subprocess.Popen[bytes]") -> None:
    """When the named process dies the tree is looked at, and the window is over."""
    await at.window(A, pid=sleeper.pid)
    at.write("old", "1\n")
    assert not await at.is_quiet(B)
    at.write("new", "1\n")
    sleeper.kill()
    await at.until_quiet(B)
    at.write("old", "2\n")
    assert await at.owners(B, "old") == [(A,), ()]
    assert (await at.owners(B, "new"))[0] == (A,)


async def test_it_ends_after_its_time(at: Sill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that nobody closes ends by itself; what changed until then is its session's."""
    assert windows.LONGEST_S == 3600
    monkeypatch.setattr(windows, "LONGEST_S", 0.2)
    await at.window(A, "turn")
    at.write("old", "1\n")
    await at.until_quiet(B)
    at.write("old", "2\n")
    assert await at.owners(B, "old") == [(A,), ()]


@pytest.mark.parametrize("pid", [1, windows.MAX_PID])
async def test_a_process_that_is_not_ours_to_wait_for(at: Sill, pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is not there, or another user's, is no reason to refuse, or to end it at once."""
    monkeypatch.setattr("rewindd.service.capture.windows.os.geteuid", lambda: 12345)
    window = await at.window(A, pid=pid)
    at.write("old", "1\n")
    assert not await at.is_quiet(B)
    assert await at.shut(A, window) == ["old"]


@pytest.mark.parametrize(("kind", "pid"), [("edit", None), ("", None), ("turn", 0), ("turn", -1), ("turn", windows.MAX_PID + 1)])
async def test_what_is_no_window(at: Sill, kind: str, pid: int | None) -> None:
    """A kind that there is not and a number that no process has are refused, and nothing is open then."""
    with pytest.raises(errors.BadRequest):
        await at.window(A, kind, pid=pid)
    assert await at.is_quiet(B)


async def test_a_session_with_a_window_is_active(at: Sill, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long after its last request its claims live, it is not alone with a sole session, and the daemon is needed."""
    await at.open("sole", attribution="sole")
    await at.ask(requests.TakeSnapshot(session=A, paths=[FsText("old")]), replies.Snapshots)
    window = await at.window(A, "turn")
    monkeypatch.setattr("rewindd.service.state.ACTIVE_NS", 0)
    assert at.service.is_needed()
    at.write("old", "1\n")
    assert await at.owners("sole", "old") == [(A,)]
    await at.shut(A, window)
    assert not at.service.is_needed()
    at.write("old", "2\n")
    assert await at.owners("sole", "old") == [(A,), ()]


async def test_the_daemon_ends_with_a_window_open(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    """Windows keep no daemon from ending, which looks at the tree a last time. In its next life they are gone."""
    async with sill(tmp_path) as one:
        await one.open(A)
        one.write("old", "0\n")
        await one.cover(A)
        window = await one.window(A, pid=sleeper.pid)
        one.write("old", "1\n")
    async with sill(tmp_path) as one:
        assert await one.is_quiet(A)
        one.write("old", "2\n")
        assert await one.shut(A, window) == []
        assert await one.owners(A, "old") == [(A,), ()]


async def test_where_the_root_is_gone(at: Sill) -> None:
    """No window is opened on a directory that is not there, and one that is open ends all the same."""
    window = await at.window(A)
    at.root.rename(at.root.with_name("elsewhere"))
    assert await at.shut(A, window) == []
    with pytest.raises(errors.UnknownWorkspace):
        await at.window(A)
    at.root.with_name("elsewhere").rename(at.root)
    assert await at.is_quiet(B)


async def test_a_save_leaves_what_another_s_window_holds(at: Sill) -> None:
    """What changed is named as incomplete and stays the other's; what did not change is not named; what the saver claims it takes."""
    at.write("mine", "0\n")
    await at.ask(requests.TakeSnapshot(session=A, paths=[FsText("mine")]), replies.Snapshots)
    window = await at.window(B, "turn")
    at.write("old", "1\n")
    saved = (await at.ask(requests.Save(session=A), replies.Saved)).checkpoint
    assert [(one.path, one.reason) for one in saved.incomplete.first] == [("old", "a window of session b is open")]
    assert await at.shut(B, window) == ["old"]
    again = (await at.ask(requests.Save(session=A), replies.Saved)).checkpoint
    assert (again.files, again.incomplete.count) == (0, 0)


async def test_a_save_in_the_saver_s_own_window_leaves_nothing(at: Sill) -> None:
    """Who has a window open itself takes all that changed; with another's open too it is contested."""
    await at.window(A, "turn")
    await at.window(B, "turn")
    at.write("old", "1\n")
    saved = (await at.ask(requests.Save(session=A), replies.Saved)).checkpoint
    assert (saved.files, saved.incomplete.count) == (0, 0)
    assert await at.owners(A, "old") == [(A, B)]

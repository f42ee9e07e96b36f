"""A rewind that is to lose what the store had no room for, and is cut off: it is finished or taken back as any other."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rewindd import faults
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support import dying
from support.dying import SESSION, Desk, life, log_faults

pytestmark = pytest.mark.anyio
#: Commits of such a rewind: what was seen, its record, its answer.
COMMITS = 3


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.arm(None)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    dying.tree_of(str(tmp_path)).mkdir()
    return tmp_path


async def begun(desk: Desk, top: Path) -> None:
    """A file with two kept versions and a third, on disk, that there was no room for."""
    file = dying.tree_of(str(top)) / "file"
    file.write_text("one\n")
    await desk.ask(
        requests.OpenSession(directory=FsText(str(file.parent)), agent="tests", id=SESSION, exact=True, attribution="sole"),
        replies.SessionReply,
    )
    await desk.ask(requests.TakeSnapshot(session=SESSION, paths=[FsText(".")]), replies.Snapshots)
    await desk.ask(requests.Save(session=SESSION, id="first"), replies.Saved)
    file.write_text("two\n")
    await desk.ask(requests.Save(session=SESSION, id="second"), replies.Saved)
    full(desk)
    file.write_text("not kept\n")


def full(desk: Desk) -> None:
    desk.state.capture = replace(desk.state.capture, max_store_bytes=1)
    desk.state.measured_room = None


def armed(number: int) -> list[str]:
    """Has one commit fail; returns the commits as they come."""
    seen: list[str] = []

    def hook(name: str) -> None:
        if name == "store.commit":
            seen.append(name)
            if len(seen) == number:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    faults.arm(hook)
    return seen


@pytest.mark.parametrize("number", range(1, COMMITS + 1))
async def test_a_commit_fails(top: Path, number: int) -> None:
    """The file is as it was, or where it was replaced already, as the log knows it; the rewind can be asked for again, and undone."""
    file = dying.tree_of(str(top)) / "file"
    async with life(str(top)) as desk:
        await begun(desk, top)
        armed(number)
        answer = await desk.told(requests.Rewind(session=SESSION, position="first", lose_unsaved=True))
        faults.arm(None)
        if "error" in answer:
            assert file.read_text() in ("not kept\n", "two\n")
            answer = await desk.told(requests.Rewind(session=SESSION, position="first", lose_unsaved=True))
        assert len(answer["restored"]) == 1
        assert file.read_text() == "one\n"
        assert (await desk.told(requests.Undo(session=SESSION)))["kept"] == []
        assert file.read_text() == "two\n"
    assert log_faults(str(top)) == []
    assert not list(file.parent.rglob(".rewindd-*"))


async def test_its_answer_is_lost(top: Path) -> None:
    """Where the store fails from the answer on, the next life takes it back: to what the log knows, as nothing else was kept."""
    file = dying.tree_of(str(top)) / "file"
    async with life(str(top)) as desk:
        await begun(desk, top)
        seen: list[str] = []

        def hook(name: str) -> None:
            if name.startswith("tree."):
                seen.append(name)
            if seen and name.startswith("store."):
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        faults.arm(hook)
        assert (await desk.told(requests.Rewind(session=SESSION, position="first", lose_unsaved=True)))["error"] == "io-error"
        faults.arm(None)
    async with life(str(top)) as desk:
        assert file.read_text() in ("one\n", "two\n")
        await desk.ask(requests.ListPending(session=SESSION), replies.Changes)
        assert (await desk.told(requests.Rewind(session=SESSION, position="first")))["kept"] == []
        assert file.read_text() == "one\n"
    assert log_faults(str(top)) == []
    assert not list(file.parent.rglob(".rewindd-*"))

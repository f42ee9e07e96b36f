"""What is or would be captured, and what is left out of it, as the op `capture` tells it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rewindd.errors import RefusedRoot, RewinddError, UnknownWorkspace
from rewindd.model.capture import CaptureSettings
from rewindd.paths import FsText
from rewindd.protocol import replies, requests, wire
from rewindd.service.capture import capturing
from rewindd.service.dispatch import Service
from rewindd.service.running import running
from rewindd.tree.look import SPECIAL
from support.repository import git, grow

pytestmark = pytest.mark.anyio
LIMITS = CaptureSettings(max_file_bytes=1000, watch=False)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Counter:
    """A service, and what it told of its progress."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.told: list[wire.Progress] = []

    async def asked(self, directory: Path, *, dry_run: bool = False, seen: bool = True) -> replies.CaptureInfo:
        """Asks what is or would be captured; `seen`: says which directory the caller sees there."""
        found = directory.stat() if seen else None
        request = requests.ListCapture(
            directory=FsText(directory),
            device=found.st_dev if found else None,
            inode=found.st_ino if found else None,
            dry_run=dry_run,
        )
        return wire.decode_fields(await self.service.answer(request, b"", self.told.append), replies.CaptureInfo)

    async def opened(self, directory: Path, *, capture: str = "workspace") -> str:
        """Opens a session, and returns when the first capture is complete."""
        request = requests.OpenSession(directory=FsText(directory), agent="a", capture=capture, exact=True)
        reply = wire.decode_fields(await self.service.answer(request, b"", self.told.append), replies.SessionReply)
        await self.service.answer(requests.Save(session=reply.session.id), b"", self.told.append)
        self.told.clear()
        return reply.session.id


@asynccontextmanager
async def counter(directory: Path, settings: CaptureSettings = LIMITS) -> AsyncIterator[Counter]:
    """A service of its own for the block."""
    data = directory / "data"
    async with running(
        data_dir=str(data), socket=str(directory / "s"), runtime_dir=str(directory), on_stop=lambda: None, capture=settings
    ) as service:
        yield Counter(service)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with files, links, and names that rules, a limit or their kind leave out."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    root = (tmp_path / "tree").resolve()
    grow(root, {".gitignore": "*.log\n", "a.log": "no", "small": "x", "d/middle": "x" * 20, "d/large": "x" * 900, "over": "x" * 1001})
    grow(root, {"node_modules/m/x": "no"})
    (root / "link").symlink_to("small")
    os.mkfifo(root / "d" / "fifo")
    git(root, "init", "-q")
    return root


def reasons(found: replies.CaptureInfo) -> dict[str, str]:
    return {str(one.path): one.reason for one in found.left_out}


LEFT = {
    "a.log": "ignored by git",
    "d/fifo": SPECIAL,
    "node_modules": "built-in: node_modules",
    "over": "limit: larger than max_file_bytes, 1000 bytes",
}
LARGEST = [("d/large", 900), ("d/middle", 20), (".gitignore", 6), ("small", 1), ("link", 0)]


@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_is_captured_is_what_would_be(tmp_path: Path, tree: Path, dry_run: bool) -> None:
    """Files and links are counted and told biggest first, and each name that is left out with its reason, in order of the paths."""
    async with counter(tmp_path) as at:
        if not dry_run:
            await at.opened(tree)
        found = await at.asked(tree / "d", dry_run=dry_run)
    assert (found.root, found.files, found.bytes) == (str(tree), 5, 927)
    assert [(str(one.path), one.size) for one in found.largest] == LARGEST
    assert reasons(found) == LEFT
    assert list(reasons(found)) == sorted(LEFT)
    assert found.left_out_count == len(LEFT)
    assert found.missing == (5 if dry_run else 0)


async def test_a_dry_run_captures_nothing(tmp_path: Path, tree: Path) -> None:
    """No workspace is made, nothing is stored, and git's index is not touched; the next dry run says the same."""
    grow(tree, {"tracked": "x"})
    git(tree, "add", "tracked")
    os.utime(tree / "tracked", (1, 1))
    index = (tree / ".git" / "index").stat().st_mtime_ns
    async with counter(tmp_path) as at:
        first = await at.asked(tree, dry_run=True)
        assert await at.asked(tree, dry_run=True) == first
        status = wire.decode_fields(await at.service.answer(requests.GetStatus(), b"", at.told.append), replies.Status)
    assert (status.workspaces, status.store.blobs, status.store.rows) == ([], 0, 0)
    assert (tree / ".git" / "index").stat().st_mtime_ns == index


async def test_it_looks_before_it_tells(tmp_path: Path, tree: Path) -> None:
    """What changed a moment ago is in the answer: new files, names that a changed rule leaves out, and those it lets in."""
    async with counter(tmp_path) as at:
        await at.opened(tree)
        grow(tree, {"new": "x" * 5, ".gitignore": "small\n"})
        found = await at.asked(tree)
    assert {str(one.path) for one in found.largest} == {"d/large", "d/middle", ".gitignore", "new", "link", "a.log"}
    assert reasons(found) == {**{name: why for name, why in LEFT.items() if name != "a.log"}, "small": "ignored by git"}


async def test_what_was_named_is_captured(tmp_path: Path, tree: Path) -> None:
    """A file that a rule leaves out and a session named counts as captured, and is not told as left out."""
    async with counter(tmp_path) as at:
        session = await at.opened(tree)
        await at.service.answer(requests.TakeSnapshot(session=session, paths=[FsText("a.log")]), b"", at.told.append)
        found = await at.asked(tree)
    assert "a.log" in {str(one.path) for one in found.largest}
    assert reasons(found) == {name: why for name, why in LEFT.items() if name != "a.log"}


async def test_the_biggest_and_the_first(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the biggest files are told, and of the names left out so many; how many there are is said."""
    monkeypatch.setattr(capturing, "LARGEST", 2)
    monkeypatch.setattr(capturing, "MAX_LEFT_OUT", 3)
    async with counter(tmp_path) as at:
        found = await at.asked(tree, dry_run=True)
    assert [str(one.path) for one in found.largest] == ["d/large", "d/middle"]
    assert list(reasons(found)) == sorted(LEFT)[:3]
    assert (found.files, found.left_out_count) == (5, 4)


async def test_a_dry_run_tells_how_far_it_is(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress counts the directories visited, for a caller whose patience silence would end."""
    monkeypatch.setattr(capturing, "REPORT_S", 0.0)
    async with counter(tmp_path) as at:
        await at.asked(tree, dry_run=True)
    assert [(one.done, one.total, one.what) for one in at.told] == [(1, 0, "directories"), (2, 0, "directories")]


async def test_other_workspaces_inside_and_our_own_places(tmp_path: Path, tree: Path) -> None:
    """A workspace inside, and the daemon's own data, are left out of what would be captured too."""
    grow(tree, {"inner/x": "", "near/.git/HEAD": ""})
    async with counter(tree) as at:
        await at.opened(tree / "inner", capture="snapshots")
        found = await at.asked(tree, dry_run=True)
        assert reasons(found)["inner"] == "a workspace of its own"
        assert reasons(found)["data"] == "rewindd's own"
        assert (await at.asked(tree / "inner")).root == str(tree / "inner")


async def test_where_nothing_is_or_may_be_captured(tmp_path: Path, tree: Path) -> None:
    """Outside every workspace the answer is an error that names the dry run; that one refuses what cannot be a workspace."""
    (tmp_path / "home").mkdir()
    async with counter(tmp_path) as at:
        for directory, dry_run, seen, kind in [
            (tree, False, True, UnknownWorkspace),
            (tree / "gone", False, False, UnknownWorkspace),
            (tree / "gone", True, False, UnknownWorkspace),
            (Path("/"), True, True, RefusedRoot),
            (tmp_path / "home", True, True, RefusedRoot),
            (tmp_path / "data", True, True, RefusedRoot),
        ]:
            with pytest.raises(kind) as caught:
                await at.asked(directory, dry_run=dry_run, seen=seen)
            assert isinstance(caught.value, RewinddError)
            assert dry_run or "--dry-run" in caught.value.message


async def test_another_directory_for_the_caller(tmp_path: Path, tree: Path) -> None:
    """A caller that sees another directory there is told so, and not what the daemon sees."""
    async with counter(tmp_path) as at:
        await at.opened(tree)
        for dry_run in (False, True):
            request = requests.ListCapture(directory=FsText(tree), device=1, inode=1, dry_run=dry_run)
            with pytest.raises(UnknownWorkspace, match="another directory for the daemon"):
                await at.service.answer(request, b"", at.told.append)


async def test_a_workspace_that_is_gone(tmp_path: Path, tree: Path) -> None:
    """What was captured is told also where the root is gone."""
    async with counter(tmp_path) as at:
        await at.opened(tree)
        tree.rename(tmp_path / "elsewhere")
        found = await at.asked(tree, seen=False)
    assert (found.files, found.bytes) == (5, 927)

"""Whole copies of the store: of what was cut off nothing is used, what is whole is found again, and one is made at a time."""

from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from rewindd.errors import AlreadyExists, BadRequest, StoreCorrupt, StoreFull
from rewindd.faults import arm, from_spec
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.protocol.integrity import BackedUp, MakeBackup
from rewindd.store import answers
from rewindd.store.opening import UNFINISHED_NAME, open_store
from support.windows import Sill, sill

pytestmark = pytest.mark.anyio


async def saved(at: Sill) -> None:
    """Saves one checkpoint."""
    session = await at.open("one")
    await at.cover(session)
    at.write("it", "is\n")
    await at.ask(requests.Save(session=session, label="saved"), replies.Saved)


async def backed_up(at: Sill, directory: Path, key: str | None = None) -> BackedUp:
    return await at.ask(MakeBackup(directory=FsText(directory), key=key), BackedUp)


async def test_what_was_cut_off(tmp_path: Path) -> None:
    """It is no data directory, and is begun anew; where anything else lies beside it, it is left alone."""
    copy = tmp_path / "copy"
    (copy / "blobs" / "00").mkdir(parents=True)
    (copy / "store.db.new").write_bytes(b"half")
    (copy / UNFINISHED_NAME).write_text("…")
    with pytest.raises(StoreCorrupt, match="not finished"):
        open_store(str(copy))
    async with sill(tmp_path) as at:
        await saved(at)
        (copy / "mine").write_text("of mine")
        with pytest.raises(AlreadyExists):
            await backed_up(at, copy)
        assert (copy / "store.db.new").exists()
        (copy / "mine").unlink()
        made = await backed_up(at, copy)
        assert made.checkpoints == 1
    assert sorted(one.name for one in copy.iterdir()) == ["blobs", "store.db"]
    open_store(str(copy)).close()


async def test_an_answer_that_got_lost(tmp_path: Path) -> None:
    """The same request again finds what was made for it; another one finds a directory that is not empty."""
    copy = tmp_path / "copy"
    async with sill(tmp_path) as at:
        await saved(at)
        first = await backed_up(at, copy, "key")
        inode = (copy / "store.db").stat().st_ino
        await at.service._state.bridge.transact(answers.clear)
        assert await backed_up(at, copy, "key") == first
        assert (copy / "store.db").stat().st_ino == inode
        for key in ("another", None):
            with pytest.raises(AlreadyExists):
                await backed_up(at, copy, key)


async def test_several_at_once(tmp_path: Path) -> None:
    """Who asks again while it is made gets its answer; who asks for another one in the same place is refused."""
    copy, told = tmp_path / "copy", list[BackedUp | str]()

    async def ask(key: str) -> None:
        try:
            told.append(await backed_up(at, copy, key))
        except AlreadyExists as exc:
            told.append(exc.code)

    async with sill(tmp_path) as at:
        await saved(at)
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "key")
            while not at.service._state.care.copying.locked():
                await checkpoint()
            for key in ("key", "other"):
                group.start_soon(ask, key)
    (made,) = {one.bytes for one in told if isinstance(one, BackedUp)}
    assert (made > 0, [one for one in told if isinstance(one, str)]) == (True, ["already-exists"])
    assert not (copy / UNFINISHED_NAME).exists()


@pytest.mark.parametrize(("error", "refused"), [("ENOSPC", StoreFull), ("EACCES", BadRequest)])
async def test_a_directory_that_cannot_be_had(tmp_path: Path, error: str, refused: type[Exception]) -> None:
    """The disk's trouble is the store's, a place that is not the caller's is the caller's; nothing is left of either."""
    async with sill(tmp_path) as at:
        arm(from_spec(f"{error}:2:store.backup.mkdir"))
        try:
            with pytest.raises(refused):
                await backed_up(at, tmp_path / "copy")
        finally:
            arm(None)
    assert not (tmp_path / "copy").exists()

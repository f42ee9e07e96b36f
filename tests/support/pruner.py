"""Lives of the service in which a store is pruned, each run in a child process that may be killed on the way (`support.zygote`)."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from rewindd import faults
from rewindd.model.capture import CaptureSettings
from rewindd.model.retention import Retention
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.service.running import running
from support.dying import Desk, tree_of
from support.photograph import photograph

SESSION = "the-session"
RULES = Retention(keep_last=2, keep_daily=0, interval_s=0)
SAVES = 12
#: Above what goes into the database, and above what goes into a pack.
BIG, SMALL = 300_000, 3000


@asynccontextmanager
async def life(top: str) -> AsyncIterator[Desk]:
    """A life of the service on the store below `top`, which keeps two checkpoints."""
    data = Path(top, "data")
    data.mkdir(mode=0o700, exist_ok=True)
    settings = CaptureSettings(reserve_bytes=0, retention=RULES)
    async with running(
        data_dir=str(data), socket=f"{top}/run/d.sock", runtime_dir=f"{top}/run", on_stop=lambda: None, capture=settings
    ) as service:
        yield Desk(service)


def set_out(top: str) -> dict[str, Any]:
    """Makes a store of a dozen checkpoints, with a rewind and its undo; returns the tree at each checkpoint, by its id."""

    async def act() -> dict[str, Any]:
        root, chance, trees = tree_of(top), random.Random(1), {}
        root.mkdir()
        for number in range(8):
            (root / f"first{number}").write_bytes(chance.randbytes(SMALL))
        async with life(top) as desk:
            await desk.ask(requests.OpenSession(directory=FsText(str(root)), agent="tests", id=SESSION, exact=True), replies.SessionReply)
            for number in range(SAVES):
                (root / "big").write_bytes(chance.randbytes(BIG))
                (root / "small").write_bytes(chance.randbytes(SMALL))
                (root / f"first{number % 8}").write_bytes(chance.randbytes(SMALL))
                (root / "text").write_text("".join(f"{number if n == number else n}\n" for n in range(30)))
                label = "mine" if number == 4 else None
                await desk.ask(requests.Save(session=SESSION, id=f"c{number}", label=label), replies.Saved)
                trees[f"c{number}"] = photograph(root)
            await desk.ask(requests.Rewind(session=SESSION, position="c9"), replies.RewindResult)
            await desk.ask(requests.Undo(session=SESSION), replies.RewindResult)
            assert photograph(root) == trees[f"c{SAVES - 1}"]
        return trees

    return anyio.run(act)


def prune(top: str, spec: str) -> dict[str, Any]:
    """Prunes with a fault armed; returns what that said."""

    async def act() -> dict[str, Any]:
        async with life(top) as desk:
            faults.arm(faults.from_spec(spec))
            try:
                return await desk.told(requests.Prune())
            finally:
                faults.arm(None)

    return anyio.run(act)


def look_back(top: str) -> dict[str, Any]:
    """In the next life: what is damaged, which checkpoints there are, the tree at each that stays; and the same after one more prune."""

    async def act() -> dict[str, Any]:
        async with life(top) as desk:
            before = await _seen(desk, top)
            again = await desk.told(requests.Prune())
            found = await _seen(desk, top)
            stored = await desk.ask(requests.GetStatus(), replies.Status)
            files = sorted(path.name for path in Path(top, "data", "blobs").glob("??/*"))
            return {
                "before": before,
                "again": again,
                "after": found,
                "blobs": stored.store.blobs,
                "rows": stored.store.rows,
                "files": files,
            }

    return anyio.run(act)


async def _seen(desk: Desk, top: str) -> dict[str, Any]:
    verified = await desk.ask(requests.Verify(), replies.Verified)
    listed = await desk.ask(requests.ListCheckpoints(session=SESSION), replies.Checkpoints)
    now, trees = photograph(tree_of(top)), {}
    ids = [one.id for one in listed.checkpoints]
    for id_ in [one for one in ("c4", "c9", "c10", "c11") if one in ids]:
        await desk.ask(requests.Rewind(session=SESSION, position=id_, scope="workspace"), replies.RewindResult)
        trees[id_] = photograph(tree_of(top))
        await desk.ask(requests.Undo(session=SESSION), replies.RewindResult)
        assert photograph(tree_of(top)) == now, id_
    return {"damage": [one.message for one in verified.damage], "ids": ids, "trees": trees}

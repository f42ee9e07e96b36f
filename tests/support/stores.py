"""Stores of every version that there was, kept in tests/data/stores: `vN.tar.gz`, and in `vN.json` what must be found in it.

`PYTHONPATH=tests python -m support.stores` makes those of the present version anew. One of a released version is never made again.
"""

import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import anyio
from blake3 import blake3

from rewindd.errors import RewinddError
from rewindd.protocol import replies, requests
from rewindd.store import schema
from rewindd.store.database import FILE_NAME
from support import dying
from support.dying import SESSION, Desk, life

STORES = Path(__file__).parents[1] / "data" / "stores"


def versions() -> list[int]:
    """The versions of which a store is kept."""
    return sorted(int(path.name.split(".")[0].removeprefix("v")) for path in STORES.glob("v*.tar.gz"))


def unpack(version: int, directory: Path) -> Path:
    """Puts the kept store of a version into a data directory of its own; returns the database."""
    directory.mkdir(mode=0o700, exist_ok=True)
    with tarfile.open(STORES / f"v{version}.tar.gz") as kept:
        kept.extractall(directory, filter="data")
    return directory / FILE_NAME


def expected(version: int) -> dict[str, Any]:
    """What must be found in it, as `found` tells it."""
    told: dict[str, Any] = json.loads((STORES / f"v{version}.json").read_text())
    return told


async def found(desk: Desk) -> dict[str, Any]:
    """What a store tells of its checkpoints, barriers and sessions, as plain data: without its workspace, which may be gone."""
    told: dict[str, Any] = {}
    for session in (await desk.ask(requests.ListSessions(all=True), replies.Sessions)).sessions:
        listed = (await desk.ask(requests.ListCheckpoints(session=session.id), replies.Checkpoints)).checkpoints
        told[session.id] = {
            "head": session.head,
            "messages": session.stats.total_messages,
            "checkpoints": [await _told(desk, one) for one in listed],
        }
    return told


async def _told(desk: Desk, one: replies.Summary) -> dict[str, Any]:
    shown = await desk.ask(requests.ShowCheckpoint(session=one.session_id, position=one.id, content=True), replies.CheckpointReply)
    found = shown.checkpoint
    diffs = {str(diff.path): _digest(diff.before, diff.after) for diff in found.file_diffs}
    said = [found.user_prompts, found.assistant_responses, len(found.tool_calls)]
    return {"id": one.id, "label": one.label, "barrier": one.barrier_id, "automatic": one.automatic, "diffs": diffs, "said": said}


def _digest(*found: object) -> str:
    """What stands for contents that are too long to be kept beside the store."""
    return blake3(repr(found).encode()).hexdigest()[:16]


async def _make(top: Path) -> dict[str, Any]:
    """Works as the tests of death do: edits of every kind, saves, rewinds, an undo, a barrier of three sessions and a rewind to it."""
    dying.tree_of(str(top)).mkdir(parents=True)
    async with life(str(top)) as desk:
        await dying._begin(desk, str(top))
        await dying._before_the_rewind_before(desk, str(top))
        await desk.ask(requests.Rewind(session=SESSION, position="first", restore=["files"]), replies.RewindResult)
        await desk.ask(requests.Undo(session=SESSION), replies.RewindResult)
        await dying._before_the_barrier(desk, str(top))
        await desk.ask(requests.MakeBarrier(session=SESSION, label=dying.BARRIER), replies.BarrierMade)
        await dying._each_works(desk, str(top), "after")
        await desk.ask(requests.Rewind(session=SESSION, position=f"barrier:{dying.BARRIER}"), replies.RewindResult)
        return await found(desk)


def _anybodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def make() -> Path:
    """Makes the store of the present version; returns where it is."""
    version = len(schema.MIGRATIONS)
    STORES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        told = anyio.run(_make, Path(place))
        kept = STORES / f"v{version}.tar.gz"
        with tarfile.open(kept, "w:gz") as archive:
            for name in (FILE_NAME, "blobs"):
                archive.add(Path(place, "data", name), name, filter=_anybodys)
    kept.with_name(f"v{version}.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    return kept


if __name__ == "__main__":
    try:
        print(make())
    except RewinddError as exc:
        sys.exit(str(exc))

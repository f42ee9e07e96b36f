"""Lives for the matrix of faults: one that does a use case and is cut off on the way, and the next one, which tells what is left.

Each function that takes `top` is run in a child process (`support.zygote`); arguments and results are plain data.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from time import time_ns
from typing import Any

import anyio

from rewindd import faults
from rewindd.daemon import start
from rewindd.errors import RewinddError, StoreCorrupt
from rewindd.model.ids import SessionId
from rewindd.model.log import OperationStatus
from rewindd.model.versions import File
from rewindd.protocol import replies, requests
from rewindd.store import blobs, claims, edits, grants, index, operations, soundness, workspaces
from rewindd.store.blobs import Blobs
from rewindd.store.database import Connection
from rewindd.store.opening import UNFINISHED_NAME
from rewindd.store.thread import StoreThread
from support import dying, recorder
from support.cases import CASES, COPY, OPENED, Facts
from support.dying import OTHERS, SESSION, Answer, Desk, life, tree_of
from support.photograph import Photograph, photograph

#: Files that a data directory has, beside those of contents.
EXPECTED = {"store.db", "store.db-wal", "store.db.backup", "lock", "reserve"}

# ---- lives, run in children


def set_out(top: str, name: str) -> None:
    """The life before."""
    case = CASES[name]

    async def live() -> None:
        tree_of(top).mkdir(parents=True, exist_ok=True)
        async with life(top, has_doors=case.has_doors) as desk:
            facts = await case.prepare(desk, top) or {}
        if case.then is not None:
            case.then(top)
        Path(top, "facts").write_text(json.dumps(facts | {"root": str(tree_of(top))}))

    anyio.run(live)


def cut_off(top: str, name: str) -> None:
    """Where the life that prepares is to be cut off: that."""
    cut_at = CASES[name].cut_at
    live_through(top, name, fault=f"die:1:{cut_at}", only_asks=True)


def live_through(
    top: str,
    name: str,
    fault: str | None = None,
    times: int = 1,
    record: dict[str, Any] | None = None,
    count: int | None = None,
    only_asks: bool = False,
) -> dict[str, Any]:
    """The life that is cut off: with a fault armed it asks, each request `times` times. Notes in `answered` how many were answered.

    `record`: with what `recorder.begin` is called, before anything is opened. `count`: how many of the requests are asked; None: all.

    Returns the names of the effects, the answers to each request, a photograph after each, and the code of what kept it from starting.
    """
    quiet = nullcontext if record is None else recorder.muted
    case, names, told, photographs = CASES[name], list[str](), list[list[Answer]](), list[Photograph]()
    facts: Facts = json.loads(Path(top, "facts").read_text())
    armed = faults.from_spec(fault) if fault else None
    asks = case.asks[:count] if only_asks or case.cut_at is None else ()

    def hook(effect: str) -> None:
        names.append(effect)
        if record is not None:
            recorder.note(f"effect {effect}")
        if armed is not None:
            armed(effect)

    async def live() -> None:
        if not asks or record is not None:
            faults.arm(hook)
        async with life(top, has_doors=case.has_doors) as desk:
            faults.arm(hook)
            for ask in asks:
                answers = [each[-1] for each in told]
                told.append([])
                for _ in range(times):
                    told[-1].append(await desk.told(ask(facts, answers)))
                    with quiet():
                        photographs.append(photograph(tree_of(top)))
                if record is not None:
                    recorder.note("answered")
                with quiet():
                    Path(top, "answered").write_text(str(len(told)))

    if record is not None:
        recorder.begin(**record)
    failed: str | None = None
    try:
        anyio.run(live)
    except RewinddError as error:
        failed = error.code
    except OSError:  # the daemon says so, and ends
        failed = "io-error"
    faults.arm(None)
    calls = recorder.end() if record is not None else 0
    return {"names": names, "answers": told, "photographs": photographs, "calls": calls, "failed": failed}


def look(top: str, name: str, asked: int = 0, pool: str | None = None) -> dict[str, Any]:
    """The next life: what it recovered, what is there; then each request is asked twice again (`asked` 0: none), and what is there then.

    `pool`: where files stay that this life removes; it comes after a power cut then.
    """
    case = CASES[name]
    facts: Facts = json.loads(Path(top, "facts").read_text())
    found: dict[str, Any] = {}
    if pool is not None:
        dying.boot_anew(Path(pool).with_name("boot"))

    async def live() -> None:
        async with life(top, has_doors=case.has_doors) as desk:
            status = await desk.ask(requests.GetStatus(), replies.Status)
            found["recovered"] = [one.outcome for one in status.recovered]
            found["state"] = await state_of(desk, top)
            told: list[list[Answer]] = []
            for ask in case.asks if asked else ():
                answers = [each[-1] for each in told]
                told.append([await desk.told(ask(facts, answers)) for _ in range(2)])
            found["answers"] = told
            found["state_then"] = await state_of(desk, top)

    if pool is not None:
        recorder.begin(top, pool=pool)
    anyio.run(live)
    if pool is not None:
        recorder.end()
    return found | {"wrong": [*dying.log_faults(top), *unsound(top)], "strays": list(strays(top))}


def make_data_directory(top: str, record: str) -> None:
    """What a daemon's first start does to make its store where nothing is yet, recorded."""
    recorder.begin(top, record)
    data = f"{top}/share/of/rewindd"
    start._make_durably(data)
    StoreThread(data).close()
    recorder.end()


# ---- what can be told


async def state_of(desk: Desk, top: str) -> dict[str, Any]:
    """Everything that a user or agent could see, without what differs between lives: times, and the ids that the daemon makes up."""
    known = (await desk.ask(requests.GetStatus(), replies.Status)).workspaces
    barriers = {of: name for one in known for of, name in (await _barriers(desk, one.id)).items()}
    found: dict[str, Any] = {"tree": photograph(tree_of(top)), "barriers": sorted(barriers.values())}
    found["roots"] = sorted(os.path.relpath(one.root, top) for one in known)
    found["copy"] = _copy(top)
    for session in (await desk.ask(requests.ListSessions(all=True), replies.Sessions)).sessions:
        listed = (await desk.ask(requests.ListCheckpoints(session=session.id), replies.Checkpoints)).checkpoints
        names = {one.id: _name_of(one, barriers) for one in listed}
        stands = [names.get(session.head or "", session.head), session.event, session.stats.total_messages, session.closed_at is not None]
        called = session.id if session.id in (SESSION, OPENED, *OTHERS) else "made up"
        found[f"session {called}"] = stands
        found[f"checkpoints of {called}"] = sorted(names.values())
        for one in listed:
            if not one.automatic:
                found[f"{called}: {names[one.id]}"] = await _checkpoint(desk, session.id, one.id)
    return found | await desk.state.bridge.transact(_held)


def _copy(top: str) -> str | list[str]:
    """What a copy of the store is, where one was to be made: not there, whole, or what is wrong with it."""
    copy = Path(top, COPY)
    if not copy.exists() or not any(copy.iterdir()) or (copy / UNFINISHED_NAME).exists():
        return "absent"
    with tempfile.TemporaryDirectory(dir=Path(top).parent) as place:
        shutil.copytree(copy, Path(place, "data"))
        return unsound(place) or "whole"


async def _barriers(desk: Desk, workspace: str) -> dict[str, str]:
    listed = await desk.ask(requests.ListBarriers(workspace=workspace), replies.Barriers)
    return {one.id: f"barrier {one.label} of {len(one.members)}" for one in listed.barriers}


def _name_of(one: replies.Summary, barriers: dict[str, str]) -> str:
    if one.barrier_id is not None:
        return f"at {barriers[one.barrier_id]}"
    return f"automatic: {one.label}" if one.automatic else one.id


async def _checkpoint(desk: Desk, session: str, position: str) -> list[Any]:
    shown = (await desk.ask(requests.ShowCheckpoint(session=session, position=position, content=True), replies.CheckpointReply)).checkpoint
    diffs = {diff.path: [repr(diff.before)[:4000], repr(diff.after)[:4000]] for diff in shown.file_diffs}
    return [shown.user_prompts, diffs, [one.path for one in shown.incomplete]]


def _held(db: Connection) -> dict[str, Any]:
    """The claims, and how many operations stand how."""
    found: dict[str, Any] = {"claims": [], "grants": len(grants.live(db, time_ns()))}
    for workspace in workspaces.all_of(db):
        found["claims"] += [[one.path, one.session, one.bracket is not None, one.deep] for one in claims.load(db, workspace.id)]
    found["claims"].sort()
    for session in (SESSION, *OTHERS):
        stand = [one.status for one in operations.of_session(db, SessionId(session))]
        # One that is rolled back was never there; one that is applied is only to be synced.
        found[f"operations of {session}"] = sum(status is not OperationStatus.ROLLED_BACK for status in stand)
    return found


def unsound(top: str) -> list[str]:
    """What is wrong with the store: its structure, and contents that a row names and that are not there whole."""
    directory = Blobs(str(Path(top, "data")))

    def check(db: Connection) -> list[str]:
        wrong = [text for table in soundness.tables(db) for text in soundness.check(db, table) or ()]
        named = {
            version.digest
            for workspace in workspaces.all_of(db)
            for row in edits.since(db, workspace.id, 0)
            for version in (row.before, row.after)
            if isinstance(version, File)
        }
        for workspace in workspaces.all_of(db):
            named |= {entry.version.digest for entry in index.load(db, workspace.id) if isinstance(entry.version, File)}
        for digest in named:
            try:
                found = blobs.get(db, digest)
                if not isinstance(found, bytes):
                    sum(len(chunk) for chunk in directory.open_chunks(digest))
            except StoreCorrupt as exc:
                wrong.append(exc.message)
        return wrong

    return dying._in_store(top, check)


def _in_files(db: Connection) -> set[str]:
    return {digest.hex() for (digest,) in db.execute("SELECT digest FROM blobs WHERE data IS NULL")}


def strays(top: str) -> Iterator[str]:
    """Yields what nobody needs in tree and data directory: stages, half-written files, files without a row."""
    for place in photograph(tree_of(top)):
        if os.path.basename(place).startswith(".rewindd-"):
            yield place
    known = dying._in_store(top, _in_files)
    for directory, _, files in os.walk(Path(top, "data")):
        for name in files:
            if os.path.basename(os.path.dirname(directory)) == "blobs":
                if name not in known:
                    yield f"blobs: {name}"
            elif name not in EXPECTED and not name.startswith("store.db.damaged-"):
                yield os.path.relpath(os.path.join(directory, name), top)

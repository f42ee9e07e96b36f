"""Lives of the service for tests of death: each function is one life, run in a child process that may be killed on the way.

A life serves requests without sockets. Faults are armed for the one request that the test is about, and stay armed for what
comes after its answer. Arguments and results are plain data.
"""

import errno
import json
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec

from rewindd import errors, faults
from rewindd.model.capture import CaptureSettings
from rewindd.model.ids import GrantId, SessionId
from rewindd.model.versions import Version
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests, wire
from rewindd.protocol.replies import Reply
from rewindd.protocol.requests import Request
from rewindd.service.dispatch import Service
from rewindd.service.doors.door import Door
from rewindd.service.rewinding import recoveries
from rewindd.service.running import running
from rewindd.service.state import State
from rewindd.store import edits, index, operations, workspaces
from rewindd.store.database import Connection
from rewindd.store.thread import StoreThread
from support.photograph import Photograph, photograph

R = TypeVar("R", bound=Reply)
T = TypeVar("T")
SESSION = "the-session"
KEY = "the-key"
#: The sessions that are there too where the act is about a barrier.
OTHERS = ("another-session", "a-third-session")
BARRIER = "the barrier"
#: What a rewind to the barrier changes among the last.
MEDDLED = "merged"
#: Above what goes into the database: a blob file's effects are among those of the save.
BIG = b"0123456789abcdef" * (20 << 10)
EXTERNAL_LINE = "line 25, by nobody"
EDITOR_LINE = "the editor was here"

Answer = dict[str, Any]


class Desk:
    """The service of one life, to be asked."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def state(self) -> State:
        """What the service has in memory."""
        return self._service._state

    async def ask(self, request: Request, expected: type[R]) -> R:
        return wire.decode_fields(await self._service.answer(request, b"", lambda _: None), expected)

    async def told(self, request: Request) -> Answer:
        """The answer or the error's code, as plain data."""
        try:
            fields = await self._service.answer(request, b"", lambda _: None)
        except errors.RewinddError as exc:
            return {"error": exc.code, "message": exc.message}
        found: Answer = msgspec.to_builtins(msgspec.msgpack.decode(fields), str_keys=True)
        return found


def text(*changed: str) -> str:
    """Forty lines; each argument, `line N…`, in place of the line it names."""
    lines = [f"line {number}" for number in range(40)]
    for line in changed:
        lines[int(line.split(",")[0].removeprefix("line "))] = line
    return "\n".join(lines) + "\n"


def tree_of(top: str) -> Path:
    return Path(top, "tree")


class NoDoors:
    """Where grants' sockets would be: none is made."""

    is_open = False

    def __init__(self, top: str) -> None:
        self._top = top

    def place(self, grant: GrantId) -> str:
        return f"{self._top}/run/{grant}.sock"

    async def sweep(self, live: Collection[GrantId]) -> None:
        """Nothing is left of any."""

    async def open(self, door: Door, ends_at_ns: int) -> None:
        """Nobody comes in."""

    async def close(self, grant: GrantId) -> None:
        """Nobody was in."""


def boot_anew(place: Path) -> None:
    """From now on this process's lives come after a power cut, so to say: the machine has booted since. `place`: for a file of its own."""
    place.write_text(secrets.token_hex())
    recoveries.BOOT_ID = place


@asynccontextmanager
async def life(top: str, *, has_doors: bool = False) -> AsyncIterator[Desk]:
    """A life of the service on the store below `top`."""
    data = Path(top, "data")
    data.mkdir(mode=0o700, exist_ok=True)
    async with running(
        data_dir=str(data),
        socket=f"{top}/run/d.sock",
        runtime_dir=f"{top}/run",
        on_stop=lambda: None,
        capture=CaptureSettings(reserve_bytes=0),
    ) as service:
        if has_doors:
            await service.admit(NoDoors(top))
        yield Desk(service)


# ---- what is done


async def _begin(desk: Desk, top: str) -> None:
    root = tree_of(top)
    for directory in ("olddir/deep", "to-file", "dirmode"):
        (root / directory).mkdir(parents=True)
    for name in ("file", "merged", "gone", "olddir/deep/inside", "to-directory", "to-file/inside", "dirmode/inside", "same", "script"):
        (root / name).write_text(text())
        (root / name).chmod(0o644)
    for name in ("olddir", "olddir/deep", "to-file", "dirmode"):
        (root / name).chmod(0o755)
    (root / "link").symlink_to("file")
    (root / "big").write_bytes(BIG)
    await desk.ask(requests.OpenSession(directory=FsText(str(root)), agent="tests", id=SESSION, exact=True), replies.SessionReply)
    await _snapshot(desk)
    (root / "file").write_text(text("line 3, first"))
    await desk.ask(requests.Save(session=SESSION, id="first", events=[_said("first")]), replies.Saved)


async def _edit(desk: Desk, top: str) -> None:
    """One change of every kind."""
    await _snapshot(desk)
    root = tree_of(top)
    (root / "file").write_text(text("line 3, second"))
    (root / "merged").write_text(text("line 3, second"))
    (root / "gone").unlink()
    (root / "new").write_text("new\n")
    (root / "newdir").mkdir(mode=0o755)
    (root / "newdir" / "inside").write_text("inside\n")
    (root / "link").unlink()
    (root / "link").symlink_to("merged")
    (root / "newlink").symlink_to("nowhere")
    (root / "script").chmod(0o755)
    (root / "dirmode").chmod(0o700)
    shutil.rmtree(root / "olddir")
    (root / "to-directory").unlink()
    (root / "to-directory").mkdir(mode=0o755)
    (root / "to-directory" / "inside").write_text("inside\n")
    shutil.rmtree(root / "to-file")
    (root / "to-file").write_text("a file now\n")
    (root / "big").write_bytes(BIG[::-1])


async def _wide(desk: Desk, top: str) -> None:
    """More new files than go into one transaction, in a new directory and in an old one."""
    await _snapshot(desk)
    root = tree_of(top)
    (root / "wide" / "inner").mkdir(parents=True)
    for number in range(220):
        for directory in ("wide", "wide/inner", "dirmode"):
            (root / directory / f"{number}").write_text(f"{directory} {number}\n")


def request_of(act: str) -> Request:
    """The request that the test is about; the same each time."""
    if act in ("save", "wide"):
        return requests.Save(session=SESSION, key=KEY, id="second", label="the save", events=[_said("second")])
    if act == "undo":
        return requests.Undo(session=SESSION, key=KEY)
    if act == "barrier":
        return requests.MakeBarrier(session=SESSION, key=KEY, label=BARRIER)
    if act == "to-barrier":
        return requests.Rewind(session=SESSION, key=KEY, position=f"barrier:{BARRIER}")
    return requests.Rewind(session=SESSION, key=KEY, position="first", before=act == "before")


async def _before_the_rewind(desk: Desk, top: str) -> None:
    await _edit(desk, top)
    await desk.ask(requests.Save(session=SESSION, id="second", events=[_said("second")]), replies.Saved)
    (tree_of(top) / "merged").write_text(text("line 3, second", EXTERNAL_LINE))


async def _before_the_undo(desk: Desk, top: str) -> None:
    await _before_the_rewind(desk, top)
    await desk.ask(requests.Rewind(session=SESSION, position="first"), replies.RewindResult)


async def _before_the_rewind_before(desk: Desk, top: str) -> None:
    """With a tail: an edit and an event that are not saved."""
    await _before_the_rewind(desk, top)
    await desk.ask(requests.TakeSnapshot(session=SESSION, paths=[FsText("same")]), replies.Snapshots)
    (tree_of(top) / "same").write_text(text("line 9, not saved"))
    await desk.ask(requests.Record(session=SESSION, events=[_said("not saved")]), replies.Recorded)


async def _before_the_barrier(desk: Desk, top: str) -> None:
    """Three sessions, each with an edit and an event that are not saved."""
    for number, session in enumerate(OTHERS):
        directory = FsText(str(tree_of(top)))
        await desk.ask(requests.OpenSession(directory=directory, agent=f"tests-{number}", id=session, exact=True), replies.SessionReply)
    await _each_works(desk, top, "before")


async def _before_the_rewind_to_it(desk: Desk, top: str) -> None:
    """The barrier is made; then all three work on, one of them saves, and somebody unknown writes too."""
    await _before_the_barrier(desk, top)
    await desk.ask(requests.MakeBarrier(session=SESSION, label=BARRIER), replies.BarrierMade)
    await _each_works(desk, top, "after")
    await desk.ask(requests.Save(session=SESSION, id="second"), replies.Saved)
    (tree_of(top) / "merged").write_text(text("line 3, second", EXTERNAL_LINE))
    (tree_of(top) / "gone").unlink()


async def _each_works(desk: Desk, top: str, word: str) -> None:
    for number, session in enumerate((SESSION, *OTHERS)):
        named = ("file", f"of-{number}-{word}")
        await desk.ask(requests.TakeSnapshot(session=session, paths=[FsText(name) for name in named]), replies.Snapshots)
        (tree_of(top) / "file").write_text(text(f"line {number * 5}, {word}"))
        (tree_of(top) / named[1]).write_text(f"{word}\n")
        await desk.ask(requests.Record(session=session, events=[_said(word)]), replies.Recorded)


_EDITS = {
    "save": _edit,
    "barrier": _before_the_barrier,
    "to-barrier": _before_the_rewind_to_it,
    "wide": _wide,
    "rewind": _before_the_rewind,
    "undo": _before_the_undo,
    "before": _before_the_rewind_before,
}


# ---- lives, run in children


def set_out(top: str, act: str) -> None:
    """The life before the one that dies: up to the request that the test is about."""

    async def live() -> None:
        tree_of(top).mkdir(parents=True)
        async with life(top) as desk:
            await _begin(desk, top)
            await _EDITS[act](desk, top)

    anyio.run(live)


def do(top: str, act: str, fault: str | None = None, times: int = 1, lasting: int = 0, meddling: int = 0) -> dict[str, Any]:
    """Asks the request with the fault armed, `times` times. Leaves its answer in `answered` as soon as it is answered.

    `fault`: several stand with commas between. `lasting`: from this effect on until the first answer every effect of the store fails, as
    on a full disk. `meddling`: before this effect somebody else writes to `MEDDLED`.

    Returns the names of the effects, the answers, a photograph after each, and the log.
    """
    names: list[str] = []
    armed = [faults.from_spec(one) for one in fault.split(",")] if fault else []

    def hook(name: str) -> None:
        if name in ("store.blob.unmark", "store.close"):  # the end of the life, and not of the request
            return
        names.append(name)
        if len(names) == meddling:
            (tree_of(top) / MEDDLED).write_text("theirs\n")
        for one in armed:
            one(name)
        if lasting and len(names) >= lasting and name.startswith("store.") and not answers:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    answers: list[Answer] = []

    async def live() -> dict[str, Any]:
        photographs: list[Photograph] = []
        async with life(top) as desk:
            faults.arm(hook)
            for _ in range(times):
                answers.append(await desk.told(request_of(act)))
                Path(top, "answered").write_text(json.dumps(answers[0]))
                photographs.append(photograph(tree_of(top)))
            checkpoints, heads = await _checkpoints(desk), await heads_of(desk)
        return {"heads": heads, "names": names, "answers": answers, "photographs": photographs, "checkpoints": checkpoints}

    found = anyio.run(live)
    faults.arm(None)
    return found | {"end": photograph(tree_of(top)), "log": log_faults(top), "operations": operations_of(top)}


def recover(top: str, fault: str | None = None) -> dict[str, Any]:
    """A life that only recovers, with a fault armed from its start."""

    async def live() -> dict[str, Any]:
        async with life(top) as desk:
            return await _facts(desk, top)

    faults.arm(faults.from_spec(fault) if fault else None)
    return anyio.run(live)


def look_back(top: str, act: str, power_cut: bool = False) -> dict[str, Any]:
    """The next life: what it recovered, what the same key gives (twice), and what an undo of it gives. `power_cut`: it comes after one."""
    if power_cut:
        boot_anew(Path(top, "boot"))

    async def live() -> dict[str, Any]:
        async with life(top) as desk:
            found = await _facts(desk, top)
            request = request_of(act)
            found["answers"] = [await desk.told(request), await desk.told(request)]
            found["answered"] = photograph(tree_of(top))
            found["checkpoints"] = await _checkpoints(desk)
            found["heads_answered"] = await heads_of(desk)
            found["undo"] = await desk.told(requests.Undo(session=SESSION)) if act in ("rewind", "to-barrier") else None
            found["after_undo"], found["heads_after_undo"] = photograph(tree_of(top)), await heads_of(desk)
            await desk.ask(requests.ListPending(session=SESSION), replies.Changes)  # observes
        return found

    return anyio.run(live) | {"log": log_faults(top), "operations": operations_of(top)}


async def _facts(desk: Desk, top: str) -> dict[str, Any]:
    status = await desk.ask(requests.GetStatus(), replies.Status)
    return {
        "recovered": [one.outcome for one in status.recovered],
        "tree": photograph(tree_of(top)),
        "checkpoints_found": await _checkpoints(desk),
        "heads": await heads_of(desk),
    }


async def heads_of(desk: Desk) -> dict[str, list[Any]]:
    """Where each session stands: its head, its last event, its messages, and the barrier of its head."""
    found: dict[str, list[Any]] = {}
    for one in (await desk.ask(requests.ListSessions(all=True), replies.Sessions)).sessions:
        listed = (await desk.ask(requests.ListCheckpoints(session=one.id), replies.Checkpoints)).checkpoints
        barrier = next((checkpoint.barrier_id for checkpoint in listed if checkpoint.id == one.head), None)
        found[one.id] = [one.head, one.event, one.stats.total_messages, barrier]
    return found


async def _checkpoints(desk: Desk) -> dict[str, Any]:
    """What every checkpoint that is not automatic holds, by its id: without times, which differ between lives."""
    listed = await desk.ask(requests.ListCheckpoints(session=SESSION), replies.Checkpoints)
    found: dict[str, Any] = {}
    for one in listed.checkpoints:
        if not one.automatic:
            shown = await desk.ask(requests.ShowCheckpoint(session=SESSION, position=one.id, content=True), replies.CheckpointReply)
            diffs = {diff.path: [repr(diff.before), repr(diff.after)] for diff in shown.checkpoint.file_diffs}
            found[one.id] = {"prompts": shown.checkpoint.user_prompts, "diffs": diffs}
    return found


def log_faults(top: str) -> list[str]:
    """What is wrong with the log: per path a row's before is the previous row's after, and the index is the last row's after."""

    def look(db: Connection) -> list[str]:
        wrong: list[str] = []
        for workspace in workspaces.all_of(db):
            last: dict[RelPath, Version] = {}
            for row in edits.since(db, workspace.id, 0):
                if row.path in last and last[row.path] != row.before:
                    wrong.append(f"{row.path}: {row.seq}: {last[row.path]} became {row.before}")
                last[row.path] = row.after
            known = {entry.path: entry.version for entry in index.load(db, workspace.id)}
            wrong += [f"{path}: {version} is not known" for path, version in last.items() if known.get(path) != version]
        return wrong

    return _in_store(top, look)


def operations_of(top: str) -> list[str]:
    """The statuses of the session's operations."""
    return _in_store(top, lambda db: [one.status.value for one in operations.of_session(db, SessionId(SESSION))])


def _in_store(top: str, read: Callable[[Connection], T]) -> T:
    store = StoreThread(str(Path(top, "data")))
    try:
        return store.submit(read).result()
    finally:
        store.close()


async def _snapshot(desk: Desk) -> None:
    await desk.ask(requests.TakeSnapshot(session=SESSION, paths=[FsText(".")]), replies.Snapshots)


def _said(words: str) -> requests.EventBody:
    return requests.EventBody(kind="user_prompt", text=words, tokens=1)

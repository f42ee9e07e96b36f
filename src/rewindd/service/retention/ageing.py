"""Workspaces in which nobody was at work for longer than `max_age_s`: all of one goes, while its directory is seen to be there.

A directory that is away may be on a disk that is not mounted now. What goes is said in the log and by `status`.
"""

import logging
from collections.abc import Iterable
from functools import partial
from time import time_ns

import msgspec

from rewindd.model.ids import WorkspaceId
from rewindd.model.session import Workspace
from rewindd.paths import FsText
from rewindd.protocol.retention import GoneWorkspace
from rewindd.service.asking import render
from rewindd.service.locking import locked
from rewindd.service.places import is_there
from rewindd.service.state import State
from rewindd.store import erasing, stakes, upkeep
from rewindd.store.database import Connection

log = logging.getLogger(__name__)

#: Workspaces that are told of, of those that went.
MOST_TOLD = 20
_NAME = "gone"
_SECOND_NS = 1_000_000_000


class _Gone(msgspec.Struct, frozen=True, array_like=True):
    id: str
    root: bytes
    at_ns: int
    reason: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Gone])


async def why_goes(state: State, workspace: Workspace) -> str | None:
    """Returns why all of a workspace may go; None where it stays: it is used, it has what is labelled, or its directory is away."""
    rules = state.capture.retention
    if not rules.max_age_s or state.active(workspace.id):
        return None
    found = await state.bridge.transact(partial(erasing.last_used, id=workspace.id))
    if found is None:
        return None
    used_ns, is_labelled = found
    age_ns = time_ns() - used_ns
    if age_ns <= rules.max_age_s * _SECOND_NS or (is_labelled and rules.keep_labelled):
        return None
    if not await state.bridge.work(is_there, workspace):
        return None
    return f"nobody was at work in it for {age_ns // (24 * 3600 * _SECOND_NS)} days"


async def let_go(state: State, workspace: Workspace, reason: str) -> None:
    """Forgets all of a workspace, and says so; its contents are collected by who asked. The caller holds `state.tidying`."""
    await erase(state, workspace.id)
    log.warning("workspace %s (%s): nothing of it is kept any more: %s", workspace.id, workspace.root, reason)
    gone = _Gone(workspace.id, workspace.root.encode("utf-8", "surrogateescape"), time_ns(), reason)
    await state.bridge.transact(partial(_note, gone=gone))


async def erase(state: State, workspace: WorkspaceId) -> None:
    """Forgets all that the store has of a workspace, in memory and on disk. Cut off anywhere, the next one goes on."""
    tree = state.loaded(workspace)
    if tree is None:
        await _erase(state, workspace)
        return
    async with locked(state, tree):
        await _erase(state, workspace)
        state.forget(workspace)


async def told(state: State) -> list[GoneWorkspace]:
    """Returns the workspaces that went, the newest last."""
    found = await state.bridge.transact(_all_gone)
    return [
        GoneWorkspace(id=one.id, root=FsText(one.root.decode("utf-8", "surrogateescape")), at=render.moment(one.at_ns), reason=one.reason)
        for one in found
    ]


async def _erase(state: State, workspace: WorkspaceId) -> None:
    while await state.bridge.transact(partial(erasing.page_of_workspace, workspace=workspace), bulk=True):
        continue
    found = await state.bridge.transact(lambda db: erasing.sessions_of(db, workspace))
    await erase_events(state, [number for number, _ in found])
    for number, _ in found:
        await state.bridge.transact(partial(erasing.session, number=number), bulk=True)
    await state.bridge.transact(lambda db: erasing.workspace(db, workspace))


async def erase_events(state: State, numbers: Iterable[int]) -> None:
    """Forgets what was said in sessions, given by their numbers."""
    listed = list(numbers)
    after: int | None = 0 if listed else None
    while after is not None:
        after = await state.bridge.transact(partial(erasing.events_page, numbers=listed, after=after), bulk=True)


async def drop_former_stakes(state: State, workspace: WorkspaceId) -> None:
    """Forgets what closed sessions had a stake in that have no checkpoint left from then on: none of them can be a dependent any more."""
    page = partial(stakes.drop_former, workspace=workspace)
    after = await state.bridge.transact(partial(page, after=None), bulk=True)
    while after is not None:
        after = await state.bridge.transact(partial(page, after=after), bulk=True)


def _note(db: Connection, gone: _Gone) -> None:
    upkeep.put(db, _NAME, _encoder.encode([*_all_gone(db), gone][-MOST_TOLD:]))


def _all_gone(db: Connection) -> list[_Gone]:
    found = upkeep.find(db, _NAME)
    return _decoder.decode(found) if found is not None else []

"""Forget: the one thing that erases. A captured secret is nowhere in the store after it.

Of a session what was said in it, and its checkpoints, go; its changes of files stay, as work of a session that has nothing else. Of a path
every version goes, and what was known of it is `unknown` from then on; checkpoints that had one say so. A content that is named
elsewhere too stays, and it is told where.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic, time_ns

from rewindd.errors import BadRequest, Busy, Conflict, StoreCorrupt, StoreError, UnknownPath, UnknownSession
from rewindd.model.conversation import Stats
from rewindd.model.ids import SessionId, WorkspaceId, check_chosen
from rewindd.model.log import IndexEntry
from rewindd.model.session import Head, Missing, Session, Workspace
from rewindd.model.versions import UNKNOWN, File, Symlink
from rewindd.paths import FsText, RelPath
from rewindd.protocol.retention import Forget, Forgotten
from rewindd.service.capture.holding import drop, end_windows, held_by, windows_of
from rewindd.service.integrity import backing_up
from rewindd.service.locking import locked
from rewindd.service.notices import telling
from rewindd.service.places import locate
from rewindd.service.retention import ageing, collecting
from rewindd.service.retention.collecting import Report
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.workspaces import holding
from rewindd.store import answers, checkpoints, claims, edits, erasing, index, sessions, stakes, upkeep, usage, workspaces
from rewindd.store import pruning as pruning_rows
from rewindd.store.database import FILE_NAME, Connection
from rewindd.store.opening import BACKUP_NAME, DAMAGED_NAME

log = logging.getLogger(__name__)

#: Rows and checkpoints of one transaction; paths that are named.
PAGE = 200
NAMED = 20
#: Noted while something is being erased: what names it may be gone already, and the contents still there.
CUT_OFF = "forget"
#: What a checkpoint says of a path of which nothing is kept.
FORGOTTEN = "forgotten"


@dataclass(slots=True)
class _Erased:
    """What went, or would."""

    kind: str
    name: str
    paths: int = 0
    rows: int = 0
    checkpoints: int = 0
    events: int = 0
    digests: set[bytes] = field(default_factory=set)
    still_there: list[str] = field(default_factory=list)
    is_known: bool = True


async def forget(state: State, request: Forget, report: Report) -> Forgotten:
    """Erases what is named, in database, files and backup; nothing of it is left on return.

    Raises:
        UnknownPath: nothing of that name is kept.
        Busy: a session is at work in it, or an operation is not over.
        Conflict: a fork goes on from the session's conversation.
        StoreError: the store failed; what is left is erased by the same request made again.
    """
    began_s = monotonic()
    async with state.tidying:
        chosen = await _chosen(state, request.what, request.path)
        erased = await _what_there_is(state, request, chosen)
        contents, also_at = 0, list[str]()
        if not request.dry_run:
            await state.bridge.transact(lambda db: upkeep.put(db, CUT_OFF, b""))
            if erased.is_known:
                erased = await chosen(False)
            contents = await _overwrite(state, report)
            await state.bridge.transact(lambda db: upkeep.drop(db, CUT_OFF))
        if erased.digests:
            also_at = await _named_at(state, erased)
    return Forgotten(
        kind=erased.kind,
        name=FsText(erased.name),
        dry_run=request.dry_run,
        paths=erased.paths,
        rows=erased.rows,
        checkpoints=erased.checkpoints,
        events=erased.events,
        contents=contents,
        also_at=[FsText(one) for one in also_at],
        still_there=[FsText(one) for one in erased.still_there],
        took_s=round(monotonic() - began_s, 3),
    )


async def _what_there_is(state: State, request: Forget, chosen: Callable[[bool], Awaitable[_Erased]]) -> _Erased:
    """Returns what would go. Where all of it is gone, and an earlier one was cut off before it was overwritten, that is still to do."""
    try:
        return await chosen(True)
    except UnknownPath:
        if request.dry_run or await state.bridge.transact(lambda db: upkeep.find(db, CUT_OFF)) is None:
            raise
        return _Erased("path", str(request.path or request.what), is_known=False)


async def _chosen(state: State, what: FsText, path: FsText | None) -> Callable[[bool], Awaitable[_Erased]]:
    """Returns what erases the thing that is named."""
    with suppress(UnknownSession, BadRequest):
        id_ = check_chosen("session id", what)  # a path may be any bytes
        try:
            return partial(_session, state, await state.session(id_))
        except StoreCorrupt:
            found = await state.bridge.transact(partial(sessions.salvaged, id=SessionId(id_), at_ns=time_ns()))
            if found is None:
                raise
            return partial(_damaged_session, state, found)
    for one in await state.bridge.transact(workspaces.all_of):
        if str(one.id) == str(what) or one.root == path:
            return partial(_workspace, state, one)
    if path is not None and os.path.isabs(path):
        workspace = await holding(state, path)
        if workspace is not None:
            return partial(_path, state, workspace, locate(path, workspace.root))
    raise UnknownPath(f"{what!r} is no session, no workspace, and no path in one; `rewindctl status` names the workspaces", path=what)


async def _session(state: State, session: Session, is_dry: bool) -> _Erased:
    tree = await state.tree(session.workspace)
    erased = _Erased("session", session.id)
    if state.is_active(session.id):
        raise Busy(f"session {session.id!r} is at work; close it first", session=session.id)
    listed = await state.bridge.transact(lambda db: sessions.of_workspace(db, session.workspace, closed=True))
    forks = [one.id for one in listed if one.parent == session.id and one.origin is not None]
    if forks:
        raise Conflict(f"session {forks[0]!r} goes on from this one's conversation; forget that first", conflicts=[])
    async with state.turn(session.id), locked(state, tree):
        numbers = await state.bridge.transact(lambda db: erasing.numbers_of(db, session.id))
        erased.checkpoints = len(numbers)
        number, erased.events = await state.bridge.transact(lambda db: _events(db, session))
        if is_dry:
            return erased
        bare = Head(checkpoint=None, event=None)
        stats = Stats(start_time_ns=session.opened_at_ns)
        now_ns, held = time_ns(), held_by(tree, session.id)

        def close(db: Connection) -> Session:
            claims.drop(db, tree.workspace.id, held)
            sessions.restart(db, session.id, workspaces.position(db, session.workspace), now_ns)
            sessions.stand(db, session.id, bare, stats)
            found = sessions.find(db, session.id)
            assert found is not None
            return found

        state.remember(await state.bridge.transact(close))
        drop(tree, held)
        end_windows(state, tree, windows_of(tree, session.id))
        state.saved.pop(session.id, None)
        for start in range(0, len(numbers), PAGE):
            part = numbers[start : start + PAGE]
            await state.bridge.transact(partial(pruning_rows.drop_whole, numbers=part), bulk=True)
        await telling.end(state, tree, session.id)
        await ageing.drop_former_stakes(state, session.workspace)
        await ageing.erase_events(state, [number])
    return erased


async def _damaged_session(state: State, session: Session, is_dry: bool) -> _Erased:
    """The same for one whose row is damaged: it is written anew, as one that has nothing, and keeps nobody from anything any more."""
    if not is_dry:
        await state.bridge.transact(partial(sessions.rewrite, session=session))
    return await _session(state, session, is_dry)


async def _workspace(state: State, workspace: Workspace, is_dry: bool) -> _Erased:
    erased = _Erased("workspace", workspace.root)
    if active := state.active(workspace.id):
        raise Busy(f"session {active[0].id!r} is at work in {workspace.root}; close it first", session=active[0].id)
    counts = await state.bridge.transact(partial(erasing.counts, id=workspace.id))
    erased.checkpoints, erased.rows, _ = counts
    if not is_dry:
        await ageing.erase(state, workspace.id)
    return erased


async def _path(state: State, workspace: Workspace, top: RelPath, is_dry: bool) -> _Erased:
    tree = await state.tree(workspace.id)
    erased = _Erased("path", os.path.join(workspace.root, top))
    async with locked(state, tree):
        if tree.interrupted or tree.applying is not None:
            raise Busy(f"an operation in {workspace.root} is not over; try again", path=str(top))
        below = await state.bridge.transact(lambda db: edits.paths_since(db, workspace.id, top, -1))
        known = [top, *tree.index.below(top)]
        first: list[int] = []
        paths = sorted({*below, *known})
        for path in paths:
            await _path_alone(state, tree, path, erased, first, is_dry=True)
        if not erased.paths:
            raise UnknownPath(f"no content of {top!r} is kept", path=str(top))
        if first:
            await _tell_checkpoints(state, tree, top, min(first), erased, is_dry=is_dry)
        if not is_dry:  # last: what is asked again after a failure finds by the rows what is still to be told
            for path in paths:
                await _path_alone(state, tree, path, _Erased("path", erased.name), [], is_dry=False)
            while await state.bridge.transact(partial(stakes.drop_former_below, workspace=workspace.id, path=top), bulk=True):
                continue
    return erased


async def _path_alone(state: State, tree: Tree, path: RelPath, erased: _Erased, first: list[int], *, is_dry: bool) -> None:
    """Erases the versions of one path: its rows, and what the index says where that names a content."""
    workspace, entry = tree.workspace.id, tree.index.get(path)
    rows = await state.bridge.transact(lambda db: edits.of_paths(db, workspace, [path]))
    versions = [version for row in rows for version in (row.before, row.after)] + ([entry.version] if entry is not None else [])
    if not any(isinstance(version, File | Symlink) for version in versions):
        return
    erased.paths += 1
    erased.rows += len(rows)
    erased.digests |= {version.digest for version in versions if isinstance(version, File)}
    first += [row.since for row in rows[:1]] + ([entry.since] if entry is not None else [])
    is_here = entry is not None and isinstance(entry.version, File | Symlink)
    where = os.path.join(tree.workspace.root, path)
    if is_here and len(erased.still_there) < NAMED and await state.bridge.work(os.path.lexists, where):
        erased.still_there.append(where)
    if is_dry:
        return
    if is_here:
        unknown = IndexEntry(path=path, version=UNKNOWN, signature=None, since=tree.position)
        await state.bridge.transact(lambda db: index.put(db, workspace, [unknown]))
        tree.index.put([unknown])
        if tree.watch is not None:
            tree.watch.mark([path])
    tree.latest.clear()
    for start in range(0, len(rows), PAGE):
        part = [row.seq for row in rows[start : start + PAGE]]
        await state.bridge.transact(partial(edits.drop, workspace=workspace, seqs=part), bulk=True)


async def _tell_checkpoints(state: State, tree: Tree, top: RelPath, first: int, erased: _Erased, *, is_dry: bool) -> None:
    """Says of every checkpoint since `first` that it lacks the path."""
    workspace, lacking = tree.workspace.id, Missing(path=top, reason=FORGOTTEN)
    names = await state.bridge.transact(lambda db: sessions.ids_of(db, workspace))
    after: int | None = 0
    while after is not None:
        read = partial(checkpoints.numbered, workspace=workspace, names=names, after=after, limit=PAGE)
        page = await state.bridge.transact(read, bulk=True)
        found = [(number, one) for number, one in page if one.seq >= first and lacking not in one.incomplete]
        erased.checkpoints += len(found)
        if not is_dry:
            await state.bridge.transact(partial(checkpoints.lack, workspace=workspace, found=found, missing=lacking), bulk=True)
        after = page[-1][0] if len(page) == PAGE else None
    for session, one in list(state.saved.items()):
        known = state.known(session)
        if known is not None and known.workspace == workspace:
            is_new = one.seq >= first and lacking not in one.incomplete
            state.saved[session] = replace(one, incomplete=(*one.incomplete, lacking)) if is_new else one


async def _overwrite(state: State, report: Report) -> int:
    """Takes out what nothing names, wherever it lies: contents, packs, answers, free pages, the log, old copies of the database."""
    state.recent.clear()
    state.counts.clear()
    await state.bridge.transact(partial(erasing.secure, on=True))
    try:
        await state.bridge.transact(answers.clear)
        found = await collecting.collect(state, report, is_thorough=True)
        await state.bridge.transact(erasing.into_database, bulk=True)
    finally:
        await state.bridge.transact(partial(erasing.secure, on=False))
    copies = await state.bridge.work(_remove_copies, Path(state.data_dir))
    if copies:
        try:
            await backing_up.renew(state, pause_s=0)
        except StoreError as exc:
            log.warning("the backup was removed, because it held what was forgotten, and there is no new one yet: %s", exc)
    return found.contents


def _remove_copies(directory: Path) -> bool:
    """Removes every other copy of the database; returns whether there was a backup. In a worker thread."""
    is_backed_up = (directory / BACKUP_NAME).exists()
    for pattern in (f"{BACKUP_NAME}*", f"{DAMAGED_NAME}*", f"{FILE_NAME}.v*", f"{FILE_NAME}.restored*"):
        for copy in directory.glob(pattern):
            copy.unlink(missing_ok=True)
    return is_backed_up


async def _named_at(state: State, erased: _Erased) -> list[str]:
    """Returns which other paths have some of the contents too, absolute; some of them."""
    roots = {one.id: one.root for one in await state.bridge.transact(workspaces.all_of)}
    ids = await state.bridge.transact(workspaces.ids_by_number)
    found: dict[str, None] = {}
    for table in usage.TABLES:
        after: tuple[int, bytes | int] | None = None
        while True:
            after, page = await state.bridge.transact(partial(usage.page, table=table, after=after), bulk=True, lasting=False)
            found |= _at(page, ids, roots, erased)
            if after is None:
                break
    return list(found)[:NAMED]


def _at(page: Iterable[usage.Use], ids: dict[int, WorkspaceId], roots: dict[WorkspaceId, str], erased: _Erased) -> dict[str, None]:
    held = (one for one in page if one.digest in erased.digests and one.size)
    paths = (os.path.join(roots.get(ids.get(one.workspace, WorkspaceId("")), ""), one.path) for one in held)
    return {path: None for path in paths if not f"{path}/".startswith(f"{erased.name}/")}


def _events(db: Connection, session: Session) -> tuple[int, int]:
    number = sessions.number_of(db, session.id)
    return number, erasing.count_events(db, number)

"""What is only read: checkpoints, differences, the log, contents, status. Where the tree is judged it is observed first."""

import base64
import os
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic_ns

import rewindd
from rewindd.errors import BadRequest, UnknownSession, UnknownWorkspace
from rewindd.model.ids import WorkspaceId
from rewindd.model.session import Baseline, Capture, Session, Workspace
from rewindd.model.versions import DIGEST_BYTES, File, Unknown, Version
from rewindd.paths import FsText, RelPath
from rewindd.plan.draft import concerned
from rewindd.protocol import replies, requests, wire
from rewindd.service.asking import positions, render
from rewindd.service.asking.attributing import edited
from rewindd.service.asking.comparing import compare
from rewindd.service.asking.reading import Contents, changes_since, delta_of
from rewindd.service.asking.renaming import followed
from rewindd.service.capture.observing import observe
from rewindd.service.conversation import transcript_to
from rewindd.service.integrity import backing_up, losing, scrubbing
from rewindd.service.locking import locked
from rewindd.service.places import locate
from rewindd.service.retention import ageing
from rewindd.service.save import head_seq
from rewindd.service.space import reserving
from rewindd.service.state import State
from rewindd.service.trees import FirstCapture, Tree
from rewindd.service.workspaces import known
from rewindd.store import blobs as blob_rows
from rewindd.store import checkpoints, edits, sessions, workspaces
from rewindd.store.database import Connection
from rewindd.store.totals import totals
from rewindd.timeline.delta import PathDelta, contested, unowned
from rewindd.timeline.history import Timeline

#: What this version has beyond protocol version 1.
FEATURES: tuple[str, ...] = (
    "snapshots",
    "workspace",
    "capture",
    "editing",
    "windows",
    "restore",
    "barriers",
    "notices",
    "forks",
    "blame",
    "legacy",
    "metrics",
    "health",
    "verify",
    "backup",
    "grants",
)
#: A content is sent in pieces of at most this.
MAX_CHUNK_BYTES = 8 << 20
#: Files up to this size come with `show --content`; larger ones are read in pieces.
MAX_SHOWN_BYTES = 1 << 20


async def status(state: State) -> replies.Status:
    """Returns what the daemon is, holds, and had to recover."""

    def read(db: Connection) -> tuple[tuple[int, int, int, int], list[Workspace], int]:
        return totals(db), list(known(db)), sessions.count_open(db)

    counted, listed, opened = await state.bridge.transact(read)
    size, blobs, rows, saved = counted
    return replies.Status(
        version=rewindd.__version__,
        protocol=wire.PROTOCOL_VERSION,
        features=list(FEATURES),
        pid=os.getpid(),
        uptime_s=round((monotonic_ns() - state.started_ns) / render.NS_PER_S, 3),
        socket=FsText(state.socket),
        data_dir=FsText(state.data_dir),
        store=replies.StoreInfo(
            bytes=size,
            blobs=blobs,
            rows=rows,
            checkpoints=saved,
            on_reserve=not await reserving.is_room(state),
            reserve_bytes=state.bridge.reserve.held_bytes,
        ),
        recovered=await state.recovered.tell(state.bridge),
        # Here, and not in the store's thread: what is watched changes between two words there.
        workspaces=[_workspace(state, one) for one in listed],
        sessions=opened,
        config=state.config,
        scrub=await scrubbing.info(state),
        over_quota=list(state.quota.over.values()),
        gone=await ageing.told(state),
        backup_at=render.moment(made_ns) if (made_ns := await backing_up.made_at_ns(state)) is not None else None,
        loss=await losing.tell(state),
    )


async def list_checkpoints(state: State, request: requests.ListCheckpoints, session: Session | None) -> replies.Checkpoints:
    """Returns the newest checkpoints in order of creation: of a session, or of all sessions of a workspace."""
    if request.limit is not None and request.limit < 1:
        raise BadRequest("limit is 1 or more", field="limit")
    limit = request.limit
    if request.workspace is not None or request.all:
        workspace = _workspace_of(request.workspace, session)
        if await state.bridge.transact(lambda db: workspaces.find(db, workspace)) is None:
            raise UnknownWorkspace(f"no workspace {workspace!r}; `rewindctl status` names those there are", workspace=workspace)
        found = await state.bridge.transact(lambda db: checkpoints.of_workspace(db, workspace, limit))
    else:
        own = session or await state.session(None)
        line = await positions.lineage(state, own)
        found = await state.bridge.transact(lambda db: positions.listed(db, line, limit))
        return replies.Checkpoints(checkpoints=[render.summary(one, own.head) for one in found])
    heads = {one: (await state.session(one)).head for one in {checkpoint.session for checkpoint in found}}
    return replies.Checkpoints(checkpoints=[render.summary(one, heads[one.session]) for one in found])


async def show(state: State, request: requests.ShowCheckpoint, session: Session) -> replies.CheckpointReply:
    """Returns one checkpoint whole: the conversation from its start, the files since its parent."""
    found = await positions.find(state, session, request.position)
    owner = await state.session(found.session)
    tree = await state.tree(owner.workspace)
    timeline = await changes_since(state, tree, found.base_seq)
    diffs = await compare(state, await delta_of(state, timeline, owner.id, found.base_seq, found.seq))
    said = await transcript_to(state, found.event)
    summary = render.summary(found, session.head)
    return replies.CheckpointReply(
        checkpoint=replies.Checkpoint(
            id=summary.id,
            created_at=summary.created_at,
            stats=summary.stats,
            user_prompts=said.user_prompts,
            assistant_responses=said.assistant_responses,
            tool_calls=said.tool_calls,
            file_diffs=[await _with_content(state, diff) for diff in diffs] if request.content else diffs,
            session_id=summary.session_id,
            parent_id=summary.parent_id,
            label=summary.label,
            is_head=summary.is_head,
            automatic=summary.automatic,
            files=summary.files,
            insertions=summary.insertions,
            deletions=summary.deletions,
            incomplete=render.reasons(found.incomplete),
        )
    )


async def pending(state: State, request: requests.ListPending, session: Session) -> replies.Changes:
    """Returns the session's own changes since its head, and how many paths nobody's changes touched."""
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        await _observe(state, tree, session)
        base = await head_seq(state, session)
        timeline = await changes_since(state, tree, base)
        chosen = _chosen(tree, request.paths)
        changes = [one for one in await delta_of(state, timeline, session.id, base, tree.position) if _is_chosen(one.path, chosen)]
        nobodys = [path for path in unowned(timeline, base) if _is_chosen(path, chosen)]
        several = [path for path in contested(timeline, session.id, base) if _is_chosen(path, chosen)]
    return replies.Changes(changes=await compare(state, changes, patch=request.patch), unowned=len(nobodys), contested=len(several))


async def diff(state: State, request: requests.Diff, session: Session) -> replies.Changes:
    """Returns how the workspace differs between two positions; without the second, from now."""
    tree = await state.tree(session.workspace)
    async with locked(state, tree):
        a = (await positions.point(state, session, tree, request.a)).seq
        b = (await positions.point(state, session, tree, request.b)).seq if request.b is not None else None
        if b is None:
            await _observe(state, tree, session)
            b = tree.position
        timeline = await changes_since(state, tree, min(a, b))
        chosen = _chosen(tree, request.paths)
        changes = [one for one in _between(timeline, a, b) if _is_chosen(one.path, chosen)]
    return replies.Changes(changes=await compare(state, changes, patch=True))


async def log(state: State, request: requests.ReadLog, session: Session) -> replies.Edits:
    """Returns the newest rows of the edit log, oldest first; of a file also those from before it was renamed."""
    if request.limit is not None and request.limit < 1:
        raise BadRequest("limit is 1 or more", field="limit")
    tree = await state.tree(session.workspace)
    path = locate(request.path, tree.workspace.root) if request.path is not None else None
    async with locked(state, tree):
        with suppress(UnknownWorkspace):  # the log is there also where the root is gone
            await _observe(state, tree, session)
    rows = await state.bridge.transact(lambda db: edits.newest(db, tree.workspace.id, path, request.limit))
    if path is not None:
        rows = await followed(state, tree, path, rows, request.limit)
    return replies.Edits(edits=await edited(state, rows))


async def read(state: State, request: requests.ReadBlob, session: Session) -> replies.Chunk:
    """Returns a piece of a content, whose whole was verified.

    Raises:
        BadRequest: it is no digest, or there is no such content, or the piece is negative or too long.
        StoreCorrupt: it is not what was stored.
    """
    try:
        digest = bytes.fromhex(request.blob)
    except ValueError as exc:
        raise BadRequest(f"{request.blob[:80]!r} is no blob", field="blob") from exc
    if len(digest) != DIGEST_BYTES or request.offset < 0 or not 0 <= request.length <= MAX_CHUNK_BYTES:
        raise BadRequest(f"no such piece; a blob has {2 * DIGEST_BYTES} hex digits, a piece at most {MAX_CHUNK_BYTES} bytes", field="blob")
    size = await state.bridge.transact(lambda db: blob_rows.size_of(db, digest))
    if size is None:
        raise BadRequest(f"no blob {request.blob}", field="blob")
    piece = await state.bridge.work(_piece, state, digest, request.offset, request.length)
    return replies.Chunk(data=piece, size=size)


def _piece(state: State, digest: bytes, offset: int, length: int) -> bytes:
    content = state.bridge.transact_here(lambda db: blob_rows.get(db, digest))
    if isinstance(content, bytes):
        return content[offset : offset + length]
    piece, position = bytearray(), 0
    # To the end, also where the piece is before it: only the whole tells whether any of it is what was stored.
    for chunk in state.blobs.open_chunks(digest):
        start, end = max(offset - position, 0), offset + length - position
        if start < len(chunk) and end > 0:
            piece += chunk[start:end]
        position += len(chunk)
    return bytes(piece)


def _between(timeline: Timeline, a: int, b: int) -> list[PathDelta]:
    """The paths whose state differs between two positions, as far as it is known."""
    found: list[PathDelta] = []
    for path in timeline.paths:
        before, after = _known_from(timeline, a, path), _known_from(timeline, b, path)
        if before == after or isinstance(before, Unknown) or isinstance(after, Unknown):
            continue
        last = timeline.rows(path)[-1]
        found.append(
            PathDelta(path=path, before=before, after=after, spans=((before, after),), mixed=False, seq=last.seq, at_ns=last.at_ns)
        )
    return found


def _known_from(timeline: Timeline, seq: int, path: RelPath) -> Version:
    """The path's state at a position; where nobody had looked yet, as it was when somebody first did."""
    state = timeline.state(seq, path)
    if not isinstance(state, Unknown):
        return state
    first = next((row for row in timeline.rows(path) if row.seq > seq), None)
    if first is None:
        return state
    return first.before if not isinstance(first.before, Unknown) else first.after


async def _observe(state: State, tree: Tree, session: Session) -> None:
    """Looks at the tree; what was imported into a session is only judged by a rewind.

    Raises:
        UnknownWorkspace: the root is gone: what is there now cannot be told.
    """
    if not session.imported:
        await observe(state, tree)


async def _with_content(state: State, diff: replies.FileDiff) -> replies.FileDiff:
    return replies.FileDiff(
        path=diff.path,
        before=await _filled(state, diff.before),
        after=await _filled(state, diff.after),
        timestamp=diff.timestamp,
        change=diff.change,
        mixed=diff.mixed,
        insertions=diff.insertions,
        deletions=diff.deletions,
        binary=diff.binary,
    )


async def _filled(state: State, version: replies.FileVersion | None) -> replies.FileVersion | None:
    """The version with its content: as text where it is UTF-8, else as base64; nothing for files over `MAX_SHOWN_BYTES`."""
    if version is None or version.blob is None or version.size is None or version.size > MAX_SHOWN_BYTES:
        return version
    known = File(bytes.fromhex(version.blob), version.size, version.mode or 0)
    content = (await Contents(state).read([known]))[known.digest]
    try:
        text, encoded = content.decode(), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(content).decode()
    return replies.FileVersion(kind=version.kind, mode=version.mode, size=version.size, blob=version.blob, text=text, base64=encoded)


def _chosen(tree: Tree, paths: Iterable[FsText]) -> tuple[RelPath, ...] | None:
    return tuple(locate(path, tree.workspace.root) for path in paths) or None


def _is_chosen(path: RelPath, chosen: tuple[RelPath, ...] | None) -> bool:
    return bool(concerned([path], chosen))


def _workspace_of(named: str | None, session: Session | None) -> WorkspaceId:
    if named is not None:
        return WorkspaceId(named)
    if session is None:
        raise UnknownSession("name a session or a workspace to list")
    return session.workspace


def _workspace(state: State, workspace: Workspace) -> replies.WorkspaceInfo:
    tree = state.loaded(workspace.id)
    kept = Capture.SNAPSHOTS if workspace.baseline is Baseline.NONE else Capture.WORKSPACE
    watch, reason = _watched(state, workspace, tree)
    return replies.WorkspaceInfo(
        id=workspace.id,
        root=FsText(workspace.root),
        capture=kept.value,
        baseline=_baseline(workspace, tree),
        watch=watch,
        watch_reason=reason,
        rules_reason=tree.rulebook.reason if tree is not None else None,
        scanned_at=render.moment(tree.scanned_at_ns) if tree is not None and tree.scanned_at_ns else None,
        windows=len(tree.windows) if tree is not None else 0,
    )


def _baseline(workspace: Workspace, tree: Tree | None) -> replies.Baseline:
    if workspace.baseline is Baseline.RUNNING:
        first = tree.first if tree is not None and tree.first is not None else FirstCapture()
        return replies.Baseline(state="running", done=first.done, total=first.total)
    files = tree.index.files if tree is not None and workspace.baseline is Baseline.COMPLETE else 0
    return replies.Baseline(state="complete", done=files, total=files)


def _watched(state: State, workspace: Workspace, tree: Tree | None) -> tuple[str, str | None]:
    """How changes of a workspace are noticed, and why not better."""
    if tree is not None and tree.watch is not None:
        return tree.watch.health.state, tree.watch.health.reason
    if workspace.baseline is Baseline.NONE:
        return "off", "only what was snapshotted is looked at, with each request"
    if state.feed is None:
        return "off", "turned off" if not state.capture.watch else "inotify gives no instance"
    if tree is not None and state.active(tree.workspace.id):
        return "off", "not looked at yet"
    return "idle", None

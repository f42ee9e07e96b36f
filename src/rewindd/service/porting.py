"""Checkpoints in and out in portable form: what the JSON checkpoint files hold.

An imported session has a log of its own, in a workspace entry of its own with the same root: what it says of a file's past
is somebody's word, not our observation, and must not mix with what we saw.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import time_ns

from blake3 import blake3

from rewindd.errors import AlreadyExists, BadRequest, RewinddError
from rewindd.model.conversation import Event, EventKind, Stats
from rewindd.model.ids import CheckpointId, EventId, SessionId, WorkspaceId, check_chosen
from rewindd.model.log import NOBODY, IndexEntry, Owner, Row, Source
from rewindd.model.session import Attribution, Capture, Checkpoint, Head, Session, Workspace
from rewindd.model.versions import ABSENT, UNKNOWN, Absent, Directory, File, Unknown, Version
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies
from rewindd.protocol.portable import PortableCheckpoint, PortableDiff
from rewindd.protocol.requests import Export, Import
from rewindd.service import names
from rewindd.service.asking import positions
from rewindd.service.asking.reading import Contents, changes_since
from rewindd.service.capture import keeping
from rewindd.service.conversation import Transcript, transcript_to
from rewindd.service.places import locate
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import Turn
from rewindd.service.workspaces import find_or_add
from rewindd.store import checkpoints, edits, events, index, sessions, workspaces
from rewindd.store.database import Connection
from rewindd.timeline import lines
from rewindd.timeline.delta import PathDelta, delta

AGENT = "import"
#: The mode of an imported file of which there is none on disk to take it from: the format has no modes.
FILE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class _Arrived:
    """One imported change, with the contents to keep."""

    path: RelPath
    before: Version
    after: Version
    contents: tuple[keeping.Content, ...]
    counts: tuple[int, int]
    at_ns: int


async def export_checkpoint(state: State, request: Export, session: Session) -> replies.Exported:
    """Returns a checkpoint in portable form.

    Raises:
        BadRequest: it holds a version that the format cannot say, and `skip_binary` was not asked.
    """
    found = await positions.find(state, session, request.position)
    owner = await state.session(found.session)
    tree = await state.tree(owner.workspace)
    timeline = await changes_since(state, tree, found.base_seq)
    changes = sorted(delta(timeline, owner.id, found.base_seq, found.seq), key=lambda change: change.seq)
    told: list[PortableDiff] = []
    skipped: list[replies.PathReason] = []
    for change in changes:
        if {type(change.before), type(change.after)} <= {Directory, Absent}:
            continue
        said = await _portable(state, tree, change)
        if said is not None:
            told += [said] if said.before != said.after else []  # only its mode: the format has no modes
        elif request.skip_binary:
            skipped.append(replies.PathReason(path=change.path, reason="not text"))
        else:
            raise BadRequest(
                f"{found.id}: {str(change.path)!r} is not text, and the format holds text only; `--skip-binary` leaves it out",
                path=change.path,
            )
    spoken = await transcript_to(state, found.event)
    return replies.Exported(checkpoint=_portable_checkpoint(found, spoken, told), skipped=skipped)


async def import_checkpoint(state: State, request: Import, turn: Turn) -> bytes:
    """Adds a checkpoint to an imported session, which is made where none is named; durable on return.

    Raises:
        AlreadyExists: the session has a checkpoint of that id.
        BadRequest: the session was not imported, or neither session nor directory is named.
    """
    if request.session is not None:
        known = await state.session(request.session)
        if not known.imported:
            raise BadRequest(f"session {known.id!r} was not imported; leave the session out to make one", field="session")
        return await _add(state, known, await state.tree(known.workspace), request.checkpoint, turn)
    if request.directory is None:
        raise BadRequest("name the directory whose checkpoints these are", field="directory")
    async with state.opening:
        place = await find_or_add(state, request.directory, request.device, request.inode, exact=False)
    workspace = replace(place, id=WorkspaceId(names.import_id()))
    return await _add(state, _made(workspace), state.unborn(workspace), request.checkpoint, turn, is_new=True)


def _made(workspace: Workspace) -> Session:
    """The session to be, which begins to be with its first checkpoint: one without any would be nobody's."""
    now = time_ns()
    return Session(
        id=SessionId(names.session_id()),
        workspace=workspace.id,
        agent=AGENT,
        parent=None,
        capture=Capture.SNAPSHOTS,
        attribution=Attribution.DECLARED,
        imported=True,
        start_seq=0,
        opened_at_ns=now,
        last_seen_at_ns=now,
        closed_at_ns=now,
        head=Head(checkpoint=None, event=None),
        stats=Stats(start_time_ns=now),
    )


def _begin(db: Connection, workspace: Workspace, session: Session) -> None:
    workspaces.add(db, workspace, session.opened_at_ns)
    sessions.add(db, session)


async def _add(state: State, session: Session, tree: Tree, given: PortableCheckpoint, turn: Turn, *, is_new: bool = False) -> bytes:
    chosen = CheckpointId(check_chosen("checkpoint id", given.id))
    async with tree.lock:
        if not is_new and await state.bridge.transact(lambda db: checkpoints.find(db, session.id, chosen)) is not None:
            raise AlreadyExists(f"the import holds a checkpoint {chosen!r} already", id=chosen)
        arrived, skipped = await state.bridge.work(_arrive, tree, given.file_diffs)
        await keeping.keep(state.bridge, state.blobs, [content for one in arrived for content in one.contents])
        before = await transcript_to(state, session.head.event)
        spoken = _spoken(before, given)
        stats = _stats(given)

        def write(db: Connection) -> tuple[bytes, Head, list[IndexEntry], int]:
            if is_new:
                _begin(db, tree.workspace, session)
            base = workspaces.position(db, tree.workspace.id)
            rows = _rows(db, tree, session, arrived)
            entries = [IndexEntry(path=row.path, version=row.after, signature=None, since=row.seq) for row in rows]
            edits.append(db, tree.workspace.id, rows)
            index.put(db, tree.workspace.id, entries)
            last = events.append(db, session.id, session.head.event, spoken, given.timestamp_ns)
            position = workspaces.position(db, tree.workspace.id)
            checkpoint = _checkpoint(session, chosen, given, base, position, last, stats, arrived)
            checkpoints.add(db, tree.workspace.id, checkpoint)
            head = Head(checkpoint=chosen, event=last)
            sessions.stand(db, session.id, head, stats)
            return turn.keep(db, replies.Imported(session_id=session.id, skipped=skipped)), head, entries, position

        answer, head, entries, position = await state.bridge.transact(write)
        tree.index.put(entries)
        tree.position = position
    if is_new:
        state.remember(session)
    state.stood(session, head, stats)
    return answer


def _arrive(tree: Tree, diffs: Sequence[PortableDiff]) -> tuple[list[_Arrived], list[replies.PathReason]]:
    arrived: list[_Arrived] = []
    skipped: list[replies.PathReason] = []
    for diff in diffs:
        try:
            path = locate(diff.path, tree.workspace.root)
        except RewinddError as exc:
            skipped.append(replies.PathReason(path=RelPath(diff.path), reason=exc.message))
            continue
        mode = _mode_on_disk(tree, path)
        before, after = _content(diff.before, mode), _content(diff.after, mode)
        counts = lines.count(before.data or b"", after.data or b"")
        arrived.append(_Arrived(path, before.version, after.version, (before, after), counts, diff.timestamp_ns))
    return arrived, skipped


def _content(text: str, mode: int) -> keeping.Content:
    """Empty text stands for an absent file, as the format has it."""
    data = text.encode()
    return keeping.Content(File(blake3(data).digest(), len(data), mode) if data else ABSENT, data)


def _mode_on_disk(tree: Tree, path: RelPath) -> int:
    try:
        found = os.lstat(f"{tree.workspace.root}/{path}")
    except OSError:
        return FILE_MODE
    return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else FILE_MODE


def _rows(db: Connection, tree: Tree, session: Session, arrived: Sequence[_Arrived]) -> list[Row]:
    """The rows of imported changes; where a file's `before` is not the `after` we had, somebody changed it in between."""
    known = {path: entry.version for path, entry in tree.index.items()}
    drafts: list[tuple[_Arrived, Version, Version, Owner, Source]] = []
    for one in arrived:
        last = known.get(one.path, UNKNOWN)
        if last != one.before:
            source = Source.FIRST_SEEN if isinstance(last, Unknown) else Source.EXTERNAL
            drafts.append((one, last, one.before, NOBODY, source))
        drafts.append((one, one.before, one.after, (session.id,), Source.TOOL))
        known[one.path] = one.after
    if not drafts:
        return []
    first = workspaces.allot(db, tree.workspace.id, len(drafts))
    return [
        Row(seq=first + n, path=one.path, before=before, after=after, owner=owner, source=source, operation=None, since=0, at_ns=one.at_ns)
        for n, (one, before, after, owner, source) in enumerate(drafts)
    ]


def _spoken(before: Transcript, given: PortableCheckpoint) -> list[Event]:
    """The events that lead from what was said before to what the checkpoint says: only what is new, or all of it anew."""
    lists = (
        (before.user_prompts, given.user_prompts),
        (before.assistant_responses, given.assistant_responses),
        (before.tool_calls, given.tool_calls),
    )
    goes_on = all(list(new[: len(old)]) == list(old) for old, new in lists)
    start = [len(old) if goes_on else 0 for old, _ in lists]
    told = [Event(kind=EventKind.USER_PROMPT, text=text) for text in given.user_prompts[start[0] :]]
    told += [Event(kind=EventKind.ASSISTANT_RESPONSE, text=text) for text in given.assistant_responses[start[1] :]]
    told += [Event(kind=EventKind.TOOL_CALL, tool_call=call) for call in given.tool_calls[start[2] :]]
    return told if goes_on else [Event(kind=EventKind.CLEAR), *told]


def _stats(given: PortableCheckpoint) -> Stats:
    return Stats(
        start_time_ns=given.start_time_ns,
        total_messages=given.total_messages,
        total_tool_calls=given.total_tool_calls,
        total_duration_ns=given.total_duration_ns,
        estimated_tokens=given.estimated_tokens,
    )


def _checkpoint(
    session: Session,
    chosen: CheckpointId,
    given: PortableCheckpoint,
    base: int,
    seq: int,
    event: EventId | None,
    stats: Stats,
    arrived: Sequence[_Arrived],
) -> Checkpoint:
    return Checkpoint(
        uid=names.uid(),
        id=chosen,
        session=session.id,
        label=None,
        parent=session.head.checkpoint,
        base_seq=base,
        seq=seq,
        event=event,
        stats=stats,
        created_at_ns=given.timestamp_ns,
        automatic=False,
        files=len(arrived),
        insertions=sum(one.counts[0] for one in arrived),
        deletions=sum(one.counts[1] for one in arrived),
        incomplete=(),
    )


async def _portable(state: State, tree: Tree, change: PathDelta) -> PortableDiff | None:
    """A change as the format has it; None where a side is no text."""
    if not all(isinstance(version, (File, Absent)) for version in (change.before, change.after)):
        return None
    contents = await Contents(state).read((change.before, change.after))
    try:
        before, after = (contents[v.digest].decode() if isinstance(v, File) else "" for v in (change.before, change.after))
    except (KeyError, UnicodeDecodeError):
        return None
    absolute = FsText(f"{tree.workspace.root.rstrip('/')}/{change.path}")
    return PortableDiff(path=absolute, before=before, after=after, timestamp_ns=change.at_ns)


def _portable_checkpoint(found: Checkpoint, spoken: Transcript, told: list[PortableDiff]) -> PortableCheckpoint:
    return PortableCheckpoint(
        id=found.id,
        timestamp_ns=found.created_at_ns,
        start_time_ns=found.stats.start_time_ns,
        total_messages=found.stats.total_messages,
        total_tool_calls=found.stats.total_tool_calls,
        total_duration_ns=found.stats.total_duration_ns,
        estimated_tokens=found.stats.estimated_tokens,
        user_prompts=spoken.user_prompts,
        assistant_responses=spoken.assistant_responses,
        tool_calls=spoken.tool_calls,
        file_diffs=told,
    )

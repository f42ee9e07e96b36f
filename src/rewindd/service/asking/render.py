"""From the model's values to the replies' structs: the one place where both are known."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rewindd.model.conversation import Stats
from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import Row, Source
from rewindd.model.operation import Operation
from rewindd.model.session import Barrier, Checkpoint, Head, Missing, Session, Workspace
from rewindd.model.versions import Absent, Directory, File, Symlink, Unknown, Version
from rewindd.paths import FsText
from rewindd.protocol import replies
from rewindd.timeline.blame import Span
from rewindd.timeline.prompts import Prompt

NS_PER_S = 1_000_000_000
#: Paths named in a summary's `incomplete`; the whole list is in the checkpoint.
FIRST_INCOMPLETE = 10
#: The source of lines that are older than what was looked at.
OLDER = "older"


def moment(ns: int) -> datetime:
    """Returns a time in nanoseconds since the epoch as UTC, to the microsecond below."""
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).replace(microsecond=ns % NS_PER_S // 1000)


def stats(value: Stats) -> replies.Stats:
    """Returns statistics as they travel."""
    return replies.Stats(
        start_time=moment(value.start_time_ns),
        total_messages=value.total_messages,
        total_tool_calls=value.total_tool_calls,
        total_duration_s=value.total_duration_ns / NS_PER_S,
        estimated_tokens=value.estimated_tokens,
    )


def reasons(missing: Iterable[Missing]) -> list[replies.PathReason]:
    """Returns paths with their reasons as they travel."""
    return [replies.PathReason(path=one.path, reason=one.reason) for one in missing]


def session(value: Session, workspace: Workspace) -> replies.SessionInfo:
    """Returns a session as outsiders see it."""
    return replies.SessionInfo(
        id=value.id,
        workspace=value.workspace,
        root=FsText(workspace.root),
        agent=value.agent,
        parent_id=value.parent,
        capture=value.capture.value,
        attribution=value.attribution.value,
        opened_at=moment(value.opened_at_ns),
        last_seen_at=moment(value.last_seen_at_ns),
        closed_at=None if value.closed_at_ns is None else moment(value.closed_at_ns),
        head=value.head.checkpoint,
        event=value.head.event,
        stats=stats(value.stats),
        from_id=value.origin,
    )


def summary(value: Checkpoint, head: Head) -> replies.Summary:
    """Returns a checkpoint in brief; `head` is its session's."""
    return replies.Summary(
        id=value.id,
        session_id=value.session,
        parent_id=value.parent,
        label=value.label,
        created_at=moment(value.created_at_ns),
        is_head=value.id == head.checkpoint,
        automatic=value.automatic,
        files=value.files,
        insertions=value.insertions,
        deletions=value.deletions,
        stats=stats(value.stats),
        incomplete=incomplete(value.incomplete),
        barrier_id=value.barrier,
    )


def incomplete(missing: Sequence[Missing]) -> replies.Incomplete:
    """Returns what could not be captured, in brief."""
    return replies.Incomplete(count=len(missing), first=reasons(missing[:FIRST_INCOMPLETE]))


def barrier(value: Barrier, workspace: Workspace, agents: Mapping[SessionId, str]) -> replies.Barrier:
    """Returns a barrier as outsiders see it; `agents` names the agent of each member."""
    return replies.Barrier(
        id=value.id,
        workspace=value.workspace,
        root=FsText(workspace.root),
        label=value.label,
        seq=value.seq,
        created_at=moment(value.created_at_ns),
        members=[replies.Member(session_id=one, agent=agents[one], checkpoint_id=id_) for one, id_ in value.members.items()],
        incomplete=incomplete(value.incomplete),
    )


def version(value: Version) -> replies.FileVersion | None:
    """Returns a version as it travels; absent is None."""
    match value:
        case Absent():
            return None
        case File():
            return replies.FileVersion(kind=value.kind.value, mode=value.mode, size=value.size, blob=value.digest.hex())
        case Symlink():
            return replies.FileVersion(kind=value.kind.value, target=value.target)
        case Directory():
            return replies.FileVersion(kind=value.kind.value, mode=value.mode)
        case Unknown():
            return replies.FileVersion(kind=value.kind.value)


def change(before: Version, after: Version) -> str:
    """Returns the word for what happened to a path: added, modified, deleted, type, mode; `seen` where it only became known."""
    if isinstance(before, Unknown) or isinstance(after, Unknown):
        return "seen"
    if isinstance(before, Absent):
        return "added"
    if isinstance(after, Absent):
        return "deleted"
    if before.kind is not after.kind:
        return "type"
    if isinstance(before, File) and isinstance(after, File):
        return "mode" if before.digest == after.digest and before.mode != after.mode else "modified"
    return "mode" if isinstance(before, Directory) else "modified"


def edit(
    row: Row, agents: Mapping[str, str], doers: Mapping[OperationId, Operation], prompts: Mapping[int, Prompt] | None = None
) -> replies.EditInfo:
    """Returns a row of the log; `agents` names the agent of each session, `doers` each operation, `prompts` in which turn which row was."""
    doer = doers.get(row.operation) if row.operation is not None else None
    owner = row.owner[0] if len(row.owner) == 1 else doer.session if doer is not None else None
    prompt = (prompts or {}).get(row.seq)
    return replies.EditInfo(
        seq=row.seq,
        path=row.path,
        change=change(row.before, row.after),
        session_id=owner,
        agent=agents.get(owner) if owner else None,
        source=row.source.value,
        operation_id=row.operation,
        at=moment(row.at_ns),
        contested=list(row.owner) if len(row.owner) > 1 else [],
        operation=doer.kind.value if doer is not None else None,
        turn=prompt.number if prompt is not None else None,
        prompt=prompt.text if prompt is not None else None,
    )


def span(value: Span, edited: replies.EditInfo | None) -> replies.LineSpan:
    """Returns lines with the row that they came from, as `edit` gives it; None where no row is known."""
    return replies.LineSpan(
        first_line=value.first + 1,
        count=value.count,
        seq=edited.seq if edited is not None else None,
        session_id=edited.session_id if edited is not None else None,
        agent=edited.agent if edited is not None else None,
        source=edited.source if edited is not None else OLDER if value.older is not None else Source.FIRST_SEEN.value,
        at=edited.at if edited is not None else None,
        contested=edited.contested if edited is not None else [],
        operation_id=edited.operation_id if edited is not None else None,
        turn=edited.turn if edited is not None else None,
        prompt=edited.prompt if edited is not None else None,
        older_than=value.older,
    )

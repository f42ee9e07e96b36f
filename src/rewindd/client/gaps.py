"""What calls return when no daemon answered and none is required: values of the promised types, false, and empty.

An agent that does not look goes on; one that looks tests `if checkpoint:`. `skipped` says why.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from rewindd.client.history import SessionStats
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies

_NO_STORE = replies.StoreInfo(bytes=0, blobs=0, rows=0, checkpoints=0)


class SkippedSummary(replies.Summary, frozen=True, kw_only=True):
    """A checkpoint that was not saved; its id is empty."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedBarrier(replies.Barrier, frozen=True, kw_only=True):
    """A barrier that was not made; its id is empty."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedCheckpoint(replies.Checkpoint, frozen=True, kw_only=True):
    """A checkpoint that could not be loaded."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedRewind(replies.RewindResult, frozen=True, kw_only=True):
    """A rewind that was not done: nothing was touched."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedPath(replies.PathVersion, frozen=True, kw_only=True):
    """A path of which nothing could be learned."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedBlame(replies.Blamed, frozen=True, kw_only=True):
    """A file of whose lines nothing could be learned."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedStatus(replies.Status, frozen=True, kw_only=True):
    """The status of no daemon."""

    skipped: str

    def __bool__(self) -> bool:
        return False


class SkippedRecord(replies.Recorded, frozen=True, kw_only=True):
    """Events that were not recorded."""

    skipped: str

    def __bool__(self) -> bool:
        return False


def no_snapshots(paths: Sequence[FsText], reason: str) -> replies.Snapshots:
    """Returns an answer that names every path as skipped."""
    return replies.Snapshots(snapshots=[], skipped=[replies.PathReason(path=RelPath(path), reason=reason) for path in paths])


def no_summary(session_id: str, stats: SessionStats, reason: str) -> replies.Summary:
    """Returns a checkpoint that is none."""
    return SkippedSummary(
        id="",
        session_id=session_id,
        parent_id=None,
        label=None,
        created_at=datetime.now(UTC),
        is_head=False,
        automatic=False,
        files=0,
        insertions=0,
        deletions=0,
        stats=_wire_stats(stats),
        incomplete=replies.Incomplete(count=0, first=[]),
        skipped=reason,
    )


def no_checkpoint(session_id: str, stats: SessionStats, reason: str) -> replies.Checkpoint:
    """Returns a checkpoint with nothing in it."""
    return SkippedCheckpoint(
        id="",
        created_at=datetime.now(UTC),
        stats=_wire_stats(stats),
        user_prompts=[],
        assistant_responses=[],
        tool_calls=[],
        file_diffs=[],
        session_id=session_id,
        parent_id=None,
        label=None,
        is_head=False,
        automatic=False,
        files=0,
        insertions=0,
        deletions=0,
        incomplete=[],
        skipped=reason,
    )


def no_barrier(workspace: str, label: str | None, reason: str) -> replies.Barrier:
    """Returns a barrier that is none."""
    return SkippedBarrier(
        id="",
        workspace=workspace,
        root=FsText(""),
        label=label,
        seq=0,
        created_at=datetime.now(UTC),
        members=[],
        incomplete=replies.Incomplete(count=0, first=[]),
        skipped=reason,
    )


def no_rewind(stats: SessionStats, dry_run: bool, reason: str) -> replies.RewindResult:
    """Returns a rewind that touched nothing."""
    return SkippedRewind(
        operation_id=None,
        plan_id="",
        checkpoint_id=None,
        dry_run=dry_run,
        head=None,
        event=None,
        stats=_wire_stats(stats),
        restored=[],
        removed=[],
        merged=[],
        kept=[],
        conflicts=[],
        steps=[],
        left=None,
        not_quiet=[],
        skipped=reason,
    )


def no_path(path: RelPath, reason: str) -> replies.PathVersion:
    """Returns a path that could not be looked at."""
    return SkippedPath(path=path, version=None, skipped=reason)


def no_blame(path: RelPath, reason: str) -> replies.Blamed:
    """Returns a file without lines."""
    return SkippedBlame(path=path, position="", content=b"", spans=[], skipped=reason)


def no_status(reason: str) -> replies.Status:
    """Returns the status of a daemon that is not there."""
    return SkippedStatus(
        version="",
        protocol=0,
        features=[],
        pid=0,
        uptime_s=0.0,
        socket=FsText(),
        data_dir=FsText(),
        store=_NO_STORE,
        recovered=[],
        workspaces=[],
        sessions=0,
        skipped=reason,
    )


def no_record(stats: SessionStats, reason: str) -> replies.Recorded:
    """Returns a record of nothing."""
    return SkippedRecord(recorded=0, stats=_wire_stats(stats), head=None, event=None, skipped=reason)


def _wire_stats(stats: SessionStats) -> replies.Stats:
    return replies.Stats(
        start_time=stats.start_time,
        total_messages=stats.total_messages,
        total_tool_calls=stats.total_tool_calls,
        total_duration_s=stats.total_duration_s,
        estimated_tokens=stats.estimated_tokens,
    )

"""What each call of the clients asks, and what it makes of the answers; without a socket, without waiting."""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from rewindd import errors
from rewindd.client import gaps
from rewindd.client.exchange import SNAPSHOT_TIMEOUT_S, OnProgress
from rewindd.client.history import BATCH_BYTES, size_bytes
from rewindd.client.seat import Seat, Steps, Work, ask, ask_in, change, named, ready
from rewindd.client.seat import flush as flush_steps
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.protocol.requests import EventBody, Request, StatsDelta

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Words = str | Iterable[str]
GivenEvent = EventBody | Mapping[str, object]

EVERYTHING: Final = ("files", "conversation", "stats")


def fs_text(path: AnyPath) -> FsText:
    """Returns a path as it travels."""
    return FsText(os.fsdecode(os.fspath(path)))


def open_session(seat: Seat) -> Work[None]:
    """Opens the session, once."""
    return Work(steps=ready(seat), placeholder=lambda reason: None, alone=True)


def snapshot(seat: Seat, paths: Sequence[AnyPath]) -> Work[replies.Snapshots]:
    """Keeps the paths' present state, and claims them."""
    given = [fs_text(path) for path in paths]
    return Work(
        steps=ask_in(seat, lambda: requests.TakeSnapshot(session=seat.id, paths=named(seat, given)), replies.Snapshots),
        placeholder=lambda reason: _missed(seat, given, reason),
        timeout_s=SNAPSHOT_TIMEOUT_S,
    )


def begin_edit(seat: Seat, paths: Sequence[AnyPath]) -> Work[replies.Snapshots]:
    """Keeps the paths' present state, and opens a bracket on them."""
    given = [fs_text(path) for path in paths]
    return Work(
        steps=ask_in(seat, lambda: requests.BeginEdit(session=seat.id, paths=named(seat, given)), replies.Snapshots),
        placeholder=lambda reason: _missed(seat, given, reason),
        timeout_s=SNAPSHOT_TIMEOUT_S,
    )


def _missed(seat: Seat, given: Sequence[FsText], reason: str) -> replies.Snapshots:
    """Notes that these paths were not kept, for the next checkpoint to say so."""
    seat.missed += len(given)
    return gaps.no_snapshots(given, reason)


def end_edit(seat: Seat, edit: str) -> Work[int]:
    """Closes a bracket; returns how many claims that dropped."""

    def steps() -> Steps[int]:
        return (yield from ask_in(seat, lambda: requests.EndEdit(session=seat.id, edit=edit), replies.Released)).released

    return Work(steps=steps(), placeholder=lambda reason: 0)


def open_window(seat: Seat, kind: str) -> Work[replies.Window]:
    """Opens a window, which ends with this process at the latest."""
    return Work(
        steps=ask_in(seat, lambda: requests.OpenWindow(session=seat.id, kind=kind, pid=os.getpid()), replies.Window),
        placeholder=lambda reason: replies.Window(window=""),
    )


def close_window(seat: Seat, window: str) -> Work[replies.WindowChanges]:
    """Closes a window; returns what the session changed in it."""
    return Work(
        steps=ask_in(seat, lambda: requests.CloseWindow(session=seat.id, window=window), replies.WindowChanges),
        placeholder=lambda reason: replies.WindowChanges(changes=[], ended=True),
    )


def release(seat: Seat, paths: Sequence[AnyPath]) -> Work[int]:
    """Drops the session's claims; returns how many."""
    given = [fs_text(path) for path in paths]

    def steps() -> Steps[int]:
        return (yield from ask_in(seat, lambda: requests.Release(session=seat.id, paths=named(seat, given)), replies.Released)).released

    return Work(steps=steps(), placeholder=lambda reason: 0)


def pending(seat: Seat, paths: Sequence[AnyPath], *, patch: bool) -> Work[list[replies.FileDiff]]:
    """Asks for the session's own changes since its head."""
    given = [fs_text(path) for path in paths]

    def make() -> Request:
        return requests.ListPending(session=seat.id, paths=named(seat, given), patch=patch)

    def steps() -> Steps[list[replies.FileDiff]]:
        return (yield from ask_in(seat, make, replies.Changes)).changes

    return Work(steps=steps(), placeholder=lambda reason: [])


def record(seat: Seat, events: Iterable[GivenEvent]) -> Work[replies.Recorded]:
    """Tells what is unsent, then these events, which the daemon counts itself."""
    given = [event if isinstance(event, EventBody) else _event(event) for event in events]
    return Work(steps=_record(seat, given), placeholder=lambda reason: gaps.no_record(seat.stats, reason), alone=True)


def flush(seat: Seat) -> Work[None]:
    """Tells everything that is unsent, at the end of a handle; not where another process said something and nobody decided since.

    What was said before is then no part of the conversation that the session has now; a call after `HeadMoved` makes it one.
    """

    def steps() -> Steps[None]:
        if seat.has_unsent:
            seat.check_unmoved()
        try:
            yield from flush_steps(seat)
        except errors.HeadMoved:
            seat.check_unmoved()
            yield from flush_steps(seat)

    return Work(steps=steps(), placeholder=lambda reason: None, alone=True)


def save(
    seat: Seat, label: str | None, checkpoint_id: str | None, *, wait: bool = True, on_progress: OnProgress | None = None
) -> Work[replies.Summary]:
    """Makes a checkpoint, with what is unsent; `wait`: when the workspace's first capture is complete."""
    return Work(
        steps=_save(seat, label, checkpoint_id, wait=wait),
        on_progress=on_progress,
        placeholder=lambda reason: gaps.no_summary(seat.id, seat.stats, reason),
        alone=True,
    )


def checkpoints(seat: Seat, limit: int | None) -> Work[list[replies.Summary]]:
    """Asks for the session's newest checkpoints."""

    def steps() -> Steps[list[replies.Summary]]:
        return (yield from ask_in(seat, lambda: requests.ListCheckpoints(session=seat.id, limit=limit), replies.Checkpoints)).checkpoints

    return Work(steps=steps(), placeholder=lambda reason: [])


def load(seat: Seat, position: str, *, content: bool) -> Work[replies.Checkpoint]:
    """Asks for one checkpoint whole."""

    def make() -> Request:
        return requests.ShowCheckpoint(session=seat.id, position=position, content=content)

    def steps() -> Steps[replies.Checkpoint]:
        return (yield from ask_in(seat, make, replies.CheckpointReply)).checkpoint

    return Work(steps=steps(), placeholder=lambda reason: gaps.no_checkpoint(seat.id, seat.stats, reason))


def rewind(seat: Seat, request: requests.Rewind) -> Work[replies.RewindResult]:
    """Rewinds, as the request says; its session, base and paths are filled in here."""

    def make() -> Request:
        paths = named(seat, request.paths)
        return msgspec.structs.replace(request, session=seat.id, paths=paths, base=seat.base())

    return turn_back(seat, make, dry_run=request.dry_run)


def undo(seat: Seat, *, operation: str | None, on_conflict: str, lose_unsaved: bool, dry_run: bool) -> Work[replies.RewindResult]:
    """Takes the newest rewind back."""
    request = requests.Undo(operation=operation, on_conflict=on_conflict, lose_unsaved=lose_unsaved, dry_run=dry_run)
    return turn_back(seat, lambda: msgspec.structs.replace(request, session=seat.id, base=seat.base()), dry_run=dry_run)


def redo(seat: Seat, *, on_conflict: str, lose_unsaved: bool, dry_run: bool) -> Work[replies.RewindResult]:
    """Takes the newest undo back."""
    request = requests.Redo(on_conflict=on_conflict, lose_unsaved=lose_unsaved, dry_run=dry_run)
    return turn_back(seat, lambda: msgspec.structs.replace(request, session=seat.id, base=seat.base()), dry_run=dry_run)


def read_chunk(seat: Seat, blob: str, offset: int) -> Work[replies.Chunk]:
    """Asks for the bytes of a blob from `offset`."""
    return Work(
        steps=ask_in(seat, lambda: requests.ReadBlob(session=seat.id, blob=blob, offset=offset), replies.Chunk),
        placeholder=lambda reason: replies.Chunk(data=b"", size=0),
    )


def close(seat: Seat) -> Work[None]:
    """Tells what is unsent, then ends the session."""

    def steps() -> Steps[None]:
        yield from flush_steps(seat)
        seat.info = (yield from ask(requests.CloseSession(session=seat.id), replies.SessionReply)).session

    return Work(steps=steps(), placeholder=lambda reason: None, alone=True)


def status() -> Work[replies.Status]:
    """Asks for the daemon's state."""
    return Work(steps=ask(requests.GetStatus(), replies.Status), placeholder=gaps.no_status)


def sessions(directory: AnyPath | None, *, closed: bool) -> Work[list[replies.SessionInfo]]:
    """Asks for the sessions of a directory's workspace, or of all."""
    where = None if directory is None else FsText(os.path.realpath(fs_text(directory)))

    def steps() -> Steps[list[replies.SessionInfo]]:
        return (yield from ask(requests.ListSessions(directory=where, all=closed), replies.Sessions)).sessions

    return Work(steps=steps(), placeholder=lambda reason: [])


def workspace_checkpoints(workspace: AnyPath, limit: int | None) -> Work[list[replies.Summary]]:
    """Asks for the checkpoints of all sessions of a workspace, named by its id or as a directory."""
    return Work(steps=_workspace_checkpoints(workspace, limit), placeholder=lambda reason: [])


def barrier(workspace: AnyPath, label: str | None, *, wait: bool, on_progress: OnProgress | None) -> Work[replies.Barrier]:
    """Makes a barrier in a workspace, named by its id or as a directory."""
    name, directory = _named(workspace)

    def steps() -> Steps[replies.Barrier]:
        request = requests.MakeBarrier(workspace=name, directory=directory, label=label, wait=wait, key=uuid.uuid4().hex)
        return (yield from ask(request, replies.BarrierMade)).barrier

    return Work(steps=steps(), placeholder=lambda reason: gaps.no_barrier(name or "", label, reason), on_progress=on_progress)


def barriers(workspace: AnyPath, limit: int | None) -> Work[list[replies.Barrier]]:
    """Asks for the barriers of a workspace, named by its id or as a directory."""
    name, directory = _named(workspace)

    def steps() -> Steps[list[replies.Barrier]]:
        return (yield from ask(requests.ListBarriers(workspace=name, directory=directory, limit=limit), replies.Barriers)).barriers

    return Work(steps=steps(), placeholder=lambda reason: [])


def rewind_request(
    position: str,
    *,
    plan: str | None,
    before: bool,
    scope: str,
    restore: Words | None,
    also: Words | None,
    on_conflict: str,
    across_head: bool,
    with_shared: bool,
    with_children: bool,
    lose_unsaved: bool,
    paths: AnyPath | Iterable[AnyPath],
    dry_run: bool,
) -> requests.Rewind:
    """Returns the request for a rewind: `restore` defaults to all, or to files alone where paths are named."""
    given = [fs_text(path) for path in _several(paths)]
    wanted = _words(restore) or (["files"] if given else ["all"])
    return requests.Rewind(
        position=position,
        before=before,
        scope=scope,
        restore=list(EVERYTHING) if "all" in wanted else wanted,
        also=_words(also),
        on_conflict=on_conflict,
        across_head=across_head,
        with_shared=with_shared,
        with_children=with_children,
        lose_unsaved=lose_unsaved,
        paths=given,
        plan=plan,
        dry_run=dry_run,
    )


def turn_back(seat: Seat, make: Callable[[], Request], *, dry_run: bool) -> Work[replies.RewindResult]:
    """Asks for an operation that takes work back or brings it again, and takes in where the session then stands."""

    def take_in(reply: replies.RewindResult) -> None:
        if reply.event != seat.event:
            seat.history.stand_at(reply.event)
        seat.stand(reply.head, reply.event, reply.stats, StatsDelta())

    def steps() -> Steps[replies.RewindResult]:
        if dry_run:
            yield from ready(seat)
            return (yield from ask(make(), replies.RewindResult))
        yield from flush_steps(seat)
        return (yield from change(seat, make(), replies.RewindResult, take_in))

    return Work(steps=steps(), placeholder=lambda reason: gaps.no_rewind(seat.stats, dry_run, reason), alone=True)


def _record(seat: Seat, events: list[EventBody]) -> Steps[replies.Recorded]:
    yield from flush_steps(seat)
    recorded, stats = 0, gaps.no_record(seat.stats, "").stats
    for batch in _batches(events):
        reply = yield from _record_batch(seat, batch)
        recorded, stats = recorded + reply.recorded, reply.stats
    return replies.Recorded(recorded=recorded, stats=stats, head=seat.head, event=seat.event)


def _record_batch(seat: Seat, batch: tuple[EventBody, ...]) -> Steps[replies.Recorded]:
    def take_in(reply: replies.Recorded) -> None:
        seat.history.show(batch)
        seat.history.took(batch, reply.event)
        seat.stand(reply.head, reply.event, reply.stats, StatsDelta())

    request = requests.Record(session=seat.id, events=list(batch), base=seat.base())
    return (yield from change(seat, request, replies.Recorded, take_in))


def _batches(events: list[EventBody]) -> Iterator[tuple[EventBody, ...]]:
    batch: list[EventBody] = []
    total = 0
    for event in events:
        if batch and total + size_bytes(event) > BATCH_BYTES:
            yield tuple(batch)
            batch, total = [], 0
        batch.append(event)
        total += size_bytes(event)
    if batch:
        yield tuple(batch)


def _save(seat: Seat, label: str | None, checkpoint_id: str | None, *, wait: bool) -> Steps[replies.Summary]:
    yield from flush_steps(seat, keep_last=True)
    batch, delta = seat.history.batch(), seat.stats.since(seat.known)

    def take_in(reply: replies.Saved) -> None:
        seat.history.sent(len(batch), reply.event)
        seat.stand(reply.checkpoint.id, reply.event, reply.checkpoint.stats, delta)
        seat.missed -= missed

    missed = seat.missed
    request = requests.Save(
        session=seat.id, label=label, id=checkpoint_id, events=batch, stats=delta, base=seat.base(), missed=missed, wait=wait
    )
    return (yield from change(seat, request, replies.Saved, take_in)).checkpoint


def _workspace_checkpoints(workspace: AnyPath, limit: int | None) -> Steps[list[replies.Summary]]:
    name: str = fs_text(workspace)
    if os.sep in name or name in (".", ".."):
        found = yield from ask(requests.ListSessions(directory=FsText(os.path.realpath(name)), all=True), replies.Sessions)
        if not found.sessions:
            return []
        name = found.sessions[0].workspace
    return (yield from ask(requests.ListCheckpoints(all=True, workspace=str(name), limit=limit), replies.Checkpoints)).checkpoints


def _named(workspace: AnyPath) -> tuple[str | None, FsText | None]:
    """A workspace's id, or the directory, of which one is given: an id has no slash in it, and is neither `.` nor `..`."""
    name: str = fs_text(workspace)
    is_path = os.sep in name or name in (".", "..")
    return (None, FsText(os.path.realpath(name))) if is_path else (str(name), None)


def _event(given: Mapping[str, object]) -> EventBody:
    try:
        return msgspec.convert(dict(given), EventBody)
    except msgspec.ValidationError as exc:
        raise errors.BadRequest(f"an event that is none: {exc}") from exc


def _words(given: Words | None) -> list[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(given)


def _several(paths: AnyPath | Iterable[AnyPath]) -> Iterable[AnyPath]:
    return [paths] if isinstance(paths, (str, bytes, os.PathLike)) else paths

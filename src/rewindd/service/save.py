"""Save: look at what the session may have changed, then name the position."""

from dataclasses import dataclass
from time import time_ns

from rewindd.errors import AlreadyExists, BadRequest
from rewindd.model.conversation import Stats
from rewindd.model.ids import MAX_LABEL_CHARS, CheckpointId, EventId, check_chosen
from rewindd.model.session import Checkpoint, Head, Missing, Session
from rewindd.model.window import WindowKind
from rewindd.paths import ROOT, RelPath
from rewindd.protocol import replies
from rewindd.protocol.requests import Save
from rewindd.service import baseline, names, positions, render
from rewindd.service.comparing import compare, totals
from rewindd.service.conversation import check_base, counted, parse
from rewindd.service.holding import drop, end_windows, of_session, why_left, windows_of
from rewindd.service.locking import locked
from rewindd.service.observing import observe
from rewindd.service.reading import changes, timeline, timeline_since
from rewindd.service.state import State, Tree
from rewindd.service.turn import Turn
from rewindd.store import checkpoints, events, sessions
from rewindd.store import claims as claim_rows
from rewindd.store.database import Connection
from rewindd.timeline.delta import PathDelta, delta
from rewindd.timeline.history import Timeline


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a save starts from: the head's position, and what the session changed since."""

    base_seq: int
    changes: list[replies.FileDiff]


@dataclass(frozen=True, slots=True)
class Tail:
    """A session's head (None: its start) and position, what the session itself changed since, and the log that was asked for.

    `timeline`: whole histories since the position that was named; since the head, where none was, without what is older.
    """

    head: Checkpoint | None
    base_seq: int
    deltas: list[PathDelta]
    timeline: Timeline


async def save(state: State, request: Save, session: Session, turn: Turn) -> bytes:
    """Makes a checkpoint; durable on return, with the events and statistics that came along.

    Raises:
        HeadMoved: the session is not where the caller believes it.
        AlreadyExists: it has a checkpoint of that id.
    """
    check_base(session, request.base)
    _check_label(request.label)
    chosen = check_chosen("checkpoint id", request.id) if request.id is not None else None
    added, stats = parse(request.events), counted(session.stats, request.events, request.stats)
    tree = await state.tree(session.workspace)
    if request.wait:
        await baseline.wait(state, tree, at_most_s=None, report=turn.report)
    async with locked(state, tree):
        if chosen is not None:
            await _check_free(state, session, CheckpointId(chosen))
        missing = _gap(request.missed) + await look_for(state, tree, session) + baseline.missing(tree)
        stand = await standing(state, tree, session)
        claims = of_session(tree, session.id)

        def write(db: Connection) -> tuple[bytes, Head]:
            last = events.append(db, session.id, session.head.event, added, time_ns())
            checkpoint = _checkpoint(session, tree, stand, missing, stats, chosen, request.label, event=last, automatic=False)
            head = Head(checkpoint=checkpoint.id, event=last)
            checkpoints.add(db, tree.workspace.id, checkpoint)
            sessions.stand(db, session.id, head, stats)
            sessions.seen(db, session.id, session.last_seen_at_ns)
            claim_rows.drop(db, tree.workspace.id, claims)
            return turn.keep(db, replies.Saved(checkpoint=render.summary(checkpoint, head), event=last)), head

        answer, head = await state.bridge.transact(write)
        drop(tree, claims)
        end_windows(state, tree, windows_of(tree, session.id, WindowKind.COMMAND))
    state.stood(session, head, stats)
    return answer


async def look_for(state: State, tree: Tree, session: Session) -> list[Missing]:
    """Observes what no other session holds; returns what could not be read, and what others hold and changed."""

    def leave(path: RelPath) -> str | None:
        return why_left(state, tree, session.id, path)

    others = any(claim.session != session.id for held in tree.claims.values() for claim in held) or tree.windows
    return await observe(state, tree, leave=leave if others else None)


async def standing(state: State, tree: Tree, session: Session) -> Standing:
    """Returns the head's position, and the session's changes since it."""
    tail = await tail_of(state, tree, session)
    return Standing(tail.base_seq, await compare(state, tail.deltas))


async def tail_of(state: State, tree: Tree, session: Session, seq: int | None = None) -> Tail:
    """Returns what is behind the session's head, and the histories of what changed since `seq`, all from one transaction.

    None: no history is read, and what this costs follows what changed since the head.
    """
    line = await positions.lineage(state, session)

    def read(db: Connection) -> Tail:
        head = positions.head_of(db, line)
        base = session.start_seq if head is None else head.seq
        behind = changes(db, tree, base)
        return Tail(head, base, delta(behind, session.id, base, tree.position), behind if seq is None else timeline(db, tree, seq))

    return await state.bridge.transact(read)


async def pending_deltas(state: State, tree: Tree, session: Session, base: int) -> list[PathDelta]:
    """pending(S): what the session itself changed since a position."""
    return delta(await timeline_since(state, tree, base), session.id, base, tree.position)


async def head_seq(state: State, session: Session) -> int:
    """Returns the position of the session's head: its checkpoint's, or its start."""
    head = await positions.head(state, session)
    return session.start_seq if head is None else head.seq


def automatic(session: Session, tree: Tree, stand: Standing, label: str) -> Checkpoint:
    """Returns the checkpoint that names the tail which an operation is about to abandon: a side branch of the head."""
    return _checkpoint(session, tree, stand, [], session.stats, None, label, event=session.head.event, automatic=True)


def _checkpoint(
    session: Session,
    tree: Tree,
    stand: Standing,
    missing: list[Missing],
    stats: Stats,
    chosen: str | None,
    label: str | None,
    *,
    event: EventId | None,
    automatic: bool,
) -> Checkpoint:
    files, insertions, deletions = totals(stand.changes)
    return Checkpoint(
        uid=names.uid(),
        id=CheckpointId(chosen or names.checkpoint_id()),
        session=session.id,
        label=label,
        parent=session.head.checkpoint,
        base_seq=stand.base_seq,
        seq=tree.position,
        event=event,
        stats=stats,
        created_at_ns=time_ns(),
        automatic=automatic,
        files=files,
        insertions=insertions,
        deletions=deletions,
        incomplete=tuple(missing),
    )


def _gap(missed: int) -> list[Missing]:
    """What the caller could not have snapshotted since its last save, as no daemon answered it."""
    return [Missing(path=ROOT, reason=f"{missed} snapshots were not made, because no daemon answered")] if missed > 0 else []


async def _check_free(state: State, session: Session, chosen: CheckpointId) -> None:
    line = await positions.lineage(state, session)
    if await state.bridge.transact(lambda db: any(checkpoints.find(db, one.id, chosen) is not None for one in line)):
        raise AlreadyExists(f"session {session.id!r} has a checkpoint {chosen!r}; choose another id", id=chosen)


def _check_label(label: str | None) -> None:
    if label is not None and (not label.strip() or len(label) > MAX_LABEL_CHARS or "\0" in label):
        raise BadRequest(f"a label has 1 to {MAX_LABEL_CHARS} characters", field="label")

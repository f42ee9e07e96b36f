"""Save: look at what the session may have changed, then name the position."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import time_ns

from rewindd.errors import AlreadyExists, BadRequest
from rewindd.model.conversation import Stats
from rewindd.model.ids import MAX_LABEL_CHARS, CheckpointId, EventId, check_chosen
from rewindd.model.log import Row
from rewindd.model.session import Checkpoint, Head, Missing, Session
from rewindd.model.window import WindowKind
from rewindd.paths import ROOT, RelPath
from rewindd.protocol import replies
from rewindd.protocol.requests import Save
from rewindd.service import names
from rewindd.service.asking import positions, render
from rewindd.service.asking.comparing import Totals, totals
from rewindd.service.asking.reading import PAGE_ROWS, changes_since, delta_of, read_ahead, timeline
from rewindd.service.capture import baseline
from rewindd.service.capture.holding import drop, end_windows, ends, own_windows, why_left
from rewindd.service.capture.observing import Sighted, observing
from rewindd.service.capture.sighting import Leave
from rewindd.service.conversation import check_base, counted, parse
from rewindd.service.locking import locked
from rewindd.service.retention import quota
from rewindd.service.rewinding.sharing import applying
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.service.turn import Turn
from rewindd.store import checkpoints, events, sessions
from rewindd.store import claims as claim_rows
from rewindd.store.database import Connection
from rewindd.timeline.delta import PathDelta
from rewindd.timeline.history import Timeline


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a save starts from and where it is: the head's position, its own, and what the session's changes in between come to."""

    base_seq: int
    seq: int
    changes: Totals


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
    await check_base(state, session, request.base)
    check_label(request.label)
    chosen = check_chosen("checkpoint id", request.id) if request.id is not None else None
    added, stats = parse(request.events), counted(session.stats, request.events, request.stats)
    tree = await state.tree(session.workspace)
    if request.wait:
        await baseline.wait(state, tree, at_most_s=None, report=turn.report)
    async with locked(state, tree):
        if chosen is not None:
            await _check_free(state, session, CheckpointId(chosen))
        async with observing(state, tree, leave=_leaving(state, tree, session)) as sighted:
            claims = await ends(state, tree, session.id)
            missing = _gap(request.missed) + sighted.missing + baseline.missing(tree)
            stand = await _standing(state, tree, session, sighted)
            over = quota.of(state, tree.workspace.id)

            def write(db: Connection) -> tuple[bytes, Checkpoint, Head]:
                sighted.write(db)
                last = events.append(db, session.id, session.head.event, added, time_ns())
                checkpoint = _checkpoint(session, stand, missing, stats, chosen, request.label, event=last, automatic=False)
                head = Head(checkpoint=checkpoint.id, event=last)
                checkpoints.add(db, tree.workspace.id, checkpoint)
                sessions.stand(db, session.id, head, stats, session.last_seen_at_ns)
                if claims:
                    claim_rows.drop(db, tree.workspace.id, claims)
                reply = replies.Saved(checkpoint=render.summary(checkpoint, head), event=last, over_quota=over)
                return turn.keep(db, reply), checkpoint, head

            answer, checkpoint, head = await state.bridge.transact(write)
            sighted.written()
        drop(tree, claims)
        end_windows(state, tree, own_windows(tree, session.id, WindowKind.COMMAND))
    state.saved[session.id] = checkpoint
    state.stood(session, head, stats)
    return answer


def _leaving(state: State, tree: Tree, session: Session) -> Leave | None:
    """Returns what says of a changed path why it is left: another session holds it. None where nobody else holds anything."""

    def leave(path: RelPath) -> str | None:
        return why_left(state, tree, session.id, path)

    others = any(claim.session != session.id for held in tree.claims.values() for claim in held) or tree.windows
    return leave if others else None


async def _standing(state: State, tree: Tree, session: Session, sighted: Sighted) -> Standing:
    """Returns the head's position, and the session's changes since it. Rows that are not written yet come after all that the store has.

    Where there are many, the lock is free for those who look at named paths while rows and contents are read.
    """
    base = await head_seq(state, session)
    if tree.position - base <= PAGE_ROWS:
        behind = await changes_since(state, tree, base, sighted.unwritten)
        found = await delta_of(state, behind, session.id, base, behind.position)
        return Standing(base, behind.position, await totals(state, found))
    await sighted.publish()
    behind = await changes_since(state, tree, base, read=await read_ahead(state, tree, base))
    found = await delta_of(state, behind, session.id, base, behind.position)
    async with applying(tree):
        return Standing(base, behind.position, await totals(state, found))


async def tail_of(state: State, tree: Tree, session: Session, seq: int | None = None) -> Tail:
    """Returns what is behind the session's head, and the histories of what changed since `seq`. Under the workspace's lock.

    None: no history is read, and what this costs follows what changed since the head.
    """
    head = await positions.head(state, session)
    base = session.start_seq if head is None else head.seq
    read = await read_ahead(state, tree, base if seq is None else min(base, seq))
    behind = await changes_since(state, tree, base, read=_after(read, base))
    deltas = await delta_of(state, behind, session.id, base, tree.position)
    return Tail(head, base, deltas, behind if seq is None else await timeline(state, tree, seq, _after(read, seq)))


def _after(rows: Sequence[Row], seq: int) -> list[Row]:
    return [row for row in rows if row.seq > seq]


async def pending_deltas(state: State, tree: Tree, session: Session, base: int) -> list[PathDelta]:
    """pending(S): what the session itself changed since a position."""
    return await delta_of(state, await changes_since(state, tree, base), session.id, base, tree.position)


async def head_seq(state: State, session: Session) -> int:
    """Returns the position of the session's head: its checkpoint's, or its start."""
    head = await positions.head(state, session)
    return session.start_seq if head is None else head.seq


def automatic(session: Session, tree: Tree, stand: Standing, label: str) -> Checkpoint:
    """Returns the checkpoint that names the tail which an operation is about to abandon: a side branch of the head."""
    return _checkpoint(session, stand, [], session.stats, None, label, event=session.head.event, automatic=True)


def _checkpoint(
    session: Session,
    stand: Standing,
    missing: list[Missing],
    stats: Stats,
    chosen: str | None,
    label: str | None,
    *,
    event: EventId | None,
    automatic: bool,
) -> Checkpoint:
    return Checkpoint(
        uid=names.uid(),
        id=CheckpointId(chosen or names.checkpoint_id()),
        session=session.id,
        label=label,
        parent=session.head.checkpoint,
        base_seq=stand.base_seq,
        seq=stand.seq,
        event=event,
        stats=stats,
        created_at_ns=time_ns(),
        automatic=automatic,
        files=stand.changes.files,
        insertions=stand.changes.insertions,
        deletions=stand.changes.deletions,
        incomplete=tuple(missing),
    )


def _gap(missed: int) -> list[Missing]:
    """What the caller could not have snapshotted since its last save, as no daemon answered it."""
    return [Missing(path=ROOT, reason=f"{missed} snapshots were not made, because no daemon answered")] if missed > 0 else []


async def _check_free(state: State, session: Session, chosen: CheckpointId) -> None:
    line = await positions.lineage(state, session)
    if await state.bridge.transact(lambda db: any(checkpoints.find(db, one.id, chosen) is not None for one in line)):
        raise AlreadyExists(f"session {session.id!r} has a checkpoint {chosen!r}; choose another id", id=chosen)


def check_label(label: str | None) -> None:
    """Raises BadRequest for a label that is blank, too long, or has a NUL."""
    if label is not None and (not label.strip() or len(label) > MAX_LABEL_CHARS or "\0" in label):
        raise BadRequest(f"a label has 1 to {MAX_LABEL_CHARS} characters", field="label")

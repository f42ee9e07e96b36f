"""Positions as people write them, to checkpoints."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rewindd.errors import AmbiguousCheckpoint, BadRequest, StoreCorrupt, UnknownCheckpoint
from rewindd.model.ids import BarrierId, CheckpointId, WorkspaceId
from rewindd.model.session import Barrier, Checkpoint, Session
from rewindd.service.clock import now_here
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import barriers, checkpoints, edits, heads, stretches
from rewindd.store.database import Connection
from rewindd.timeline.when import parse as parse_time

log = logging.getLogger(__name__)

#: Characters of an id that must be given at least, as git's minimum abbreviation.
MIN_PREFIX_CHARS = 4
#: Checkpoints that an error names.
NAMED = 5
#: What a position begins with that names a barrier.
BARRIER = "barrier:"

_TIME = re.compile(r"@\{(.{1,64})\}")
_NUMBER = re.compile(r"#(\d{1,15})")
_ANCESTOR = re.compile(r"@(?:~(\d{1,6}))?")


@dataclass(frozen=True, slots=True)
class Reach:
    """A session of a line, and how much of it counts there: up to position `seq` of the log, and up to checkpoint number `last`; None: all.

    `is_shared`: what counts is history of the line's first session, and is listed with its own checkpoints.
    """

    session: Session
    seq: int | None = None
    last: int | None = None
    is_shared: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """A position in the log; with its checkpoint, where it is one's. Without, there is no conversation to go back to.

    Of a `barrier` it is the session's checkpoint there; None where the session was not open then.
    """

    seq: int
    checkpoint: Checkpoint | None
    barrier: Barrier | None = None


async def find(state: State, session: Session, position: str) -> Checkpoint:
    """Returns the checkpoint that a position names: by id, by label, by unique prefix, from the head, or the session's at a barrier.

    Raises:
        UnknownCheckpoint: nothing is named so, in the session or in what it was forked from.
        AmbiguousCheckpoint: several are.
    """
    if not position:
        raise BadRequest("an empty position; name a checkpoint by its id or label, or `@` for the head", field="position")
    barrier = await find_barrier(state, session.workspace, position)
    if barrier is not None:
        member = await _member(state, session, barrier)
        if member is None:
            raise UnknownCheckpoint(f"session {session.id!r} was not open at barrier {barrier.id}", position=position)
        return member
    line = await lineage(state, session)
    return await state.bridge.transact(lambda db: _find(db, line, position))


async def point(state: State, session: Session, tree: Tree, position: str) -> Point:
    """Returns what a position names in the log: a checkpoint's, a barrier's, a time's (`@{10m}`, `@{01:55}`) or a number's (`#SEQ`).

    Raises:
        UnknownCheckpoint, AmbiguousCheckpoint: as `find`.
        BadRequest: it is no time, or no position of the log.
    """
    timed, numbered = _TIME.fullmatch(position), _NUMBER.fullmatch(position)
    if timed is not None:
        at = parse_time(timed.group(1), now_here())
        if at is None:
            raise BadRequest(f"{timed.group(1)!r} is no time; write @{{10m}}, @{{01:55}} or @{{2026-11-22 01:55}}", field="position")
        at_ns = round(at.timestamp() * 1_000_000) * 1_000  # a float holds microseconds of this millennium exactly
        return Point(await _kept(state, tree, await state.bridge.transact(lambda db: _position_at(db, tree, at_ns)), position), None)
    if numbered is not None:
        seq = int(numbered.group(1))
        if seq > tree.position:
            raise BadRequest(f"the log has no position {seq}; its last is {tree.position}", field="position")
        return Point(await _kept(state, tree, seq, position), None)
    barrier = await find_barrier(state, session.workspace, position)
    if barrier is not None:
        return Point(barrier.seq, await _member(state, session, barrier), barrier)
    found = await find(state, session, position)
    return Point(found.seq, found)


async def _kept(state: State, tree: Tree, seq: int, position: str) -> int:
    """Returns a position that can be asked for still.

    Raises:
        UnknownCheckpoint: what happened around it was joined when checkpoints were pruned.
    """
    pruned = await state.bridge.transact(lambda db: stretches.around(db, tree.workspace.id, seq))
    if pruned is not None:
        begins = f"#{pruned[0] - 1} and " if pruned[0] else ""
        raise UnknownCheckpoint(
            f"{position!r} was pruned; near it {begins}#{pruned[1] + 1} can be gone back to"
            if begins
            else f"{position!r} was pruned: the log begins at #{pruned[1] + 1}",
            position=position,
        )
    return seq


async def find_barrier(state: State, workspace: WorkspaceId, position: str) -> Barrier | None:
    """Returns the barrier that `barrier:` and its id, label or unique prefix name; None for a position of another form.

    Raises:
        UnknownCheckpoint: the workspace has no such barrier.
        AmbiguousCheckpoint: it has several.
    """
    if not position.startswith(BARRIER):
        return None
    wanted = position.removeprefix(BARRIER)
    found = await state.bridge.transact(lambda db: _barriers_named(db, workspace, wanted))
    if len(found) > 1:
        named = [f"{BARRIER}{one.id}" for one in found[-NAMED:]]
        raise AmbiguousCheckpoint(f"{wanted!r} is {len(found)} barriers: {', '.join(named)}; name one by its id", candidates=named)
    if not found:
        raise UnknownCheckpoint(f"no barrier {wanted!r} in the workspace; `rewindctl barrier --list` shows them", position=position)
    return found[0]


async def lineage(state: State, session: Session) -> list[Session]:
    """Returns the session, and what it is a fork or sub-agent of, and so on, nearest first; how much of each counts, `reaches` tells."""
    line = [session]
    while line[-1].parent is not None and line[-1].parent not in {one.id for one in line}:
        parent = await state.session(line[-1].parent)
        if parent.workspace != session.workspace:
            break
        line.append(parent)
    return line


async def head(state: State, session: Session) -> Checkpoint | None:
    """Returns the checkpoint where the session stands, also where it is one of a session it was forked from; None at its start."""
    saved = state.saved.get(session.id)
    if saved is not None and saved.id == session.head.checkpoint:
        return saved
    line = await lineage(state, session)
    return await state.bridge.transact(lambda db: head_of(db, line))


async def parent(state: State, session: Session, checkpoint: Checkpoint) -> Checkpoint | None:
    """Returns the parent of a checkpoint of the session's line; None for the first."""
    line = await lineage(state, session)
    return await state.bridge.transact(lambda db: parent_of(db, line, checkpoint))


def reaches(db: Connection, line: Sequence[Session]) -> list[Reach]:
    """Returns how much counts of each session of a `lineage`, in the caller's transaction.

    A fork shares its parent's history up to the checkpoint it goes on from. A sub-agent begins a history of its own; it can go back to
    what its parent had saved by the time it was opened.
    """
    found = [Reach(line[0])]
    shared = 0  # how far along the line history is shared
    for number, session in enumerate(line[:-1]):
        seq, last = found[-1].seq, found[-1].last
        if session.origin is None:
            seq = session.start_seq if seq is None else min(seq, session.start_seq)
        else:
            owner, origin = _origin(db, line, number)
            last = origin if last is None else min(last, origin)
            shared = max(shared, owner) if shared >= number else shared
        found.append(Reach(line[number + 1], seq, last, number + 1 <= shared))
    return found


def listed(db: Connection, line: Sequence[Session], limit: int | None) -> list[Checkpoint]:
    """Returns the newest `limit` checkpoints (None: all) of a session and of the history that it shares, in order of creation."""
    return checkpoints.of_line(db, [(one.session.id, one.last) for one in reaches(db, line) if one.is_shared], limit)


def head_of(db: Connection, line: Sequence[Session]) -> Checkpoint | None:
    """As `head`, of a session's `lineage`, in the caller's transaction. A damaged one is as none: what came since the start is pending.

    So its row alone is lost, and not every other checkpoint of the session with it.
    """
    wanted = line[0].head.checkpoint
    found = (checkpoints.find(db, session.id, wanted) for session in line) if wanted is not None else iter(())
    try:
        return next((one for one in found if one is not None), None)
    except StoreCorrupt as exc:
        log.error("the head of session %s: %s", line[0].id, exc)
        return None


def parent_of(db: Connection, line: Sequence[Session], checkpoint: Checkpoint) -> Checkpoint | None:
    """As `parent`, of a session's `lineage`, in the caller's transaction.

    The parent may be of a session that the checkpoint's was forked from; ids are unique in a session only, its position tells it."""
    wanted = checkpoint.parent
    if wanted is None:
        return None
    found = (checkpoints.find(db, session.id, wanted) for session in line)
    return next((one for one in found if one is not None and one.seq == checkpoint.base_seq and one.uid != checkpoint.uid), None)


def _position_at(db: Connection, tree: Tree, at_ns: int) -> int:
    return max(edits.position_at(db, tree.workspace.id, at_ns), heads.position_at(db, tree.workspace.id, at_ns))


def _barriers_named(db: Connection, workspace: WorkspaceId, wanted: str) -> list[Barrier]:
    by_id = barriers.find(db, workspace, BarrierId(wanted))
    if by_id is not None:
        return [by_id]
    by_label = barriers.with_label(db, workspace, wanted)
    if by_label or len(wanted) < MIN_PREFIX_CHARS:
        return by_label
    return barriers.with_prefix(db, workspace, wanted)


async def _member(state: State, session: Session, barrier: Barrier) -> Checkpoint | None:
    """The session's checkpoint at a barrier."""
    member = barrier.members.get(session.id)
    return await state.bridge.transact(lambda db: checkpoints.find(db, session.id, member)) if member is not None else None


def _ancestor(db: Connection, line: Sequence[Session], steps: int) -> Checkpoint:
    found = head_of(db, line)
    for _ in range(steps):
        if found is None:
            break
        found = parent_of(db, line, found)
    if found is None:
        raise UnknownCheckpoint(
            f"the head of session {line[0].id!r} has no checkpoint {steps} back; `rewindctl list` shows them", session=line[0].id
        )
    return found


def _find(db: Connection, line: Sequence[Session], position: str) -> Checkpoint:
    matched = _ANCESTOR.fullmatch(position)
    if matched is not None:
        return _ancestor(db, line, int(matched.group(1) or 0))
    for reach in reaches(db, line):
        found = [one for one in _named(db, reach.session, position) if _counts(db, reach, one)]
        if len(found) > 1:
            named = [str(one.id) for one in found[:NAMED]]
            raise AmbiguousCheckpoint(
                f"{position!r} is {len(found)} checkpoints: {', '.join(named)}; give more of the id", candidates=named
            )
        if found:
            return found[0]
    recent = [one.id for one in listed(db, line, NAMED)]
    hint = f"the newest are {', '.join(recent)}" if recent else "it has none yet; `rewindctl save` makes one"
    raise UnknownCheckpoint(f"no checkpoint {position!r} in session {line[0].id!r}; {hint}", position=position)


def _origin(db: Connection, line: Sequence[Session], number: int) -> tuple[int, int]:
    """Returns whose checkpoint a fork of the line goes on from, by its place in the line, and the checkpoint's number."""
    wanted = line[number].origin
    for place, session in enumerate(line[number + 1 :], number + 1):
        found = checkpoints.number_of(db, session.id, wanted) if wanted is not None else None
        if found is not None:
            return place, found
    raise StoreCorrupt(f"checkpoints: {wanted!r}, from which session {line[number].id!r} goes on, is missing; keep a copy of store.db")


def _counts(db: Connection, reach: Reach, one: Checkpoint) -> bool:
    if reach.seq is not None and one.seq > reach.seq:
        return False
    return reach.last is None or (checkpoints.number_of(db, one.session, one.id) or 0) <= reach.last


def _named(db: Connection, session: Session, position: str) -> list[Checkpoint]:
    by_id = checkpoints.find(db, session.id, CheckpointId(position))
    if by_id is not None:
        return [by_id]
    by_label = checkpoints.with_label(db, session.id, position)
    if by_label or len(position) < MIN_PREFIX_CHARS:
        return by_label
    return checkpoints.with_prefix(db, session.id, position)

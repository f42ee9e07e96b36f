"""Positions as people write them, to checkpoints."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rewindd.errors import AmbiguousCheckpoint, BadRequest, UnknownCheckpoint
from rewindd.model.ids import CheckpointId
from rewindd.model.session import Checkpoint, Session
from rewindd.service.state import State, Tree
from rewindd.store import checkpoints, edits, heads
from rewindd.store.database import Connection
from rewindd.timeline.when import parse as parse_time

#: Characters of an id that must be given at least, as git's minimum abbreviation.
MIN_PREFIX_CHARS = 4
#: Checkpoints that an error names.
NAMED = 5

_TIME = re.compile(r"@\{(.{1,64})\}")
_NUMBER = re.compile(r"#(\d{1,15})")
_ANCESTOR = re.compile(r"@(?:~(\d{1,6}))?")


@dataclass(frozen=True, slots=True)
class Point:
    """A position in the log; with its checkpoint, where it is one's. Without, there is no conversation to go back to."""

    seq: int
    checkpoint: Checkpoint | None


async def find(state: State, session: Session, position: str) -> Checkpoint:
    """Returns the checkpoint that a position names: by id, by label, by unique prefix, or from the head.

    Raises:
        UnknownCheckpoint: nothing is named so, in the session or in what it was forked from.
        AmbiguousCheckpoint: several are.
    """
    if not position:
        raise BadRequest("an empty position; name a checkpoint by its id or label, or `@` for the head", field="position")
    line = await lineage(state, session)
    return await state.bridge.transact(lambda db: _find(db, line, position))


async def point(state: State, session: Session, tree: Tree, position: str) -> Point:
    """Returns what a position names in the log: a checkpoint's, a time's (`@{10m}`, `@{01:55}`) or a number's (`#SEQ`).

    Raises:
        UnknownCheckpoint, AmbiguousCheckpoint: as `find`.
        BadRequest: it is no time, or no position of the log.
    """
    timed, numbered = _TIME.fullmatch(position), _NUMBER.fullmatch(position)
    if timed is not None:
        at = parse_time(timed.group(1), datetime.now().astimezone())
        if at is None:
            raise BadRequest(f"{timed.group(1)!r} is no time; write @{{10m}}, @{{01:55}} or @{{2026-11-22 01:55}}", field="position")
        at_ns = round(at.timestamp() * 1_000_000) * 1_000  # a float holds microseconds of this millennium exactly
        return Point(await state.bridge.transact(lambda db: _position_at(db, tree, at_ns)), None)
    if numbered is not None:
        seq = int(numbered.group(1))
        if seq > tree.position:
            raise BadRequest(f"the log has no position {seq}; its last is {tree.position}", field="position")
        return Point(seq, None)
    found = await find(state, session, position)
    return Point(found.seq, found)


async def lineage(state: State, session: Session) -> list[Session]:
    """Returns the session and those that it was forked from, nearest first; of the latter only what was before counts."""
    line = [session]
    while line[-1].parent is not None and line[-1].parent not in {one.id for one in line}:
        parent = await state.session(line[-1].parent)
        if parent.workspace != session.workspace:
            break
        line.append(parent)
    return line


async def head(state: State, session: Session) -> Checkpoint | None:
    """Returns the checkpoint where the session stands, also where it is one of a session it was forked from; None at its start."""
    line = await lineage(state, session)
    return await state.bridge.transact(lambda db: head_of(db, line))


async def parent(state: State, session: Session, checkpoint: Checkpoint) -> Checkpoint | None:
    """Returns the parent of a checkpoint of the session's line; None for the first."""
    line = await lineage(state, session)
    return await state.bridge.transact(lambda db: _parent(db, line, checkpoint))


def head_of(db: Connection, line: Sequence[Session]) -> Checkpoint | None:
    """As `head`, of a session's `lineage`, in the caller's transaction."""
    wanted = line[0].head.checkpoint
    found = (checkpoints.find(db, session.id, wanted) for session in line) if wanted is not None else iter(())
    return next((one for one in found if one is not None), None)


def _parent(db: Connection, line: Sequence[Session], checkpoint: Checkpoint) -> Checkpoint | None:
    """The parent may be of a session that the checkpoint's was forked from; ids are unique in a session only, its position tells it."""
    wanted = checkpoint.parent
    if wanted is None:
        return None
    found = (checkpoints.find(db, session.id, wanted) for session in line)
    return next((one for one in found if one is not None and one.seq == checkpoint.base_seq and one.uid != checkpoint.uid), None)


def _position_at(db: Connection, tree: Tree, at_ns: int) -> int:
    return max(edits.position_at(db, tree.workspace.id, at_ns), heads.position_at(db, tree.workspace.id, at_ns))


def _ancestor(db: Connection, line: Sequence[Session], steps: int) -> Checkpoint:
    found = head_of(db, line)
    for _ in range(steps):
        if found is None:
            break
        found = _parent(db, line, found)
    if found is None:
        raise UnknownCheckpoint(
            f"the head of session {line[0].id!r} has no checkpoint {steps} back; `rewindctl list` shows them", session=line[0].id
        )
    return found


def _find(db: Connection, line: Sequence[Session], position: str) -> Checkpoint:
    matched = _ANCESTOR.fullmatch(position)
    if matched is not None:
        return _ancestor(db, line, int(matched.group(1) or 0))
    before: int | None = None
    for session in line:
        found = [one for one in _named(db, session, position) if before is None or one.seq <= before]
        if len(found) > 1:
            named = [str(one.id) for one in found[:NAMED]]
            raise AmbiguousCheckpoint(
                f"{position!r} is {len(found)} checkpoints: {', '.join(named)}; give more of the id", candidates=named
            )
        if found:
            return found[0]
        before = session.start_seq if before is None else min(before, session.start_seq)
    recent = [one.id for one in checkpoints.of_session(db, line[0].id, NAMED)]
    hint = f"the newest are {', '.join(recent)}" if recent else "it has none yet; `rewindctl save` makes one"
    raise UnknownCheckpoint(f"no checkpoint {position!r} in session {line[0].id!r}; {hint}", position=position)


def _named(db: Connection, session: Session, position: str) -> list[Checkpoint]:
    by_id = checkpoints.find(db, session.id, CheckpointId(position))
    if by_id is not None:
        return [by_id]
    by_label = checkpoints.with_label(db, session.id, position)
    if by_label or len(position) < MIN_PREFIX_CHARS:
        return by_label
    return checkpoints.with_prefix(db, session.id, position)

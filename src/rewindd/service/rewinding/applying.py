"""Carrying an operation out: recorded before its first effect, closed after its last, synced after the reply.

`begin` makes the steps durable; `carry_out` changes the tree; `close` writes what became of it to the log, in one transaction
with the answer; `sync` makes the tree itself durable. Recovery starts from whatever of these was the last.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import time_ns

import anyio

from rewindd.errors import Conflict, InternalError, StoreError
from rewindd.model.log import NOBODY, IndexEntry, OperationStatus, Row, Source, Toggle
from rewindd.model.operation import Move, Operation, Step
from rewindd.model.session import Checkpoint
from rewindd.model.stakes import Stake
from rewindd.model.versions import File
from rewindd.service.asking.reading import PAGE_ROWS
from rewindd.service.clock import steady_ns
from rewindd.service.notices import telling
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import answers, checkpoints, edits, index, operations, sessions, stakes, workspaces
from rewindd.store import blobs as blob_rows
from rewindd.store.database import Connection
from rewindd.tree.apply import Outcome, StageFailed, apply, rescue
from rewindd.tree.apply import sync as sync_tree
from rewindd.tree.look import Unseen
from rewindd.tree.root import Root
from rewindd.tree.rules.book import RULE_FILES

#: Small contents read ahead of an operation, in one transaction instead of one each.
PREFETCH_BYTES = 32 << 20


class StoredContent:
    """Contents for `tree.apply`, read in its worker thread; each is verified against its digest."""

    def __init__(self, state: State, steps: Sequence[Step], at_hand: Mapping[bytes, bytes]) -> None:
        """Reads ahead what is small and not `at_hand` by its digest."""
        self._state = state
        self._at_hand = at_hand
        targets = [step.target for step in steps if isinstance(step.target, File) and step.target.digest not in at_hand]
        self._ahead = state.bridge.transact_here(lambda db: _read_ahead(db, targets)) if targets else {}

    def chunks(self, version: File) -> Iterator[bytes]:
        """Yields a content's bytes. Raises StoreCorrupt when they are not what was stored."""
        found = self._at_hand.get(version.digest, self._ahead.get(version.digest))
        if found is None:
            found = self._state.bridge.transact_here(lambda db: blob_rows.get(db, version.digest))
        if isinstance(found, bytes):
            yield found
        else:
            yield from self._state.blobs.open_chunks(version.digest)


async def begin(
    state: State, operation: Operation, steps: Sequence[Step], digest: bytes, tails: Sequence[Checkpoint], moves: Sequence[Move] = ()
) -> None:
    """Records the operation, its steps, where it takes other sessions, and the checkpoints of the tails it abandons; durable on return.

    Its key is taken from here on: the empty answer says that it is not known yet.
    """

    def write(db: Connection) -> None:
        operations.begin(db, operation, steps, moves)
        for tail in tails:
            checkpoints.add(db, operation.workspace, tail)
        if operation.key is not None:
            answers.put(db, operation.session, operation.key, digest, b"", steady_ns())

    await state.bridge.transact(write)


async def carry_out(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> list[Outcome]:
    """Changes the tree; returns what became of each step, in the order of `steps`.

    Where one of an operation that is to be done whole fails, the rest is not done, and what was done is to be taken back.

    Raises:
        Conflict: what shall come back cannot be staged (no room, no permission); the tree is untouched and the operation rolled back.
        StoreCorrupt: a content that shall come back is damaged; likewise.
    """
    changing = [step for step in steps if step.expect != step.target]
    at_hand = state.recent.get(step.target.digest for step in changing if isinstance(step.target, File))
    try:
        outcomes = await _apply(state, tree, operation, changing, at_hand) if changing else []
    except StageFailed as exc:
        await roll_back(state, tree, operation)
        listed = [{"path": failure.path, "reason": failure.reason} for failure in exc.failures]
        first = exc.failures[0]
        raise Conflict(
            f"{first.path!r} cannot be restored: {first.reason}; nothing was touched{_way_out(first)}", conflicts=listed
        ) from exc
    except StoreError:
        await roll_back(state, tree, operation)
        raise
    of_path = {outcome.path: outcome for outcome in outcomes}
    return [
        of_path.get(step.path) or Outcome(path=step.path, done=True, reason=None, version=step.target, signature=step.signature)
        for step in steps
    ]


def _way_out(failure: Unseen) -> str:
    """What to do about a path that cannot be staged, where that can be told from its reason."""
    is_full = failure.reason in {os.strerror(number).lower() for number in (errno.ENOSPC, errno.EDQUOT)}
    return ". Free some space on the workspace's file system, then try again" if is_full else ""


async def roll_back(state: State, tree: Tree, operation: Operation, also: Callable[[Connection], None] | None = None) -> None:
    """Closes an operation that changed nothing, or whose changes were taken back; its key is free again. `also` is committed with it."""

    def write(db: Connection) -> None:
        operations.finish(db, operation.id, OperationStatus.ROLLED_BACK)
        operations.drop_steps(db, operation.id)
        if operation.key is not None:
            answers.drop(db, operation.session, operation.key)
        if also is not None:
            also(db)

    await state.bridge.transact(write)
    tree.interrupted = False


async def close(
    state: State,
    tree: Tree,
    operation: Operation,
    steps: Sequence[Step],
    outcomes: Sequence[Outcome],
    answer: Callable[[Connection], bytes],
) -> bytes:
    """Writes effect rows, switches rows off and on, moves the heads of all its sessions; durable on return. Returns the answer.

    The operation takes the position before its rows, so that a checkpoint saved before it and one saved after differ.
    """
    # A store's function of thousands of steps: what need not be done in it is not, for everybody waits for it.
    is_large = len(steps) > PAGE_ROWS
    found = await state.bridge.work(_effects, tree, operation, steps, outcomes) if is_large else _effects(tree, operation, steps, outcomes)
    rows, entries, position = found.rows, found.entries, found.at + len(found.rows)

    def write(db: Connection) -> tuple[bytes, list[Move]]:
        at = workspaces.allot(db, tree.workspace.id, 1 + len(rows))
        if at != found.at:
            raise InternalError(f"workspace {tree.workspace.id}: the log is at {at}, and an operation was numbered {found.at}")
        edits.append(db, tree.workspace.id, rows)
        index.put(db, tree.workspace.id, entries)
        edits.add_toggles(db, tree.workspace.id, operation.id, found.toggles)
        stakes.put(db, tree.workspace.id, found.stakes)
        operations.settle(db, replace(operation, at=at, status=OperationStatus.APPLIED))
        sessions.stand(db, operation.session, operation.to_head, operation.to_stats)
        moves = operations.moves(db, operation.id)
        for move in moves:
            sessions.stand(db, move.session, move.to_head, move.to_stats)
        return answer(db), moves

    losing = await telling.losing(state, tree, operation, [step for step, outcome in zip(steps, outcomes, strict=True) if outcome.done])
    encoded, moves = await state.bridge.transact(write)
    tree.index.put(entries)
    rule_files = [row.path for row in rows if row.path.name in RULE_FILES]
    tree.rulebook.changed(rule_files)
    tree.judge.update(path.parent for path in rule_files)
    tree.position = position
    tree.interrupted = False
    telling.committed(tree, rows, replace(operation, at=found.at), losing)
    for move in moves:
        state.stood(await state.session(move.session), move.to_head, move.to_stats)
    return encoded


async def sync(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> None:
    """Makes the changed paths durable, then closes the operation for good. Shielded: it is short, and recovery would repeat it."""
    with anyio.CancelScope(shield=True):
        await state.bridge.work(_sync, tree, operation, [step for step in steps if step.expect != step.target])

        def write(db: Connection) -> None:
            operations.finish(db, operation.id, OperationStatus.DONE)
            operations.drop_steps(db, operation.id)

        await state.bridge.transact(write)


async def _apply(state: State, tree: Tree, operation: Operation, steps: Sequence[Step], at_hand: Mapping[bytes, bytes]) -> list[Outcome]:
    """Applies the steps; what they removed is freed when the caller has let go of the workspace, and the answer is on its way."""
    root = tree.root()

    async def free() -> None:
        async with tree.lock:
            pass
        await state.bridge.work(root.close)

    try:
        return await state.bridge.work(_apply_in, root, state, operation, steps, at_hand)
    finally:
        state.later(free)


def _apply_in(root: Root, state: State, operation: Operation, steps: Sequence[Step], at_hand: Mapping[bytes, bytes]) -> list[Outcome]:
    return apply(root, operation.id, steps, StoredContent(state, steps, at_hand), _never, whole=operation.whole)


def _sync(tree: Tree, operation: Operation, steps: Sequence[Step]) -> None:
    with tree.root() as root:
        rescue(root, operation.id, steps)  # stages that could not be removed: nobody looks for them once it is done
        sync_tree(root, [step.path for step in steps])


def _read_ahead(db: Connection, targets: Sequence[File]) -> dict[bytes, bytes | blob_rows.InFile]:
    near: list[bytes] = []
    total = 0
    for target in targets:
        total += target.size
        if total > PREFETCH_BYTES:
            break
        near.append(target.digest)
    return blob_rows.get_all(db, near)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effects:
    """What an operation leaves in the log, at its position: nobody else takes it while the workspace's lock is held."""

    at: int
    rows: list[Row]
    entries: list[IndexEntry]
    toggles: list[Toggle]
    stakes: list[Stake]


def _effects(tree: Tree, operation: Operation, steps: Sequence[Step], outcomes: Sequence[Outcome]) -> _Effects:
    done = [(step, outcome) for step, outcome in zip(steps, outcomes, strict=True) if outcome.done]
    written = [(step, outcome) for step, outcome in done if step.expect != step.target]
    at, now = tree.position + 1, time_ns()
    rows = [_effect(operation, step, outcome, tree, at + 1 + n, now) for n, (step, outcome) in enumerate(written)]
    return _Effects(
        at=at,
        rows=rows,
        entries=[_entry(tree, row, outcome) for row, (_, outcome) in zip(rows, written, strict=True)],
        toggles=[Toggle(row, at, on) for on in (False, True) for step, _ in done for row in (step.on if on else step.off)],
        stakes=telling.stakes_given(tree, rows, operation),
    )


def _effect(operation: Operation, step: Step, outcome: Outcome, tree: Tree, seq: int, now: int) -> Row:
    known = tree.index.get(step.path)
    return Row(
        seq=seq,
        path=step.path,
        # What was there is something else where it was lost with the caller's word: the log never had it.
        before=known.version if known is not None else step.expect,
        after=outcome.version,
        owner=NOBODY,
        source=Source.EFFECT,
        operation=operation.id,
        since=known.since if known else 0,
        at_ns=now,
    )


def _entry(tree: Tree, row: Row, outcome: Outcome) -> IndexEntry:
    """What the index says of a path that an operation wrote. A directory that went and came back is covered as it was.

    One that was absent is covered since then: whatever is in it now came later.
    """
    known = tree.index.get(row.path)
    covered = known.rest_absent_since if known else None
    return IndexEntry(path=row.path, version=outcome.version, signature=outcome.signature, since=row.seq, covered=covered)


def _never() -> bool:
    """An operation that began is finished, also while the daemon ends: its steps take no longer than undoing them would."""
    return False

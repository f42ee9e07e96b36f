"""Telling sessions what others did to what they work on. What a commit brings is noted here, and rides on the next replies."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import time_ns

import anyio
import msgspec

from rewindd.errors import BadRequest, Busy, RewinddError, UnknownSession
from rewindd.model.ids import OperationId, SessionId
from rewindd.model.log import NOBODY, OperationKind, Owner, Row
from rewindd.model.notice import KIND_OF, Notice, NoticeKind
from rewindd.model.operation import Operation, Step
from rewindd.model.session import Claim, Session
from rewindd.model.stakes import Stake
from rewindd.model.versions import Absent, Unknown
from rewindd.paths import ROOT, RelPath
from rewindd.protocol import replies, wire
from rewindd.protocol.requests import OpenSession, ReadEvents, Request
from rewindd.service.asker import asker
from rewindd.service.asking import render
from rewindd.service.asking.comparing import compare
from rewindd.service.notices import notice_words
from rewindd.service.notices.inbox import MAX_PENDING, Inbox
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import edits, operations, workspaces
from rewindd.store import stakes as stake_rows
from rewindd.store.database import Connection
from rewindd.timeline.delta import PathDelta

log = logging.getLogger(__name__)

#: Whose rows an operation took back on a path.
Losing = Mapping[tuple[RelPath, OperationId], Owner]

#: Notices that ride on one reply: some kilobytes. The next ones come when these are acknowledged.
RIDING = 20
#: Notices in one answer of `events`, and those where it says nothing; with patches no more than ride on a reply.
MAX_EVENTS = 1000
USUAL_EVENTS = 100
#: A long poll is answered after this long, with nothing: what is between us and the caller may not keep a silent request for longer.
MAX_WAIT_MS = 60_000
#: A patch above this is cut: a notice is read by a model, which can ask for the rest.
MAX_PATCH_CHARS = 16 << 10
#: Long polls of one session that wait at once; a further one is refused. Readers of one session are few.
MAX_WAITERS = 16
#: Positions of the log that are read for a session that is behind; what is before them is a gap, and told as one.
MAX_BEHIND = 10_000
#: Rows whose paths are looked at in one transaction, and those that are read whole, some 4 ms each: others have a turn in between.
PAGE_ROWS = 2_500
READ_ROWS = 500
#: Sessions that are up to date are noted to be so after so many positions: a daemon that starts reads no more for each of them.
SETTLE_ROWS = 5_000
#: Stakes that end in one transaction, some 7 ms.
END_STAKES = 1_000


def committed(tree: Tree, rows: Sequence[Row], operation: Operation | None = None, losing: Losing | None = None) -> None:
    """Notes rows as they were just committed: `operation`'s, or what was observed. In memory only, and cheap for who has no stake."""
    tree.stakes.put(stakes_given(tree, rows, operation))
    for row in rows if tree.stakes.sessions else ():
        _tell(tree, row, operation, losing or {})


async def losing(state: State, tree: Tree, operation: Operation, steps: Sequence[Step]) -> Losing:
    """Returns whose work the steps took back, on the paths on which others than the operation's session are told."""
    watched = [step for step in steps if step.off and any(stake.session != operation.session for stake in tree.stakes.on(step.path))]
    seqs, found = [row for step in watched for row in step.off], list[Row]()
    for start in range(0, len(seqs), READ_ROWS):
        found += await state.bridge.transact(partial(edits.at, workspace=tree.workspace.id, seqs=seqs[start : start + READ_ROWS]))
    return _losing((row, operation.id) for row in found)


def stakes_given(tree: Tree, rows: Sequence[Row], operation: Operation | None = None) -> list[Stake]:
    """Returns the stakes that rows give, and that are not there yet. Who restored a path by its name has one in it.

    A rewind gives none: where it is about the session's own work it has one, and a rewind of the whole workspace is about no path of it.
    """
    is_named = operation is not None and operation.kind is OperationKind.RESTORE
    return tree.stakes.edited(rows, operation.session if operation is not None and is_named else None)


def claims_taken(tree: Tree, ended: Sequence[Claim], by: SessionId, seq: int, at_ns: int) -> None:
    """Tells those whose claims another session's ended. There is no row: it is told as long as this daemon lives."""
    for claim in ended:
        notice = Notice(seq=seq, path=claim.path, kind=NoticeKind.CLAIM_TAKEN, by=(by,), at_ns=at_ns)
        _inbox(tree, claim.session, seq - 1).add(notice)


def stakes_of(tree: Tree, claims: Sequence[Claim], since: int) -> list[Stake]:
    """Returns the stakes that these claims give, and that are not there yet."""
    return tree.stakes.lacking(Stake(path=one.path, session=one.session, since=since, deep=one.deep) for one in claims)


async def end(state: State, tree: Tree, session: SessionId) -> None:
    """Ends a session's stakes: it is told of nothing any more. Who waits for its notices is answered."""
    tree.has_former = True
    while await state.bridge.transact(lambda db: stake_rows.end(db, tree.workspace.id, session, END_STAKES), bulk=True) == END_STAKES:
        continue
    tree.stakes.drop(session)
    inbox = tree.inboxes.pop(session, None)
    if inbox is not None:
        inbox.wake()


# ---- what a request brings, and what rides on its reply


def acknowledge(state: State, request: Request) -> None:
    """Takes in how far the caller says it has taken note."""
    place = _place(state, request)
    known = state.known(place[1]) if place is not None else None
    if place is None or known is None or known.closed_at_ns is not None:
        return
    _inbox(*place, place[0].position).cursor_of(asker.get())
    if request.noticed is not None:
        _acknowledge(state, *place, request.noticed)


async def prepare(state: State, request: Request) -> None:
    """Reads the log for the request's session, where that is behind and has room. Failure costs no reply: it is read with the next."""
    place = _place(state, request)
    if place is None:
        return
    tree, session = place
    _settle(state, tree)
    inbox = tree.inboxes.get(session)
    if inbox is None or not inbox.behind or len(inbox.pending) >= RIDING:
        return
    try:
        await _catch_up(state, tree, session, inbox)
    except RewinddError as exc:
        log.warning("notices of session %s were not read: %s", session, exc)


def riding(state: State, request: Request) -> bytes | None:
    """Returns what rides on the reply to a request, encoded; None where there is nothing. Looks into memory only."""
    place = _place(state, request)
    if place is None or isinstance(request, ReadEvents):
        return None
    tree, session = place
    inbox = tree.inboxes.get(session)
    after = inbox.cursor_of(asker.get()) if inbox is not None else 0
    if inbox is None or not (inbox.pending or after < inbox.cursor):
        return None
    if after < inbox.cursor:
        told = _told(state, tree, session, inbox, after, RIDING)
        return wire.encode_notices(told) if told.events else None
    if inbox.encoded is None:
        inbox.encoded = wire.encode_notices(_told(state, tree, session, inbox, inbox.cursor, RIDING))
    return inbox.encoded


async def events(state: State, request: ReadEvents, session: Session) -> replies.Notices:
    """Returns what is after a position, as soon as there is something; after `wait_ms` what there is then: nothing.

    Raises:
        UnknownSession: it is closed.
        BadRequest: `wait_ms` or `limit` is out of bounds.
        Busy: too many wait for this session.
    """
    if not 0 <= request.wait_ms <= MAX_WAIT_MS or not 0 < request.limit <= MAX_EVENTS:
        raise BadRequest(f"wait_ms is 0 to {MAX_WAIT_MS}, limit 1 to {MAX_EVENTS}", field="wait_ms")
    tree = await state.tree(session.workspace)
    inbox = _inbox(tree, _open(state, session).id, tree.position)
    if request.after is not None and request.ack:
        _acknowledge(state, tree, session.id, request.after)
    if inbox.behind:
        await _catch_up(state, tree, session.id, inbox)
    if request.wait_ms:
        with anyio.move_on_after(request.wait_ms / 1000):
            await _until_news(state, tree, session, inbox, request)
    limit = min(request.limit, RIDING) if request.diff else request.limit
    after = max(request.after or 0, inbox.cursor_of(asker.get()))
    told = _told(state, tree, _open(state, session).id, inbox, after, limit)
    return await _with_patches(state, tree, told) if request.diff else told


def end_waiting(state: State) -> None:
    """Answers every long poll at once, from now on: the daemon ends."""
    state.is_ending = True
    for tree in state.trees():
        for inbox in tree.inboxes.values():
            inbox.wake()


async def _until_news(state: State, tree: Tree, session: Session, inbox: Inbox, request: ReadEvents) -> None:
    """Returns when there is something to tell, the daemon ends, the session is closed, or a later poll of the same waiter came."""
    name, mine = request.waiter or f"{id(request)}", anyio.Event()
    older = inbox.waiters.pop(name, None)
    if older is not None:
        older.set()
    elif len(inbox.waiters) >= MAX_WAITERS:
        raise Busy(f"{MAX_WAITERS} requests wait for the notices of session {session.id!r}; let one of them come back first")
    inbox.waiters[name] = mine
    try:
        while True:
            if inbox.behind:
                await _catch_up(state, tree, session.id, inbox)
            found, _ = inbox.after(max(request.after or 0, inbox.cursor_of(asker.get())), 1)
            is_over = state.is_ending or tree.inboxes.get(session.id) is not inbox
            if found or is_over or inbox.waiters.get(name) is not mine:
                return
            if mine.is_set():
                mine = inbox.waiters[name] = anyio.Event()
            else:
                await mine.wait()
    finally:
        if inbox.waiters.get(name) is mine:
            del inbox.waiters[name]


async def _catch_up(state: State, tree: Tree, session: SessionId, inbox: Inbox) -> None:
    """Reads the log for a session that is behind, until it is not or has enough; what is too far back becomes a gap."""
    async with inbox.reading:
        if inbox.behind and tree.position - inbox.scanned > MAX_BEHIND:
            until = tree.position - MAX_BEHIND
            gap = Notice(seq=until, path=ROOT, kind=NoticeKind.GAP, at_ns=time_ns(), after=inbox.scanned)
            inbox.catch_up([gap], until, is_all=False)
        while inbox.behind and len(inbox.pending) < MAX_PENDING:
            page, position = await state.bridge.transact(partial(_page, tree=tree, seq=inbox.scanned), bulk=True)
            seqs = [seq for seq, path in page if _concerns(tree, session, path, seq)]
            some = seqs[:READ_ROWS]
            found = await state.bridge.transact(partial(_read, tree=tree, seqs=some, told=session), bulk=True) if some else []
            room = MAX_PENDING - len(inbox.pending)
            if len(found) > room:
                inbox.catch_up(found[:room], found[room - 1].seq, is_all=False)
            elif len(some) < len(seqs):
                inbox.catch_up(found, some[-1], is_all=False)
            elif len(page) == PAGE_ROWS:
                inbox.catch_up(found, page[-1][0], is_all=False)
            else:  # a commit that came between is in the log, and noted nowhere else: once more, then
                inbox.catch_up(found, position, is_all=tree.position <= position)
    for one in {session for notice in inbox.pending for session in notice.by}:
        with suppress(UnknownSession):  # for its agent's name
            await state.session(one)


def _concerns(tree: Tree, session: SessionId, path: RelPath, seq: int) -> bool:
    return any(stake.session == session and seq > stake.since for stake in tree.stakes.on(path))


def _page(db: Connection, tree: Tree, seq: int) -> tuple[list[tuple[int, RelPath]], int]:
    return edits.paths_after(db, tree.workspace.id, seq, PAGE_ROWS), workspaces.position(db, tree.workspace.id)


def _read(db: Connection, tree: Tree, seqs: Sequence[int], told: SessionId) -> list[Notice]:
    """Returns the notices that these rows are to a session."""
    rows = edits.at(db, tree.workspace.id, seqs)
    named = {row.operation for row in rows if row.operation is not None}
    done = {one: operations.find(db, one) for one in named}
    lost = _lost(db, tree, [row.path for row in rows if row.operation is not None], [one for one in done.values() if one is not None])
    noticed = (_notice(row, done[row.operation] if row.operation is not None else None, lost) for row in rows)
    return [one for one in noticed if one is not None and one.session != told]


def _lost(db: Connection, tree: Tree, paths: Sequence[RelPath], done: Sequence[Operation]) -> Losing:
    """Returns whose rows on these paths the operations took back."""
    by = {one.at: one.id for one in done}
    toggles = edits.toggles_of_paths(db, tree.workspace.id, paths) if paths else []
    off = [(toggle.row, by[toggle.at]) for toggle in toggles if not toggle.on and toggle.at in by]
    rows = {row.seq: row for row in edits.at(db, tree.workspace.id, [row for row, _ in off])} if off else {}
    return _losing((rows[row], operation) for row, operation in off if row in rows)


def _losing(taken: Iterable[tuple[Row, OperationId]]) -> Losing:
    found: dict[tuple[RelPath, OperationId], Owner] = {}
    for row, operation in taken:
        key = row.path, operation
        found[key] = tuple(sorted({*found.get(key, NOBODY), *row.owner}))
    return found


def _tell(tree: Tree, row: Row, operation: Operation | None, losing: Losing) -> None:
    doer = row.owner[0] if len(row.owner) == 1 else operation.session if operation is not None else None
    held = [stake for stake in tree.stakes.on(row.path) if stake.session != doer and row.seq > stake.since]
    notice = _notice(row, operation, losing) if held else None
    if notice is not None:
        for stake in held:
            _inbox(tree, stake.session, row.seq - 1).add(notice)


def _notice(row: Row, operation: Operation | None, losing: Losing) -> Notice | None:
    """Returns what a row is to those who are told; None where nothing was done, and something only became known."""
    if row.source.is_view:
        return None
    return Notice(
        seq=row.seq,
        path=row.path,
        kind=NoticeKind.CHANGED if operation is None else KIND_OF[operation.kind],
        change=render.change(row.before, row.after),
        by=row.owner if operation is None else (operation.session,),
        operation=row.operation,
        at_ns=row.at_ns,
        before=operation.at - 1 if operation is not None and not isinstance(row.before, Absent | Unknown) else None,
        losing=losing.get((row.path, operation.id), NOBODY) if operation is not None else NOBODY,
    )


def _told(state: State, tree: Tree, session: SessionId, inbox: Inbox, after: int, limit: int) -> replies.Notices:
    found, more = inbox.after(after, limit)
    agents = {one: known.agent for notice in found for one in notice.by if (known := state.known(one)) is not None}
    return replies.Notices(
        events=[_rendered(notice, agents, session) for notice in found],
        cursor=found[-1].seq if found else after,
        more=bool(more) or inbox.behind,
    )


def _rendered(notice: Notice, agents: Mapping[SessionId, str], session: SessionId) -> replies.Notice:
    return replies.Notice(
        seq=notice.seq,
        told=session,
        path=notice.path,
        kind=notice.kind.value,
        change=notice.change or None,
        session_id=notice.session,
        agent=agents.get(notice.session) if notice.session is not None else None,
        operation_id=notice.operation,
        contested=list(notice.contested),
        at=render.moment(notice.at_ns),
        text=notice_words.words(notice, agents, session),
        after=notice.after,
    )


async def _with_patches(state: State, tree: Tree, told: replies.Notices) -> replies.Notices:
    """Adds to each notice of a row what it changed, cut where it is long."""
    rows = await state.bridge.transact(lambda db: edits.at(db, tree.workspace.id, [one.seq for one in told.events]))
    deltas = [
        PathDelta(path=r.path, before=r.before, after=r.after, spans=((r.before, r.after),), mixed=False, seq=r.seq, at_ns=r.at_ns)
        for r in rows
    ]
    diffs = dict(zip((row.seq for row in rows), await compare(state, deltas, patch=True), strict=True))
    return msgspec.structs.replace(told, events=[_patched(one, diffs.get(one.seq)) for one in told.events])


def _patched(notice: replies.Notice, diff: replies.FileDiff | None) -> replies.Notice:
    if diff is None or diff.patch is None:
        return notice
    cut = len(diff.patch) > MAX_PATCH_CHARS
    patch = diff.patch[: diff.patch.rindex("\n", 0, MAX_PATCH_CHARS) + 1] if cut else diff.patch
    return msgspec.structs.replace(notice, patch=patch, cut=cut, binary=diff.binary)


def _place(state: State, request: Request) -> tuple[Tree, SessionId] | None:
    """Returns the workspace in memory and the session that a request is about; None where that is not known."""
    named = request.session or (request.id if isinstance(request, OpenSession) else None)
    known = state.known(SessionId(named)) if named else None
    tree = state.loaded(known.workspace) if known is not None else None
    return (tree, known.id) if known is not None and tree is not None else None


def _inbox(tree: Tree, session: SessionId, cursor: int) -> Inbox:
    found = tree.inboxes.get(session)
    if found is None:
        found = tree.inboxes[session] = Inbox(cursor=cursor, saved=cursor)
    return found


def _open(state: State, session: Session) -> Session:
    known = state.known(session.id)
    if known is None or known.closed_at_ns is not None:
        raise UnknownSession(f"session {session.id!r} is closed, and told of nothing; open it again by its id", session=session.id)
    return known


def _acknowledge(state: State, tree: Tree, session: SessionId, seq: int) -> None:
    inbox = tree.inboxes.get(session)
    if inbox is not None and inbox.acknowledge(min(seq, tree.position), asker.get()):
        state.later(partial(_save, state, tree))


def _settle(state: State, tree: Tree) -> None:
    """From time to time moves the cursors of those who have nothing to be told up to now."""
    if tree.position - tree.settled < SETTLE_ROWS:
        return
    tree.settled = tree.position
    for session in tree.stakes.sessions:
        inbox = _inbox(tree, session, tree.position - 1)
        if not inbox.behind and not inbox.pending:
            inbox.acknowledge(tree.position)
    state.later(partial(_save, state, tree))


async def _save(state: State, tree: Tree) -> None:
    """Writes the cursors down. They are not waited for: what a power cut takes of them is told again."""
    noted = {session: inbox.cursor for session, inbox in tree.inboxes.items() if inbox.cursor != inbox.saved}
    if not noted:
        return
    await state.bridge.transact(lambda db: stake_rows.acknowledge(db, tree.workspace.id, noted), lasting=False)
    for session, cursor in noted.items():
        if session in tree.inboxes:
            tree.inboxes[session].saved = cursor

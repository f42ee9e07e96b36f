"""Notices of readers that are slow or away: bounded in memory, found again in the log, and a gap where that is too far back."""

import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from rewindd.model.ids import SessionId
from rewindd.model.log import Row, Source
from rewindd.model.notice import Notice, NoticeKind
from rewindd.model.versions import ABSENT, File
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests
from rewindd.service.notices import inbox, telling
from rewindd.service.notices.inbox import MAX_PENDING, Inbox
from support.windows import Sill, sill

pytestmark = pytest.mark.anyio
A, B = "a", "b"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Sill]:
    """A service, and a covered workspace: `a` works on `f`, `b` is about to."""
    async with sill(tmp_path) as one:
        one.write("f", "0\n")
        one.write("other", "0\n")
        for name in (A, B):
            await one.open(name)
        await one.ask(requests.TakeSnapshot(session=A, paths=[FsText("f")]), replies.Snapshots)
        yield one


async def change(at: Sill, content: str, *names: str) -> None:
    """`b` changes files in a bracket."""
    paths = [FsText(name) for name in names or ("f",)]
    begun = await at.ask(requests.BeginEdit(session=B, paths=paths), replies.Snapshots)
    for name in names or ("f",):
        at.write(name, content)
    await at.ask(requests.EndEdit(session=B, edit=begun.edit or ""), replies.Released)


async def told(at: Sill, after: int | None = None, limit: int = 100) -> replies.Notices:
    """What `a` is told after a position, which acknowledges what is before."""
    return await at.ask(requests.ReadEvents(session=A, after=after, limit=limit), replies.Notices)


async def all_told(at: Sill, limit: int = 100) -> list[replies.Notice]:
    """All that `a` is to be told, page by page."""
    found = await told(at, limit=limit)
    listed = list(found.events)
    while found.events:
        found = await told(at, found.cursor, limit)
        listed += found.events
    assert not found.more
    return listed


async def test_what_does_not_fit_is_read_from_the_log(at: Sill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is away keeps a bounded part in memory, and gets all in order when it comes, each once, over many pages."""
    for where in (inbox, telling):
        monkeypatch.setattr(where, "MAX_PENDING", 5)
    monkeypatch.setattr(telling, "PAGE_ROWS", 3)
    for number in range(30):
        await change(at, f"{number + 1}\n", "f", "other")
    tree = at.service._state.trees()[0]
    held = tree.inboxes[SessionId(A)]
    assert (len(held.pending), held.behind) == (5, True)
    listed = await all_told(at, limit=4)
    assert [str(one.path) for one in listed] == ["f"] * 30
    assert [one.seq for one in listed] == sorted({one.seq for one in listed})
    assert not held.behind
    await change(at, "live again\n")
    assert len((await told(at)).events) == 1


async def test_what_is_too_far_back_is_a_gap(at: Sill, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the log is not read: a notice says between which positions, in words; the newest are there."""
    for where in (inbox, telling):
        monkeypatch.setattr(where, "MAX_PENDING", 2)
    monkeypatch.setattr(telling, "MAX_BEHIND", 6)
    for number in range(20):
        await change(at, f"{number + 1}\n")
    monkeypatch.setattr(inbox, "MAX_PENDING", 50)
    monkeypatch.setattr(telling, "MAX_PENDING", 50)
    kept, (gap, *newest) = (listed := await all_told(at))[:2], listed[2:]
    assert [one.kind for one in kept] == ["changed"] * 2
    assert (gap.kind, gap.after, gap.seq, gap.path) == ("gap", kept[-1].seq, newest[0].seq - 1, ".")
    assert [one.seq for one in newest] == list(range(gap.seq + 1, gap.seq + 7))
    assert gap.text == (
        f"more was changed in the workspace than was followed for you (positions {kept[-1].seq + 1} to {gap.seq} of its log); "
        "read what you work on again before you edit it"
    )


async def test_a_taken_claim_waits_with_the_rest(at: Sill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A taken claim has no row: while a reader is behind it is kept beside, and told in its place."""
    for where in (inbox, telling):
        monkeypatch.setattr(where, "MAX_PENDING", 1)
    for number in range(3):
        await change(at, f"{number + 1}\n")
    await at.ask(requests.TakeSnapshot(session=B, paths=[FsText("f")]), replies.Snapshots)
    at.write("f", "b's\n")
    await at.ask(requests.ListPending(session=B), replies.Changes)
    assert [one.kind for one in await all_told(at)] == ["changed"] * 3 + ["claim-taken", "changed"]


async def test_an_onlooker_sees_no_further_than_memory(at: Sill, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a session did not acknowledge bounds what an onlooker is told: the rest comes when it has, and nothing is read for it."""
    for where in (inbox, telling):
        monkeypatch.setattr(where, "MAX_PENDING", 2)
    for number in range(4):
        await change(at, f"{number + 1}\n")

    async def look(after: int | None = None) -> replies.Notices:
        return await at.ask(requests.ReadEvents(session=A, after=after, ack=False), replies.Notices)

    first = await look()
    assert (len(first.events), first.more) == (2, True)
    assert (await look(first.cursor)).events == []
    await told(at, first.cursor)
    assert len((await look(first.cursor)).events) == 2


async def test_a_patch_is_bounded(at: Sill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long patch is cut at a line's end and says so; a binary one says that it is."""
    monkeypatch.setattr(telling, "MAX_PATCH_CHARS", 200)
    await change(at, "".join(f"line {n}\n" for n in range(100)))
    found = await at.ask(requests.ReadEvents(session=A, diff=True), replies.Notices)
    (one,) = found.events
    assert one.patch is not None
    assert (one.cut, one.patch[-1], len(one.patch) <= 200) == (True, "\n", True)
    await change(at, "\0binary")
    found = await at.ask(requests.ReadEvents(session=A, diff=True), replies.Notices)
    assert (found.events[-1].binary, found.events[-1].cut) == (True, False)


async def test_nothing_new_looks_at_nothing(at: Sill) -> None:
    """What a request without news pays is a look into memory: no transaction, nothing encoded twice."""
    state = at.service._state
    request = requests.ListPending(session=A)
    assert telling.riding(state, request) is None
    await change(at, "1\n")
    first = telling.riding(state, request)
    assert first is not None
    assert telling.riding(state, request) is first
    assert telling.riding(state, requests.ListPending(session=B)) is None
    assert telling.riding(state, requests.Ping()) is None


async def test_who_has_nothing_to_be_told_is_noted_to_be_up_to_date(at: Sill, monkeypatch: pytest.MonkeyPatch) -> None:
    """From time to time the cursors of those who are up to date are written down: a start reads no more of the log than since then."""
    monkeypatch.setattr(telling, "SETTLE_ROWS", 3)
    for number in range(5):
        await change(at, f"{number + 1}\n", "other")
    tree = at.service._state.trees()[0]
    await telling._save(at.service._state, tree)
    assert tree.inboxes[SessionId(A)].saved >= tree.position - 3
    assert (await told(at)).events == []


def notice(seq: int) -> Notice:
    return Notice(seq=seq, path=RelPath(f"src/module-{seq}.py"), kind=NoticeKind.CHANGED, change="modified", at_ns=seq)


def test_an_absent_reader_s_memory() -> None:
    """However much happens, what is kept for one reader stays below 500 kB, and the rest costs nothing."""
    one = Inbox(cursor=0, saved=0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for seq in range(1, 20_001):
        one.add(notice(seq))
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(one.pending) == MAX_PENDING
    assert kept < 500_000


def test_view_rows_and_own_rows_are_no_notices() -> None:
    """What only became known is no change; what is one's own is told to nobody but others."""
    row = Row(
        seq=7,
        path=RelPath("f"),
        before=ABSENT,
        after=File(bytes(32), 1, 0o644),
        owner=(),
        source=Source.FIRST_SEEN,
        operation=None,
        since=0,
        at_ns=1,
    )
    assert telling._notice(row, None, {}) is None


@pytest.mark.parametrize("seed", range(4))
async def test_all_that_the_log_has_and_nothing_else(at: Sill, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever happens in whatever order, and however seldom it is read: a session is told each row of others on what it works on, once."""
    for where in (inbox, telling):
        monkeypatch.setattr(where, "MAX_PENDING", 4)
    monkeypatch.setattr(telling, "PAGE_ROWS", 5)
    monkeypatch.setattr(telling, "READ_ROWS", 2)
    monkeypatch.setattr(telling, "SETTLE_ROWS", 7)
    chance, found, cursor = Random(seed), list[replies.Notice](), None
    names = ["f", "other", "d/x", "d/y", "new"]
    (at.root / "d").mkdir()
    for number in range(80):
        name, text = chance.choice(names), f"{number}\n"
        match chance.randrange(6):
            case 0 | 1 | 2:
                await change(at, text, name)
            case 3:
                at.write(name, text)
                await at.ask(requests.ListPending(session=B), replies.Changes)
            case 4:
                claimed = FsText(chance.choice([*names, "d"]))
                await at.ask(requests.TakeSnapshot(session=A, paths=[claimed]), replies.Snapshots)
                await at.ask(requests.Release(session=A), replies.Released)
            case _:
                page = await told(at, cursor, limit=chance.randrange(1, 6))
                found, cursor = [*found, *page.events], page.cursor
    await at.ask(requests.ListPending(session=A), replies.Changes)
    while (page := await told(at, cursor)).events:
        found, cursor = [*found, *page.events], page.cursor
    stakes = at.service._state.trees()[0].stakes
    edits = (await at.ask(requests.ReadLog(session=A), replies.Edits)).edits
    expected = [
        row.seq
        for row in edits
        if row.source != "first-seen"
        and row.session_id != A
        and any(one.session == A and one.since < row.seq for one in stakes.on(RelPath(row.path)))
    ]
    assert [one.seq for one in found if one.kind == "changed"] == expected
    assert [one.seq for one in found] == sorted({one.seq for one in found})
    assert len(expected) > 10

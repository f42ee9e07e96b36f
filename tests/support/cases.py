"""Every use case that is to be interrupted anywhere: what is done before, and what is asked in the life that is cut off.

A new use case is one more entry of `CASES`; `support.matrix` does the rest.
"""

import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from blake3 import blake3

from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.protocol.integrity import MakeBackup, Verify
from rewindd.protocol.portable import PortableCheckpoint, PortableDiff
from rewindd.protocol.requests import Request
from rewindd.service.integrity import backing_up
from support import damage, dying
from support.dying import BARRIER, BIG, OTHERS, SESSION, Answer, Desk, text, tree_of

#: The session that a request opens.
OPENED = "opened"
#: Where a request puts a copy of the store, beside data and tree.
COPY = "copy"

Facts = dict[str, str]
Ask = Callable[[Facts, list[Answer]], Request]
Prepare = Callable[[Desk, str], Awaitable[Facts | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A use case. `prepare` is done in a life that ends well; then `asks` one after the other in the life that is cut off.

    `cut_at`: the life that prepares is itself cut off, at the first effect of that name of `asks`; then the life that is cut off only
    starts. `changes_tree`: it writes in the workspace; no other may. `has_key` False: its
    requests are not answered again, but done again, which changes nothing more. `in_parts`: what it does
    may be done in part until it is asked again. `then`: what is done to the files once the life that prepares is over. `says`: codes
    with which it may also refuse, of an error of the system. `has_doors`: grants have a place for
    their sockets, and none is made.
    """

    prepare: Prepare
    asks: tuple[Ask, ...] = ()
    cut_at: str | None = None
    changes_tree: bool = False
    has_key: bool = True
    in_parts: bool = False
    then: Callable[[str], None] | None = None
    says: frozenset[str] = frozenset()
    has_doors: bool = False


# ---- what is done before


async def _nothing(desk: Desk, top: str) -> None:
    """Not even a session: the tree alone."""
    _make_tree(top)


async def _begun(desk: Desk, top: str) -> None:
    """A session with its first checkpoint."""
    await dying._begin(desk, top)


async def _edited(desk: Desk, top: str) -> None:
    """Then one change of every kind, which was announced."""
    await _begun(desk, top)
    await dying._edit(desk, top)


async def _edited_by_nobody(desk: Desk, top: str) -> None:
    """Then changes, which nobody announced."""
    await _begun(desk, top)
    await desk.ask(requests.Release(session=SESSION), replies.Released)
    root = tree_of(top)
    (root / "file").write_text(text("line 3, second"))
    (root / "new").write_bytes(BIG[::-1])
    (root / "gone").unlink()


async def _wide(desk: Desk, top: str) -> None:
    await _begun(desk, top)
    await dying._wide(desk, top)


async def _saved(desk: Desk, top: str) -> None:
    await _begun(desk, top)
    await dying._before_the_rewind(desk, top)


async def _saved_with_tail(desk: Desk, top: str) -> None:
    await _begun(desk, top)
    await dying._before_the_rewind_before(desk, top)


async def _rewound(desk: Desk, top: str) -> None:
    await _begun(desk, top)
    await dying._before_the_undo(desk, top)


async def _undone(desk: Desk, top: str) -> None:
    await _rewound(desk, top)
    await desk.ask(requests.Undo(session=SESSION), replies.RewindResult)


async def _bracketed(desk: Desk, top: str) -> Facts:
    await _begun(desk, top)
    opened = await desk.ask(requests.BeginEdit(session=SESSION, paths=_paths("file", "new")), replies.Snapshots)
    (tree_of(top) / "file").write_text(text("line 3, second"))
    (tree_of(top) / "new").write_bytes(BIG[::-1])
    return {"edit": str(opened.edit)}


async def _one_closed(desk: Desk, top: str) -> None:
    """Three sessions that worked, one of them, with a large content of its own, closed."""
    await _three_sessions(desk, top)
    await desk.ask(requests.TakeSnapshot(session=OTHERS[1], paths=_paths("of-2")), replies.Snapshots)
    (tree_of(top) / "of-2").write_bytes(BIG * 2)
    await desk.ask(requests.Save(session=OTHERS[1], id="last"), replies.Saved)
    (tree_of(top) / "of-2").unlink()
    await desk.ask(requests.CloseSession(session=OTHERS[1]), replies.SessionReply)


async def _three_sessions(desk: Desk, top: str) -> None:
    await _begun(desk, top)
    await dying._before_the_barrier(desk, top)


async def _barrier_and_on(desk: Desk, top: str) -> None:
    await _begun(desk, top)
    await dying._before_the_rewind_to_it(desk, top)


async def _closed(desk: Desk, top: str) -> None:
    await _edited(desk, top)
    await desk.ask(requests.CloseSession(session=SESSION), replies.SessionReply)


async def _elsewhere(desk: Desk, top: str) -> None:
    """The workspace is opened, and saved, under another name of its directory."""
    tree_of(top).rename(Path(top, "before"))
    tree_of(top).symlink_to("before")
    await _begun(desk, top)
    await dying._edit(desk, top)
    await desk.ask(requests.Save(session=SESSION, id="there"), replies.Saved)
    # While it is at work the daemon looks by itself, once in a while before it is asked.
    await desk.ask(requests.CloseSession(session=SESSION), replies.SessionReply)


def _move_back(top: str) -> None:
    tree_of(top).unlink()
    Path(top, "before").rename(tree_of(top))


def _replace(top: str) -> None:
    """Another directory takes the workspace's place: a new clone, with some of the files."""
    tree_of(top).rename(Path(top, "before"))
    shutil.copytree(Path(top, "before"), tree_of(top), symlinks=True)
    (tree_of(top) / "file").write_text(text("line 7, of the clone"))


async def _many_sessions(desk: Desk, top: str) -> None:
    """So many that a barrier of all is worth a backup of the database when the daemon ends."""
    await _begun(desk, top)
    for number in range(backing_up.STOP_CHECKPOINTS):
        asked = requests.OpenSession(directory=FsText(str(tree_of(top))), agent="tests", id=f"one-of-many-{number}", exact=True)
        await desk.ask(asked, replies.SessionReply)


async def _backed_up(desk: Desk, top: str) -> None:
    """Saved, and the database has a backup of that moment."""
    await _saved(desk, top)
    await backing_up.renew(desk.state, pause_s=0)


def _spoil(top: str) -> None:
    damage.spoil(Path(top, "data", "store.db"), 1)


def _spoil_after_a_crash(top: str) -> None:
    """Damaged as well, and with a log beside it that belongs to it alone: of a life that did not end well."""
    store = Path(top, "data", "store.db")
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("UPDATE checkpoints SET label = 'of the log'")
        left = {path: path.read_bytes() for path in (store, store.with_name(f"{store.name}-wal"))}
    for path, content in left.items():
        path.write_bytes(content)
    _spoil(top)


async def _first_seen(desk: Desk, top: str) -> None:
    """With contents that only the first look took in: a small one, and one that is a file of the store."""
    tree = tree_of(top)
    (tree / "unique").write_bytes(random.Random(1).randbytes(100_000))  # too large to be put together with others, which are damaged then
    (tree / "unique-big").write_bytes(random.Random(2).randbytes(len(BIG)))
    await _begun(desk, top)


def _damage(top: str) -> None:
    for name in ("unique", "unique-big"):
        damage.flip_content(Path(top, "data"), blake3((tree_of(top) / name).read_bytes()).hexdigest())


async def _granted(desk: Desk, top: str) -> Facts:
    await _begun(desk, top)
    granted = await desk.ask(_grant({"root": str(tree_of(top))}, []), replies.GrantReply)
    return {"grant": granted.grant.id}


def _make_tree(top: str) -> None:
    root = tree_of(top)
    (root / "directory" / "deep").mkdir(parents=True)
    for number in range(40):
        (root / "directory" / f"{number}").write_text(f"{number}\n" * number)
        (root / "directory" / "deep" / f"{number}").write_text(f"deep {number}\n")
    (root / "big").write_bytes(BIG)
    (root / "link").symlink_to("big")


def _paths(*names: str) -> list[FsText]:
    return [FsText(name) for name in names]


# ---- what is asked


def _rewind(**fields: Any) -> Ask:
    return lambda facts, _: requests.Rewind(session=SESSION, key="rewind", position="first", **fields)


def _open(**fields: Any) -> Ask:
    return lambda facts, _: requests.OpenSession(
        key="open", directory=FsText(facts["root"]), agent="tests", exact=True, **({"id": OPENED} | fields)
    )


def _save(session: str) -> Ask:
    return lambda facts, _: requests.Save(session=session, key="save", id="second", label="the save", events=[dying._said("second")])


def _import(facts: Facts, _: list[Answer]) -> Request:
    diff = PortableDiff(path=FsText(facts["root"] + "/file"), before="before\n", after="after\n" * 80_000, timestamp_ns=2)
    checkpoint = PortableCheckpoint(
        id="of-old",
        timestamp_ns=3,
        start_time_ns=1,
        total_messages=1,
        total_tool_calls=0,
        total_duration_ns=2,
        estimated_tokens=1,
        user_prompts=["of old"],
        assistant_responses=[],
        tool_calls=[],
        file_diffs=[diff],
    )
    return requests.Import(key="import", directory=FsText(facts["root"]), checkpoint=checkpoint)


def _grant(facts: Facts, _: list[Answer]) -> Request:
    about = os.stat(facts["root"])
    return requests.MakeGrant(key="grant", directory=FsText(facts["root"]), device=about.st_dev, inode=about.st_ino, ttl_s=3600.0)


def _backup(facts: Facts, _: list[Answer]) -> Request:
    return MakeBackup(key="backup", directory=FsText(os.path.join(os.path.dirname(facts["root"]), COPY)))


def _backup_by_copies(facts: Facts, answers: list[Answer]) -> Request:
    """To where no second name of a file can be: another file system, say."""
    refused = OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    patch.object(os, "link", side_effect=refused).start()  # in the child, which ends with it
    return _backup(facts, answers)


def _forget_path(facts: Facts, _: list[Answer]) -> Request:
    return requests.Forget(what=FsText("of-2"), path=FsText(facts["root"] + "/of-2"))


def _forget_workspace(facts: Facts, _: list[Answer]) -> Request:
    return requests.Forget(what=FsText("."), path=FsText(facts["root"]))


def _ask(request: type[Request], **fields: Any) -> Ask:
    return lambda facts, answers: request(session=SESSION, key=request.__name__, **fields)


CASES: dict[str, Case] = {
    "snapshot-file": Case(prepare=_edited_by_nobody, asks=(_ask(requests.TakeSnapshot, paths=_paths("file", "new")),)),
    "snapshot-directory": Case(prepare=_edited_by_nobody, asks=(_ask(requests.TakeSnapshot, paths=_paths(".")),)),
    "bracket-begin": Case(prepare=_edited_by_nobody, asks=(_ask(requests.BeginEdit, paths=_paths("file", "new")),)),
    "bracket-end": Case(prepare=_bracketed, asks=(lambda facts, _: requests.EndEdit(session=SESSION, key="end", edit=facts["edit"]),)),
    "window": Case(
        prepare=_edited_by_nobody,
        asks=(
            _ask(requests.OpenWindow, kind="command"),
            lambda facts, answers: requests.CloseWindow(session=SESSION, key="close", window=answers[0]["window"]),
        ),
    ),
    "record": Case(prepare=_edited, asks=(_ask(requests.Record, events=[dying._said("recorded")]),)),
    "save": Case(prepare=_edited, asks=(_save(SESSION),)),
    "save-of-many": Case(prepare=_wide, asks=(_save(SESSION),)),
    "first-capture": Case(prepare=_nothing, asks=(_open(), _save(OPENED))),
    "rewind": Case(prepare=_saved, asks=(_rewind(),), changes_tree=True),
    "rewind-before-with-tail": Case(prepare=_saved_with_tail, asks=(_rewind(before=True),), changes_tree=True),
    "rewind-workspace": Case(prepare=_saved, asks=(_rewind(scope="workspace"),), changes_tree=True),
    "rewind-files": Case(prepare=_saved, asks=(_rewind(restore=["files"]),), changes_tree=True),
    "rewind-conversation": Case(prepare=_saved, asks=(_rewind(restore=["conversation"]),)),
    "rewind-stats": Case(prepare=_saved, asks=(_rewind(restore=["stats"]),)),
    "rewind-paths": Case(prepare=_saved, asks=(_rewind(paths=_paths("file", "olddir", "big")),), changes_tree=True),
    "undo": Case(prepare=_rewound, asks=(_ask(requests.Undo),), changes_tree=True),
    "redo": Case(prepare=_undone, asks=(_ask(requests.Redo),), changes_tree=True),
    "restore": Case(
        prepare=_saved, asks=(_ask(requests.Restore, paths=_paths("gone", "olddir", "big"), position="first"),), changes_tree=True
    ),
    "barrier": Case(prepare=_three_sessions, asks=(_ask(requests.MakeBarrier, label=BARRIER),)),
    "rewind-to-barrier": Case(
        prepare=_barrier_and_on,
        asks=(lambda facts, _: requests.Rewind(session=SESSION, key="rewind", position=f"barrier:{BARRIER}"),),
        changes_tree=True,
    ),
    "import": Case(prepare=_begun, asks=(_import,)),
    "open": Case(prepare=_begun, asks=(_open(capture="snapshots"),)),
    "open-fork": Case(prepare=_begun, asks=(_open(parent=SESSION, from_position="first"),)),
    "close": Case(prepare=_edited, asks=(_ask(requests.CloseSession),)),
    "release": Case(prepare=_edited, asks=(_ask(requests.Release),)),
    "gc": Case(prepare=_one_closed, asks=(lambda facts, _: requests.Collect(),), has_key=False),
    "prune": Case(prepare=_one_closed, asks=(lambda facts, _: requests.Prune(),), has_key=False),
    "forget-path": Case(prepare=_one_closed, asks=(_forget_path,), has_key=False, in_parts=True),
    "forget-session": Case(
        prepare=_one_closed, asks=(lambda facts, _: requests.Forget(what=FsText(OTHERS[1])),), has_key=False, in_parts=True
    ),
    "forget-workspace": Case(prepare=_one_closed, asks=(_forget_workspace,), has_key=False, in_parts=True),
    "open-again": Case(prepare=_closed, asks=(_open(id=SESSION),)),
    "open-moved": Case(prepare=_elsewhere, then=_move_back, asks=(_open(capture="snapshots"),), in_parts=True),
    "open-adopted": Case(prepare=_edited, then=_replace, asks=(_open(capture="snapshots", replaced="adopt"),), in_parts=True),
    "open-new": Case(prepare=_edited, then=_replace, asks=(_open(capture="snapshots", replaced="new"),), in_parts=True),
    "backup": Case(prepare=_one_closed, asks=(_backup,), says=frozenset({"bad-request"})),
    "backup-by-copies": Case(prepare=_one_closed, asks=(_backup_by_copies,), says=frozenset({"bad-request"})),
    "backup-at-the-end": Case(prepare=_many_sessions, asks=(_ask(requests.MakeBarrier, label=BARRIER),)),
    "verify": Case(prepare=_first_seen, then=_damage, asks=(lambda facts, _: Verify(),), has_key=False),
    "grant": Case(prepare=_begun, asks=(_grant,), has_doors=True),
    "revoke": Case(prepare=_granted, asks=(lambda facts, _: requests.RevokeGrant(key="revoke", id=facts["grant"]),), has_doors=True),
    "start": Case(prepare=_saved),
    "start-from-the-backup": Case(prepare=_backed_up, then=_spoil),
    "start-from-the-backup-after-a-crash": Case(prepare=_backed_up, then=_spoil_after_a_crash),
    "recovery": Case(prepare=_saved, asks=(_rewind(),), cut_at="tree.create", changes_tree=True),
    "recovery-of-synced": Case(prepare=_saved, asks=(_rewind(),), cut_at="tree.sync", changes_tree=True),
    "recovery-to-barrier": Case(
        prepare=_barrier_and_on,
        asks=(lambda facts, _: requests.Rewind(session=SESSION, key="rewind", position=f"barrier:{BARRIER}"),),
        cut_at="tree.exchange",
        changes_tree=True,
    ),
}

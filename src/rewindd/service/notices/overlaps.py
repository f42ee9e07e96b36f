"""Overlaps: told before a path is changed that another session has changed and not saved yet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rewindd.model.log import Row
from rewindd.model.session import Session
from rewindd.model.versions import Directory
from rewindd.paths import RelPath
from rewindd.protocol import replies
from rewindd.service.asking import render
from rewindd.service.notices import notice_words
from rewindd.service.save import head_seq
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.store import edits
from rewindd.store.database import Connection

#: Overlaps that one answer names; who claims a whole tree that others work in needs no longer list.
MAX_OVERLAPS = 100
#: Overlaps that are counted, some 0.1 s of the store's time; who is told of a thousand knows enough.
MAX_COUNTED = 1000
#: Paths of which rows are read in one function of the store, and rows of one that is claimed among which those since are looked for.
PART_PATHS = 50
NEWEST_ROWS = 20


@dataclass(frozen=True, slots=True)
class _Other:
    """Another session: the position of its head, the paths where its changes matter, and since when it claims some of them."""

    session: Session
    base: int
    paths: list[RelPath]
    claimed_ns: Mapping[RelPath, int]


async def overlaps(state: State, tree: Tree, session: Session, paths: Iterable[RelPath]) -> tuple[list[replies.Overlap], int]:
    """Returns what other active sessions changed of these paths, or below them, and did not save or take back; `MAX_OVERLAPS` at most.

    Beside them how many more there are, `MAX_COUNTED` in all at most.

    Saved is what came before a session's head, but for paths that it claims still: there its edit goes on. Costs nothing where no other
    active session has a stake in one of them. The paths were just looked at, under the workspace's lock.
    """
    named, found = list(paths), list[replies.Overlap]()
    for one in tree.stakes.sessions:
        known = state.known(one)
        if one == session.id or known is None or not state.is_active(one):
            continue
        other = await _other(state, tree, known, named)
        for start in range(0, len(other.paths), PART_PATHS):
            if len(found) >= MAX_COUNTED:
                break
            part = other.paths[start : start + PART_PATHS]
            found += await state.bridge.transact(partial(_changed, tree=tree, other=other, paths=part))
    found.sort(key=lambda one: (one.path, one.session_id))
    return found[:MAX_OVERLAPS], len(found[MAX_OVERLAPS:MAX_COUNTED])


async def _other(state: State, tree: Tree, session: Session, named: Sequence[RelPath]) -> _Other:
    tops = [path for path in named if _is_directory(tree, path)]
    files = {path for path in named if any(stake.session == session.id for stake in tree.stakes.on(path))}
    claimed = {claim.path: claim.at_ns for held in tree.claims.values() for claim in held if claim.session == session.id}
    if not tops and not files:
        return _Other(session, 0, [], claimed)
    base = await head_seq(state, session)
    for top in tops:
        files |= {path for path in claimed if path.below(top)}
        files |= await state.bridge.transact(partial(edits.paths_since, workspace=tree.workspace.id, path=top, seq=base))
    return _Other(session, base, sorted(files), claimed)


def _changed(db: Connection, tree: Tree, other: _Other, paths: Sequence[RelPath]) -> list[replies.Overlap]:
    of_path: dict[RelPath, list[Row]] = {}
    for row in _own(db, tree, other, paths):
        of_path.setdefault(row.path, []).append(row)
    changed = ((rows[0].before, rows[-1]) for rows in of_path.values() if rows[0].before != rows[-1].after)
    return [_overlap(other.session, row, render.change(before, row.after)) for before, row in changed]


def _own(db: Connection, tree: Tree, other: _Other, paths: Sequence[RelPath]) -> list[Row]:
    """The other session's rows that it did not save and that are not taken back, contested ones too, by position."""
    workspace = tree.workspace.id
    rows = edits.of_paths(db, workspace, paths, after=other.base)
    for path in other.claimed_ns.keys() & set(paths):
        since_ns = other.claimed_ns[path]
        newest = edits.newest(db, workspace, path, NEWEST_ROWS)
        rows += [row for row in newest if row.path == path and row.seq <= other.base and row.at_ns >= since_ns]
    rows = [row for row in sorted(rows, key=lambda row: row.seq) if row.source.is_content and other.session.id in row.owner]
    last = {toggle.row: toggle.on for toggle in edits.with_toggles(db, workspace, (row.seq for row in rows))[1]}
    return [row for row in rows if last.get(row.seq, True)]


def _overlap(other: Session, row: Row, change: str) -> replies.Overlap:
    return replies.Overlap(
        path=row.path,
        session_id=other.id,
        agent=other.agent,
        at=render.moment(row.at_ns),
        change=change,
        text=notice_words.overlap(row.path, other.id, other.agent, row.at_ns, change),
    )


def _is_directory(tree: Tree, path: RelPath) -> bool:
    entry = tree.index.get(path)
    return entry is not None and isinstance(entry.version, Directory)

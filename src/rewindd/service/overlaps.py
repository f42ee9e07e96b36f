"""Overlaps: told before a path is changed that another session has changed and not saved yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from rewindd.model.log import Row
from rewindd.model.session import Session
from rewindd.model.versions import Directory
from rewindd.paths import RelPath
from rewindd.protocol import replies
from rewindd.service import notice_words, positions, render
from rewindd.service.state import State, Tree
from rewindd.store import edits
from rewindd.store.database import Connection

#: Overlaps that one answer names; who claims a whole tree that others work in needs no longer list.
MAX_OVERLAPS = 100


@dataclass(frozen=True, slots=True)
class _Other:
    """Another session, those it descends from, and where its changes matter: directories with all below, and single paths."""

    line: list[Session]
    tops: list[RelPath]
    files: list[RelPath]

    @property
    def session(self) -> Session:
        """The session itself."""
        return self.line[0]


async def overlaps(state: State, tree: Tree, session: Session, paths: Iterable[RelPath]) -> list[replies.Overlap]:
    """Returns what other active sessions changed of these paths, or below them, since their heads and did not take back.

    Costs nothing where no other active session has a stake in one of them, else one transaction. The paths were just looked at, under
    the workspace's lock.
    """
    named, others = list(paths), list[_Other]()
    for one in tree.stakes.sessions:
        known = state.known(one)
        if one == session.id or known is None or not state.is_active(one):
            continue
        tops = [path for path in named if _is_directory(tree, path)]
        files = [path for path in named if any(stake.session == one for stake in tree.stakes.on(path))]
        if tops or files:
            others.append(_Other(await positions.lineage(state, known), tops, files))
    if not others:
        return []
    found = await state.bridge.transact(partial(_changed, tree=tree, others=others))
    return sorted(found, key=lambda one: (one.path, one.session_id))[:MAX_OVERLAPS]


def _changed(db: Connection, tree: Tree, others: Sequence[_Other]) -> list[replies.Overlap]:
    found: list[replies.Overlap] = []
    for other in others:
        of_path: dict[RelPath, list[Row]] = {}
        for row in _own(db, tree, other):
            of_path.setdefault(row.path, []).append(row)
        changed = ((rows[0].before, rows[-1]) for rows in of_path.values() if rows[0].before != rows[-1].after)
        found += [_overlap(other.session, row, render.change(before, row.after)) for before, row in changed]
    return found


def _own(db: Connection, tree: Tree, other: _Other) -> list[Row]:
    """The other session's rows after its head that are not taken back, by position."""
    workspace, head = tree.workspace.id, positions.head_of(db, other.line)
    base = other.session.start_seq if head is None else head.seq
    paths = {*other.files, *(path for top in other.tops for path in edits.paths_since(db, workspace, top, base))}
    rows = [row for row in edits.of_paths(db, workspace, paths, after=base) if row.source.is_content and row.owner == (other.session.id,)]
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

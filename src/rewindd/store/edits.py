"""The edit log, append only, and the toggles that switch its rows off and on."""

from collections.abc import Iterable, Sequence

from rewindd.model.ids import OperationId, WorkspaceId
from rewindd.model.log import Row, Source, Toggle
from rewindd.model.versions import ABSENT, Version
from rewindd.paths import RelPath
from rewindd.store import totals
from rewindd.store.codec import owner_of, owner_to_bytes, path_of, path_to_bytes, version_of, version_to_bytes
from rewindd.store.records import Field, Records, in_parts
from rewindd.store.schema import Connection
from rewindd.store.workspaces import number_of

_EDITS = Records("edits", ("workspace", "seq"), ("path", "before", "after", "owner", "source", "operation", "since", "at_ns"))
_TOGGLES = Records("toggles", ("workspace", "row", "at"), ("on_", "operation"))

#: Positions first, from the index on paths alone: asked for whole rows by path, SQLite walks all of the workspace's rows.
_SEQS_BELOW = """SELECT seq FROM edits WHERE workspace = :workspace AND path = :path
    UNION ALL SELECT seq FROM edits WHERE workspace = :workspace AND path > :first AND path < :last"""
_BELOW = f"WHERE workspace = :workspace AND seq IN ({_SEQS_BELOW}) ORDER BY seq DESC LIMIT :limit"

#: By value: calling the enum costs ten times as much, in the loop that reads the log.
_SOURCES = {source.value: source for source in Source}


def append(db: Connection, workspace: WorkspaceId, rows: Sequence[Row]) -> None:
    """Appends rows whose `seq` are allotted. Raises UnknownWorkspace."""
    number = number_of(db, workspace)
    _EDITS.insert(db, (_fields(number, row) for row in rows))
    totals.add(db, "rows", len(rows))


def of_paths(db: Connection, workspace: WorkspaceId, paths: Iterable[RelPath], until: int | None = None, after: int = -1) -> list[Row]:
    """Returns the histories of these paths, after position `after`, up to and with `until` (None: the end), by `seq`."""
    number = number_of(db, workspace)
    bound = " AND seq > ?" if until is None else " AND seq > ? AND seq <= ?"
    last = (after,) if until is None else (after, until)
    rows: list[Row] = []
    for part, marks in in_parts(path_to_bytes(path) for path in set(paths)):
        rows += _EDITS.select(db, _row, f"WHERE workspace = ? AND seq IN ({_seqs(marks)}{bound})", (number, number, *part, *last))
    return sorted(rows, key=lambda row: row.seq)


def since(db: Connection, workspace: WorkspaceId, seq: int, until: int | None = None) -> list[Row]:
    """Returns the rows after position `seq`, up to and with `until` (None: all), by `seq`."""
    number = number_of(db, workspace)
    if until is None:
        return _EDITS.select(db, _row, "WHERE workspace = ? AND seq > ? ORDER BY seq", (number, seq))
    return _EDITS.select(db, _row, "WHERE workspace = ? AND seq > ? AND seq <= ? ORDER BY seq", (number, seq, until))


def paths_after(db: Connection, workspace: WorkspaceId, seq: int, limit: int) -> list[tuple[int, RelPath]]:
    """Returns position and path of the first `limit` rows after position `seq`, in order: to choose those that are read whole."""
    query = "SELECT seq, path FROM edits WHERE workspace = ? AND seq > ? ORDER BY seq LIMIT ?"
    return [(found, path_of(path)) for found, path in db.execute(query, (number_of(db, workspace), seq, limit))]


def at(db: Connection, workspace: WorkspaceId, seqs: Iterable[int]) -> list[Row]:
    """Returns the rows at these positions, in order; where none is, it is left out."""
    number = number_of(db, workspace)
    rows: list[Row] = []
    for part, marks in in_parts(sorted(set(seqs))):
        rows += _EDITS.select(db, _row, f"WHERE workspace = ? AND seq IN ({marks}) ORDER BY seq", (number, *part))
    return rows


def newest(db: Connection, workspace: WorkspaceId, path: RelPath | None, limit: int | None) -> list[Row]:
    """Returns the newest `limit` rows (None: all), oldest of them first: of `path` and what is below it, or of all paths."""
    number, count = number_of(db, workspace), -1 if limit is None else limit
    if path is None or path == ".":
        return _EDITS.select(db, _row, "WHERE workspace = ? ORDER BY seq DESC LIMIT ?", (number, count))[::-1]
    return _EDITS.select(db, _row, _BELOW, {"workspace": number, "limit": count, **_below(path)})[::-1]


def back_from(db: Connection, workspace: WorkspaceId, path: RelPath, seq: int, limit: int) -> list[Row]:
    """Returns the `limit` rows before position `seq` of a path and what is below it, newest first."""
    number = number_of(db, workspace)
    if path == ".":
        return _EDITS.select(db, _row, "WHERE workspace = ? AND seq < ? ORDER BY seq DESC LIMIT ?", (number, seq, limit))
    clause = f"WHERE workspace = :workspace AND seq < :seq AND seq IN ({_SEQS_BELOW}) ORDER BY seq DESC LIMIT :limit"
    return _EDITS.select(db, _row, clause, {"workspace": number, "seq": seq, "limit": limit, **_below(path)})


def newest_of(db: Connection, workspace: WorkspaceId, path: RelPath, until: int, limit: int) -> list[int]:
    """Returns the positions of the newest `limit` rows of one path up to position `until`, oldest first."""
    clause = "SELECT seq FROM edits WHERE workspace = ? AND path = ? AND seq <= ? ORDER BY seq DESC LIMIT ?"
    found = db.execute(clause, (number_of(db, workspace), path_to_bytes(path), until, limit))
    return [seq for (seq,) in found][::-1]


def last_deletion(db: Connection, workspace: WorkspaceId, path: RelPath) -> Row | None:
    """Returns the newest row by which a path, or one below it, went; None where none ever did."""
    parameters: dict[str, Field] = {"workspace": number_of(db, workspace), "absent": version_to_bytes(ABSENT), **_below(path)}
    below = "" if path == "." else f" AND seq IN ({_SEQS_BELOW})"
    views = ", ".join(f"'{source.value}'" for source in Source if source.is_view)
    clause = f"WHERE workspace = :workspace AND after = :absent AND source NOT IN ({views}){below} ORDER BY seq DESC"
    return _EDITS.find(db, _row, clause, parameters)


def gone(db: Connection, workspace: WorkspaceId, version: Version, after: int, until: int) -> list[Row]:
    """Returns the rows after position `after` and up to `until` by which some path that was just this version went."""
    clause = "WHERE workspace = ? AND seq > ? AND seq <= ? AND before = ? AND after = ? ORDER BY seq"
    versions = version_to_bytes(version), version_to_bytes(ABSENT)
    return _EDITS.select(db, _row, clause, (number_of(db, workspace), after, until, *versions))


def first_of(db: Connection, workspace: WorkspaceId, path: RelPath) -> Row | None:
    """Returns the oldest row of a path."""
    return _EDITS.find(db, _row, "WHERE workspace = ? AND path = ? ORDER BY seq", (number_of(db, workspace), path_to_bytes(path)))


def paths_since(db: Connection, workspace: WorkspaceId, path: RelPath, seq: int) -> set[RelPath]:
    """Returns the paths, this one or below it, that have a row after position `seq`."""
    query, parameters = (
        "SELECT DISTINCT path FROM edits WHERE workspace = :workspace AND seq > :seq",
        {"workspace": number_of(db, workspace)},
    )
    if path != ".":
        query += " AND (path = :path OR (path > :first AND path < :last))"
    return {path_of(stored) for (stored,) in db.execute(query, {"seq": seq, **parameters, **_below(path)})}


def following(db: Connection, workspace: WorkspaceId, seq: int, first: RelPath, last: RelPath) -> dict[RelPath, Row]:
    """Returns the first row after position `seq` of each path from `first` to `last`, by bytes; not of those that have none."""
    number = number_of(db, workspace)
    oldest = "SELECT MIN(seq) FROM edits WHERE workspace = ? AND path >= ? AND path <= ? AND seq > ? GROUP BY path"
    bounds = (number, number, path_to_bytes(first), path_to_bytes(last), seq)
    return {row.path: row for row in _EDITS.select(db, _row, f"WHERE workspace = ? AND seq IN ({oldest})", bounds)}


def position_at(db: Connection, workspace: WorkspaceId, at_ns: int) -> int:
    """Returns the position of the last row that is not newer than the time; 0 if there is none.

    Reads back from the newest row, because a clock that was set back leaves times out of order: 0.13 s for a million rows.
    """
    found: tuple[int] | None = db.execute(
        "SELECT seq FROM edits WHERE workspace = ? AND at_ns <= ? ORDER BY seq DESC LIMIT 1", (number_of(db, workspace), at_ns)
    ).fetchone()
    return found[0] if found else 0


def put(db: Connection, workspace: WorkspaceId, rows: Sequence[Row]) -> None:
    """Rewrites rows that are there, for those that stand for several now. Raises UnknownWorkspace."""
    number = number_of(db, workspace)
    _EDITS.put(db, (_fields(number, row) for row in rows))


def drop(db: Connection, workspace: WorkspaceId, seqs: Iterable[int]) -> int:
    """Forgets the rows at these positions, with their toggles; returns how many rows there were. Raises UnknownWorkspace."""
    number, gone = number_of(db, workspace), 0
    for part, marks in in_parts(sorted(set(seqs))):
        gone += db.execute(f"DELETE FROM edits WHERE workspace = ? AND seq IN ({marks})", (number, *part)).rowcount
        db.execute(f"DELETE FROM toggles WHERE workspace = ? AND row IN ({marks})", (number, *part))
    totals.add(db, "rows", -gone)
    return gone


def seqs_of(db: Connection, workspace: WorkspaceId, path: RelPath, limit: int) -> list[int]:
    """Returns the positions of the oldest `limit` rows of a path."""
    clause = "SELECT seq FROM edits WHERE workspace = ? AND path = ? ORDER BY seq LIMIT ?"
    return [seq for (seq,) in db.execute(clause, (number_of(db, workspace), path_to_bytes(path), limit))]


def switched_until(db: Connection, workspace: WorkspaceId, seq: int, after: int, limit: int) -> list[int]:
    """Returns the first `limit` rows after `after` and up to `seq` that an operation ever switched, in order."""
    clause = "SELECT DISTINCT row FROM toggles WHERE workspace = ? AND row > ? AND row <= ? ORDER BY row LIMIT ?"
    return [row for (row,) in db.execute(clause, (number_of(db, workspace), after, seq, limit))]


def page(db: Connection, workspace: WorkspaceId, after: int, until: int, limit: int) -> list[Row]:
    """Returns the first `limit` rows after position `after` and up to `until`, in order."""
    clause = "WHERE workspace = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    return _EDITS.select(db, _row, clause, (number_of(db, workspace), after, until, limit))


def toggles_of_rows(db: Connection, workspace: WorkspaceId, seqs: Iterable[int]) -> list[Toggle]:
    """Returns every toggle of these rows."""
    number = number_of(db, workspace)
    found: list[Toggle] = []
    for part, marks in in_parts(set(seqs)):
        found += _TOGGLES.select(db, _toggle, f"WHERE workspace = ? AND row IN ({marks})", (number, *part))
    return found


def add_toggles(db: Connection, workspace: WorkspaceId, operation: OperationId, toggles: Sequence[Toggle]) -> None:
    """Records which rows the operation switched off and on."""
    number = number_of(db, workspace)
    _TOGGLES.insert(db, ((number, toggle.row, toggle.at, int(toggle.on), operation) for toggle in toggles))


def toggles_of_paths(db: Connection, workspace: WorkspaceId, paths: Iterable[RelPath]) -> list[Toggle]:
    """Returns all toggles of rows on these paths, by `at`."""
    number = number_of(db, workspace)
    toggles: list[Toggle] = []
    for part, marks in in_parts(path_to_bytes(path) for path in set(paths)):
        toggles += _TOGGLES.select(db, _toggle, f"WHERE workspace = ? AND row IN ({_seqs(marks)})", (number, number, *part))
    return sorted(toggles, key=lambda toggle: (toggle.at, toggle.row))


def toggles_page(db: Connection, workspace: WorkspaceId, after: tuple[int, int], limit: int) -> list[Toggle]:
    """Returns the first `limit` toggles after one, each by its operation's position and its row, in that order."""
    clause = "WHERE workspace = ? AND (at, row) > (?, ?) ORDER BY at, row LIMIT ?"
    return _TOGGLES.select(db, _toggle, clause, (number_of(db, workspace), *after, limit))


def with_toggles(db: Connection, workspace: WorkspaceId, seqs: Iterable[int]) -> tuple[list[Row], list[Toggle]]:
    """Returns the rows at these positions, and every toggle of them."""
    number = number_of(db, workspace)
    rows: list[Row] = []
    toggles: list[Toggle] = []
    for part, marks in in_parts(set(seqs)):
        rows += _EDITS.select(db, _row, f"WHERE workspace = ? AND seq IN ({marks})", (number, *part))
        toggles += _TOGGLES.select(db, _toggle, f"WHERE workspace = ? AND row IN ({marks})", (number, *part))
    return rows, toggles


def toggles_of_operation(db: Connection, workspace: WorkspaceId, operation: OperationId) -> list[Toggle]:
    """Returns the toggles of one operation, by row."""
    clause = "WHERE operation = ? AND workspace = ? ORDER BY row"
    return _TOGGLES.select(db, _toggle, clause, (operation, number_of(db, workspace)))


def _below(path: RelPath) -> dict[str, bytes]:
    """Returns the bounds of a path and what is below it: "0" is the byte after "/", so the range holds nothing beside it."""
    stored = path_to_bytes(path)
    return {"path": stored, "first": stored + b"/", "last": stored + b"0"}


def _seqs(marks: str) -> str:
    """Returns the query for the positions of rows on some paths; its reason is at `_BELOW`."""
    return f"SELECT seq FROM edits WHERE workspace = ? AND path IN ({marks})"


def _fields(workspace: int, row: Row) -> tuple[Field, ...]:
    before, after = version_to_bytes(row.before), version_to_bytes(row.after)
    where: tuple[Field, ...] = (workspace, row.seq, path_to_bytes(row.path), before, after)
    return (*where, owner_to_bytes(row.owner), row.source.value, row.operation, row.since, row.at_ns)


def _row(
    workspace: int,
    seq: int,
    path: bytes,
    before: bytes,
    after: bytes,
    owner: bytes,
    source: str,
    operation: str | None,
    since_: int,
    at_ns: int,
) -> Row:
    return Row(
        seq=seq,
        path=path_of(path),
        before=version_of(before),
        after=version_of(after),
        owner=owner_of(owner),
        source=_SOURCES[source],
        operation=OperationId(operation) if operation is not None else None,
        since=since_,
        at_ns=at_ns,
    )


def _toggle(workspace: int, row: int, at: int, on: int, operation: str) -> Toggle:
    return Toggle(row, at, bool(on))

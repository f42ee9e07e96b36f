"""A store after years of use: many rows and checkpoints, put into it by the store's own functions while no daemon runs."""

from dataclasses import replace
from pathlib import Path
from statistics import mode

from msgspec import structs

from rewindd.model.ids import CheckpointId, SessionId
from rewindd.model.log import Row, Source
from rewindd.model.versions import Version
from rewindd.paths import RelPath
from rewindd.store import checkpoints, edits, sessions, stakes, workspaces
from rewindd.store.database import Connection, open_database

#: Rows between one checkpoint and the next.
ROWS_A_CHECKPOINT = 10


def age(data_dir: Path, session: SessionId, rows: int) -> int:
    """Has a session change its files so often, to and fro between contents that the store has; returns how many checkpoints that made.

    Each path ends as it was, so that the tree on disk is the log's end.
    """
    db = open_database(str(data_dir))
    try:
        db.execute("BEGIN IMMEDIATE")
        made = _append(db, session, rows)
        db.execute("COMMIT")
    finally:
        db.close()
    return made


def _append(db: Connection, session: SessionId, rows: int) -> int:
    known = sessions.find(db, session)
    assert known is not None
    assert known.head.checkpoint is not None
    last = checkpoints.find(db, session, known.head.checkpoint)
    assert last is not None
    example, versions = _contents(db, session)
    rounds = len(next(iter(versions.values())))
    turns = rows // (len(versions) * rounds)
    changes = [(path, step) for _ in range(turns) for step in range(rounds) for path in versions]
    seq = workspaces.allot(db, known.workspace, len(changes))
    made = 0
    for first in range(0, len(changes), ROWS_A_CHECKPOINT):
        part = changes[first : first + ROWS_A_CHECKPOINT]
        appended = [
            structs.replace(example, seq=seq + first + at, path=path, before=versions[path][step - 1], after=versions[path][step])
            for at, (path, step) in enumerate(part)
        ]
        edits.append(db, known.workspace, appended)
        own = {"uid": f"{made:032x}", "id": CheckpointId(f"year-{made}"), "parent": last.id, "label": None}
        last = replace(last, **own, base_seq=last.seq, seq=appended[-1].seq)  # type: ignore[arg-type]  # each is of its field's type
        checkpoints.add(db, known.workspace, last)
        made += 1
    sessions.stand(db, session, replace(known.head, checkpoint=last.id), known.stats)
    stakes.acknowledge(db, known.workspace, {session: last.seq})  # as the daemon does now and then for who has nothing to be told
    return made


def _contents(db: Connection, session: SessionId) -> tuple[Row, dict[RelPath, list[Version]]]:
    """A row of the session's, and of each path with as many contents as most have what it held, the present content last."""
    known = sessions.find(db, session)
    assert known is not None
    own = [row for row in edits.since(db, known.workspace, 0) if row.source in (Source.TOOL, Source.COMMAND)]
    versions: dict[RelPath, list[Version]] = {}
    for row in own:
        versions.setdefault(row.path, []).append(row.after)
    most = mode(map(len, versions.values()))
    return own[-1], {path: found for path, found in versions.items() if len(found) == most}

"""The tables, and the steps that bring an older store to them.

Text ids are stored where rows are few; rows that are many name their workspace and session by number. Every row carries the
CRC-32 of its fields (`records`), but for blobs, whose digest says more. Never change a migration that was released: add one.
"""

import sqlite3
from collections.abc import Callable

Connection = sqlite3.Connection

_TABLES = (
    """CREATE TABLE workspaces (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, root BLOB NOT NULL, place BLOB NOT NULL,
        added_at_ns INTEGER NOT NULL, position INTEGER NOT NULL, baseline INTEGER NOT NULL,
        replaced INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    """CREATE TABLE sessions (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL REFERENCES workspaces (id),
        agent TEXT NOT NULL, parent TEXT, origin TEXT, granted TEXT, capture TEXT NOT NULL, attribution TEXT NOT NULL,
        imported INTEGER NOT NULL, start_seq INTEGER NOT NULL, opened_at_ns INTEGER NOT NULL, last_seen_at_ns INTEGER NOT NULL,
        closed_at_ns INTEGER, head BLOB NOT NULL, stats BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE INDEX sessions_of_workspace ON sessions (workspace)",
    "CREATE INDEX sessions_open ON sessions (workspace) WHERE closed_at_ns IS NULL",
    "CREATE INDEX sessions_of_grant ON sessions (granted) WHERE granted IS NOT NULL",
    # `inside` is a path; `ops` are words, with spaces between. A grant that has ended stays: its sessions name it.
    """CREATE TABLE grants (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL REFERENCES workspaces (id), ops TEXT NOT NULL,
        inside BLOB NOT NULL, quota_bytes INTEGER NOT NULL, created_at_ns INTEGER NOT NULL, ends_at_ns INTEGER NOT NULL,
        revoked_at_ns INTEGER, used_bytes INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    """CREATE TABLE edits (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), seq INTEGER NOT NULL, path BLOB NOT NULL,
        before BLOB NOT NULL, after BLOB NOT NULL, owner BLOB NOT NULL, source TEXT NOT NULL, operation TEXT,
        since INTEGER NOT NULL, at_ns INTEGER NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (workspace, seq)) WITHOUT ROWID""",
    "CREATE INDEX edits_of_path ON edits (workspace, path)",
    """CREATE TABLE toggles (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), row INTEGER NOT NULL, at INTEGER NOT NULL,
        on_ INTEGER NOT NULL, operation TEXT NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (workspace, row, at)) WITHOUT ROWID""",
    "CREATE INDEX toggles_at ON toggles (workspace, at)",
    "CREATE INDEX toggles_of_operation ON toggles (operation)",
    # Stretches of the log of which no position can be asked for any more. `swept`: its rows were cut or joined.
    """CREATE TABLE stretches (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), first INTEGER NOT NULL, last INTEGER NOT NULL,
        swept INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (workspace, first)) WITHOUT ROWID""",
    """CREATE TABLE heads (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), seq INTEGER NOT NULL, head TEXT, at_ns INTEGER NOT NULL,
        checksum INTEGER NOT NULL, PRIMARY KEY (workspace, seq)) WITHOUT ROWID""",
    # `index` is a word of SQL.
    """CREATE TABLE known (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), path BLOB NOT NULL, version BLOB NOT NULL, signature BLOB,
        since INTEGER NOT NULL, covered INTEGER, checksum INTEGER NOT NULL,
        PRIMARY KEY (workspace, path)) WITHOUT ROWID""",
    """CREATE TABLE left_out (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), path BLOB NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (workspace, path)) WITHOUT ROWID""",
    """CREATE TABLE claims (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), path BLOB NOT NULL, session TEXT NOT NULL,
        bracket TEXT NOT NULL, at_ns INTEGER NOT NULL, deep INTEGER NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (workspace, path, session, bracket)) WITHOUT ROWID""",
    """CREATE TABLE stakes (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), session INTEGER NOT NULL REFERENCES sessions (number),
        path BLOB NOT NULL, since INTEGER NOT NULL, deep INTEGER NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (workspace, session, path)) WITHOUT ROWID""",
    # By path, which is what is asked for: nobody goes through what a closed session had.
    """CREATE TABLE former_stakes (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), path BLOB NOT NULL,
        session INTEGER NOT NULL REFERENCES sessions (number), since INTEGER NOT NULL, deep INTEGER NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (workspace, path, session)) WITHOUT ROWID""",
    """CREATE TABLE cursors (
        workspace INTEGER NOT NULL REFERENCES workspaces (number), session INTEGER NOT NULL REFERENCES sessions (number),
        seq INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (workspace, session)) WITHOUT ROWID""",
    # `body` last: walking the chain must not read through long texts (https://www.sqlite.org/fileformat2.html#record_format).
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY, session INTEGER NOT NULL REFERENCES sessions (number), parent INTEGER, depth INTEGER NOT NULL,
        at_ns INTEGER NOT NULL, kind TEXT NOT NULL, checksum INTEGER NOT NULL, body BLOB NOT NULL)""",
    """CREATE TABLE checkpoints (
        number INTEGER PRIMARY KEY, uid TEXT NOT NULL, id TEXT NOT NULL, session INTEGER NOT NULL REFERENCES sessions (number),
        workspace INTEGER NOT NULL REFERENCES workspaces (number), label TEXT, parent TEXT, base_seq INTEGER NOT NULL,
        seq INTEGER NOT NULL, event INTEGER, stats BLOB NOT NULL, created_at_ns INTEGER NOT NULL, automatic INTEGER NOT NULL,
        files INTEGER NOT NULL, insertions INTEGER NOT NULL, deletions INTEGER NOT NULL, incomplete BLOB, barrier TEXT,
        checksum INTEGER NOT NULL,
        UNIQUE (session, id))""",
    "CREATE INDEX checkpoints_of_session ON checkpoints (session)",
    "CREATE INDEX checkpoints_by_position ON checkpoints (session, seq)",
    "CREATE INDEX checkpoints_of_workspace ON checkpoints (workspace)",
    "CREATE INDEX checkpoints_of_label ON checkpoints (session, label) WHERE label IS NOT NULL",
    "CREATE INDEX checkpoints_of_barrier ON checkpoints (barrier) WHERE barrier IS NOT NULL",
    # Its members are the checkpoints that name it; `members` says how many there must be, or it is not whole any more.
    """CREATE TABLE barriers (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL REFERENCES workspaces (id), label TEXT,
        seq INTEGER NOT NULL, created_at_ns INTEGER NOT NULL, incomplete BLOB, members INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE INDEX barriers_of_workspace ON barriers (workspace, label)",
    """CREATE TABLE operations (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL REFERENCES workspaces (id),
        session TEXT NOT NULL REFERENCES sessions (id), kind TEXT NOT NULL, scope TEXT NOT NULL, status TEXT NOT NULL,
        at INTEGER NOT NULL, paths BLOB, checkpoint TEXT, undoes TEXT, from_head BLOB NOT NULL, from_stats BLOB NOT NULL,
        to_head BLOB NOT NULL, to_stats BLOB NOT NULL, plan TEXT NOT NULL, key TEXT, created_at_ns INTEGER NOT NULL,
        whole INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE INDEX operations_of_session ON operations (session, at)",
    "CREATE INDEX operations_unfinished ON operations (status) WHERE status IN ('applying', 'rolling-back', 'applied')",
    """CREATE TABLE operation_heads (
        operation TEXT NOT NULL, session TEXT NOT NULL, from_head BLOB NOT NULL, from_stats BLOB NOT NULL, to_head BLOB NOT NULL,
        to_stats BLOB NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (operation, session)) WITHOUT ROWID""",
    "CREATE INDEX operation_heads_of_session ON operation_heads (session)",
    """CREATE TABLE steps (
        operation TEXT NOT NULL, number INTEGER NOT NULL, path BLOB NOT NULL, expect BLOB NOT NULL, target BLOB NOT NULL,
        signature BLOB, switched BLOB NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (operation, number)) WITHOUT ROWID""",
    # A rowid table in order of time: its pages are full, which a random primary key would leave a third empty.
    """CREATE TABLE answers (
        number INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, at_ns INTEGER NOT NULL, digest BLOB NOT NULL, answer BLOB NOT NULL,
        checksum INTEGER NOT NULL)""",
    "CREATE INDEX answers_at ON answers (at_ns)",
    # A rowid table with a unique digest beats WITHOUT ROWID by a third when 20,000 contents are put.
    """CREATE TABLE blobs (
        number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, encoding INTEGER NOT NULL, data BLOB)""",
    "CREATE TABLE packs (number INTEGER PRIMARY KEY, size INTEGER NOT NULL, data BLOB NOT NULL)",
    # What the daemon does from time to time, and how far it is with it.
    "CREATE TABLE upkeep (name TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO totals VALUES ('blobs', 0), ('blob_file_bytes', 0), ('rows', 0), ('checkpoints', 0)",
)

Migration = Callable[[Connection], None]


def _create(db: Connection) -> None:
    for statement in _TABLES:
        db.execute(statement)


#: The nth brings version n to version n + 1; version 0 is an empty file. Each runs in the transaction that sets the version.
MIGRATIONS: tuple[Migration, ...] = (_create,)

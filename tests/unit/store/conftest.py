"""An open store in a temporary directory, with one workspace and one session, and makers of what goes into it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from rewindd.model.conversation import Stats
from rewindd.model.ids import CheckpointId, OperationId, PlanId, SessionId, WorkspaceId
from rewindd.model.log import OperationKind, OperationStatus, Row, Scope, Source
from rewindd.model.operation import Operation
from rewindd.model.session import Attribution, Capture, Checkpoint, Head, Session, Workspace
from rewindd.model.versions import ABSENT, File
from rewindd.paths import RelPath
from rewindd.store import sessions, workspaces
from rewindd.store.database import Connection, open_database

_STATS = Stats(start_time_ns=1_800_000_000_000_000_000)
_HEAD = Head(checkpoint=None, event=None)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "data")


@pytest.fixture
def db(directory: str) -> Iterator[Connection]:
    connection = open_database(directory)
    yield connection
    connection.close()


@pytest.fixture
def workspace(db: Connection) -> Workspace:
    # An inode beyond 63 bits: file systems have them, SQLite's integers do not.
    made = Workspace(id=WorkspaceId("w" * 32), root="/home/u/pro\udcffject", device=66306, inode=2**64 - 5)
    workspaces.add(db, made, 1)
    return made


@pytest.fixture
def session(db: Connection, workspace: Workspace) -> Session:
    made = Session(
        id=SessionId("s" * 32),
        workspace=workspace.id,
        agent="claude",
        parent=None,
        capture=Capture.SNAPSHOTS,
        attribution=Attribution.DECLARED,
        imported=False,
        start_seq=0,
        opened_at_ns=10,
        last_seen_at_ns=11,
        closed_at_ns=None,
        head=_HEAD,
        stats=_STATS,
    )
    sessions.add(db, made)
    return made


@pytest.fixture
def make_row() -> Callable[..., Row]:
    example = Row(
        seq=1,
        path=RelPath("src/app.py"),
        before=ABSENT,
        after=File(bytes(range(32)), 3, 0o644),
        owner=(SessionId("s" * 32),),
        source=Source.TOOL,
        operation=None,
        since=0,
        at_ns=5,
    )
    return lambda **fields: structs.replace(example, **fields)


@pytest.fixture
def make_checkpoint(session: Session) -> Callable[..., Checkpoint]:
    example = Checkpoint(
        uid="u" * 32,
        id=CheckpointId("20261122-100000"),
        session=session.id,
        label=None,
        parent=None,
        base_seq=0,
        seq=7,
        event=None,
        stats=_STATS,
        created_at_ns=99,
        automatic=False,
        files=2,
        insertions=10,
        deletions=3,
        incomplete=(),
    )
    return lambda **fields: replace(example, **fields)


@pytest.fixture
def make_operation(workspace: Workspace, session: Session) -> Callable[..., Operation]:
    example = Operation(
        id=OperationId("o1"),
        workspace=workspace.id,
        session=session.id,
        kind=OperationKind.REWIND,
        scope=Scope.SESSION,
        status=OperationStatus.APPLYING,
        at=8,
        paths=None,
        checkpoint=CheckpointId("20261122-100000"),
        undoes=None,
        from_head=_HEAD,
        from_stats=_STATS,
        to_head=_HEAD,
        to_stats=_STATS,
        plan=PlanId("p1"),
        key="k1",
        created_at_ns=100,
    )
    return lambda **fields: replace(example, **fields)

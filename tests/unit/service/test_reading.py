"""What changed since a position is read without anybody's history, and is what the whole log says."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rewindd.model.capture import CaptureSettings
from rewindd.model.conversation import Stats
from rewindd.model.ids import OperationId, PlanId, SessionId, WorkspaceId
from rewindd.model.index import Index, LeftOut
from rewindd.model.log import OperationKind, OperationStatus, Scope, Source
from rewindd.model.operation import Operation
from rewindd.model.session import Attribution, Capture, Head, Session, Workspace
from rewindd.model.versions import ABSENT, UNKNOWN, Kind
from rewindd.paths import RelPath
from rewindd.plan.draft import Aim, Draft, Merged, rewind, undo
from rewindd.service.asking import reading
from rewindd.service.asking.reading import changes_in, timeline_in
from rewindd.service.trees import Tree
from rewindd.store import edits, operations, sessions, workspaces
from rewindd.store.database import Connection, open_database
from rewindd.timeline.delta import contested, delta, unowned
from rewindd.timeline.history import Timeline
from rewindd.tree.rules.book import RuleBook
from support.log import A, B, Log, text

_STATS, _HEAD = Stats(start_time_ns=1), Head(checkpoint=None, event=None)
_WORKSPACE = Workspace(id=WorkspaceId("w" * 32), root="/nowhere", device=1, inode=2)


def _play(chance: random.Random) -> Log:
    """Edits of three paths by two sessions, nobody, and both at once; rows switched off and on; rules that hide paths and show them."""
    log = Log()
    for path in "pqr":
        log.view(path, text(path))
    off: dict[int, str] = {}
    on: dict[int, str] = {}
    for number in range(40):
        if chance.random() < 0.1:
            path = chance.choice("pqr")
            known = log.index[RelPath(path)].version
            log.view(
                path,
                text(f"seen {number}") if known == UNKNOWN else UNKNOWN,
                Source.FIRST_SEEN if known == UNKNOWN else Source.RULES_CHANGED,
            )
            continue
        if chance.random() < 0.6 or not on:
            path = chance.choice([path for path in "pqr" if log.index[RelPath(path)].version != UNKNOWN] or ["p"])
            on[log.edit(path, text(f"{number}") if chance.random() < 0.9 else ABSENT, *chance.choice([(A,), (B,), (A, B), ()]))] = path
            continue
        gone = dict(chance.sample(sorted(on.items()), min(len(on), 2)))
        back = dict(chance.sample(sorted(off.items()), min(len(off), chance.randint(0, 2))))
        touched = sorted({*gone.values(), *back.values()})
        log.operate(*((path, text(f"operation {number} {path}")) for path in touched if chance.random() < 0.8), off=gone, on=back)
        on = {seq: path for seq, path in (on | back).items() if seq not in gone}
        off = {seq: path for seq, path in (off | gone).items() if seq not in back}
    return log


def _stored(db: Connection, log: Log) -> Tree:
    workspaces.add(db, _WORKSPACE, 1)
    for name in (A, B):
        sessions.add(
            db,
            Session(
                id=name,
                workspace=_WORKSPACE.id,
                agent="agent",
                parent=None,
                capture=Capture.WORKSPACE,
                attribution=Attribution.DECLARED,
                imported=False,
                start_seq=0,
                opened_at_ns=1,
                last_seen_at_ns=1,
                closed_at_ns=None,
                head=_HEAD,
                stats=_STATS,
            ),
        )
    edits.append(db, _WORKSPACE.id, log.rows)
    for id_, at in log.operations.items():
        operations.begin(db, _operation(id_, at, A), [])
        edits.add_toggles(db, _WORKSPACE.id, id_, [one for one in log.toggles if one.at == at])
    return Tree(
        workspace=_WORKSPACE,
        index=Index(log.index.values()),
        left_out=LeftOut({}),
        rulebook=RuleBook(_WORKSPACE.root, CaptureSettings()),
        claims={},
        position=log.position,
    )


def _operation(id_: OperationId, at: int, session: SessionId) -> Operation:
    return Operation(
        id=id_,
        workspace=_WORKSPACE.id,
        session=session,
        kind=OperationKind.REWIND,
        scope=Scope.SESSION,
        status=OperationStatus.DONE,
        at=at,
        paths=None,
        checkpoint=None,
        undoes=None,
        from_head=_HEAD,
        from_stats=_STATS,
        to_head=_HEAD,
        to_stats=_STATS,
        plan=PlanId("p"),
        key=None,
        created_at_ns=1,
    )


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[int], Connection]:
    return lambda number: open_database(str(tmp_path / f"{number}"))


def test_what_changed_is_read_without_histories(opened: Callable[[int], Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """From every position, for both sessions: what each changed, what is nobody's and contested, and the state then."""
    for seed in range(12):
        monkeypatch.setattr(reading, "PAGE_ROWS", 3 if seed % 2 else 100)  # read in parts, or each at once
        log = _play(random.Random(seed))
        whole, db = log.timeline(), opened(seed)
        tree = _stored(db, log)
        for seq in range(log.position + 1):
            since = changes_in(db, tree, seq, log.position)
            for session in (A, B):
                assert delta(since, session, seq, log.position) == delta(whole, session, seq, log.position), (seed, seq)
                assert set(contested(since, session, seq)) == set(contested(whole, session, seq)), (seed, seq)
            assert unowned(since, seq) == unowned(whole, seq), (seed, seq)
            assert [since.state(seq, path) for path in since.paths] == [whole.state(seq, path) for path in since.paths], (seed, seq)
        db.close()


def test_a_rewind_is_decided_without_histories(opened: Callable[[int], Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """To every position, of both sessions and of the workspace: the same versions and merges, and the same rows switched."""
    for seed in range(6):
        monkeypatch.setattr(reading, "PAGE_ROWS", 3 if seed % 2 else 100)
        log = _play(random.Random(seed))
        whole, db = log.timeline(), opened(seed)
        tree = _stored(db, log)
        for seq in range(log.position + 1):
            since = timeline_in(db, tree, seq)
            for session, scope, also in [(A, Scope.SESSION, False), (B, Scope.SESSION, True), (A, Scope.WORKSPACE, False)]:
                aim = Aim(session=session, seq=seq, scope=scope, also_external=also)
                _compare(rewind(since, aim), _about(since, rewind(whole, aim)), (seed, seq, aim))
            for at in (at for at in log.operations.values() if at > seq):
                _compare(undo(since, A, at, None), _about(since, undo(whole, A, at, None)), (seed, seq, at))
        db.close()


def _about(timeline: Timeline, drafts: list[Draft]) -> list[Draft]:
    """Those of paths of which anything was written since."""
    return [one for one in drafts if one.path in set(timeline.paths)]


def _compare(since: list[Draft], whole: list[Draft], where: object) -> None:
    assert [_said(one) for one in since] == [_said(one) for one in whole], where
    # What kind a path must have is told by the rows since it came into view; the whole log may say less.
    assert all(_kind(then) in (None, _kind(now)) for now, then in zip(since, whole, strict=True)), where


def _said(one: Draft) -> tuple[object, ...]:
    way = replace(one.way, kind=None) if isinstance(one.way, Merged) else one.way
    return one.path, one.current, one.live - one.wanted, one.wanted - one.live, way, one.why, _fallback(one)


def _kind(one: Draft) -> Kind | None:
    return one.way.kind if isinstance(one.way, Merged) else None


def _fallback(one: Draft) -> tuple[object, ...] | None:
    back = one.fallback
    return None if back is None else (back.version, one.live - back.wanted, back.wanted - one.live)


def test_no_history_is_read(opened: Callable[[int], Connection]) -> None:
    """A path that was changed a thousand times costs the one change since the position."""
    log = Log()
    for number in range(1000):
        log.edit("p", text(f"{number}"), A)
    db = opened(0)
    tree = _stored(db, log)
    for since in (changes_in(db, tree, log.position - 1, log.position), timeline_in(db, tree, log.position - 1)):
        assert [row.seq for path in since.paths for row in since.rows(path)] == [log.position]
    db.close()

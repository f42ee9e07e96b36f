"""Sessions in memory: closed ones do not pile up, open ones stay."""

from dataclasses import replace

import pytest

from rewindd.model.conversation import Stats
from rewindd.model.ids import SessionId, WorkspaceId
from rewindd.model.session import Attribution, Capture, Head, Session
from rewindd.service import remembered
from rewindd.service.remembered import Remembered

OPEN = Session(
    id=SessionId("open"),
    workspace=WorkspaceId("w"),
    agent="a",
    parent=None,
    capture=Capture.SNAPSHOTS,
    attribution=Attribution.DECLARED,
    imported=False,
    start_seq=0,
    opened_at_ns=1,
    last_seen_at_ns=1,
    closed_at_ns=None,
    head=Head(checkpoint=None, event=None),
    stats=Stats(start_time_ns=1),
)


def shut(name: str) -> Session:
    """A closed one."""
    return replace(OPEN, id=SessionId(name), closed_at_ns=2)


def test_closed_sessions_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were asked about longest ago go first; what is open stays, however many are closed."""
    monkeypatch.setattr(remembered, "MAX_CLOSED", 2)
    known = Remembered()
    assert known.put(OPEN) is None
    assert [known.put(shut(name)) for name in ("a", "b", "a", "c", "d")] == [None, None, None, "b", "a"]
    assert [one.id for one in known] == ["open", "c", "d"]
    assert known.get(SessionId("b")) is None


def test_one_that_is_opened_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not count as closed any more."""
    monkeypatch.setattr(remembered, "MAX_CLOSED", 1)
    known = Remembered()
    known.put(shut("a"))
    known.put(replace(shut("a"), closed_at_ns=None))
    assert known.put(shut("b")) is None
    assert known.put(shut("c")) == "b"
    known.drop(SessionId("c"))
    assert [one.id for one in known] == ["a"]
    assert len(known) == 1

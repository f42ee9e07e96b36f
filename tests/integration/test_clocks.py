"""A wall clock that is set back, or forward, while the daemon works: ids, order, claims, answers and positions stand it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import rewindd.blocking
from rewindd.client.blocking_session import Session
from rewindd.protocol import replies, requests
from rewindd.service.dispatch import KEPT_NS
from support.clocks import WallClock
from support.daemon import PATIENCE_S, RealDaemon

HOUR_S, DAY_S = 3600, 24 * 3600
#: Back by more than answers are kept, and to the last century; forward by a day.
JUMPS = (-2 * DAY_S, -50 * 365 * DAY_S, DAY_S)


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@pytest.fixture
def daemon(tmp_path: Path, clock: WallClock) -> Iterator[RealDaemon]:
    daemon = RealDaemon(tmp_path)
    try:
        yield daemon.start(env=clock.env)
        daemon.stop()
    finally:
        daemon.kill()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "file").write_text("0\n")
    return root


@pytest.fixture
def client(daemon: RealDaemon) -> Iterator[rewindd.blocking.Client]:
    with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
        yield client


def saved(session: Session, root: Path, word: str) -> replies.Summary:
    (root / "file").write_text(f"{word}\n")
    return session.save(word)


@pytest.mark.parametrize("jump_s", JUMPS)
def test_ids_and_order(client: rewindd.blocking.Client, root: Path, clock: WallClock, jump_s: int) -> None:
    """What was saved later is later: in the list, by ancestor, for rewind and undo; also after the next start."""
    with client.session(root, session_id="s", exact=True, attribution="sole") as session:
        made = [saved(session, root, "one"), saved(session, root, "two")]
        clock.turn(jump_s)
        made += [saved(session, root, "three"), saved(session, root, "four")]
        clock.turn(-jump_s)
        made.append(saved(session, root, "five"))
        assert len({one.id for one in made}) == len(made)
        assert [one.label for one in session.list()] == ["one", "two", "three", "four", "five"]
        times = [one.created_at for one in session.list()]
        assert (times[2] < times[1]) is (jump_s < 0)
        session.rewind("@~2")
        assert (root / "file").read_text() == "three\n"
        session.undo()
        assert (root / "file").read_text() == "five\n"
        session.rewind("@~4")
        assert (root / "file").read_text() == "one\n"
        session.undo()
        assert (root / "file").read_text() == "five\n"


@pytest.mark.parametrize("jump_s", JUMPS)
def test_whose_a_change_is(client: rewindd.blocking.Client, root: Path, clock: WallClock, jump_s: int) -> None:
    """A claim is its session's after a jump, and the newest one counts, whatever its time: nobody's 15 minutes are over, or never."""
    with (
        client.session(root, session_id="first", agent="a", exact=True) as first,
        client.session(root, session_id="second", agent="b", exact=True) as second,
    ):
        first.snapshot("file")
        clock.turn(jump_s)
        (root / "file").write_text("1\n")
        assert [one.path for one in first.pending()] == ["file"]
        second.snapshot(".")
        second.snapshot("file")
        (root / "file").write_text("2\n")
        assert [one.path for one in second.pending()] == ["file"]


@pytest.mark.parametrize("jump_s", JUMPS)
def test_answers_are_kept_for_a_day(client: rewindd.blocking.Client, daemon: RealDaemon, root: Path, clock: WallClock, jump_s: int) -> None:
    """A request that is sent again after a jump gets its first answer, and with the clock back also from the next daemon."""
    assert KEPT_NS == DAY_S * 1_000_000_000
    with client.session(root, session_id="s", exact=True, attribution="sole") as session:
        saved(session, root, "one")
        clock.turn(jump_s)
        saved(session, root, "two")
        assert [one.label for one in session.list()] == ["one", "two"]
        request = requests.Save(session="s", label="once", key="the-key")
        first = client.ask(request, replies.Saved)
        clock.turn(-jump_s)
        assert client.ask(request, replies.Saved) == first
        clock.turn(min(jump_s, 0))
        daemon.restart(env=clock.env)
        assert client.ask(request, replies.Saved) == first
        assert [one.label for one in session.list()] == ["one", "two", "once"]


def test_so_long_ago(client: rewindd.blocking.Client, root: Path, clock: WallClock) -> None:
    """`@{10m}` after the clock was set back is the newest position whose time is not after that one."""
    with client.session(root, session_id="s", exact=True, attribution="sole") as session:
        saved(session, root, "one")
        clock.turn(-2 * HOUR_S)
        saved(session, root, "two")
        clock.turn(HOUR_S)
        saved(session, root, "three")
        assert session.show("@{10m}", "file").content == b"two\n"
        clock.turn(HOUR_S)
        assert session.show("@{10m}", "file").content == b"three\n"

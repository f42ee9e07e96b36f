"""`barrier`, and `rewind` to one: what they send, what they say."""

import msgspec
import pytest

from rewindd.cli.render import plan, table
from rewindd.errors import UnknownWorkspace
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests
from support.cli import NOON, FakeDaemon, Rewindctl, one_session, rewindctl, rewound, session, summary

BARRIER = replies.Barrier(
    id="b1",
    workspace="w1",
    root=FsText("/w"),
    label="all \x1bwell",
    seq=7,
    created_at=NOON,
    members=[
        replies.Member(session_id="s1", agent="ann", checkpoint_id="c1"),
        replies.Member(session_id="s2", agent="ben", checkpoint_id="c2"),
    ],
    incomplete=replies.Incomplete(count=0, first=[]),
)
LACKING = replies.Incomplete(count=12, first=[replies.PathReason(path=RelPath("half"), reason="being edited by session s1")])


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    one_session(fake)
    fake.tell(requests.MakeBarrier, replies.BarrierMade(barrier=BARRIER))
    fake.tell(requests.ListBarriers, replies.Barriers(barriers=[BARRIER]))
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


def test_a_barrier_of_the_directory(daemon: FakeDaemon, run: Rewindctl) -> None:
    """The workspace is the current directory's, the request has a key of its own, and the id comes first on stdout."""
    said = run("-C", "/", "barrier", "-m", "all well", "--no-wait")
    (asked,) = daemon.asked
    assert isinstance(asked, requests.MakeBarrier)
    assert asked.key
    assert msgspec.structs.replace(asked, key=None) == requests.MakeBarrier(directory=FsText("/"), label="all well", wait=False)
    assert said.status == 0
    assert said.out.startswith("b1  ")
    assert "all \\x1bwell" in said.out
    assert "(2 sessions: ann, ben)" in said.out
    assert "rewindctl rewind barrier:b1" in said.err


def test_a_barrier_of_a_session(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A session that is named, also by the environment, says which workspace."""
    run("barrier", env={"REWINDD_SESSION": "s9"})
    (asked,) = daemon.asked
    assert isinstance(asked, requests.MakeBarrier)
    assert (asked.session, asked.directory, asked.wait) == ("s9", None, True)


def test_what_is_not_in_it(daemon: FakeDaemon, run: Rewindctl) -> None:
    """What is missing is named on stderr, and with --strict the status says so."""
    daemon.tell(requests.MakeBarrier, replies.BarrierMade(barrier=msgspec.structs.replace(BARRIER, incomplete=LACKING)))
    said = run("barrier")
    assert (said.status, "being edited by session s1" in said.err, "11 more" in said.err) == (0, True, True)
    assert run("barrier", "--strict").status == 1


def test_the_list(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A line a barrier, or the JSON; none says how to make one; -n without --list is a usage error."""
    said = run("-C", "/", "barrier", "--list", "-n", "3")
    assert daemon.last == requests.ListBarriers(directory=FsText("/"), limit=3)
    assert said.out.startswith("b1  ")
    assert run("barrier", "--list", "--json").objects("barriers")[0]["id"] == "b1"
    daemon.tell(requests.ListBarriers, replies.Barriers(barriers=[]))
    assert "rewindctl barrier" in run("barrier", "--list").err
    assert run("barrier", "-n", "3").status == 2
    daemon.tell(requests.ListBarriers, UnknownWorkspace("no workspace holds it"))
    assert run("barrier", "--list").status == 3


def test_any_session_will_do_for_a_rewind(daemon: FakeDaemon, run: Rewindctl) -> None:
    """With several open, and none named, the one seen last asks; what takes it back names that one."""
    daemon.tell(requests.ListSessions, replies.Sessions(sessions=[session("s1", seen_s=1), session("s2", seen_s=2)]))
    moved = replies.Moved(session_id="s1", agent="ann", head_before="c9", head="c1", event=3)
    stays = replies.Moved(session_id="s3", agent="cleo", head_before=None, head=None, event=None)
    daemon.tell(requests.Rewind, rewound(barrier_id="b1", moved=[moved, stays], not_members=["s4"]))
    said = run("rewind", "barrier:b1", "--yes")
    assert isinstance(daemon.last, requests.Rewind)
    assert (daemon.last.session, daemon.last.position) == ("s2", "barrier:b1")
    for words in ("rewound all sessions to barrier b1", "s1  c9 -> c1  (ann)", "s3  stays  (cleo)", "opened since", "s4"):
        assert words in said.out
    assert "rewindctl undo --session s2" in said.err
    assert run("rewind", "c1", "--yes").status == 3


def test_marked_in_the_list_of_checkpoints() -> None:
    """A checkpoint of a barrier says which."""
    shown = table.checkpoints([summary("c1", barrier_id="b1")], lambda text, style: text, width=None, now=NOON)
    assert "(barrier b1)" in shown


def test_a_plan_of_files_alone() -> None:
    """Where no other session moves, the barrier is named all the same."""
    assert plan.plan(rewound(barrier_id="b1"), lambda text, style: text).startswith("would rewind to barrier b1:")

"""When a session around an agent is saved, and when its window is opened anew: by a clock of the test's own."""

import os

import pytest

from rewindd.cli import tending
from rewindd.cli.tending import Tending
from rewindd.errors import Unavailable
from rewindd.paths import RelPath
from rewindd.protocol import replies, requests
from support.cli import NOON, FakeDaemon, summary


class World:
    """A fake daemon, a clock, and the newest row of the log."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.daemon = FakeDaemon()
        self.daemon.tell(requests.Ping, replies.Pong(pid=7))
        self.daemon.tell(requests.OpenWindow, replies.Window(window="w", incomplete=3))
        self.daemon.tell(requests.CloseWindow, replies.WindowChanges(changes=[]))
        self.daemon.tell(requests.Save, *(replies.Saved(checkpoint=summary(f"c{number}"), event=None) for number in range(1, 9)))
        self.own(changed=True)
        self.row(0)
        self.tending = Tending(self.daemon, "s", now_s=lambda: self.now_s)

    def row(self, seq: int) -> None:
        """The newest row of the log; 0: there is none."""
        row = replies.EditInfo(
            seq=seq, path=RelPath("it"), change="modified", session_id="s", agent="a", source="command", operation_id=None, at=NOON
        )
        self.daemon.tell(requests.ReadLog, replies.Edits(edits=[row] if seq else []))

    def own(self, *, changed: bool) -> None:
        """Whether the session itself has something pending."""
        diff = replies.FileDiff(path=RelPath("it"), before=None, after=None, timestamp=NOON, change="modified")
        self.daemon.tell(requests.ListPending, replies.Changes(changes=[diff] if changed else []))

    def wait(self, seconds: float) -> None:
        """Lets time pass, and the tending look whenever it wants to."""
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s = min(self.now_s + self.tending.look(), until_s)
        self.tending.look()

    def asked(self, kind: type[requests.Request]) -> int:
        return sum(isinstance(request, kind) for request in self.daemon.asked)


@pytest.fixture
def world() -> World:
    one = World()
    assert one.tending.begin() == 3
    return one


def test_nothing_changes(world: World) -> None:
    """Where nothing changes nothing is saved; the log is asked every few seconds, and only that and whether the daemon is the same."""
    world.wait(600)
    assert world.tending.saved == []
    assert world.asked(requests.ReadLog) == 1 + 600 / tending.POLL_S
    assert world.asked(requests.ListPending) == 0


def test_it_is_quiet(world: World) -> None:
    """Work is saved once, when nothing changed for half a minute; more work is saved again."""
    world.row(1)
    world.wait(tending.POLL_S + tending.QUIET_S - 1)
    assert world.tending.saved == []
    world.wait(tending.POLL_S)
    assert world.tending.saved == ["c1"]
    world.wait(600)
    assert world.tending.saved == ["c1"]
    world.row(2)
    world.wait(tending.POLL_S + tending.QUIET_S + 1)
    assert world.tending.saved == ["c1", "c2"]


def test_it_is_not_quiet(world: World) -> None:
    """While something changes all the time nothing is saved; at the end it is, under the label that was given."""
    for seq in range(1, 100):
        world.row(seq)
        world.wait(tending.QUIET_S / 2)
    assert world.tending.saved == []
    world.tending.finish("the end")
    assert world.tending.saved == ["c1"]
    close, save = world.daemon.asked[-2:]
    assert isinstance(close, requests.CloseWindow)
    assert isinstance(save, requests.Save)
    assert (close.window, save.label, save.session) == ("w", "the end", "s")


def test_a_window_that_ended_with_its_daemon(world: World) -> None:
    """Where the daemon was started anew there was no window for a while, and that is known; not where it was merely renewed."""
    world.wait(tending.RENEW_S + tending.POLL_S)
    known = [world.tending.lapsed]
    world.daemon.tell(requests.Ping, replies.Pong(pid=8))
    world.wait(tending.POLL_S)
    known.append(world.tending.lapsed)
    assert known == [False, True]


def test_a_window_that_had_ended_at_the_end(world: World) -> None:
    """The daemon was started anew a moment before the agent's end: that is known, and the work is saved."""
    world.daemon.tell(requests.CloseWindow, replies.WindowChanges(changes=[], ended=True))
    world.tending.finish(None)
    assert (world.tending.lapsed, world.tending.saved) == (True, ["c1"])


def test_others_work(world: World) -> None:
    """What others changed is not saved, and is asked about once."""
    world.own(changed=False)
    world.row(1)
    world.wait(600)
    assert world.tending.saved == []
    assert world.asked(requests.ListPending) == 1


def test_the_window_is_renewed(world: World) -> None:
    """A window lasts an hour, so another is opened before; it is this process's, and a turn's."""
    world.wait(tending.RENEW_S - tending.POLL_S - 1)
    assert world.asked(requests.OpenWindow) == 1
    world.wait(2 * tending.POLL_S)
    assert world.asked(requests.OpenWindow) == 2
    assert tending.RENEW_S < 3600
    opened = [request for request in world.daemon.asked if isinstance(request, requests.OpenWindow)]
    assert {(one.kind, one.pid, one.session) for one in opened} == {("turn", os.getpid(), "s")}


def test_another_daemon(world: World) -> None:
    """A daemon that started anew knows no window: it is opened again."""
    world.daemon.tell(requests.Ping, replies.Pong(pid=8))
    world.wait(10 * tending.POLL_S)
    assert world.asked(requests.OpenWindow) == 2


def test_no_daemon(world: World) -> None:
    """Without an answer the agent goes on; it is noted, and tried again."""
    world.daemon.tell(requests.Ping, Unavailable("gone"))
    world.wait(60)
    assert isinstance(world.tending.trouble, Unavailable)
    world.daemon.tell(requests.Ping, replies.Pong(pid=8))
    world.row(1)
    world.wait(tending.QUIET_S + 2 * tending.POLL_S)
    assert world.tending.saved == ["c1"]

"""The client's mailbox: what rides on replies is there once, and is acknowledged when it was taken."""

from datetime import UTC, datetime

from rewindd.client.listening import Listening
from rewindd.client.notices import Mailbox, Post
from rewindd.paths import RelPath
from rewindd.protocol import requests
from rewindd.protocol.replies import Notice, Notices


def told(*seqs: int) -> Notices:
    events = [
        Notice(
            seq=seq,
            told="s",
            path=RelPath("f"),
            kind="changed",
            change="modified",
            session_id=None,
            agent=None,
            operation_id=None,
            contested=[],
            at=datetime(2026, 1, 1, tzinfo=UTC),
            text="",
        )
        for seq in seqs
    ]
    return Notices(events=events, cursor=seqs[-1] if seqs else 0)


def seqs(notices: list[Notice]) -> list[int]:
    return [one.seq for one in notices]


def test_once_until_taken() -> None:
    """Replies repeat what is not acknowledged; the mailbox has it once. Taken, it is acknowledged until a reply shows that this arrived."""
    box = Mailbox()
    box.receive(told(3, 5), None)
    box.receive(told(3, 5, 8), None)
    assert (seqs(box.waiting), box.noticed) == ([3, 5, 8], None)
    assert seqs(box.take()) == [3, 5, 8]
    assert (box.waiting, box.noticed) == ([], 8)
    box.receive(told(3, 5, 8), None)  # of a request that was on its way already
    assert (box.waiting, box.noticed) == ([], 8)
    box.receive(told(9), 8)
    assert (seqs(box.waiting), box.noticed) == ([9], None)
    box.receive(None, None)
    assert seqs(box.waiting) == [9]


def test_what_is_read_in_another_way() -> None:
    """What a listener yielded is in the mailbox no more, and does not come back with a late reply."""
    post = Post()
    post.box("s").receive(told(3, 5), None)
    listening = Listening(lambda: ["s"], post, diff=False, ack=True)
    assert listening.question("s", 7).after is None
    assert listening.heard("s", told(3))
    assert seqs(post.box("s").waiting) == [5]
    assert not listening.heard("s", told(3))
    assert listening.question("s", 7).after == 3
    post.box("s").receive(told(3, 5), None)
    assert seqs(post.box("s").waiting) == [5]
    assert post.waiting.keys() == {"s"}
    listening.closed("s")
    assert listening.open() == []


def test_whose_mailbox() -> None:
    """A request's session is the one it names, or the one that it opens by its id."""
    post = Post()
    assert post.of(requests.Ping()) is None
    assert post.of(requests.OpenSession(directory=RelPath("/w"))) is None
    assert post.of(requests.OpenSession(directory=RelPath("/w"), id="s")) is post.box("s") is post.of(requests.Ping(session="s"))

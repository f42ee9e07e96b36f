"""Who a message is from, and how much one may have in hand."""

import pytest

from rewindd.daemon import peers
from rewindd.daemon.peers import InHand, Peer, parse_address


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("localhost:1000:1001:42", Peer(uid=1000, pid=42)),
        (":1000:1001:42", Peer(uid=1000, pid=42)),
        ("fe80::1:1000:1001:42", Peer(uid=1000, pid=42)),
        ("", None),
        ("localhost", None),
        ("1000:1001:42", None),
        ("localhost:1000:1001:", None),
        ("localhost:-1:1001:42", None),
        ("localhost:1000:x:42", None),
        ("localhost:\N{SUPERSCRIPT TWO}:0:1", None),
    ],
)
def test_the_address(address: str, peer: Peer | None) -> None:
    """Only the shape that is known is believed."""
    assert parse_address(address) == peer


def test_limits() -> None:
    """One connection, one process, all, and all bytes: each has its limit, and what is given back can be taken again."""
    hand = InHand()
    for _ in range(peers.MAX_OF_CONNECTION):
        assert hand.take(b"a", Peer(uid=0, pid=1), 1) is None
    assert "connection" in str(hand.take(b"a", Peer(uid=0, pid=1), 1))
    for number in range(peers.MAX_OF_PROCESS - peers.MAX_OF_CONNECTION):
        assert hand.take(b"b%d" % number, Peer(uid=0, pid=1), 1) is None
    assert "process 1" in str(hand.take(b"z", Peer(uid=0, pid=1), 1))
    for number in range(peers.MAX_OF_ALL - peers.MAX_OF_PROCESS):
        assert hand.take(str(number).encode(), None, 1) is None
    assert "daemon" in str(hand.take(b"y", None, 1))
    hand.give_back(b"a", Peer(uid=0, pid=1), 1)
    assert hand.take(b"a", Peer(uid=0, pid=1), 1) is None


def test_unread() -> None:
    """A connection that leaves large replies unread gets no more, until they are done; another one is not concerned."""

    class Message:
        done = False

    unread, message, size = peers.Unread(), Message(), peers.MAX_UNREAD_BYTES
    assert unread.has_room(b"a", size + 1)
    unread.add(b"a", message, size)
    assert not unread.has_room(b"a", 1)
    assert unread.has_room(b"b", 1)
    message.done = True
    assert unread.has_room(b"a", size)


def test_bytes() -> None:
    """Bodies are bounded together; alone, the largest is always taken."""
    hand = InHand()
    assert hand.take(b"a", None, peers.MAX_BYTES + 1) is None
    assert hand.take(b"b", None, 1) is not None
    hand.give_back(b"a", None, peers.MAX_BYTES + 1)
    assert hand.take(b"b", None, 1) is None
    assert len(hand) == 1

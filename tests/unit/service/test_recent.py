"""Contents that are remembered for a while."""

from rewindd.service.asking.recent import LARGEST_BYTES, Recent


def test_what_was_used_longest_ago_goes_first() -> None:
    """It holds at most its limit, and keeps what was asked for."""
    recent = Recent(limit_bytes=10)
    for name in (b"a", b"b", b"c"):
        recent.keep(name, name * 3)
    assert recent.get([b"a", b"x"]) == {b"a": b"aaa"}
    recent.keep(b"d", b"dddd")

    assert recent.get([b"a", b"b", b"c", b"d"]) == {b"a": b"aaa", b"c": b"ccc", b"d": b"dddd"}


def test_the_same_content_counts_once() -> None:
    """Remembering it again pushes nothing out."""
    recent = Recent(limit_bytes=10)
    for name in (b"a", b"b", b"b", b"b"):
        recent.keep(name, name * 5)

    assert recent.get([b"a", b"b"]) == {b"a": b"aaaaa", b"b": b"bbbbb"}


def test_a_large_content_is_not_remembered() -> None:
    """One file must not push out all others."""
    recent = Recent()
    recent.keep(b"large", bytes(LARGEST_BYTES + 1))
    recent.keep(b"empty", b"")

    assert recent.get([b"large", b"empty"]) == {b"empty": b""}

"""Line counts that are remembered for a while."""

import random

from rewindd.model.versions import ABSENT, File
from rewindd.service.asking.counts import Counts
from rewindd.timeline import lines

A, B, C = (File(letter * 32, 1, 0o644) for letter in (b"a", b"b", b"c"))


def test_what_was_used_longest_ago_goes_first() -> None:
    """It holds at most its limit, and keeps what was asked for."""
    counts = Counts(limit=2)
    counts.keep({(A, B): (1, 2)})
    counts.keep({(B, C): None})
    assert counts.of([(A, B)]) == {(A, B): (1, 2)}
    counts.keep({(ABSENT, C): (7, 0)})
    assert counts.of([(A, B), (B, C), (ABSENT, C)]) == {(A, B): (1, 2), (ABSENT, C): (7, 0)}


def test_a_change_taken_back_has_the_same_counts_the_other_way_round() -> None:
    """What was inserted is deleted; what could not be counted cannot."""
    counts = Counts()
    counts.keep({(A, B): (1, 2), (B, C): None})
    assert counts.of([(B, A), (C, B), (C, A)]) == {(B, A): (2, 1), (C, B): None}


def test_lines_are_counted_alike_from_either_side() -> None:
    """So the one may stand for the other, however often lines repeat."""
    chance = random.Random(7)
    for _ in range(300):
        old, new = (b"".join(chance.choice([b"a\n", b"b\n", b"c\n"]) for _ in range(chance.randrange(30))) for _ in range(2))
        inserted, deleted = lines.count(old, new)
        assert lines.count(new, old) == (deleted, inserted)


def test_forgotten() -> None:
    """Nothing is left."""
    counts = Counts()
    counts.keep({(A, B): (1, 2)})
    counts.clear()
    assert counts.of([(A, B), (B, A)]) == {}

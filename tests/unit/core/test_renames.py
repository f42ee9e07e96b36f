"""Which deletion a new file came from: the same content, the same owner, about the same time."""

import pytest
from msgspec import structs

from rewindd.model.ids import SessionId
from rewindd.model.log import NOBODY, Row, Source
from rewindd.model.versions import ABSENT, UNKNOWN, Symlink
from rewindd.paths import LinkTarget, RelPath
from rewindd.timeline.renames import APART_NS, is_made, origin
from support.log import A, B, text

V = text("abc")
MADE = Row(
    seq=20, path=RelPath("new/it"), before=ABSENT, after=V, owner=(A,), source=Source.COMMAND, operation=None, since=0, at_ns=APART_NS * 2
)
GONE = structs.replace(MADE, seq=19, path=RelPath("it"), before=V, after=ABSENT)


def test_a_deletion_and_an_addition_are_a_rename() -> None:
    """Whichever of the two has the lower position, and whoever it was."""
    assert origin(MADE, [GONE]) == GONE
    later = structs.replace(GONE, seq=21, at_ns=MADE.at_ns + APART_NS)
    assert origin(MADE, [later]) == later
    assert origin(structs.replace(MADE, owner=NOBODY), [structs.replace(GONE, owner=NOBODY)]) is not None


@pytest.mark.parametrize(
    "other",
    [
        structs.replace(GONE, before=text("abd")),
        structs.replace(GONE, owner=(SessionId(B),)),
        structs.replace(GONE, owner=(A, B)),
        structs.replace(GONE, at_ns=MADE.at_ns - APART_NS - 1),
        structs.replace(GONE, after=UNKNOWN, source=Source.RULES_CHANGED),
        structs.replace(GONE, after=text("abc"), before=V),
        structs.replace(GONE, path=MADE.path),
    ],
)
def test_anything_else_is_none(other: Row) -> None:
    """Other content, another owner, another time; what only left the view, or is there still; the path itself."""
    assert origin(MADE, [other]) is None


def test_the_same_name_counts_before_the_nearest() -> None:
    """A directory of files that are all alike is renamed: each comes from the one of its name."""
    near, far = structs.replace(GONE, path=RelPath("other"), seq=21), structs.replace(GONE, seq=3)
    assert origin(MADE, [near, far]) == far
    assert origin(MADE, [near, structs.replace(far, path=RelPath("else"))]) == near


def test_what_was_made() -> None:
    """A file with content, by a change: no first look, no link, nothing empty, nothing that was there."""
    assert is_made(MADE)
    assert not is_made(structs.replace(MADE, source=Source.FIRST_SEEN))
    assert not is_made(structs.replace(MADE, after=Symlink(LinkTarget("to"))))
    assert not is_made(structs.replace(MADE, after=text("")))
    assert not is_made(structs.replace(MADE, before=V))

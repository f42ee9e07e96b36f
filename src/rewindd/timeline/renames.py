"""Which deletion a new file came from. Pure.

The log knows no renames: they are a deletion and an addition. Where both are of one owner, at about the same time, and of the same content,
the file went from the one path to the other, and its lines with it.
"""

from collections.abc import Iterable

from rewindd.model.log import Row
from rewindd.model.versions import ABSENT, File

#: Both halves of a rename are mostly seen by one look at the tree. While it is written to, the background looks after 5 s at the latest.
APART_NS = 5_000_000_000


def is_made(row: Row) -> bool:
    """True for a row by which somebody made a file that has content: empty ones are all alike, and have no lines."""
    return row.source.is_content and row.before == ABSENT and isinstance(row.after, File) and row.after.size > 0


def origin(made: Row, gone: Iterable[Row]) -> Row | None:
    """Returns the deletion that a file was made of, among some rows: one of the same name if there is, else the nearest; None if none."""
    found = [row for row in gone if _is_half(made, row)]
    return min(found, key=lambda row: (row.path.name != made.path.name, abs(row.seq - made.seq)), default=None)


def _is_half(made: Row, gone: Row) -> bool:
    is_same = isinstance(made.after, File) and isinstance(gone.before, File) and made.after.digest == gone.before.digest
    is_close = abs(made.at_ns - gone.at_ns) <= APART_NS
    return is_same and is_close and gone.source.is_content and gone.after == ABSENT and gone.owner == made.owner and gone.path != made.path

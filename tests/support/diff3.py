"""A small line-based three-way merge, to stand in for git's in the tests of the pure core.

Differences are longest common subsequences, found by the textbook table; two hunks touch when not even one line that both
sides left alone lies between them, and hunks that touch are a conflict.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines `start` to `stop` (not included) of the base, replaced by `lines`."""

    start: int
    stop: int
    lines: tuple[str, ...]


def hunks(base: Sequence[str], side: Sequence[str]) -> list[Hunk]:
    """Returns what leads from `base` to `side`; between two hunks lies at least one line of both."""
    head, tail = _shared_ends(base, side)
    kept = _common(base[head : len(base) - tail], side[head : len(side) - tail])
    pairs = [(i + head, j + head) for i, j in kept] + [(len(base) - tail, len(side) - tail)]
    found: list[Hunk] = []
    i = j = head
    for next_i, next_j in pairs:
        if i < next_i or j < next_j:
            found.append(Hunk(i, next_i, tuple(side[j:next_j])))
        i, j = next_i + 1, next_j + 1
    return found


def touch(one: Hunk, other: Hunk) -> bool:
    """True when no line that both left alone lies between them."""
    return not (one.stop < other.start or other.stop < one.start)


def merge3(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str], *, same_is_clean: bool = False) -> list[str] | None:
    """Returns `ours` with the hunks from `base` to `theirs` made to it, or None where hunks touch.

    Args:
        same_is_clean: one and the same hunk on both sides is no conflict; git merge-file sees it so.
    """
    mine = hunks(base, ours)
    chosen = list(mine)
    for hunk in hunks(base, theirs):
        near = [other for other in mine if touch(hunk, other)]
        if not near:
            chosen.append(hunk)
        elif not (same_is_clean and near == [hunk]):
            return None
    return patched(base, chosen)


def patched(base: Sequence[str], changes: Sequence[Hunk]) -> list[str]:
    """Returns `base` with hunks made to it that do not touch."""
    result = list(base)
    for hunk in sorted(changes, key=lambda hunk: hunk.start, reverse=True):
        result[hunk.start : hunk.stop] = hunk.lines
    return result


def _shared_ends(base: Sequence[str], side: Sequence[str]) -> tuple[int, int]:
    shorter = min(len(base), len(side))
    head = next((n for n in range(shorter) if base[n] != side[n]), shorter)
    tail = next((n for n in range(shorter - head) if base[-1 - n] != side[-1 - n]), shorter - head)
    return head, tail


def _common(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """The pairs of indices of one longest common subsequence."""
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a) - 1, -1, -1):
        here, below = best[i], best[i + 1]
        for j in range(len(b) - 1, -1, -1):
            here[j] = below[j + 1] + 1 if a[i] == b[j] else max(below[j], here[j + 1])
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs

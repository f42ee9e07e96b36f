"""Line differences of two contents: how many lines came and went, and a unified diff to read.

Pure and bounded: what two versions share at both ends is cut off first; where the rest is too large to compare line by line,
it counts and shows as replaced whole. The diff is then longer than it need be, and still right.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

#: Lines of one side times lines of the other, up to which the middle is compared: 4,000 by 4,000 take some 15 ms, whatever they are.
MAX_COMPARED = 16_000_000
#: As git's buffer_is_binary (xdiff-interface.c): a NUL byte in the first 8000 bytes.
BINARY_PROBE_BYTES = 8000
CONTEXT_LINES = 3

#: Lines that stay: where they are in the one, and in the other, and how many.
Block = tuple[int, int, int]
#: An edit as difflib writes it: (tag, i1, i2, j1, j2).
Opcode = tuple[str, int, int, int, int]


def is_binary(content: bytes) -> bool:
    """True when a content is not text, by git's rule."""
    return b"\0" in content[:BINARY_PROBE_BYTES]


def count(before: bytes, after: bytes) -> tuple[int, int]:
    """Returns how many lines were inserted and how many deleted; (0, 0) when a side is binary."""
    if is_binary(before) or is_binary(after):
        return 0, 0
    old, new = _middles(before, after)
    gone, come = _line_count(old), _line_count(new)
    if gone * come > MAX_COMPARED or not (gone and come):
        return come, gone  # as `_compare` does; splitting a large content takes many times its size
    opcodes = _opcodes(_lines(old), _lines(new))
    changed = [code for code in opcodes if code[0] != "equal"]
    return sum(j2 - j1 for _, _, _, j1, j2 in changed), sum(i2 - i1 for _, i1, i2, _, _ in changed)


def unified(before: bytes | None, after: bytes | None, before_name: str, after_name: str) -> str:
    """Returns a unified diff with three lines of context. None is an absent file. Bytes that are not UTF-8 are replaced."""
    names = ("/dev/null" if before is None else before_name, "/dev/null" if after is None else after_name)
    old, new = before or b"", after or b""
    if is_binary(old) or is_binary(new):
        return f"Binary files {names[0]} and {names[1]} differ\n"
    lines = list(_hunks(_lines(old), _lines(new)))
    return f"--- {names[0]}\n+++ {names[1]}\n{''.join(lines)}" if lines else ""


def count_of(content: bytes) -> int:
    """Returns how many lines a content has; a last one without a line feed is one too."""
    return _line_count(content)


def stays(before: bytes, after: bytes) -> tuple[list[Block], int]:
    """Returns the lines that stay, in order; and how much was compared, in lines of one side times lines of the other.

    What is too large to compare line by line is taken apart at the lines that each side has once, and compared between them.
    """
    start, rest = _ends(before, after)
    old, new = before[start : len(before) - rest], after[start : len(after) - rest]
    above, below = before.count(b"\n", 0, start), _line_count(before[len(before) - rest :])
    a, b = _lines(old), _lines(new)
    pairs, compared = _kept(a, b)
    blocks: list[Block] = [(0, 0, above)] if above else []
    for i, j in pairs:
        last = blocks[-1] if blocks else (0, 0, 0)
        if (last[0] + last[2], last[1] + last[2]) == (i + above, j + above) and blocks:
            blocks[-1] = (last[0], last[1], last[2] + 1)
        else:
            blocks.append((i + above, j + above, 1))
    return [*blocks, *([(above + len(a), above + len(b), below)] if below else [])], compared


def _kept(a: Sequence[bytes], b: Sequence[bytes]) -> tuple[list[tuple[int, int]], int]:
    parts = [(0, len(a), 0, len(b))] if len(a) * len(b) <= MAX_COMPARED else _between(_anchors(a, b), len(a), len(b))
    found: list[tuple[int, int]] = []
    compared = 0
    for i1, i2, j1, j2 in parts:
        size = (i2 - i1) * (j2 - j1)
        if compared + size <= MAX_COMPARED:
            compared += size
            found += [(i + i1, j + j1) for i, j in _pairs(a[i1:i2], b[j1:j2])] if size else []
        if j2 < len(b):
            found.append((i2, j2))  # the anchor
    return found, compared


def _anchors(a: Sequence[bytes], b: Sequence[bytes]) -> list[tuple[int, int]]:
    """Returns the lines that both sides have once, as positions in both: the longest row of them that is in order in both.

    As patience diff finds them (Bram Cohen), by patience sorting.
    """
    once = {line for line, times in Counter(b).items() if times == 1}
    place = {line: n for n, line in enumerate(b) if line in once}
    times = Counter(a)
    pairs = [(n, place[line]) for n, line in enumerate(a) if line in place and times[line] == 1]
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for n, (_, at) in enumerate(pairs):
        pile = bisect_left(tops, at)
        before.append(ends[pile - 1] if pile else -1)
        tops[pile : pile + 1], ends[pile : pile + 1] = [at], [n]
    found: list[tuple[int, int]] = []
    last = ends[-1] if ends else -1
    while last >= 0:
        found.append(pairs[last])
        last = before[last]
    return found[::-1]


def _between(anchors: Sequence[tuple[int, int]], a: int, b: int) -> list[tuple[int, int, int, int]]:
    """Returns the stretches before, between and after anchors; each but the last ends at its anchor."""
    i, j = 0, 0
    parts: list[tuple[int, int, int, int]] = []
    for at, to in anchors:
        parts.append((i, at, j, to))
        i, j = at + 1, to + 1
    return [*parts, (i, a, j, b)]


def _middles(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    """Returns both without the whole lines that they share at both ends: splitting these would be most of the work."""
    start, rest = _ends(before, after)
    return before[start : len(before) - rest], after[start : len(after) - rest]


def _ends(before: bytes, after: bytes) -> tuple[int, int]:
    """Returns the bytes of the whole lines that two contents share at their beginning, and then at their end."""
    shorter = min(len(before), len(after))
    same = _most(shorter, lambda low, high: before[low:high] == after[low:high])
    start = before.rfind(b"\n", 0, same) + 1
    old, new = before[start:], after[start:]
    first, second = len(old), len(new)
    same = _most(shorter - start, lambda low, high: old[first - high : first - low] == new[second - high : second - low])
    line = old.find(b"\n", first - same)
    return start, first - line - 1 if line >= 0 else 0


def _most(limit: int, is_same: Callable[[int, int], bool]) -> int:
    """Returns how far two contents are the same, by halves: to compare slices is C, a loop over bytes is not."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if is_same(low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _line_count(content: bytes) -> int:
    return content.count(b"\n") + (not content.endswith(b"\n") if content else 0)


def _lines(content: bytes) -> list[bytes]:
    """Splits at line feeds only, as diff does; a carriage return is part of its line."""
    parts = content.split(b"\n")
    tail = parts.pop()
    return [part + b"\n" for part in parts] + ([tail] if tail else [])


def _opcodes(old: Sequence[bytes], new: Sequence[bytes]) -> list[Opcode]:
    start, end = _shared_ends(old, new)
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    middle = _compare(a, b)
    shifted = [(tag, i1 + start, i2 + start, j1 + start, j2 + start) for tag, i1, i2, j1, j2 in middle]
    before: list[Opcode] = [("equal", 0, start, 0, start)] if start else []
    after: list[Opcode] = [("equal", len(old) - end, len(old), len(new) - end, len(new))] if end else []
    return before + shifted + after


def _compare(a: Sequence[bytes], b: Sequence[bytes]) -> list[Opcode]:
    if not a and not b:
        return []
    if not a or not b or len(a) * len(b) > MAX_COMPARED:
        tag = "replace" if a and b else "delete" if a else "insert"
        return [(tag, 0, len(a), 0, len(b))]
    return list(_edits([*_pairs(a, b), (len(a), len(b))]))


def _edits(pairs: Sequence[tuple[int, int]]) -> Iterator[Opcode]:
    """Yields the opcodes between and of the lines that stay; the last pair is the two ends."""
    i, j = 0, 0
    for n, (stays, is_at) in enumerate(pairs):
        if (stays, is_at) != (i, j):
            tag = "replace" if stays > i and is_at > j else "delete" if stays > i else "insert"
            yield tag, i, stays, j, is_at
        if n < len(pairs) - 1:
            yield "equal", stays, stays + 1, is_at, is_at + 1
        i, j = stays + 1, is_at + 1


def _pairs(a: Sequence[bytes], b: Sequence[bytes]) -> list[tuple[int, int]]:
    """Returns the lines that stay, as positions in both: a longest common subsequence.

    Hyyroe, "Bit-parallel LCS-length computation revisited" (2004): a row is an integer with a bit for each line of `a`, clear
    where the subsequence grows. How often lines repeat makes no difference; difflib takes 9 s for 1,000 lines of three kinds.
    """
    places: dict[bytes, int] = {}
    for n, line in enumerate(a):
        places[line] = places.get(line, 0) | 1 << n
    row = everything = (1 << len(a)) - 1
    rows = [row]
    for line in b:
        met = row & places.get(line, 0)
        row = ((row + met) | (row - met)) & everything
        rows.append(row)
    return _back(rows, len(a))[::-1]


def _back(rows: Sequence[int], i: int) -> list[tuple[int, int]]:
    """Returns the pairs of a subsequence, the last first: the way back through the rows."""
    pairs: list[tuple[int, int]] = []
    j = len(rows) - 1
    while i and j:
        if rows[j] >> (i - 1) & 1:
            i -= 1
            continue
        j -= 1
        if rows[j] >> (i - 1) & 1:
            i -= 1
            pairs.append((i, j))
    return pairs


def _shared_ends(old: Sequence[bytes], new: Sequence[bytes]) -> tuple[int, int]:
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    end = next((i for i in range(shorter - start) if old[-1 - i] != new[-1 - i]), shorter - start)
    return start, end


def _hunks(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[str]:
    for group in _groups(_opcodes(old, new)):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from _shown(" ", old[i1:i2])
                continue
            yield from _shown("-", old[i1:i2])
            yield from _shown("+", new[j1:j2])


def _groups(opcodes: Sequence[Opcode]) -> Iterator[list[Opcode]]:
    """Cuts the edits into hunks: changes with at most two contexts of equal lines between them stay together."""
    group: list[Opcode] = []
    for tag, i1, i2, j1, j2 in _joined(opcodes):
        if tag != "equal":
            group.append((tag, i1, i2, j1, j2))
            continue
        if group and i2 - i1 > 2 * CONTEXT_LINES:
            yield [*group, (tag, i1, i1 + CONTEXT_LINES, j1, j1 + CONTEXT_LINES)]
            group = []
        start = 0 if group else max(0, i2 - i1 - CONTEXT_LINES)
        group.append((tag, i1 + start, i2, j1 + start, j2))
    if len(group) > 1 or (group and group[0][0] != "equal"):
        tag, i1, i2, j1, j2 = group[-1]
        if tag == "equal":
            group[-1] = (tag, i1, min(i2, i1 + CONTEXT_LINES), j1, min(j2, j1 + CONTEXT_LINES))
        yield group


def _joined(opcodes: Sequence[Opcode]) -> list[Opcode]:
    """Joins equal stretches that follow each other, at the seams of the shared ends."""
    joined: list[Opcode] = []
    for code in opcodes:
        if joined and joined[-1][0] == code[0] == "equal":
            joined[-1] = ("equal", joined[-1][1], code[2], joined[-1][3], code[4])
        else:
            joined.append(code)
    return joined


def _range(start: int, stop: int) -> str:
    """A range as POSIX diff -u writes it: a missing length is 1; an empty range names the line before it."""
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start if length == 0 else start + 1},{length}"


def _shown(sign: str, lines: Sequence[bytes]) -> Iterator[str]:
    for line in lines:
        text = line.decode("utf-8", "replace")
        yield f"{sign}{text}" if text.endswith("\n") else f"{sign}{text}\n\\ No newline at end of file\n"

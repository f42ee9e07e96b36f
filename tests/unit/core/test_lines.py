"""Line differences: what they count is what they show, and what they show is what `patch` would do."""

from hypothesis import given
from hypothesis import strategies as st

from rewindd.timeline import lines

LINE = st.sampled_from([b"a", b"b", b"c", b"", b"}", b"long line with words", b"\xff\xfe"])
CONTENT = st.builds(lambda parts, end: b"\n".join(parts) + (b"\n" if end else b""), st.lists(LINE, max_size=30), st.booleans())


def patched(before: bytes, patch: str) -> list[str]:
    """Applies a unified diff the strict way: every context and removed line must be where it says."""
    old = [line.decode("utf-8", "replace") for line in before.split(b"\n")]
    if old and old[-1] == "":
        old.pop()
    result: list[str] = []
    position = 0
    for line in patch.splitlines()[2:] if "\r" not in patch else patch.split("\n")[2:]:
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            first = int(start) - (0 if length == "0" else 1)
            result += old[position:first]
            position = first
        elif line.startswith((" ", "-")):
            assert old[position] == line[1:]
            if line.startswith(" "):
                result.append(old[position])
            position += 1
        elif line.startswith("+"):
            result.append(line[1:])
    return result + old[position:]


@given(CONTENT, CONTENT)
def test_unified_leads_from_before_to_after(before: bytes, after: bytes) -> None:
    """Applied to the old lines, the diff gives the new lines."""
    expected = [line.decode("utf-8", "replace") for line in after.split(b"\n")]
    if expected and expected[-1] == "":
        expected.pop()
    assert patched(before, lines.unified(before, after, "a/f", "b/f")) == expected


@given(CONTENT, CONTENT)
def test_count_agrees_with_the_diff(before: bytes, after: bytes) -> None:
    """As many lines are counted as the diff shows with + and -."""
    shown = lines.unified(before, after, "a/f", "b/f").splitlines()[2:]
    plus, minus = sum(line.startswith("+") for line in shown), sum(line.startswith("-") for line in shown)
    assert lines.count(before, after) == (plus, minus)


def test_a_huge_middle_is_shown_as_replaced() -> None:
    """Beyond the bound nothing is compared line by line, and the diff is still right."""
    before = b"".join(b"old %d\n" % i for i in range(1500))
    after = b"".join(b"new %d\n" % i for i in range(1500))
    assert lines.count(before, after) == (1500, 1500)
    assert patched(before, lines.unified(before, after, "a", "b")) == after.decode().splitlines()


def test_binary_is_said_not_shown() -> None:
    """A NUL byte near the start makes a content binary: no lines are counted."""
    assert lines.count(b"a\0b\n", b"text\n") == (0, 0)
    assert lines.unified(b"a\0b\n", b"", "a/f", "b/f") == "Binary files a/f and b/f differ\n"

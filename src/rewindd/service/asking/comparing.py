"""Changes as people read them: line counts and patches for what the pure core found to differ."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rewindd.model.versions import Directory, File, Symlink, Unknown, Version
from rewindd.protocol import replies
from rewindd.service.asking import render
from rewindd.service.asking.counts import Count, Span
from rewindd.service.asking.reading import Contents, text_of
from rewindd.service.state import State
from rewindd.timeline import lines
from rewindd.timeline.delta import PathDelta

#: Paths, and bytes of both their sides, that are read and compared together: bounds memory, and gives others a turn.
BATCH_PATHS = 64
BATCH_BYTES = 16 << 20
#: Contents, in bytes each and in all, whose lines are counted in the event loop: a hand-over costs more, 3 ms at the very worst.
INLINE_BYTES = 8 << 10
INLINE_TOTAL_BYTES = 64 << 10
#: A content above this is not compared line by line: that would take longer than anybody waits for a count.
MAX_COMPARED_BYTES = 4 << 20


class Totals(NamedTuple):
    """What changes come to: paths, and lines."""

    files: int
    insertions: int
    deletions: int


async def compare(
    state: State, deltas: Sequence[PathDelta], *, patch: bool = False, at_hand: Mapping[bytes, bytes] | None = None
) -> list[replies.FileDiff]:
    """Returns each change with its line counts, and with a unified diff where `patch` is asked.

    `at_hand`: contents by digest that the caller has already.
    """
    found: list[replies.FileDiff] = []
    for batch in _batches(deltas):
        counts = await count(state, _spans(batch), at_hand=at_hand)
        if patch:
            contents = await Contents(state).read(_versions(batch), at_hand)
            found += await state.bridge.work(_told, batch, counts, contents)
        else:
            found += _told(batch, counts, None)
    return found


async def count(state: State, spans: Collection[Span], *, at_hand: Mapping[bytes, bytes] | None = None) -> dict[Span, Count]:
    """Returns the line counts of changes; what was counted lately is not read again."""
    found = state.counts.of(spans)
    fresh = [span for span in spans if span not in found]
    if fresh:
        contents = await Contents(state).read(_small({version for span in fresh for version in span}), at_hand)
        counted = counted_in(fresh, contents) if _are_short(contents) else await state.bridge.work(counted_in, fresh, contents)
        state.counts.keep(counted)
        found |= counted
    return found


def counted_in(spans: Iterable[Span], contents: Mapping[bytes, bytes]) -> dict[Span, Count]:
    """Returns the line counts of changes between contents, given by digest."""
    return {(before, after): _count(before, after, contents) for before, after in spans}


def _are_short(contents: Mapping[bytes, bytes]) -> bool:
    sizes = [len(content) for content in contents.values()]
    return max(sizes, default=0) <= INLINE_BYTES and sum(sizes) <= INLINE_TOTAL_BYTES


async def totals(state: State, deltas: Sequence[PathDelta]) -> Totals:
    """Returns how many paths, inserted lines and deleted lines the changes have in all."""
    insertions = deletions = 0
    for batch in _batches(deltas):
        counts = await count(state, _spans(batch))
        known = [pair for delta in batch for span in delta.spans if (pair := counts[span]) is not None]
        insertions, deletions = insertions + sum(pair[0] for pair in known), deletions + sum(pair[1] for pair in known)
    return Totals(len(deltas), insertions, deletions)


def _spans(batch: Iterable[PathDelta]) -> set[Span]:
    return {span for delta in batch for span in delta.spans}


def _batches(deltas: Iterable[PathDelta]) -> Iterator[list[PathDelta]]:
    batch: list[PathDelta] = []
    size = 0
    for delta in deltas:
        weight = sum(version.size for version in _versions([delta]) if isinstance(version, File))
        if batch and (len(batch) >= BATCH_PATHS or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(delta)
        size += weight
    if batch:
        yield batch


def _versions(batch: Iterable[PathDelta]) -> list[Version]:
    """The versions that are read to compare these; not those that are too large."""
    return _small({version for delta in batch for span in (*delta.spans, (delta.before, delta.after)) for version in span})


def _small(versions: Iterable[Version]) -> list[Version]:
    return [version for version in versions if not isinstance(version, File) or version.size <= MAX_COMPARED_BYTES]


def _told(batch: Sequence[PathDelta], counts: Mapping[Span, Count], contents: dict[bytes, bytes] | None) -> list[replies.FileDiff]:
    return [_one(delta, [counts[span] for span in delta.spans], contents) for delta in batch]


def _one(delta: PathDelta, counted: Sequence[Count], contents: dict[bytes, bytes] | None) -> replies.FileDiff:
    """`contents`: those that a patch is made of; None: none is asked."""
    known = [pair for pair in counted if pair is not None]
    return replies.FileDiff(
        path=delta.path,
        before=render.version(delta.before),
        after=render.version(delta.after),
        timestamp=render.moment(delta.at_ns),
        change=render.change(delta.before, delta.after),
        mixed=delta.mixed,
        insertions=sum(pair[0] for pair in known),
        deletions=sum(pair[1] for pair in known),
        binary=len(known) < len(counted),
        patch=_patch(delta, contents) if contents is not None else None,
    )


def _count(before: Version, after: Version, contents: Mapping[bytes, bytes]) -> Count:
    old, new = text_of(before, contents), text_of(after, contents)
    if old is None or new is None or lines.is_binary(old) or lines.is_binary(new):
        return None
    return lines.count(old, new)


def _patch(delta: PathDelta, contents: dict[bytes, bytes]) -> str:
    """Returns git's extended form of a unified diff, so that modes, links and empty files show too."""
    name = delta.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    shown = [f"diff --git a/{name} b/{name}\n", *_mode_lines(delta.before, delta.after)]
    old, new = text_of(delta.before, contents), text_of(delta.after, contents)
    if old is None or new is None:
        return "".join([*shown, f"Files a/{name} and b/{name} differ (too large to show)\n"])
    there, then = _has_text(delta.before), _has_text(delta.after)
    return "".join([*shown, lines.unified(old if there else None, new if then else None, f"a/{name}", f"b/{name}")])


def _mode_lines(before: Version, after: Version) -> list[str]:
    old, new = _git_mode(before), _git_mode(after)
    if old is None:
        return [] if new is None else [f"new file mode {new}\n"]
    if new is None:
        return [f"deleted file mode {old}\n"]
    return [f"old mode {old}\n", f"new mode {new}\n"] if old != new else []


def _git_mode(version: Version) -> str | None:
    match version:
        case File():
            return f"100{version.mode & 0o777:03o}"
        case Symlink():
            return "120000"
        case Directory():
            return f"040{version.mode & 0o777:03o}"
        case _:
            return None


def _has_text(version: Version) -> bool:
    return isinstance(version, (File, Symlink, Unknown))

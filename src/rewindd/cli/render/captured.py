"""What is captured, as a person reads it: the biggest files, then what is left out, reason by reason."""

from collections.abc import Sequence

from rewindd.cli.render.words import count, size, visible
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import CaptureInfo

#: Names of one reason that are shown, unless all are wanted.
SHOWN = 20


def captured(found: CaptureInfo, paint: Paint, *, dry_run: bool, everything: bool) -> str:
    """Returns a line for each of the biggest files, and for each name that is left out; of one reason the first, or `everything`."""
    what = f"{count(found.files, 'file')}, {size(found.bytes)}, {'would be captured' if dry_run else 'captured'}"
    lines = [f"{paint(visible(found.root), 'bold')}: {what}"]
    sizes = [size(one.size) for one in found.largest]
    width = max(map(len, sizes), default=0)
    lines += [f"  {said:>{width}}  {visible(one.path)}" for said, one in zip(sizes, found.largest, strict=True)]
    more = found.files - len(found.largest)
    lines += [f"  {paint(f'and {more} smaller', 'dim')}"] if more > 0 else []
    reasons: dict[str, list[str]] = {}
    for left in found.left_out:
        reasons.setdefault(left.reason, []).append(left.path)
    for reason, paths in reasons.items():
        lines += ["", f"{paint(f'left out: {visible(reason)}', 'yellow')} ({count(len(paths), 'name')})"]
        lines += _listed(paths, paint, len(paths) if everything else SHOWN)
    return "\n".join(lines)


def _listed(paths: Sequence[str], paint: Paint, shown: int) -> list[str]:
    lines = [f"  {visible(path)}" for path in paths[:shown]]
    if len(paths) > shown:
        lines.append("  " + paint(f"and {len(paths) - shown} more; -v shows all", "dim"))
    return lines

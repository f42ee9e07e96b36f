"""The table of `list`: checkpoints in order of creation with their tree, the head marked."""

from collections.abc import Sequence
from datetime import datetime

from rewindd.cli.render import tree
from rewindd.cli.render.families import Families
from rewindd.cli.render.words import ago, cells, fit, pad, visible
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import SessionInfo, Summary

#: A label is never cut to less than this many cells, however narrow the terminal.
_LEAST_LABEL = 16


def checkpoints(
    found: Sequence[Summary],
    paint: Paint,
    *,
    width: int | None,
    unicode: bool = True,
    sessions: Sequence[SessionInfo] | None = None,
    own: str | None = None,
    now: datetime | None = None,
) -> str:
    """Returns the table. `width` in cells cuts the labels, None cuts nothing.

    With `sessions`, which the checkpoints are of, each one's session is named, below its parent. `own`: the session whose list it is:
    what it shares with others is marked.
    """
    marks = tree.UNICODE if unicode else tree.ASCII
    families = Families(sessions or (), found)
    rows = tree.draw([tree.Node((one.session_id, one.id), families.parent(one), one.is_head) for one in found], marks)
    columns = [_columns(summary, now, families if sessions is not None else None) for summary in found]
    widths = [max((cells(row[number]) for row in columns), default=0) for number in range(len(columns[0]) if columns else 0)]
    margin = max((cells(row.before) for row in rows), default=0)
    room = None if width is None else max(_LEAST_LABEL, width - margin - sum(widths) - 2 * (len(widths) + 1))
    lines: list[str] = []
    for summary, row, cols in zip(found, rows, columns, strict=True):
        cells_of = [pad(*pair) for pair in zip(cols, widths, strict=True)]
        lines.append(_line(summary, pad(row.before, margin), cells_of, paint, room, own))
        if row.below is not None:
            lines.append(row.below)
    return "\n".join(lines)


def _columns(summary: Summary, now: datetime | None, families: Families | None) -> list[str]:
    files = f"{summary.files} file{'s' if summary.files != 1 else ''}"
    found = [visible(summary.id), ago(summary.created_at, now), files, f"+{summary.insertions} -{summary.deletions}"]
    return [families.name(summary.session_id), *found] if families is not None else found


def _line(summary: Summary, graph: str, columns: list[str], paint: Paint, room: int | None, own: str | None) -> str:
    label = visible(summary.label or "")
    notes = [*(["(head)"] if summary.is_head else []), *(["(automatic)"] if summary.automatic else [])]
    notes += [f"(of {visible(summary.session_id)})"] if own is not None and summary.session_id != own else []
    notes += [f"(barrier {visible(summary.barrier_id)})"] if summary.barrier_id is not None else []
    notes += [f"({summary.incomplete.count} not captured)"] if summary.incomplete.count else []
    tail = " ".join(notes)
    if room is not None:
        label = fit(label, max(1, room - cells(tail) - 1)) if label else ""
    shown = "  ".join([graph, *columns]).rstrip() if not (label or tail) else "  ".join([graph, *columns])
    style = "bold" if summary.is_head else "dim" if summary.automatic else ""
    shown = paint(shown, style) if style else shown
    marked = paint(tail, "green" if summary.is_head else "yellow") if tail else ""
    return "  ".join(part for part in (shown, " ".join(part for part in (label, marked) if part)) if part)

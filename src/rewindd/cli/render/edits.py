"""The edit log and the lines of a file, each with whose it is, as a person reads them."""

from collections.abc import Sequence

from rewindd.cli.render.words import fit, pad, visible, when
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import Blamed, EditInfo, LineSpan

_CHANGE_STYLES = {"added": "green", "deleted": "red"}
#: Cells of a prompt in a line of `log`, and beside a line of text in `blame`; the whole of it is in `--json`.
_PROMPT = 60
_PROMPT_BESIDE = 28


def log(found: Sequence[EditInfo], paint: Paint) -> str:
    """Returns the edit log, a line a row."""
    number = max((len(str(entry.seq)) for entry in found), default=0)
    who = max((len(_who(entry)) for entry in found), default=0)
    lines = []
    for entry in found:
        change = paint(entry.change.ljust(8), _CHANGE_STYLES.get(entry.change, "yellow"))
        row = f"{entry.seq:>{number}}  {when(entry.at)}  {pad(_who(entry), who)}  {change}  {visible(entry.path)}  "
        lines.append(row + paint(f"({_why(entry)})", "dim"))
    return "\n".join(lines)


def blame(found: Blamed, paint: Paint) -> str:
    """Returns a file's lines, each with the row it came from: its number in the log, whose it is, when and in which turn it was made."""
    texts = found.content.decode("utf-8", "replace").split("\n")
    columns = [(span, [_number(span), _whose(span), when(span.at) if span.at is not None else "", _turn(span)]) for span in found.spans]
    widths = [max((len(cols[n]) for _, cols in columns), default=0) for n in range(4)]
    digits = len(str(len(texts)))
    lines: list[str] = []
    for span, cols in columns:
        margin = "  ".join(pad(*pair) for pair in zip(cols, widths, strict=True)).rstrip()
        margin = pad(margin, sum(widths) + 2 * (len(widths) - 1))
        numbers = range(span.first_line, span.first_line + span.count)
        lines += [f"{paint(margin, 'dim')}  {n:>{digits}}) {visible(texts[n - 1].expandtabs())}".rstrip() for n in numbers]
    return "\n".join(lines)


def _why(entry: EditInfo) -> str:
    if entry.operation_id is not None:
        return f"{entry.operation or entry.source} {entry.operation_id}"
    turn = f", turn {entry.turn}" if entry.turn is not None else ""
    return f"{entry.source}{turn}" + (f": {fit(visible(entry.prompt), _PROMPT)}" if entry.prompt else "")


def _number(span: LineSpan) -> str:
    if span.older_than is not None:
        return f"<{span.older_than}"
    return str(span.seq) if span.seq is not None else "-"


def _whose(span: LineSpan) -> str:
    if span.older_than is not None:
        return "older"
    if span.session_id is None and span.source == "first-seen":
        return "before rewindd knew it"
    return _who(span)


def _turn(span: LineSpan) -> str:
    if span.turn is None:
        return ""
    return fit(f"turn {span.turn}" + (f": {visible(span.prompt)}" if span.prompt else ""), _PROMPT_BESIDE)


def _who(entry: EditInfo | LineSpan) -> str:
    if entry.contested:
        return f"contested: {', '.join(visible(session) for session in entry.contested)}"
    if entry.session_id is None:
        return "nobody"
    return f"{visible(entry.agent)} ({visible(entry.session_id)})" if entry.agent else visible(entry.session_id)

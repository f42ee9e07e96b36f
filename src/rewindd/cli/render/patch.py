"""Changes as a person reads them: a line a path, and unified diffs in colour."""

from collections.abc import Sequence

from rewindd.cli.render.words import visible, visible_lines
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import FileDiff

_LETTERS = {"added": ("A", "green"), "modified": ("M", "yellow"), "deleted": ("D", "red"), "type": ("T", "magenta"), "mode": ("m", "cyan")}


def change_lines(changes: Sequence[FileDiff], paint: Paint) -> list[str]:
    """Returns a line for each changed path."""
    return [_change_line(change, paint) for change in changes]


def counts(insertions: int, deletions: int, paint: Paint) -> str:
    """Returns `+3 -1`, without what is zero."""
    parts = [paint(f"+{insertions}", "green") if insertions else "", paint(f"-{deletions}", "red") if deletions else ""]
    return " ".join(part for part in parts if part)


def patches(changes: Sequence[FileDiff], paint: Paint, *, for_terminal: bool) -> str:
    """Returns all diffs, one after the other; for a pipe they are as they were made, so that `git apply` takes them."""
    return "".join(_patch(change, paint, for_terminal=for_terminal) for change in changes)


def _change_line(change: FileDiff, paint: Paint) -> str:
    letter, style = _LETTERS.get(change.change, ("?", "bold"))
    notes = [counts(change.insertions, change.deletions, paint)]
    notes += [paint("binary", "dim")] if change.binary else []
    notes += [paint("mixed with others' changes", "yellow")] if change.mixed else []
    return "  ".join([paint(letter, style), visible(change.path), *(note for note in notes if note)])


def _patch(change: FileDiff, paint: Paint, *, for_terminal: bool) -> str:
    if change.patch is None:
        kind = "Binary file" if change.binary else change.change
        return f"{kind}: {visible(change.path)}\n"
    text = change.patch if not change.patch or change.patch.endswith("\n") else f"{change.patch}\n"
    return coloured(text, paint) if for_terminal else text


def coloured(patch: str, paint: Paint) -> str:
    """Returns a diff for a terminal: made harmless, in colour."""
    return "".join(f"{_coloured(line, paint)}\n" for line in visible_lines(patch).split("\n")[:-1])


def _coloured(line: str, paint: Paint) -> str:
    if line.startswith(("diff ", "index ", "--- ", "+++ ", "old mode", "new mode", "new file", "deleted file")):
        return paint(line, "bold")
    style = {"@": "cyan", "+": "green", "-": "red", "\\": "dim"}.get(line[:1])
    return paint(line, style) if style else line

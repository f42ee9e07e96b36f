"""Numbers, times and foreign text in a person's words. Whatever came from outside is made harmless before it meets a terminal."""

import unicodedata
from datetime import UTC, datetime

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
#: C0, DEL and C1: a label or a file name must not move the cursor or retitle the window.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
#: Marks that reorder what stands around them (CVE-2021-42574).
_CONTROLS |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
#: Units of 1024, as `ls -h` and `du -h` write them.
_UNITS = "BKMGT"


def visible(text: str) -> str:
    """Returns text on one line in which nothing is invisible: control characters and bytes that are no UTF-8 are spelled out."""
    return "".join(_spelled(char) for char in text.translate(_CONTROLS))


def visible_lines(text: str) -> str:
    """Returns text of several lines, made harmless; its line ends and tabs are kept."""
    keep = {code: shown for code, shown in _CONTROLS.items() if code not in (0x09, 0x0A)}
    return "".join(_spelled(char) for char in text.translate(keep))


def cells(text: str) -> int:
    """Returns how many cells of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def fit(text: str, width: int) -> str:
    """Returns the text, cut to `width` cells with `…` at its end where it is longer."""
    if cells(text) <= width:
        return text
    taken, used = [], 1
    for char in text:
        used += _cells(char)
        if used > width:
            break
        taken.append(char)
    return "".join(taken) + "…"


def pad(text: str, width: int) -> str:
    """Returns the text with spaces up to `width` cells."""
    return text + " " * (width - cells(text))


def count(number: int, thing: str) -> str:
    """Returns `1 file`, `2 files`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def size(size_bytes: int) -> str:
    """Returns a size in bytes as a person reads it: `812 B`, `4.5 KiB`."""
    scaled, unit = float(size_bytes), 0
    while scaled >= 1024 and unit < len(_UNITS) - 1:
        scaled, unit = scaled / 1024, unit + 1
    return f"{size_bytes} B" if unit == 0 else f"{scaled:.1f} {_UNITS[unit]}iB"


def duration(duration_s: float) -> str:
    """Returns a duration as the reference's statistics do: `59s`, `1m 0s`, `1h 1m`."""
    whole_s = int(duration_s)
    if whole_s < _MINUTE_S:
        return f"{whole_s}s"
    if whole_s < _HOUR_S:
        return f"{whole_s // _MINUTE_S}m {whole_s % _MINUTE_S}s"
    return f"{whole_s // _HOUR_S}h {whole_s % _HOUR_S // _MINUTE_S}m"


def when(at: datetime) -> str:
    """Returns a time of this machine's zone, to the second."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(at: datetime, now: datetime | None = None) -> str:
    """Returns how long ago a time was: `just now`, `5m ago`, and beyond a day the date."""
    past_s = ((now or datetime.now(UTC)) - at).total_seconds()
    if past_s >= _DAY_S or past_s < -_MINUTE_S:
        return at.astimezone().strftime("%Y-%m-%d %H:%M")
    if past_s < _MINUTE_S:
        return "just now"
    return f"{int(past_s // _MINUTE_S)}m ago" if past_s < _HOUR_S else f"{int(past_s // _HOUR_S)}h ago"


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _spelled(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char if not "\ud800" <= char <= "\udfff" else "\ufffd"

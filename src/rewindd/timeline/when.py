"""Times as people write them in `@{…}`: how long ago, or a time of day, or a date. Pure: what time it is now, and where, is told."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,9})\s*([smhdw])")
_DAY_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


def parse(text: str, now: datetime) -> datetime | None:
    """Returns the time that `text` names, None where it is none.

    `10m` and `2h` are so long ago; `01:55` is the last time that a clock showed it; everything else is ISO 8601.

    Args:
        text: what stands between the braces.
        now: the present time, with a zone that knows when its clocks are put forward and back: times without one are of that zone.
    """
    words = text.strip()
    try:
        if (ago := _AGO.fullmatch(words)) is not None:
            return now.astimezone(UTC) - timedelta(**{_UNITS[ago.group(2)]: int(ago.group(1))})
        if (clock := _DAY_TIME.fullmatch(words)) is not None:
            hour, minute, second = (int(part or 0) for part in clock.groups())
            return _last_shown(now.replace(hour=hour, minute=minute, second=second, microsecond=0), now)
        given = datetime.fromisoformat(words)
    except (ValueError, OverflowError):
        return None
    return given if given.tzinfo is not None else given.replace(tzinfo=now.tzinfo)


def _last_shown(today: datetime, now: datetime) -> datetime:
    """Returns the last time at which a clock showed what it shows today, twice where it is put back (`fold`, PEP 495)."""
    days = (today, today - timedelta(days=1))
    shown = [day.replace(fold=fold) for day in days for fold in (1, 0)]
    return next(one for one in shown if one.timestamp() <= now.timestamp())

"""Times as people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rewindd.timeline.when import parse

NOW = datetime(2026, 11, 22, 2, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("90 s", NOW - timedelta(seconds=90)),
        ("3d", NOW - timedelta(days=3)),
        ("01:55", datetime(2026, 11, 22, 1, 55, tzinfo=UTC)),
        ("23:55", datetime(2026, 11, 21, 23, 55, tzinfo=UTC)),
        ("01:55:10", datetime(2026, 11, 22, 1, 55, 10, tzinfo=UTC)),
        ("2026-11-20 12:00", datetime(2026, 11, 20, 12, 0, tzinfo=UTC)),
        ("2026-11-20T12:00:00+02:00", datetime(2026, 11, 20, 12, 0, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_times_that_are_understood(text: str, expected: datetime) -> None:
    """So long ago, the last time a clock showed it, or a date; of the present zone where none is named."""
    assert parse(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "10", "m", "999999999w", "12:61", "-5m"])
def test_words_that_are_no_time(text: str) -> None:
    """Everything else is no time, and no error."""
    assert parse(text, NOW) is None

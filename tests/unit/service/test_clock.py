"""The wall clock of a place, whose clocks are put forward and back."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from rewindd.service import clock
from rewindd.timeline.when import parse


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in Berlin: an hour ahead of UTC, two in summer. Told by rules, as there need not be a table of zones (tzset(3))."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("now", "text", "expected"),
    [
        # In winter of a day in summer, and the other way round.
        ("2026-11-23T12:00", "2026-10-20 14:00", "2026-10-20T12:00"),
        ("2026-07-01T12:00", "2026-01-10 14:00", "2026-01-10T13:00"),
        # In the morning after the clocks went back at 3:00, which is 1:00 in UTC: of before, of the hour that was shown twice, of after.
        ("2026-10-25T08:00", "01:55", "2026-10-24T23:55"),
        ("2026-10-25T08:00", "02:30", "2026-10-25T01:30"),
        ("2026-10-25T08:00", "03:30", "2026-10-25T02:30"),
        ("2026-10-25T08:00", "23:00", "2026-10-24T21:00"),
        # Within that hour, when it was shown once so far.
        ("2026-10-25T00:45", "02:30", "2026-10-25T00:30"),
        ("2026-10-25T08:00", "12h", "2026-10-24T20:00"),
        # In the morning after they went forward at 2:00.
        ("2026-03-29T08:00", "01:55", "2026-03-29T00:55"),
        ("2026-03-29T08:00", "23:00", "2026-03-28T22:00"),
    ],
)
def test_clocks_that_are_put_forward_and_back(monkeypatch: pytest.MonkeyPatch, now: str, text: str, expected: str) -> None:
    """A time of day, or a date, is what the clocks showed then, and not what they would have shown by today's offset."""
    monkeypatch.setattr(clock, "time", datetime.fromisoformat(f"{now}+00:00").timestamp)
    found = parse(text, clock.now_here())
    assert found is not None
    assert found.astimezone(UTC) == datetime.fromisoformat(f"{expected}+00:00")

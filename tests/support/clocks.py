"""A daemon whose wall clock a test sets: what `time` says there is off by what stands in a file, read each time."""

from pathlib import Path

_SITE = """
import os, time

_true = time.time_ns


def _shown():
    with open(os.environ["REWINDD_TEST_CLOCK"]) as file:
        return _true() + int(file.read() or 0)


time.time_ns = _shown
time.time = lambda: _shown() / 1e9
"""


class WallClock:
    """The clock of a daemon that is started with `env`; nobody else's is set."""

    def __init__(self, directory: Path) -> None:
        site = directory / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(_SITE)
        self._file = directory / "clock"
        self._off_s = 0
        self.turn(0)
        self.env = {"PYTHONPATH": str(site), "REWINDD_TEST_CLOCK": str(self._file)}

    def turn(self, by_s: int) -> None:
        """Sets it forward, or back, by so many seconds."""
        self._off_s += by_s
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(self._off_s * 1_000_000_000))
        fresh.replace(self._file)
